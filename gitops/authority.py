"""The table of verbs that say who may do what: read and carried out at once, by an admin of everything. Data only.

The command line and the API are held to it by tests. To make a link to sign in with is no verb of it: that is for who
may write into the folder of links, and is the master of this machine's Launchpin anyway.
"""

from collections.abc import Mapping

from gitops.grammar import Argument, Kind, Verb
from gitops.roles import AccessRole

_LOGIN = Argument("login", Kind.TEXT, "What they are called here.", is_required=True, is_option=False)
_ROLE = Argument(
    "role",
    Kind.WORD,
    "What they may do there.",
    is_required=True,
    is_option=False,
    words=tuple(role.value for role in AccessRole),
)
_REPOSITORY = Argument("repository", Kind.REPOSITORY, "Only there; by default everywhere.")
_PROVIDER = Argument("provider", Kind.TEXT, "Who vouches for the person: local, or an issuer's address.")
_SUBJECT = Argument("subject", Kind.TEXT, "The provider's own id of the person, which never changes.")

_TABLE = (
    Verb("people list", "List everybody with their roles.", AccessRole.ADMIN),
    Verb(
        "people grant",
        "Give LOGIN a role: viewer, runner, approver or admin, each of which may more than the one before.",
        AccessRole.ADMIN,
        (_LOGIN, _ROLE, _REPOSITORY, _PROVIDER, _SUBJECT),
        changes=True,
    ),
    Verb(
        "people revoke",
        "Take the role of LOGIN away; tokens and sessions may no more from that moment on.",
        AccessRole.ADMIN,
        (_LOGIN, _REPOSITORY, _PROVIDER),
        changes=True,
    ),
    Verb(
        "people disable",
        "End every session and token of LOGIN, for good.",
        AccessRole.ADMIN,
        (_LOGIN, _PROVIDER),
        changes=True,
    ),
)

AUTHORITY: Mapping[str, Verb] = {verb.name: verb for verb in _TABLE}
"""Every one of them by its name."""
