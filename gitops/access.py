"""Who may do what: people, what they were granted, and the tokens they gave to programs. Values in, decisions out.

A grant gives a person a role everywhere or on one repository. A token is its person, with less: a role that it never
exceeds, repositories it is kept to, a day on which it ends.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from gitops.audit.entry import Entry
from gitops.errors import InputError
from gitops.grammar import VERBS, Verb
from gitops.records import Command, Frozen, Training
from gitops.roles import AccessRole

EVERYWHERE = 0
"""Stands in a grant for all repositories, where one of them has its numeric id."""

LOCAL = "local"
"""The provider of people who sign in with a link that somebody with a shell on this machine made."""

LONGEST_DAYS = 365
"""That a token may live: one that is forgotten ends by itself."""

_PREFIX = "lpt"
_TOKEN = re.compile(r"lpt_([a-z0-9]{15})_([A-Za-z0-9_-]{43})")
# Of a login: what forges and identity providers give, an address included.
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+\[\]-]{0,98}[A-Za-z0-9\]])?")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")


_RANKS: Mapping[AccessRole, int] = {role: rank for rank, role in enumerate(AccessRole)}


class Person(Frozen):
    """Somebody who signs in, or whose token a program has.

    Args:
        provider: who vouches for the person: `local`, or an identity provider's issuer.
        subject: the provider's own id of the person, which nobody else is ever given; empty until the first sign-in.
        login: the name people and grants use, as an admin gave it; `NAME (ID)` of whom only the provider calls so.
        disabled_at: since when neither sessions nor tokens of the person are good.
    """

    id: str
    provider: str
    subject: str
    login: str
    name: str = ""
    created_at: datetime | None = None
    disabled_at: datetime | None = None


class Grant(Frozen):
    """A role that a person has.

    Args:
        repository_id: where; `EVERYWHERE`, or a connected repository's numeric id.
        by: who gave it.
    """

    person_id: str
    repository_id: int
    role: AccessRole
    by: str
    created_at: datetime | None = None


class Token(Frozen):
    """What a program signs in with; its text is shown once and kept by nobody.

    Args:
        id: the public part, which stands in the text, in lists and in audit entries.
        secret_sha256: hex digest of the whole text, which holds 256 random bits: slow hashing protects passwords that
            people choose, and would add nothing here.
        role: the most it may do, whatever the person may.
        repositories: numeric ids that it is kept to; empty for wherever the person may go.
    """

    id: str
    person_id: str
    name: str
    secret_sha256: str
    role: AccessRole
    repositories: tuple[int, ...] = ()
    created_at: datetime | None = None
    expires_at: datetime
    revoked_at: datetime | None = None


class Session(Frozen):
    """An open browser session.

    Args:
        id: hex digest of the cookie's value.
        csrf: what every form of a page must send back.
    """

    id: str
    person_id: str
    csrf: str
    created_at: datetime | None = None
    expires_at: datetime


@dataclass(frozen=True)
class Access:
    """Who asks, and what they may do: the answer to a good token or session.

    Args:
        method: how they were known, for the audit log: `session` or `token`.
        token_id: which token, empty for a session.
        roles: by repository, or `EVERYWHERE`.
        most: a token's role; no role exceeds it.
        kept_to: a token's repositories; empty for no limit.
    """

    person: Person
    method: str
    roles: Mapping[int, AccessRole]
    token_id: str = ""
    most: AccessRole = AccessRole.ADMIN
    kept_to: frozenset[int] = frozenset()

    def role_on(self, repository_id: int) -> AccessRole | None:
        """Return the role on a repository, or on everything; None where there is none."""
        if self.kept_to and repository_id not in self.kept_to:
            return None
        held = [self.roles[place] for place in {EVERYWHERE, repository_id} & self.roles.keys()]
        role = max(held, key=_RANKS.__getitem__, default=None)
        return None if role is None else min(role, self.most, key=_RANKS.__getitem__)

    def may(self, needed: AccessRole, repository_id: int = EVERYWHERE) -> bool:
        """Return whether they may do what needs this role there."""
        role = self.role_on(repository_id)
        return role is not None and role.covers(needed)

    def may_anywhere(self, needed: AccessRole) -> bool:
        """Return whether there is any place where they may."""
        return any(self.may(needed, place) for place in {*self.roles, *self.kept_to})

    @property
    def seen(self) -> frozenset[int] | None:
        """The repositories they may look at; None for all."""
        if self.may(AccessRole.VIEWER):
            return None
        return frozenset(place for place in {*self.roles, *self.kept_to} - {EVERYWHERE} if self.role_on(place))


def role_to_ask(verb: Verb, training: Training | None = None) -> AccessRole:
    """Return the role that a verb takes on what it is used on: to try again what somebody chose is to choose it.

    Args:
        training: which one is named, where one is.
    """
    is_chosen = training is not None and training.facts.search_of is not None
    return VERBS["register"].who if verb.name == "retry" and is_chosen else verb.who


def may_read(entry: Entry, sees: Callable[[int], bool]) -> bool:
    """Return whether an entry of the audit log is about something that somebody may look at.

    One about no repository is for who sees everything, but a pause is for everybody: it keeps all.

    Args:
        sees: whether they may look at a repository, by its numeric id.
    """
    is_of_pause = entry.kind.startswith("hold.") and not entry.subject.repo_id
    return is_of_pause or sees(entry.subject.repo_id)


def may_see_command(access: Access, command: Command) -> bool:
    """Return whether somebody may look at what became of a command: whoever sees everything, or asked for it.

    Whoever asked sees it while they may look at what it is about, for it says what came of that. A token that is kept
    to repositories sees what it asked for itself, for its person may have asked for more.
    """
    if access.may(AccessRole.VIEWER):
        return True
    is_own = bool(access.person.id) and command.cause.person == access.person.id
    is_its = not access.kept_to or command.cause.token == access.token_id
    return is_own and is_its and access.may(AccessRole.VIEWER, command.facts.repository_id)


def roles_of(grants: Iterable[Grant]) -> dict[int, AccessRole]:
    """Return the roles that grants give, by place."""
    return {grant.repository_id: grant.role for grant in grants}


def access_by_token(token: Token, person: Person, grants: Iterable[Grant], *, now: datetime) -> Access | None:
    """Return what a token may do; None when it, or its person, is not good any more.

    Args:
        now: by the clock that made the token's times.
    """
    is_good = token.revoked_at is None and now < token.expires_at and person.disabled_at is None
    if not is_good:
        return None
    return Access(
        person,
        "token",
        roles_of(grants),
        token_id=token.id,
        most=token.role,
        kept_to=frozenset(token.repositories),
    )


def access_by_session(session: Session, person: Person, grants: Iterable[Grant], *, now: datetime) -> Access | None:
    """Return what an open session may do; None when it is over, or its person was disabled."""
    if now >= session.expires_at or person.disabled_at is not None:
        return None
    return Access(person, "session", roles_of(grants))


def mint_token_text(token_id: str) -> str:
    """Return the text of a new token: `lpt_`, its id without the dash, and 256 random bits.

    The fixed beginning lets scanners find one that was committed by mistake.
    """
    return f"{_PREFIX}_{token_id.removeprefix('k-')}_{secrets.token_urlsafe(32)}"


def read_token_id(unverified_text: str) -> str | None:
    """Return the id that a token's text names, None when it is no token's text."""
    found = _TOKEN.fullmatch(unverified_text)
    return f"k-{found[1]}" if found else None


def digest_secret(text: str) -> str:
    """Return what is kept of a token or a session's cookie."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_secret_of(unverified_text: str, token: Token) -> bool:
    """Return whether a text is this token's, in a time that does not depend on where they differ."""
    return hmac.compare_digest(digest_secret(unverified_text), token.secret_sha256)


def check_login(unverified_login: str) -> str:
    """Return a login.

    Raises:
        InputError: `login`.
    """
    if not _LOGIN.fullmatch(unverified_login):
        message = (
            f"{unverified_login!r} is no login: 1 to 100 letters, digits and . _ @ + - [ ], a letter or digit first"
        )
        raise InputError("login", message, field="login")
    return unverified_login


def claimed_login(login: str, subject: str) -> str:
    """Return what somebody is called here whom a provider calls so, and no admin: nobody can be named like that.

    Whoever has an account may often change its name, and names are given up and taken by others.

    Args:
        login: as `check_login` takes it.
        subject: the provider's own id of the person.
    """
    return f"{login} ({subject})"


def is_claimed(person: Person) -> bool:
    """Return whether only a provider calls a person as they are called here."""
    return bool(person.subject) and person.login.endswith(claimed_login("", person.subject))


def check_token_name(unverified_name: str) -> str:
    """Return what a token is called.

    Raises:
        InputError: `token_name`.
    """
    if not _NAME.fullmatch(unverified_name):
        raise InputError("token_name", "a token's name has 1 to 100 characters and no control characters", field="name")
    return unverified_name
