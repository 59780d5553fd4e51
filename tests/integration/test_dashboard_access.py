"""Pages show what one may look at, and name nothing else."""

from collections.abc import Iterator

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.roles import AccessRole
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.fleet import BAD_BODY, BAKING, REFUSED
from tests.support.history import FAILED, MERGED, fill_with_history

IRIS, IRIS_DEPLOY, CHURN_DEPLOY = 1, 2, 4
EVERYBODYS = ("/", "/models")
OF_IRIS = (f"/trainings/{REFUSED}", "/models/iris")
PLAN = "/models/iris/plan?endpoint=iris-staging&version=6"
OF_IRIS_DEPLOY = (f"/rollouts/{BAKING}", "/promotions/p-000000007", "/models/iris", "/models/iris/plan", PLAN)
OF_OTHERS = (
    "/models/fraud",
    "/models/fraud/plan",
    "/trainings/t-fraud-01",
    f"/promotions/{MERGED}",
    f"/rollouts/{FAILED}",
    "/models/churn",
)
OF_ALL = ("/audit", "/audit/at", "/audit/verify", "/deliveries", f"/deliveries/{BAD_BODY}", "/settings")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("access") / "home", fill_with_history) as running:
        running.add_person("model", {IRIS: AccessRole.RUNNER})
        running.add_person("deploy", {IRIS_DEPLOY: AccessRole.VIEWER})
        running.add_person("approver", {IRIS_DEPLOY: AccessRole.APPROVER})
        running.add_person("looker", {EVERYWHERE: AccessRole.VIEWER})
        running.add_person("nobody", {})
        yield running


def get(fleet: Dashboard, login: str, path: str) -> httpx.Response:
    with fleet.client(login=login) as client:
        return client.get(path)


@pytest.mark.parametrize(("login", "paths"), [("model", OF_IRIS), ("deploy", OF_IRIS_DEPLOY)])
def test_page_of_ones_own_repository_is_shown_and_names_no_other_one(
    fleet: Dashboard, login: str, paths: tuple[str, ...]
) -> None:
    for path in (*EVERYBODYS, *paths):
        found = get(fleet, login, path)
        assert (path, found.status_code) == (path, 200)
        assert "iris" in found.text or path == "/models"
        for name in ("churn", "fraud"):
            assert name not in found.text, path


@pytest.mark.parametrize("login", ["model", "deploy"])
def test_page_of_another_repository_is_not_there(fleet: Dashboard, login: str) -> None:
    for path in OF_OTHERS:
        found = get(fleet, login, path)
        missing = get(fleet, login, "/models/never-was")
        assert (path, found.status_code) == (path, 404)
        assert "fraud" not in found.text
        assert found.text.replace("training", "model").count("here") == missing.text.count("here")


def test_whoever_sees_the_deploy_repository_alone_is_shown_no_training(fleet: Dashboard) -> None:
    assert get(fleet, "deploy", f"/trainings/{REFUSED}").status_code == 404
    assert REFUSED not in get(fleet, "deploy", "/").text
    assert get(fleet, "model", f"/rollouts/{BAKING}").status_code == 404
    assert "iris-production" not in get(fleet, "model", "/").text
    assert get(fleet, "model", PLAN).status_code == 404


@pytest.mark.parametrize("path", OF_ALL)
def test_page_of_everything_is_for_those_who_see_everything(fleet: Dashboard, path: str) -> None:
    assert get(fleet, "deploy", path).status_code == 403
    assert get(fleet, "looker", path).status_code == 200


def test_sections_are_those_that_one_may_open(fleet: Dashboard) -> None:
    assert 'href="/audit"' not in get(fleet, "deploy", "/").text
    assert 'href="/audit"' in get(fleet, "looker", "/").text


def test_buttons_are_for_those_who_may_use_them(fleet: Dashboard) -> None:
    looked, approved = get(fleet, "deploy", "/models/iris").text, get(fleet, "approver", "/models/iris").text
    assert "/actions/" not in looked
    assert "/actions/hold?endpoint=acme%2Firis-deploy%3Astaging" in approved
    assert "/actions/" not in get(fleet, "looker", "/").text


def test_values_of_settings_are_for_an_admin(fleet: Dashboard) -> None:
    assert 'id="values"' not in get(fleet, "looker", "/settings").text
    with fleet.client() as client:
        page = client.get("/settings").text.replace("<wbr>", "")
    values = page[page.index('id="values"') :]
    assert "LAUNCHPIN_BASE_URL" in values
    assert "f00d" not in values  # the unguessable part of the webhook's path
    assert "a secret for tests" not in page


def test_person_without_a_grant_is_told_how_to_get_one(fleet: Dashboard) -> None:
    found = get(fleet, "nobody", "/")
    assert found.status_code == 403
    assert "launchpin people grant" in found.text
