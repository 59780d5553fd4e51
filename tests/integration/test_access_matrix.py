"""Who may ask for what: every row of the table, asked by everybody in every way that there is to ask."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.access import EVERYWHERE, LOCAL, Session, digest_secret
from gitops.authority import AUTHORITY
from gitops.grammar import VERBS, Kind
from gitops.roles import AccessRole
from gitops.settings import Settings
from gitops.writes import StartTrial
from tests.support.api import give_token, program
from tests.support.dashboard import HOST, ORIGIN, Dashboard, running_dashboard
from tests.support.fleet import BAD_BODY, BAKING, REFUSED, fill_fleet
from tests.support.store import make_trial, write
from webhooks.asgi import make_application
from webhooks.askers import COOKIE, CSRF_HEADER
from webhooks.matrix import ACTIONS, MATRIX, Rule

VIEWER, RUNNER, APPROVER, ADMIN = AccessRole
IRIS, IRIS_DEPLOY, CHURN_DEPLOY = 1, 2, 4
SPARE, LEAVES = "spare", "leaves"
CSRF = "what every form of a page sends back"

_GIVEN = {
    Kind.ENDPOINT: "iris-staging",
    Kind.REPOSITORY: "acme/iris",
    Kind.TRAINING: REFUSED,
    Kind.STORY: REFUSED,
    Kind.MODEL: "iris",
    Kind.VERSION: "6",
    Kind.WORD: "model",
    Kind.PLACE: "iris-staging",
    Kind.DELIVERY: BAD_BODY,
    Kind.MOMENT: "2026-01-31T12:00:00Z",
    Kind.NUMBER: "1",
}
_NAMES = {
    "training_id": REFUSED,
    "number": "1",
    "rollout_id": BAKING,
    "promotion_id": "p-000000007",
    "command_id": "c-none",
    "guid": BAD_BODY,
    "model": "iris",
    "version": "6",
    "name:path": "iris-staging",
    "token_id": "k-none",
    "token": "none",
    "provider": "none",
    "name": "style.css",
}

Row = tuple[str, str]

# What is named though it may be left out: without it a request would be about something else, or nothing.
_TARGETS: Mapping[str, dict[str, str]] = {
    "resume": {"endpoint": "iris-staging"},
    "explain": {"subject": "iris-staging"},
    "trials": {"training": REFUSED},
    "logs": {"name": REFUSED},
    "history": {"name": "churn-staging"},
    "people grant": {"login": SPARE},
    "people revoke": {"login": SPARE},
    "people disable": {"login": LEAVES},
}

# What a request for these is about, by repository: all must be seen, and the last one is where the role is needed. What
# is not here is about nothing in particular: a list, or what holds as much as one may see.
_OF_VERBS: Mapping[str, tuple[int, ...]] = {
    "train": (IRIS,),
    "retry": (IRIS,),
    "cancel": (IRIS,),
    "register": (IRIS,),
    "promote": (IRIS, IRIS_DEPLOY),
    "rollback": (IRIS_DEPLOY,),
    "hold": (IRIS_DEPLOY,),
    "resume": (IRIS_DEPLOY,),
    **dict.fromkeys(("connect", "pause", "redeliver", "gc"), (EVERYWHERE,)),
}
_OF_READING: Mapping[str, tuple[int, ...]] = {
    "audit at": (IRIS_DEPLOY,),
    "explain": (IRIS_DEPLOY,),
    "history": (CHURN_DEPLOY,),
    "logs": (IRIS,),
    "plan": (IRIS_DEPLOY,),
    "trials": (IRIS,),
    # Its name is known to whoever sees where it serves, too.
    "versions": (IRIS_DEPLOY,),
}
ABOUT: Mapping[Row, tuple[int, ...]] = {
    **{("POST", VERBS[name].route): about for name, about in _OF_VERBS.items()},
    **{("POST", f"/actions/{name}"): _OF_VERBS[name] for name in ACTIONS},
    **{("GET", f"/actions/{name}"): _OF_VERBS[name] for name in ACTIONS},
    **{("GET", VERBS[name].route): about for name, about in _OF_READING.items()},
    ("GET", "/models/{model}"): (IRIS_DEPLOY,),
    ("GET", "/trainings/{training_id}"): (IRIS,),
    ("GET", "/trainings/{training_id}/trials/{number}/log"): (IRIS,),
    ("GET", "/promotions/{promotion_id}"): (IRIS_DEPLOY,),
    ("GET", "/rollouts/{rollout_id}"): (IRIS_DEPLOY,),
    ("GET", "/api/v1/trainings/{training_id}"): (IRIS,),
    ("GET", "/api/v1/promotions/{promotion_id}"): (IRIS_DEPLOY,),
    ("GET", "/api/v1/rollouts/{rollout_id}"): (IRIS_DEPLOY,),
    ("GET", "/api/v1/endpoints/{name:path}"): (IRIS_DEPLOY,),
    # Its name is known to whoever sees where it serves, its versions to whoever sees what trains it.
    ("GET", "/api/v1/models/{model}/versions"): (IRIS_DEPLOY,),
    ("GET", "/api/v1/models/{model}/versions/{version}"): (IRIS,),
    ("GET", "/models/{model}/plan"): (IRIS_DEPLOY,),
}
# Of what has a name in its path and is about no repository: what is of all, what nobody has, and what is open.
_OF_NONE = {
    *("/deliveries/{guid}", "/api/v1/deliveries/{guid}"),
    *("/commands/{command_id}", "/api/v1/commands/{command_id}", "/api/v1/tokens/{token_id}"),
    *("/_static/{name}", "/_login/{token}", "/_signin/{provider}", "/_signin/{provider}/callback"),
}
# Nobody finds what these name, whoever may ask for it.
_NOWHERE: frozenset[Row] = frozenset(
    {
        ("GET", "/commands/{command_id}"),
        ("GET", "/api/v1/commands/{command_id}"),
        ("DELETE", "/api/v1/tokens/{token_id}"),
    }
)
PEOPLE: Mapping[str, Mapping[int, AccessRole]] = {
    "no role": {},
    **{f"{role} of everything": {EVERYWHERE: role} for role in AccessRole},
    **{f"{role} of iris-deploy": {IRIS_DEPLOY: role} for role in AccessRole},
    "admin of churn-deploy": {CHURN_DEPLOY: ADMIN},
    "viewer of iris-deploy, admin of churn-deploy": {IRIS_DEPLOY: VIEWER, CHURN_DEPLOY: ADMIN},
}


class Answer(StrEnum):
    """How a request ends, as far as it matters who asks."""

    STRANGER = "401"
    REFUSED = "403"
    HIDDEN = "404"
    LET_IN = "anything else, and a 404 where nobody finds it"


@dataclass(frozen=True)
class Asker:
    """Somebody who asks, in one way."""

    who: str
    roles: Mapping[int, AccessRole]
    client: httpx.Client
    is_session: bool

    def may(self, role: AccessRole, place: int) -> bool:
        """Return whether they have a role there, or one that includes it."""
        held = [self.roles[each] for each in {EVERYWHERE, place} & self.roles.keys()]
        return any(one.covers(role) for one in held)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("matrix") / "home", fill_fleet) as running:
        write(running.store, StartTrial(make_trial(1, training_id=REFUSED)))
        yield running


@pytest.fixture(scope="module")
def askers(fleet: Dashboard) -> Iterator[list[Asker]]:
    """Give everybody, each by a session and by a token."""
    for login in (SPARE, LEAVES):
        fleet.add_person(login, {EVERYWHERE: VIEWER})
    found = []
    for number, (who, roles) in enumerate(PEOPLE.items()):
        token = give_token(fleet.store, f"p{number}", roles)
        base = f"http://127.0.0.1:{fleet.port}"
        ways = ({"Authorization": f"Bearer {token}"}, {"Origin": ORIGIN, CSRF_HEADER: CSRF})
        for is_session, headers in enumerate(ways):
            client = httpx.Client(base_url=base, headers={"Host": HOST, **headers}, trust_env=False, timeout=60)
            found.append(Asker(who, roles, client, bool(is_session)))
            if is_session:
                sign_in(fleet, client, f"p{number}")
    yield found
    for one in found:
        one.client.close()


def sign_in(fleet: Dashboard, client: httpx.Client, login: str) -> None:
    """Open a session for somebody."""
    person = fleet.store.ensure_person(LOCAL, login)
    cookie = secrets.token_urlsafe(32)
    # The fleet's clock is hours behind the real one, by which the web process judges.
    ends = fleet.store.now() + timedelta(hours=20)
    fleet.store.open_session(Session(id=digest_secret(cookie), person_id=person.id, csrf=CSRF, expires_at=ends))
    client.headers["Cookie"] = f"{COOKIE}={cookie}"


def routes_of(routes: Iterable[Any]) -> set[Row]:
    """Return every method and path, of included routers too."""
    found: set[Row] = set()
    for route in routes:
        inner = getattr(route, "original_router", None)
        found |= routes_of(inner.routes) if inner else {(method, route.path) for method in route.methods}
    return {(method, path) for method, path in found if method != "HEAD"}


def filled(path: str) -> str:
    for name, value in _NAMES.items():
        path = path.replace("{" + name + "}", value)
    assert "{" not in path
    return path


def content_of(method: str, path: str) -> dict[str, Any]:
    """Return what is sent there: the arguments that must be given, and what it is about, as that place takes them."""
    if path == "/models/{model}/plan":
        return {"params": {"endpoint": "iris-staging", "version": "6"}}
    known = (*VERBS.values(), *AUTHORITY.values())
    verb = next((one for one in known if path in {one.route, f"/actions/{one.name}"}), None)
    if path == "/api/v1/tokens" and method == "POST":
        return {"json": {"name": "made", "role": "viewer"}}
    given: dict[str, str] = {}
    if verb:
        given = {one.name: one.words[0] if one.words else _GIVEN.get(one.kind, "because") for one in verb.required}
        given |= _TARGETS.get(verb.name, {})
    if method == "POST" and not path.startswith("/api/"):
        return {"data": {**given, "_csrf": CSRF, "_key": secrets.token_hex(16)}}
    if method == "POST":
        return {"json": given}
    return {"params": given}


def ask(client: httpx.Client, method: str, path: str) -> int:
    """Ask, and return the status; of a stream only the head is waited for."""
    with client.stream(method, filled(path), **content_of(method, path)) as answer:
        return answer.status_code


def expected(asker: Asker, row: Row, rule: Rule) -> Answer:
    """Return how somebody's request must end, by the table and by what it is about."""
    if rule.for_people and not asker.is_session:
        return Answer.STRANGER
    if rule.role is None:
        return Answer.LET_IN
    if rule.everywhere:
        return Answer.LET_IN if asker.may(rule.role, EVERYWHERE) else Answer.REFUSED
    if not any(asker.may(rule.role, place) for place in asker.roles):
        return Answer.REFUSED
    about = ABOUT.get(row, ())
    if any(not asker.may(VIEWER, place) for place in about if place != EVERYWHERE):
        return Answer.HIDDEN
    return Answer.LET_IN if not about or asker.may(rule.role, about[-1]) else Answer.REFUSED


def test_every_route_has_its_row_and_every_row_its_route(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard:
        settings = Settings(home=dashboard.home, base_url=ORIGIN)
        app = make_application(dashboard.store, settings, seal="a secret for tests")
    assert routes_of(app.routes) == set(MATRIX)


def test_every_row_that_names_something_is_tried_by_what_that_belongs_to() -> None:
    named = {row for row in MATRIX if "{" in row[1]}
    assert named <= {*ABOUT, *((method, path) for method, path in named if path in _OF_NONE)}
    asking = {VERBS[name].route for name in VERBS if VERBS[name].changes}
    assert asking <= {path for _, path in ABOUT}


@pytest.mark.parametrize(("method", "path"), sorted(MATRIX))
def test_attack_66_a_route_lets_in_whom_its_row_names_and_nobody_else(
    fleet: Dashboard, askers: list[Asker], method: str, path: str
) -> None:
    rule = MATRIX[method, path]
    with program(fleet, "") as client:
        nobody = ask(client, method, path)
    assert (nobody != HTTPStatus.UNAUTHORIZED) is rule.is_open
    if rule.is_open:
        return
    for asker in askers:
        status = ask(asker.client, method, path)
        wanted = expected(asker, (method, path), rule)
        who = (asker.who, "session" if asker.is_session else "token", status, wanted)
        if wanted is Answer.LET_IN:
            assert status < HTTPStatus.INTERNAL_SERVER_ERROR, who
            assert status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}, who
            assert (status == HTTPStatus.NOT_FOUND) is ((method, path) in _NOWHERE), who
        else:
            assert str(status) == wanted.value, who
        if path == "/_logout" and asker.is_session:
            sign_in(fleet, asker.client, asker_login(asker))


def asker_login(asker: Asker) -> str:
    return f"p{list(PEOPLE).index(asker.who)}"


def test_every_kind_of_answer_is_among_those_that_were_expected(askers: list[Asker]) -> None:
    """The table above would hold nothing if it let everybody in."""
    found = {expected(asker, row, rule) for row, rule in MATRIX.items() if not rule.is_open for asker in askers}
    assert found == set(Answer)
    row = ("GET", "/api/v1/audit/entries")
    of_audit = {asker.who: expected(asker, row, MATRIX[row]) for asker in askers}
    assert {who for who, answer in of_audit.items() if answer is Answer.LET_IN} == {
        f"{role} of everything" for role in AccessRole
    }
