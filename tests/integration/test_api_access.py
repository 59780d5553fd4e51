"""Who may ask the API for what, and what is there for whom; the whole table is held in `test_access_matrix`."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.access import EVERYWHERE
from gitops.roles import AccessRole
from tests.support.api import give_token, program, program_as
from tests.support.dashboard import HOST, ORIGIN, Dashboard, running_dashboard
from tests.support.fleet import BAD_BODY, BAKING, REFUSED, fill_fleet

VIEWER, RUNNER, APPROVER, ADMIN = AccessRole
IRIS, IRIS_DEPLOY, CHURN, CHURN_DEPLOY = 1, 2, 3, 4


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("api") / "home", fill_fleet) as running:
        yield running


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer  x", "Basic YTpi", "Bearer lpt_x", "bearer lpt_000000000000001_" + "a" * 43, "lpt_x"],
)
def test_attack_66_what_is_no_good_token_opens_nothing(fleet: Dashboard, header: str) -> None:
    with program(fleet, "") as client:
        answer = client.get("/api/v1/me", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_attack_66_a_bad_token_is_not_covered_by_a_good_cookie(fleet: Dashboard) -> None:
    with fleet.client() as client:
        assert client.get("/api/v1/me").status_code == 200
        assert client.get("/api/v1/me", headers={"Authorization": "Bearer x"}).status_code == 401


def test_attack_66_a_token_that_is_over_revoked_or_whose_person_lost_the_grant_opens_nothing(fleet: Dashboard) -> None:
    store = fleet.store
    over = give_token(store, "over", {EVERYWHERE: ADMIN}, days=-20)
    with program(fleet, over) as client:
        assert client.get("/api/v1/trainings").status_code == 401
    text = give_token(store, "leaving", {EVERYWHERE: ADMIN})
    person = next(each for each in store.people() if each.login == "leaving")
    (token,) = store.tokens(person_id=person.id)
    with program(fleet, text) as client:
        assert client.get("/api/v1/trainings").status_code == 200
        from_root = give_token(store, "root", {EVERYWHERE: ADMIN})
        with program(fleet, from_root) as root:
            assert root.delete(f"/api/v1/tokens/{token.id}").status_code == 204
            assert root.delete(f"/api/v1/tokens/{token.id}").status_code == 204
        assert client.get("/api/v1/trainings").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/trainings/{REFUSED}",
        f"/api/v1/rollouts/{BAKING}",
        "/api/v1/promotions/p-000000007",
        "/api/v1/endpoints/iris-staging",
        "/api/v1/endpoints/acme/iris-deploy:staging",
        "/api/v1/models/iris/versions/6",
    ],
)
def test_attack_66_what_belongs_to_another_repository_is_not_there(fleet: Dashboard, path: str) -> None:
    with program_as(fleet, ADMIN) as everybody, program_as(fleet, ADMIN, on=CHURN_DEPLOY) as other:
        assert everybody.get(path).status_code == 200
        answer = other.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_attack_66_trials_of_another_repository_are_as_those_that_nobody_has(fleet: Dashboard) -> None:
    with program_as(fleet, ADMIN) as everybody, program_as(fleet, ADMIN, on=CHURN_DEPLOY) as other:
        assert everybody.get(f"/api/v1/trials?training={REFUSED}").status_code == 200
        answer, made_up = (other.get(f"/api/v1/trials?training={name}") for name in (REFUSED, "t-000000999"))
        assert (answer.status_code, answer.json()) == (404, made_up.json())


@pytest.mark.parametrize("path", ["trainings", "promotions", "rollouts", "endpoints", "repositories", "holds"])
def test_attack_66_lists_hold_what_one_may_see_and_nothing_else(fleet: Dashboard, path: str) -> None:
    with (
        program_as(fleet, VIEWER) as everybody,
        program_as(fleet, VIEWER, on=IRIS) as model,
        program_as(fleet, VIEWER, on=IRIS_DEPLOY) as deploy,
    ):
        all_, of_model, of_deploy = (client.get(f"/api/v1/{path}").text for client in (everybody, model, deploy))
    assert "churn" in all_ or path == "promotions"
    assert "churn" not in of_model
    assert "churn" not in of_deploy


@pytest.mark.parametrize("path", ["/api/v1/deliveries", "/api/v1/audit/entries", f"/api/v1/deliveries/{BAD_BODY}"])
def test_what_belongs_to_no_repository_is_for_those_who_see_everything(fleet: Dashboard, path: str) -> None:
    with program_as(fleet, ADMIN, on=IRIS) as one, program_as(fleet, VIEWER) as everybody:
        assert one.get(path).status_code == 403
        assert everybody.get(path).status_code == 200


def test_attack_66_a_verb_asks_for_its_role_where_it_is_carried_out(fleet: Dashboard) -> None:
    wanted = {"endpoint": "iris-staging", "reason": "because"}
    statuses = {}
    people = {"here": IRIS_DEPLOY, "elsewhere": CHURN_DEPLOY, "on the model": IRIS}
    for name, place in people.items():
        with program_as(fleet, APPROVER, on=place) as client:
            statuses[name] = client.post("/api/v1/hold", json=wanted).status_code
    text = give_token(fleet.store, "looks", {IRIS_DEPLOY: VIEWER, CHURN_DEPLOY: APPROVER})
    with program(fleet, text) as client:
        statuses["looks here"] = client.post("/api/v1/hold", json=wanted).status_code
    assert statuses == {"here": 202, "elsewhere": 404, "on the model": 404, "looks here": 403}


def test_attack_66_a_token_may_no_more_than_it_was_given(fleet: Dashboard) -> None:
    wanted = {"endpoint": "iris-staging", "reason": "because"}
    store = fleet.store
    weak = give_token(store, "ada", {EVERYWHERE: ADMIN}, most=RUNNER)
    kept = give_token(store, "ada", {EVERYWHERE: ADMIN}, repositories=(CHURN_DEPLOY,))
    for text, status in ((weak, 403), (kept, 404)):
        with program(fleet, text) as client:
            assert client.post("/api/v1/hold", json=wanted).status_code == status
    with program(fleet, kept) as client:
        assert [each["repository"] for each in client.get("/api/v1/endpoints").json()["items"]] == [
            "acme/churn-deploy"
        ] * 2
        me = client.get("/api/v1/me").json()
        assert me["grants"] == [{"repository": "acme/churn-deploy", "role": "admin"}]


@pytest.mark.parametrize(
    ("headers", "code"),
    [({}, "wrong_origin"), ({"Origin": "http://evil.example"}, "wrong_origin"), ({"Origin": ORIGIN}, "csrf")],
)
def test_attack_71_a_page_elsewhere_cannot_ask_with_a_persons_cookie(
    fleet: Dashboard, headers: dict[str, str], code: str
) -> None:
    with fleet.client() as client:
        answer = client.post("/api/v1/hold", json={"endpoint": "iris-staging", "reason": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, code)


def test_who_signs_in_with_a_link_is_known_by_name_and_the_grant_is_on_record(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard, dashboard.client() as client:
        me = client.get("/api/v1/me").json()
        (given,) = (row.entry for row in dashboard.store.audit_recent(10))
    assert (me["method"], me["grants"]) == ("session", [{"repository": "", "role": "admin"}])
    assert (given.kind, given.to, given.actor.auth_method) == ("grant.given", "admin", "folder")
    assert given.evidence["login"] == me["login"]


def test_a_person_without_a_grant_may_sign_in_and_see_that_there_is_nothing(fleet: Dashboard) -> None:
    text = give_token(fleet.store, "nobody", {})
    with program(fleet, text) as client:
        assert client.get("/api/v1/me").json()["grants"] == []
        answer = client.get("/api/v1/trainings")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert "launchpin people grant" in answer.json()["detail"]


def test_a_host_that_is_not_ours_gets_no_answer_from_the_api(fleet: Dashboard) -> None:
    with program_as(fleet, ADMIN) as client:
        assert client.get("/api/v1/me", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/api/v1/me", headers={"Host": HOST}).status_code == 200


def test_a_session_ends_for_the_api_too(fleet: Dashboard) -> None:
    with fleet.client() as client, contextlib.ExitStack():
        assert client.get("/api/v1/me").status_code == 200
        client.cookies.clear()
        assert client.get("/api/v1/me").status_code == 401


def test_time_is_the_databases(fleet: Dashboard) -> None:
    """The web process judges a token's end by the clock that every part shares."""
    text = give_token(fleet.store, "short", {EVERYWHERE: VIEWER}, days=-0.5 + timedelta(hours=8) / timedelta(days=1))
    with program(fleet, text) as client:
        assert client.get("/api/v1/me").status_code == 200
