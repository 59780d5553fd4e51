"""Who may ask for what: one row for each route, and nothing is served that has none.

A row names the least role. Where it says `EVERYWHERE`, the role must be held on everything; otherwise it suffices on
what the request is about, which the route itself looks up: what somebody may not look at is not there for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from gitops.authority import AUTHORITY
from gitops.grammar import VERBS
from gitops.roles import AccessRole
from webhooks.askers import Asker, check_browser, find_asker
from webhooks.problems import ProblemError

_READS = {"GET", "HEAD"}
_HOW = "Run `launchpin status` in a terminal and open the one-time link that it prints"


@dataclass(frozen=True)
class Rule:
    """What a route asks of whoever asks for it.

    Args:
        is_open: nobody has to sign in.
        role: the least role; None for anybody who is signed in.
        everywhere: the role must be held on everything.
        for_people: a session is needed; no token will do. So no token can make another that outlives it.
    """

    role: AccessRole | None = None
    everywhere: bool = False
    for_people: bool = False
    is_open: bool = False


OPEN = Rule(is_open=True)
SIGNED_IN = Rule()
_SEE = Rule(AccessRole.VIEWER)
_SEE_ALL = Rule(AccessRole.VIEWER, everywhere=True)
_PAGE = Rule(AccessRole.VIEWER, for_people=True)
_PAGE_OF_ALL = Rule(AccessRole.VIEWER, everywhere=True, for_people=True)

ACTIONS = ("hold", "resume", "pause", "rollback", "promote", "train", "retry", "cancel", "register", "redeliver")
"""The verbs that pages have forms for."""

_GIVE = frozenset({"people grant"})
"""Verbs that give somebody something: no token gives what outlives it."""

MATRIX: Mapping[tuple[str, str], Rule] = {
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/_static/{name}"): OPEN,
    ("GET", "/_login/{token}"): OPEN,
    ("GET", "/_signin"): OPEN,
    ("GET", "/_signin/{provider}"): OPEN,
    ("GET", "/_signin/{provider}/callback"): OPEN,
    ("POST", "/_logout"): Rule(for_people=True),
    ("GET", "/_changes"): _PAGE,
    ("GET", "/"): _PAGE,
    ("GET", "/models"): _PAGE,
    ("GET", "/models/{model}"): _PAGE,
    ("GET", "/models/{model}/plan"): _PAGE,
    ("GET", "/trainings/{training_id}"): _PAGE,
    ("GET", "/trainings/{training_id}/trials/{number}/log"): _PAGE,
    ("GET", "/promotions/{promotion_id}"): _PAGE,
    ("GET", "/rollouts/{rollout_id}"): _PAGE,
    ("GET", "/dora"): _PAGE,
    ("GET", "/commands/{command_id}"): _PAGE,
    ("GET", "/audit"): _PAGE_OF_ALL,
    ("GET", "/audit/at"): _PAGE_OF_ALL,
    ("GET", "/audit/verify"): _PAGE_OF_ALL,
    ("GET", "/deliveries"): _PAGE_OF_ALL,
    ("GET", "/deliveries/{guid}"): _PAGE_OF_ALL,
    ("GET", "/messages"): _PAGE_OF_ALL,
    ("GET", "/settings"): _PAGE_OF_ALL,
    **{
        (method, f"/actions/{name}"): Rule(VERBS[name].who, for_people=True)
        for name in ACTIONS
        for method in ("GET", "POST")
    },
    ("GET", "/api/v1/openapi.json"): OPEN,
    ("GET", "/api/v1/me"): SIGNED_IN,
    ("GET", "/api/v1/tokens"): SIGNED_IN,
    ("POST", "/api/v1/tokens"): Rule(AccessRole.VIEWER, for_people=True),
    ("DELETE", "/api/v1/tokens/{token_id}"): SIGNED_IN,
    ("GET", "/api/v1/trainings"): _SEE,
    ("GET", "/api/v1/trainings/{training_id}"): _SEE,
    ("GET", "/api/v1/promotions"): _SEE,
    ("GET", "/api/v1/promotions/{promotion_id}"): _SEE,
    ("GET", "/api/v1/rollouts"): _SEE,
    ("GET", "/api/v1/rollouts/{rollout_id}"): _SEE,
    ("GET", "/api/v1/commands/{command_id}"): _SEE,
    ("GET", "/api/v1/repositories"): _SEE,
    ("GET", "/api/v1/endpoints/{name:path}"): _SEE,
    ("GET", "/api/v1/models/{model}/versions"): _SEE,
    ("GET", "/api/v1/models/{model}/versions/{version}"): _SEE,
    ("GET", "/api/v1/holds"): _SEE,
    ("GET", "/api/v1/events"): _SEE,
    ("GET", "/api/v1/deliveries"): _SEE_ALL,
    ("GET", "/api/v1/deliveries/{guid}"): _SEE_ALL,
    ("GET", "/api/v1/audit/entries"): _SEE_ALL,
    **{("GET", verb.route): _SEE for verb in VERBS.values() if not verb.changes},
    **{("POST", verb.route): Rule(verb.who) for verb in VERBS.values() if verb.changes},
    **{
        ("POST" if verb.changes else "GET", verb.route): Rule(verb.who, everywhere=True, for_people=verb.name in _GIVE)
        for verb in AUTHORITY.values()
    },
}


async def guard(request: Request) -> None:
    """Let a request pass to its route, or end it; who asks is in the request's state from here on.

    Raises:
        ProblemError: 401 when nobody is signed in, 403 when they may not, or a browser was made to ask.
    """
    rule = MATRIX[request.method, request.scope["route"].path]
    if rule.is_open:
        return
    asker = await run_in_threadpool(find_asker, request)
    is_program = request.url.path.startswith("/api/")
    if asker is None or (rule.for_people and asker.session is None):
        how = f"{_HOW}." if rule.for_people else f"{_HOW}, or send a token: `Authorization: Bearer lpt_...`."
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "no_session", how)
    if not may(asker, rule):
        needed = f"the role {rule.role}" + (" on everything" if rule.everywhere else "")
        detail = f"{asker.access.person.login} may not: it takes {needed}. An admin gives it: `launchpin people grant`."
        raise ProblemError(HTTPStatus.FORBIDDEN, "not_allowed", detail)
    if is_program and request.method not in _READS:
        check_browser(request, asker)
    request.state.asker = asker


def may(asker: Asker, rule: Rule) -> bool:
    """Return whether somebody may ask for what has this row."""
    if rule.role is None:
        return True
    return asker.access.may(rule.role) if rule.everywhere else asker.access.may_anywhere(rule.role)
