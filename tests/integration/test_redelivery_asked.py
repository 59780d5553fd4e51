"""`redeliver` as it is asked for: on a delivery's page, by the API, and by the command line; by whom may, and once."""

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.access import EVERYWHERE
from gitops.grammar import VERBS
from gitops.records import Command
from gitops.retention import Kind
from gitops.roles import AccessRole
from gitops.store import SqlStore
from tests.support.api import program_as
from tests.support.cli import make_stack, working
from tests.support.dashboard import ORIGIN, Dashboard, running_dashboard
from tests.support.fleet import BAD_BODY, fill_fleet
from tests.support.store import make_delivery

VIEWER, RUNNER, APPROVER, ADMIN = AccessRole
ROUTE = VERBS["redeliver"].route
BUTTON = f"/actions/redeliver?delivery={BAD_BODY}"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path / "home", fill_fleet) as running:
        yield running


def commands(store: SqlStore) -> list[Command]:
    return [one for one in store.recent("command", limit=100) if isinstance(one, Command)]


def page_of(dashboard: Dashboard, role: AccessRole) -> str:
    login = dashboard.add_person(f"{role}-all", {EVERYWHERE: role})
    with dashboard.client(login=login) as client:
        return html.unescape(client.get(f"/deliveries/{BAD_BODY}").text)


def test_a_delivery_is_handled_again_from_its_page(own: Dashboard) -> None:
    with own.client() as client:
        assert BUTTON in html.unescape(client.get(f"/deliveries/{BAD_BODY}").text)
        form = client.get(BUTTON).text
        assert f"Handle delivery {BAD_BODY} again" in form
        assert "is not trained a second time" in form
        assert f'href="/deliveries/{BAD_BODY}"' in form
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
        sent = [
            client.post("/actions/redeliver", data=fields, headers={"Origin": ORIGIN}).headers["location"]
            for _ in range(2)
        ]
    (kept,) = commands(own.store)
    assert sent == [f"/commands/{kept.id}"] * 2
    assert (kept.verb, kept.arguments) == ("redeliver", {"delivery": BAD_BODY})


def test_the_button_is_for_whom_the_verb_is_for(own: Dashboard) -> None:
    assert {role: BUTTON in page_of(own, role) for role in AccessRole} == {
        VIEWER: False,
        RUNNER: True,
        APPROVER: True,
        ADMIN: True,
    }


def test_a_delivery_without_its_body_has_no_button_and_says_why(own: Dashboard) -> None:
    own.store.drop_spent(Kind.BODIES, age=timedelta(0), limit=100)
    page = page_of(own, ADMIN)
    assert BUTTON not in page
    assert "not kept any more, so that it cannot be handled again" in page


@pytest.mark.parametrize(
    ("role", "on", "guid", "status"),
    [
        (RUNNER, EVERYWHERE, BAD_BODY.upper(), 202),
        (VIEWER, EVERYWHERE, BAD_BODY, 403),
        (ADMIN, 1, BAD_BODY, 403),
        (ADMIN, 1, UNKNOWN, 403),
        (RUNNER, EVERYWHERE, UNKNOWN, 404),
        (RUNNER, EVERYWHERE, "none", 422),
    ],
    ids=["runner", "viewer", "elsewhere", "elsewhere-unknown", "unknown", "no-guid"],
)
def test_attack_66_it_takes_a_runner_of_everything(
    own: Dashboard, role: AccessRole, on: int, guid: str, status: int
) -> None:
    with program_as(own, role, on=on) as client:
        answer = client.post(ROUTE, json={"delivery": guid})
    assert answer.status_code == status, answer.text
    assert len(commands(own.store)) == (status == 202)


def test_the_command_line_waits_for_what_comes_of_it(tmp_path: Path) -> None:
    with make_stack(tmp_path) as stack, working(stack):
        delivery = make_delivery(b"{}", event="ping", id=BAD_BODY)
        stack.store.save_delivery(delivery)
        waiting = stack.launchpin("redeliver", BAD_BODY.upper(), "--json")
        unknown = stack.launchpin("redeliver", UNKNOWN)
    assert waiting.code == 0, waiting.both
    assert waiting.json["result"]["delivery"] == BAD_BODY
    assert (unknown.code, f"there are: {BAD_BODY}" in unknown.err or "did you mean" in unknown.err) == (2, True)
