"""Plans on pages: the very answer of the API, for whom that is, and the way to have it done."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.records import Environment
from gitops.roles import AccessRole
from gitops.store import SqlStore
from gitops.writes import OpenPromotion, SaveEnvironment, SaveVersion
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.fleet import BAKING, REFUSED
from tests.support.history import MERGED, fill_with_history
from tests.support.store import Clock, make_environment, make_promotion, make_version, write
from tests.support.tiers import make_tiered
from webhooks.dashboard.words import coded

PROPOSED = "p-000000007"
STAGING, PRODUCTION = "acme/iris-deploy:staging", "acme/iris-deploy:production"
FRAUD = "acme/fraud-deploy:staging"


def fill(store: SqlStore, clock: Clock) -> None:
    """Play the weeks of history; what is proposed for production was judged, and needs another environment."""
    judged = {"metrics": {"accuracy": "0.97"}, "training_id": REFUSED}
    write(
        store,
        SaveVersion(make_version(version="8", environment_key="b" * 64, **judged)),
        SaveVersion(make_version(version="6", environment_key="a" * 64, metrics={"accuracy": "0.95", "f1": "0.9"})),
    )
    fill_with_history(store, clock)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("plans") / "home", fill) as running:
        running.add_person("looker", {EVERYWHERE: AccessRole.VIEWER})
        running.add_person("deploy", {2: AccessRole.VIEWER})
        yield running


@pytest.fixture
def client(fleet: Dashboard) -> Iterator[httpx.Client]:
    with fleet.client() as client:
        yield client


def told(client: httpx.Client, **given: str) -> dict[str, Any]:
    """Return what the API answers to the same person."""
    answer = client.get("/api/v1/plan", params=given)
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


def check_shown(page: str, plan: Mapping[str, Any]) -> None:
    """Hold a page to everything that a plan says."""
    said = [*plan["warnings"], *plan["waits"], *([] if plan["refusal"] else plan["steps"])]
    said += [plan["refusal"]["message"]] if plan["refusal"] else []
    assert said
    for sentence in said:
        assert str(coded(sentence)) in page, sentence
    for one in plan["metrics"]:
        row = next(row for row in page.split("<tr>") if f'<td class="mono">{one["metric"]}</td>' in row)
        values = [one["serving"], one["planned"]]
        values += [one["champion"]] if plan["champion"] not in {"", plan["serving"], plan["version"]} else []
        assert re.findall(r"num[^>]*>(?:<b>)?([^<]+)<", row) == [value or "\N{EN DASH}" for value in values]


def test_the_page_of_a_promotion_shows_what_its_merge_would_do_as_the_api_tells_it(client: httpx.Client) -> None:
    page = client.get(f"/promotions/{PROPOSED}").text
    plan = told(client, endpoint=PRODUCTION, version="8")
    check_shown(page, plan)
    assert (plan["same_environment"], plan["champion"]) == (False, "6")
    assert "pull request 12 changes the pin in acme/iris-deploy:production from 7 to 8" in page
    assert f"rollout {BAKING} of version 7 is under way" in page
    assert "needs another Python environment than version 6" in page


def test_the_page_of_a_promotion_that_is_over_shows_what_it_was_and_foresees_nothing(client: httpx.Client) -> None:
    page = client.get(f"/promotions/{MERGED}").text
    assert "v4" in page
    assert "9d3f" * 16 in page
    assert "is pinned and serves" not in page


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (f"/models/fraud/plan?endpoint={FRAUD}&version=5", {"endpoint": FRAUD, "version": "5"}),
        ("/models/fraud/plan?endpoint=fraud-staging&version=6", {"endpoint": FRAUD, "version": "6"}),
        ("/models/fraud/plan?endpoint=fraud-staging&version=99", {"endpoint": FRAUD, "version": "99"}),
        ("/models/iris/plan?endpoint=iris-staging&version=8", {"endpoint": STAGING, "version": "8"}),
        ("/models/iris/plan?endpoint=iris-production&version=", {"endpoint": PRODUCTION}),
    ],
    ids=["older", "serves", "unknown", "champion elsewhere", "proposed"],
)
def test_a_plan_is_foreseen_as_the_api_tells_it(client: httpx.Client, path: str, given: dict[str, str]) -> None:
    page = client.get(path)
    assert page.status_code == 200
    check_shown(page.text, told(client, **given))


@pytest.mark.parametrize("login", ["looker", "deploy"])
def test_a_plan_tells_a_viewer_what_the_api_would_and_offers_nothing(fleet: Dashboard, login: str) -> None:
    with fleet.client(login=login) as client:
        for place, version in ((STAGING, "6"), (PRODUCTION, "8")):
            page = client.get(f"/models/iris/plan?endpoint={place}&version={version}").text
            check_shown(page, told(client, endpoint=place, version=version))
            assert "/actions/" not in page
        assert "/models/iris/plan" in client.get("/models/iris").text or login == "deploy"


def test_a_plan_leads_to_the_promotion_of_just_that(client: httpx.Client) -> None:
    page = client.get(f"/models/fraud/plan?endpoint={FRAUD}&version=5").text
    (link,) = re.findall(r'href="(/actions/promote[^"]+)"', page)
    assert link.replace("&amp;", "&").endswith("?model=fraud&version=5&to=acme%2Ffraud-deploy%3Astaging")


@pytest.mark.parametrize(
    "query",
    ["endpoint=fraud-staging&version=6", "endpoint=fraud-staging&version=99"],
    ids=["it serves already", "nobody judged it"],
)
def test_a_plan_that_changes_nothing_offers_nothing(client: httpx.Client, query: str) -> None:
    assert "/actions/promote" not in client.get(f"/models/fraud/plan?{query}").text


def test_a_plan_whose_pull_request_is_open_leads_there(client: httpx.Client) -> None:
    page = client.get("/models/iris/plan?endpoint=iris-production").text
    assert "/actions/promote" not in page
    assert 'href="http://127.0.0.1:3000/acme/iris-deploy/pull/12"' in page


def test_the_form_keeps_what_was_asked_for_and_is_on_the_page_of_the_model(client: httpx.Client) -> None:
    model, plan = client.get("/models/fraud").text, client.get(f"/models/fraud/plan?endpoint={FRAUD}&version=3").text
    for page in (model, plan):
        assert 'action="/models/fraud/plan"' in page
        assert re.findall(r'<option value="(\d*)"', page) == ["", "6", "5", "4", "3", "2", "1"]
    assert re.findall(r'<option value="([^"]*)" selected', plan) == ["3", FRAUD]
    assert " selected" not in model


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/never-was/plan", 404),
        ("/models/fraud/plan?endpoint=nothing", 404),
        ("/models/fraud/plan?endpoint=iris-staging", 404),
        ("/models/fraud/plan?endpoint=%3Cscript%3E", 422),
        ("/models/fraud/plan?endpoint=fraud-staging&version=two", 422),
        ("/models/%00/plan", 404),
    ],
)
def test_a_plan_of_nothing_is_not_shown(client: httpx.Client, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_the_page_says_what_is_missing_where_there_is_nothing_to_plan(tmp_path: Path) -> None:
    def fill_little(store: SqlStore, _: Clock) -> None:
        write(store, SaveVersion(make_version()))
        write(
            store, SaveEnvironment(make_environment(model="bare", repository="acme/x"), tuple(Environment.model_fields))
        )

    with running_dashboard(tmp_path / "home", fill_little) as dashboard, dashboard.client() as client:
        no_place, no_version = client.get("/models/iris/plan").text, client.get("/models/bare/plan").text
        assert "iris has no environment yet" in no_place
        assert "bare has no version yet" in no_version
        assert "Show the plan" not in no_place + no_version
        nothing = client.get("/models/bare/plan?endpoint=iris-staging").text
        assert "no version of bare is good enough to be proposed" in nothing


def test_a_plan_warns_of_a_lower_tier_and_of_what_nobody_judged(tmp_path: Path) -> None:
    place = make_environment(repository="acme/iris-deploy", serving="2", pinned="2", is_champion=True)

    def fill_tiers(store: SqlStore, _: Clock) -> None:
        write(
            store,
            SaveVersion(make_tiered("gold", version="2")),
            SaveVersion(make_tiered("bronze", version="3")),
            SaveVersion(make_tiered("", version="4")),
            SaveVersion(make_tiered("gold", version="5")),
            SaveEnvironment(place, tuple(Environment.model_fields)),
        )

    with running_dashboard(tmp_path / "home", fill_tiers) as dashboard, dashboard.client() as client:
        warned = {version: told(client, endpoint="iris-staging", version=version)["warnings"] for version in "345"}
        assert warned == {
            "3": ["version 3 has the tier bronze, and version 2, which serves, has the tier gold"],
            "4": ["version 4 has no tier, and version 2, which serves, has the tier gold"],
            "5": [],
        }
        by_hand = place.model_copy(update={"pinned": "7"})
        write(dashboard.store, SaveEnvironment(by_hand, ("pinned",)))
        plan = told(client, endpoint="iris-staging", version="7")
        assert (plan["changes"], plan["refusal"]) == (True, None)
        assert plan["warnings"] == ["no verdict on version 7 is known here: no gate may have judged it"]
        check_shown(client.get("/models/iris/plan?endpoint=iris-staging&version=7").text, plan)


def test_the_page_of_a_promotion_to_a_place_that_nobody_knows_yet_shows_what_was_asked_for(tmp_path: Path) -> None:
    def fill_new(store: SqlStore, _: Clock) -> None:
        write(store, OpenPromotion(make_promotion(id="p-new", version="1")))

    with running_dashboard(tmp_path / "home", fill_new) as dashboard, dashboard.client() as client:
        page = client.get("/promotions/p-new").text
    assert "The merge rolls staging out." in page
    assert "Not planned yet." in page
