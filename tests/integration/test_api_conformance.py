"""The API held to its own description, operation by operation: made-up requests, right and wrong, by all who ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gitops.access import EVERYWHERE
from gitops.grammar import VERBS, Kind
from gitops.roles import AccessRole
from tests.faults.tally import scale
from tests.support.api import give_token
from tests.support.dashboard import HOST, Dashboard, running_dashboard
from tests.support.fleet import BAD_BODY, BAKING, REFUSED, fill_fleet
from webhooks.matrix import MATRIX

PREFIX = "/api/v1"
EXAMPLES = scale(30, slice_=3)
OPERATIONS = sorted(
    f"{method} {path.replace(':path', '')}"
    for method, path in MATRIX
    if path.startswith(PREFIX) and path != f"{PREFIX}/openapi.json"
)
CONFORMS: tuple[CheckFunction, ...] = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
)
# What a schema cannot say of a request: which cursors were given out and which keys are used, that `resume` names an
# endpoint or all, and which moments the calendar has.
UNSAYABLE = {"cursor", "idempotency_key_used", "if_match", "lowest_alone", "subject_missing", "time"}
TAKE_NOTHING = {f"GET {PREFIX}/{name}" for name in ("me", "status")}
# What an MLflow is asked for, and here is none.
OF_MLFLOW = ("best", "where")
THERE = {
    "training_id": REFUSED,
    "promotion_id": "p-000000007",
    "rollout_id": BAKING,
    "guid": BAD_BODY,
    "name": "iris-staging",
}
ARGUMENTS = {
    Kind.REPOSITORY: "acme/iris",
    Kind.TRAINING: REFUSED,
    Kind.STORY: REFUSED,
    Kind.MODEL: "iris",
    Kind.VERSION: "6",
    Kind.ENDPOINT: "iris-staging",
    Kind.DELIVERY: BAD_BODY,
}
AnyCase = Case[Any]
every_operation = pytest.mark.parametrize("operation", OPERATIONS)
gently = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Api:
    """A served API, and what it says of itself."""

    dashboard: Dashboard
    schema: Any
    session: requests.Session
    tokens: dict[str, str]

    def send(self, case: AnyCase, who: str) -> Response:
        """Ask as somebody, by the headers of theirs alone."""
        headers = {"Host": HOST} | ({"Authorization": f"Bearer {self.tokens[who]}"} if self.tokens[who] else {})
        base = f"http://127.0.0.1:{self.dashboard.port}"
        if case.path == VERBS["runs"].route:
            for name in OF_MLFLOW:
                case.query.pop(name, None)
        return case.call(base_url=base, session=self.session, headers=headers, timeout=60)

    def cases(self, operation: str, mode: GenerationMode) -> Any:  # noqa: ANN401 - a strategy; it has no public type
        method, path = operation.split(" ")
        return self.schema[path][method].as_strategy(generation_mode=mode)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    # A process that is about to stop ends each stream where it is: what is left of it is an answer.
    home = tmp_path_factory.mktemp("conformance") / "home"
    with running_dashboard(home, fill_fleet, is_stopping=lambda: True) as dashboard, requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{dashboard.port}{PREFIX}/openapi.json"
        description = session.get(url, headers={"Host": HOST}, timeout=60).json()
        # Who asks is chosen by the tests here, and not made up.
        assert description.pop("security") == [{"token": []}]
        for operation in (each for path in description["paths"].values() for each in path.values()):
            operation.pop("security", None)
        tokens = {role.value: give_token(dashboard.store, role.value, {EVERYWHERE: role}) for role in AccessRole}
        yield Api(dashboard, schemathesis.openapi.from_dict(description), session, {"nobody": "", **tokens})


def check(case: AnyCase, response: Response, *more: CheckFunction) -> None:
    case.validate_response(response, checks=[*CONFORMS, *more])


def code_of(response: Response) -> str:
    return str(response.json()["code"]) if response.status_code >= 400 else ""


def name_what_is_there(case: AnyCase) -> bool:
    """Put the names of the fleet into a request; returns whether it has any."""
    known = dict(THERE)
    if "model" in case.path_parameters:
        known |= {"model": "iris", "version": "6"}
    path = {name: known[name] for name in case.path_parameters if name in known}
    case.path_parameters.update(path)
    verb = VERBS.get(case.path.rpartition("/")[2])
    if verb is None or not isinstance(case.body, dict):
        return bool(path)
    case.body.update(
        {one.name: ARGUMENTS[one.kind] for one in verb.arguments if one.name in case.body and one.kind in ARGUMENTS}
    )
    for name in ("If-Match", "Idempotency-Key"):  # of what was asked for before
        case.headers.pop(name, None)
    return True


def test_every_route_of_the_table_is_described(api: Api) -> None:
    described = [
        f"{method.upper()} {path}" for path, methods in api.schema.raw_schema["paths"].items() for method in methods
    ]
    assert sorted(described) == OPERATIONS


@every_operation
def test_right_requests_are_answered_as_described(api: Api, operation: str) -> None:
    @gently
    @given(api.cases(operation, GenerationMode.POSITIVE))
    def ask(case: AnyCase) -> None:
        for who in ("viewer", "admin"):
            response = api.send(case, who)
            is_taken = response.status_code == 412 or code_of(response) in UNSAYABLE
            check(case, response, *(() if is_taken else (positive_data_acceptance,)))
        if name_what_is_there(case):
            response = api.send(case, "admin")
            check(case, response)
            assert response.status_code in {200, 202} or code_of(response) in UNSAYABLE, response.text

    ask()


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each not in TAKE_NOTHING])
def test_wrong_requests_are_refused_as_described(api: Api, operation: str) -> None:
    @gently
    @given(api.cases(operation, GenerationMode.NEGATIVE))
    def ask(case: AnyCase) -> None:
        check(case, api.send(case, "admin"), negative_data_rejection)

    ask()


@every_operation
def test_nobody_is_let_in_and_a_viewer_changes_nothing(api: Api, operation: str) -> None:
    store = api.dashboard.store
    before = store.audit_size(), len(store.recent("command", limit=1000))
    is_change = not operation.startswith("GET ")

    @gently
    @given(api.cases(operation, GenerationMode.POSITIVE))
    def ask(case: AnyCase) -> None:
        name_what_is_there(case)
        response = api.send(case, "nobody")
        check(case, response)
        assert response.status_code == 401
        if is_change:
            response = api.send(case, "viewer")
            check(case, response)
            assert response.status_code in {401, 403, 404}

    ask()
    assert (store.audit_size(), len(store.recent("command", limit=1000))) == before
