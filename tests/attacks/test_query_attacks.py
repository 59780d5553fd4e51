"""Attacks 67 and 68: what a database would read in every part of every query, and limits and cursors made elsewhere.

The queries are those that the API's own description names, and the pages' own: what adds one is tried without more ado.
"""

import base64
import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from sqlalchemy import Engine, event

from gitops.roles import AccessRole
from tests.support.api import give_token, program, program_as
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.fleet import REFUSED, fill_fleet
from tests.support.mlflow import free_port

VIEWER = AccessRole.VIEWER
IRIS = 1
PREFIX = "/api/v1/"
NOBODYS = "nothing-is-called-so"
HOSTILE = (
    "' OR 1=1 --",
    "iris'; DROP TABLE trainings; --",
    'iris" UNION SELECT secret_sha256 FROM tokens --',
    "1; ATTACH DATABASE '/tmp/x' AS y",
    "(SELECT login FROM people LIMIT 1)",
    "created_at",
    "iris\x00",
    "%",
    "_",
    "\\",
    "$1",
    ":model",
    "é" * 2500,
)
# What else each asks for, where something must be there for the query to be looked at.
BESIDE = {
    "trials": {"training": REFUSED},
    "versions": {"model": "iris"},
    "history": {"name": "churn-staging"},
    "logs": {"name": REFUSED},
    "plan": {"endpoint": "iris-production"},
    "audit/at": {"endpoint": "churn-staging", "time": "now"},
    "explain": {"subject": "iris-production"},
    "schema": {"kind": "launchpin"},
}
# MLflow is asked these in its own language, and here is none.
OF_MLFLOW = {("runs", "best"), ("runs", "where")}
PAGES = {
    "/": ("q", "after"),
    "/models": ("q", "after"),
    "/models/iris": ("cursor",),
    f"/trainings/{REFUSED}": ("sort",),
    "/dora": ("days",),
    "/audit": ("kind", "name", "actor", "since", "until", "below"),
    "/audit/at": ("endpoint", "time"),
    "/deliveries": ("cursor",),
    "/settings": ("q",),
    "/_signin": ("next",),
}
LISTS = (
    *("trainings", "promotions", "rollouts", "deliveries", "holds", "models/iris/versions"),
    *("endpoints", "repositories", "tokens", "people/list"),
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    settings = {"tracking_uri": f"http://127.0.0.1:{free_port()}"}
    with running_dashboard(tmp_path_factory.mktemp("queries") / "home", fill_fleet, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(fleet: Dashboard) -> Iterator[httpx.Client]:
    """Give somebody to whom nothing is refused that only reads."""
    with program_as(fleet, AccessRole.ADMIN) as client:
        yield client


@pytest.fixture(scope="module")
def browser(fleet: Dashboard) -> Iterator[httpx.Client]:
    with fleet.client() as client:
        yield client


@contextlib.contextmanager
def statements() -> Iterator[set[str]]:
    """Give the statements that the database is asked to carry out, as it gets them: values come apart from them."""
    seen: set[str] = set()

    def note(*given: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own
        seen.add(given[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def queries(description: dict[str, Any]) -> list[tuple[str, str]]:
    """Return every part of every query that the API may be asked with."""
    return [
        (path.removeprefix(PREFIX), one["name"])
        for path, operations in description["paths"].items()
        for one in operations.get("get", {}).get("parameters", ())
        if one["in"] == "query"
    ]


def test_attack_67_no_part_of_a_query_changes_what_the_database_is_asked(client: httpx.Client) -> None:
    found = queries(client.get(f"{PREFIX}openapi.json").json())
    assert {
        *(("trainings", name) for name in ("model", "repository", "phase", "limit", "cursor")),
        *(("promotions", name) for name in ("model", "repository", "phase")),
        *(("rollouts", name) for name in ("model", "repository", "endpoint", "phase")),
        *(("holds", "model"), ("deliveries", "phase"), ("trials", "sort"), ("runs", "best"), ("dora", "env")),
    } <= set(found)
    for path, name in found:
        with statements() as plain:
            for value in (NOBODYS, "2", ""):
                client.get(f"{PREFIX}{path}", params={**BESIDE.get(path, {}), name: value})
            client.get(f"{PREFIX}{path}", params=BESIDE.get(path, {}))
        for value in HOSTILE:
            with statements() as seen:
                answer = client.get(f"{PREFIX}{path}", params={**BESIDE.get(path, {}), name: value})
            assert_taken_as_text(answer, path, name, value)
            assert seen <= plain, (path, name, value, seen - plain)


def assert_taken_as_text(answer: httpx.Response, path: str, name: str, value: str) -> None:
    """Make sure that a value was refused by its name, or looked for as it stands, and nothing found."""
    told = answer.json()
    if answer.status_code == 422:
        assert told["field"] == name, (path, name, value, told)
        return
    allowed = {200, 404, *({503} if (path, name) in OF_MLFLOW else ())}
    assert answer.status_code in allowed, (path, name, value, answer.text)
    if answer.status_code == 200 and name in {"model", "repository", "endpoint"}:
        left = told.get("items", told.get("models")) if isinstance(told, dict) else told
        assert left == [], (path, name, value)


@pytest.mark.parametrize("path", PAGES)
def test_attack_67_no_part_of_an_address_of_a_page_changes_what_the_database_is_asked(
    browser: httpx.Client, path: str
) -> None:
    for name in PAGES[path]:
        with statements() as plain:
            for value in (NOBODYS, "2", "d", "iris", ""):
                browser.get(path, params={name: value})
            browser.get(path)
        for value in HOSTILE:
            with statements() as seen:
                answer = browser.get(path, params={name: value})
            assert answer.status_code in {200, 422}, (name, value)
            assert seen <= plain, (name, value, seen - plain)


@pytest.mark.parametrize(
    "path", ["endpoints/{}", "models/{}/versions", "models/iris/versions/{}", "trainings/{}", "deliveries/{}"]
)
def test_attack_67_no_name_in_a_path_changes_what_the_database_is_asked(client: httpx.Client, path: str) -> None:
    with statements() as plain:
        for value in (NOBODYS, "2"):
            client.get(f"{PREFIX}{path.format(value)}")
    for value in HOSTILE:
        with statements() as seen:
            answer = client.get(f"{PREFIX}{path.format(quote(value, safe=''))}")
        is_empty = answer.status_code == 200 and not answer.json()["items"]
        assert answer.status_code in {404, 422} or is_empty, (value, answer)
        assert seen <= plain, (value, seen - plain)


# ---------------------------------------------------------------- 68


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "-1"},
        {"limit": "0"},
        {"limit": "1000000000"},
        {"limit": "x"},
        {"cursor": "x"},
        {"cursor": "MTIzNDU2"},
        {"cursor": "é"},
        {"cursor": "a" * 300},
        {"cursor": "a" * 5000},
        {"cursor": base64.urlsafe_b64encode(b"1.x").decode()},
        {"cursor": base64.urlsafe_b64encode(b"99999999999999999.zzzz").decode()},
        {"cursor": base64.urlsafe_b64encode(b"1.x.AAAAAAAAAAAAAAAA").decode()},
        {"cursor": base64.urlsafe_b64encode(bytes(12) + b'["1","x"]').decode()},
    ],
    ids=str,
)
def test_attack_68_limits_and_cursors_that_we_did_not_give_are_refused_by_name(
    client: httpx.Client, query: dict[str, str]
) -> None:
    for path in LISTS:
        answer = client.get(f"{PREFIX}{path}", params=query)
        assert (answer.status_code, answer.json()["field"]) == (422, next(iter(query))), path
        assert answer.headers["content-type"] == "application/problem+json"


def first_cursor(client: httpx.Client, path: str) -> str:
    cursor: str = client.get(f"{PREFIX}{path}", params={"limit": 1}).json()["next"]
    assert cursor
    return cursor


def test_attack_68_a_cursor_that_was_changed_in_any_place_is_none(client: httpx.Client) -> None:
    cursor = first_cursor(client, "trainings")
    text = base64.urlsafe_b64decode(cursor)
    changed = [text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :] for at in range(len(text))]
    changed += [text + b"A", text[:-1], text[:12], text[12:]]
    for one in changed:
        answer = client.get(f"{PREFIX}trainings", params={"cursor": base64.urlsafe_b64encode(one).decode()})
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor"), one
    assert client.get(f"{PREFIX}trainings", params={"cursor": cursor}).status_code == 200


@pytest.mark.parametrize("path", [path for path in LISTS if path != "trainings"])
def test_attack_68_a_cursor_of_another_list_is_none(client: httpx.Client, path: str) -> None:
    answer = client.get(f"{PREFIX}{path}", params={"cursor": first_cursor(client, "trainings")})
    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")


def test_attack_68_anothers_cursor_shows_what_one_may_see_oneself_and_no_more(fleet: Dashboard) -> None:
    with program_as(fleet, VIEWER) as everybody, program(fleet, give_token(fleet.store, "i", {IRIS: VIEWER})) as one:
        cursor = first_cursor(everybody, "trainings")
        whole = [each["id"] for each in everybody.get(f"{PREFIX}trainings").json()["items"]]
        mine = [each["id"] for each in one.get(f"{PREFIX}trainings").json()["items"]]
        shown = [each["id"] for each in one.get(f"{PREFIX}trainings", params={"cursor": cursor}).json()["items"]]
    assert set(mine) < set(whole)
    assert shown == [each for each in mine if each != whole[0]]
    assert shown


def test_attack_68_the_page_of_deliveries_goes_on_by_its_own_link_alone(browser: httpx.Client) -> None:
    forged = base64.urlsafe_b64encode(b"1.x").decode()
    assert browser.get(f"/deliveries?cursor={quote_plus(forged)}").status_code == 422
