"""What is asked for on a page: said before, asked for once, by whom may, and as the page was."""

import html
import re
from collections.abc import Iterator

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.grammar import VERBS
from gitops.records import Direction, Environment
from gitops.roles import AccessRole
from gitops.writes import OpenPromotion, OpenRollout, SaveEnvironment
from tests.support.dashboard import ORIGIN, Dashboard, running_dashboard
from tests.support.fleet import REFUSED
from tests.support.history import fill_with_history
from tests.support.store import make_promotion, make_rollout, write
from webhooks.matrix import ACTIONS

STAGING = "acme/iris-deploy:staging"
FRAUD_STAGING = "acme/fraud-deploy:staging"
HELD = "acme/churn-deploy:staging"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("actions") / "home", fill_with_history) as running:
        yield running


@pytest.fixture
def client(fleet: Dashboard) -> Iterator[httpx.Client]:
    with fleet.client() as client:
        yield client


def fields_of(page: str) -> dict[str, str]:
    """Return what a browser would send of the form, as it is."""
    form = page[page.index('<form class="card act"') :]
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    chosen = re.findall(r'<select id="[^"]+" name="([^"]+)".*?<option value="([^"]*)"', form, re.DOTALL)
    return {name: html.unescape(value) for name, value in (fields | dict(chosen)).items()}


def send(client: httpx.Client, path: str, **more: str) -> httpx.Response:
    """Open a form and send it."""
    page = client.get(path)
    assert page.status_code == 200, page.text
    return client.post(path.partition("?")[0], data={**fields_of(page.text), **more}, headers={"Origin": ORIGIN})


def count(fleet: Dashboard) -> int:
    """Return how many commands there are."""
    return len(fleet.store.recent("command", limit=1_000))


def asked(fleet: Dashboard, answer: httpx.Response) -> tuple[str, dict[str, str], str]:
    """Return the command that an answer leads to: its verb, its arguments and who asked."""
    assert answer.status_code == 303, answer.text
    command = fleet.store.command(answer.headers["location"].removeprefix("/commands/"))
    assert command is not None
    return command.verb, command.arguments, command.cause.method


@pytest.mark.parametrize(
    ("path", "more", "arguments"),
    [
        (f"hold?endpoint={STAGING}", {"reason": "an audit"}, {"endpoint": STAGING, "reason": "an audit"}),
        (f"resume?endpoint={HELD}", {}, {"endpoint": HELD}),
        ("resume?all=yes", {}, {"all": "yes"}),
        ("pause", {"reason": "a night"}, {"reason": "a night"}),
        ("rollback?endpoint=fraud-production", {}, {"endpoint": "acme/fraud-deploy:production"}),
        ("rollback?endpoint=fraud-staging", {"to": "4"}, {"endpoint": "acme/fraud-deploy:staging", "to": "4"}),
        ("promote?model=fraud&version=5", {}, {"model": "fraud", "version": "5", "to": "acme/fraud-deploy:production"}),
        ("promote?model=fraud&version=4&to=fraud-staging", {}, {"model": "fraud", "version": "4", "to": FRAUD_STAGING}),
        (f"retry?name={REFUSED}", {}, {"name": REFUSED}),
        ("retry?name=iris-production", {}, {"name": "acme/iris-deploy:production"}),
        ("cancel?training=t-000000009", {"reason": "old"}, {"training": "t-000000009", "reason": "old"}),
        ("train?repository=acme/iris", {"ref": "main"}, {"repository": "acme/iris", "ref": "main"}),
    ],
)
def test_form_asks_for_what_its_verb_does(
    client: httpx.Client, fleet: Dashboard, path: str, more: dict[str, str], arguments: dict[str, str]
) -> None:
    answer = send(client, f"/actions/{path}", **more)
    assert asked(fleet, answer) == (path.partition("?")[0], arguments, "session")
    page = client.get(answer.headers["location"]).text
    assert "A worker carries it out at once." in page


def test_form_says_what_will_happen_and_changes_nothing(client: httpx.Client, fleet: Dashboard) -> None:
    before = count(fleet)
    page = client.get("/actions/rollback?endpoint=fraud-production").text
    assert "The traffic of fraud-production moves to the version that you choose" in page
    assert "Now v6 serves." in page
    assert re.findall(r'<option value="(\d+)"', page) == ["4", "3", "2", "1"]
    assert count(fleet) == before


def test_form_goes_back_to_what_served_before_a_version_that_is_on_its_way(client: httpx.Client) -> None:
    page = client.get("/actions/rollback?endpoint=iris-production").text
    assert re.findall(r'<option value="(\d*)"', page) == ["", "6"]


def test_form_says_whose_way_back_is_not_over(client: httpx.Client, fleet: Dashboard) -> None:
    place = next(one for one in fleet.store.environments() if one.endpoint == "churn-production")
    here = {
        name: getattr(place, name) for name in ("repository_id", "repository", "path", "endpoint", "target", "host")
    }
    back = make_rollout(**here, environment=place.name, model="churn", version="10", direction=Direction.ROLLBACK)
    write(fleet.store, OpenRollout(back))
    page = client.get("/actions/rollback?endpoint=churn-production").text
    assert "mona asked for the way back to v10, which is not over." in page
    assert "goes no further back" in page


def test_form_that_was_opened_before_somebody_else_asked_is_shown_again(client: httpx.Client, fleet: Dashboard) -> None:
    path = "/actions/rollback?endpoint=fraud-production"
    late = fields_of(client.get(path).text)
    assert send(client, path).status_code == 303
    before = count(fleet)
    answer = client.post("/actions/rollback", data=late, headers={"Origin": ORIGIN})
    assert answer.status_code == 412
    assert "rollback was asked for by" in answer.text
    assert count(fleet) == before


def test_form_that_names_the_place_says_so_and_is_shown_again_when_another_version_was_proposed_there(
    client: httpx.Client, fleet: Dashboard
) -> None:
    page = client.get(f"/actions/promote?model=fraud&version=4&to={FRAUD_STAGING}").text
    assert "Promote fraud v4 to fraud-staging" in page
    assert "<select" not in page
    here = {"repository_id": 6, "repository": "acme/fraud-deploy", "model": "fraud"}
    write(fleet.store, OpenPromotion(make_promotion(version="3", **here)))
    before = count(fleet)
    answer = client.post("/actions/promote", data=fields_of(page), headers={"Origin": ORIGIN})
    assert answer.status_code == 412
    assert "version 3 is proposed" in answer.text
    assert count(fleet) == before


@pytest.mark.parametrize(("place", "status"), [("nothing", 404), ("%3Cscript%3E", 422)])
def test_form_that_names_no_place_is_not_shown(client: httpx.Client, place: str, status: int) -> None:
    assert client.get(f"/actions/promote?model=fraud&version=4&to={place}").status_code == status


def test_double_click_asks_once(client: httpx.Client, fleet: Dashboard) -> None:
    before = count(fleet)
    path = f"/actions/hold?endpoint={STAGING}"
    fields = {**fields_of(client.get(path).text), "reason": "an audit"}
    answers = [client.post("/actions/hold", data=fields, headers={"Origin": ORIGIN}) for _ in range(3)]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert count(fleet) == before + 1


def test_form_is_shown_again_when_the_endpoint_has_changed_meanwhile(client: httpx.Client, fleet: Dashboard) -> None:
    before = count(fleet)
    page = client.get("/actions/rollback?endpoint=fraud-production").text
    place = fleet.store.environment(6, "production")
    assert place is not None
    write(fleet.store, SaveEnvironment(place.model_copy(update={"serving": "4"}), tuple(Environment.model_fields)))
    answer = client.post("/actions/rollback", data=fields_of(page), headers={"Origin": ORIGIN})
    assert answer.status_code == 412
    assert "is not as you have seen it" in answer.text
    assert "Now v4 serves." in answer.text
    assert count(fleet) == before
    again = client.post("/actions/rollback", data=fields_of(answer.text), headers={"Origin": ORIGIN})
    assert again.status_code == 303
    write(fleet.store, SaveEnvironment(place, tuple(Environment.model_fields)))


def test_form_is_shown_again_with_what_was_wrong_and_what_was_written(client: httpx.Client, fleet: Dashboard) -> None:
    before = count(fleet)
    answer = send(client, f"/actions/hold?endpoint={STAGING}", reason="x" * 2001)
    assert answer.status_code == 422
    assert "at most" in answer.text or "up to 2000 characters" in answer.text
    assert fields_of(answer.text)["endpoint"] == STAGING
    assert count(fleet) == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("hold?endpoint=none", 404),
        ("hold?endpoint=%3Cscript%3E", 422),
        ("cancel?training=t-none", 404),
        ("retry?name=%00", 422),
    ],
)
def test_form_about_nothing_is_not_shown(client: httpx.Client, path: str, status: int) -> None:
    assert client.get(f"/actions/{path}").status_code == status


def test_attack_71_form_of_another_page_or_session_asks_for_nothing(fleet: Dashboard) -> None:
    before = count(fleet)
    path = f"/actions/hold?endpoint={STAGING}"
    with fleet.client() as mine, fleet.client() as other:
        fields = {**fields_of(mine.get(path).text), "reason": "x"}
        statuses = [
            mine.post("/actions/hold", data=fields, headers={"Origin": "http://evil.example"}).status_code,
            mine.post("/actions/hold", data=fields).status_code,
            mine.post("/actions/hold", data={**fields, "_csrf": ""}, headers={"Origin": ORIGIN}).status_code,
            other.post("/actions/hold", data=fields, headers={"Origin": ORIGIN}).status_code,
        ]
    assert statuses == [403, 403, 403, 403]
    assert count(fleet) == before


@pytest.mark.parametrize("verb", ACTIONS)
def test_attack_66_form_is_for_whom_its_verb_is_for(fleet: Dashboard, verb: str) -> None:
    order = list(AccessRole)
    needed = VERBS[verb].who
    for role in order:
        fleet.add_person(f"{role}-all", {EVERYWHERE: role})
        with fleet.client(login=f"{role}-all") as client:
            found = client.get(f"/actions/{verb}").status_code
        assert (found != 403) is role.covers(needed), (verb, role)


def test_attack_66_form_about_what_one_may_not_see_or_change_is_refused(fleet: Dashboard) -> None:
    before = count(fleet)
    fleet.add_person("other", {4: AccessRole.APPROVER, 2: AccessRole.VIEWER})
    with fleet.client(login="other") as client:
        assert client.get(f"/actions/hold?endpoint={STAGING}").status_code == 403
        assert client.get("/actions/hold?endpoint=fraud-staging").status_code == 404
        fields = {**fields_of(client.get(f"/actions/resume?endpoint={HELD}").text), "endpoint": STAGING, "_match": ""}
        answer = client.post("/actions/resume", data=fields, headers={"Origin": ORIGIN})
        assert answer.status_code == 403
        pause = client.post("/actions/pause", data=fields, headers={"Origin": ORIGIN})
        assert pause.status_code in {403, 422}
    assert count(fleet) == before


def test_command_page_is_for_whoever_asked_and_for_those_who_see_everything(fleet: Dashboard) -> None:
    fleet.add_person("asker", {2: AccessRole.APPROVER})
    fleet.add_person("other", {2: AccessRole.APPROVER})
    fleet.add_person("looker", {EVERYWHERE: AccessRole.VIEWER})
    with fleet.client(login="asker") as client:
        page = send(client, f"/actions/hold?endpoint={STAGING}", reason="mine").headers["location"]
        assert "mine" in client.get(page).text
    for login, status in (("other", 404), ("looker", 200)):
        with fleet.client(login=login) as client:
            assert client.get(page).status_code == status
