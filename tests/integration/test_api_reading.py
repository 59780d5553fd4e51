"""What the API tells, as a program sees it."""

from urllib.parse import quote

import httpx
import pytest

from gitops.records import Role
from gitops.telling import shapes
from gitops.writes import SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.integration.api_rig import VIEWER, fleet, get, own, read_parts, viewer
from tests.support.api import program_as
from tests.support.dashboard import Dashboard
from tests.support.fleet import BAD_BODY, BAKING, REFUSED
from tests.support.store import make_environment, make_repository, make_training, make_version, write

__all__ = ["fleet", "own", "viewer"]


def test_a_training_is_shown_with_its_gates_and_why_it_ended(viewer: httpx.Client) -> None:
    shown = get(viewer, f"trainings/{REFUSED}")
    assert (shown["phase"], shown["reason"], shown["verdict"]) == ("Refused", "GateRefused", "fail")
    assert shown["gates"][0]["message"] == "accuracy 0.893 is not above 0.9"
    assert shown["log_tail"] == ["fitting 120 rows", "accuracy=0.893"]
    assert shown["cause"]["kind"] == "delivery"
    assert set(shown) == set(shapes.Training.model_fields)


def test_a_rollout_under_way_is_shown_with_what_it_waits_for(viewer: httpx.Client) -> None:
    shown = get(viewer, f"rollouts/{BAKING}")
    assert (shown["endpoint"], shown["phase"], shown["step"]) == ("iris-production", "Running", "bake")


def test_endpoints_say_what_git_pins_what_serves_and_who_holds(viewer: httpx.Client) -> None:
    found = {each["endpoint"]: each for each in get(viewer, "endpoints")["items"]}
    assert set(found) == {"iris-staging", "iris-production", "churn-staging", "churn-production"}
    production = found["iris-production"]
    assert (production["pinned"], production["serving"], production["sync"]) == ("7", "6", "OutOfSync")
    assert len(found["churn-staging"]["holds"]) == 1
    of_iris = get(viewer, "endpoints", model="iris")["items"]
    assert [each["endpoint"] for each in of_iris] == ["iris-production", "iris-staging"]
    assert get(viewer, "endpoints/acme/iris-deploy:production") == production


def test_a_delivery_is_found_by_its_guid_however_it_is_spelled(viewer: httpx.Client) -> None:
    assert get(viewer, f"deliveries/{BAD_BODY.upper()}")["reason"] == "BadPayload"


def test_versions_are_shown_with_their_verdict(viewer: httpx.Client) -> None:
    (shown,) = get(viewer, "models/iris/versions")["items"]
    assert (shown["version"], shown["verdict"], shown["quarantined"]) == ("6", "pass", False)
    assert get(viewer, "models/iris/versions/6") == shown
    assert viewer.get("/api/v1/models/none/versions").status_code == 404


def test_versions_come_in_parts_that_are_together_the_list(own: Dashboard) -> None:
    numbers = [str(number) for number in range(7, 32)]
    write(own.store, *(SaveVersion(make_version(version=number)) for number in numbers))
    found: list[str] = []
    cursor, parts = "", 0
    with program_as(own, VIEWER) as client:
        while cursor or not parts:
            page = get(client, "models/iris/versions", limit=10, cursor=cursor)
            found += [one["version"] for one in page["items"]]
            cursor, parts = page["next"], parts + 1
        told = get(client, "versions", model="iris", limit=10)["items"]
        other = client.get(
            "/api/v1/models/churn/versions", params={"cursor": get(client, "models/iris/versions", limit=1)["next"]}
        )
    assert (found, parts) == ([*reversed(numbers), "6"], 3)
    assert [one["version"] for one in told] == found[:10]
    assert (other.status_code, other.json()["field"]) == (422, "cursor")


@pytest.mark.parametrize("model", ["Prix d'été", "a+b", "_x", "50% more", "iris v2 (new)", "モデル"])
def test_a_model_is_asked_for_by_any_name_that_it_may_have(own: Dashboard, model: str) -> None:
    write(
        own.store,
        SaveVersion(make_version(model=model)),
        StartTraining(make_training(id="t-odd", model=model, commit="e" * 40)),
    )
    with program_as(own, VIEWER) as client:
        (shown,) = get(client, f"models/{quote(model, safe='')}/versions")["items"]
        assert get(client, f"models/{quote(model, safe='')}/versions/1") == shown
        assert get(client, "trainings", model=model)["items"][0]["id"] == "t-odd"
        assert get(client, "runs", model=model)["trainings"][0]["id"] == "t-odd"
        for path in ("promotions", "rollouts", "holds"):
            assert get(client, path, model=model)["items"] == []
        assert get(client, "endpoints", model=model)["items"] == []
        assert get(client, "dora", model=model)["models"] == []


def test_a_repository_is_asked_for_by_any_name_that_it_may_have(own: Dashboard) -> None:
    write(own.store, StartTraining(make_training(id="t-odd", repository="jane_acme/iris.py_2", commit="e" * 40)))
    with program_as(own, VIEWER) as client:
        assert [one["id"] for one in get(client, "trainings", repository="jane_acme/iris.py_2")["items"]] == ["t-odd"]
        assert client.get("/api/v1/trainings", params={"repository": "jane acme"}).status_code == 422


def test_holds_that_were_lifted_are_listed_too(viewer: httpx.Client) -> None:
    (shown,) = get(viewer, "holds")["items"]
    assert (shown["model"], shown["reason"], shown["lifted_at"]) == ("churn", "EndpointUnhealthy", None)
    assert get(viewer, "holds", model="iris")["items"] == []


@pytest.mark.parametrize("path", ["trainings", "deliveries", "endpoints", "repositories"])
def test_the_pages_of_a_list_are_together_the_list(viewer: httpx.Client, path: str) -> None:
    whole = get(viewer, path, limit=200)
    parts = read_parts(viewer, path, limit=1)
    assert whole["next"] == ""
    assert [one for (one,) in parts] == whole["items"]
    assert len(parts) >= 3


@pytest.mark.parametrize("path", ["endpoints", "repositories"])
def test_a_list_by_name_goes_on_where_it_ended_though_others_came_before(own: Dashboard, path: str) -> None:
    with program_as(own, VIEWER) as client:
        whole, first = get(client, path)["items"], get(client, path, limit=1)
        write(
            own.store,
            SaveRepository(make_repository(id=90, full_name="acme/aaa", role=Role.DEPLOY)),
            SaveEnvironment(make_environment(repository_id=1, repository="acme/iris", path="aaa"), ()),
        )
        rest = get(client, path, cursor=first["next"])
        assert len(get(client, path)["items"]) == len(whole) + 1
    assert [*first["items"], *rest["items"]] == whole


def test_repositories_of_one_name_are_each_in_one_part(own: Dashboard) -> None:
    twins = [make_repository(id=number, full_name="acme/twin") for number in (91, 92, 93)]
    write(own.store, *map(SaveRepository, twins))
    with program_as(own, VIEWER) as client:
        found = [one["id"] for part in read_parts(client, "repositories", limit=2) for one in part]
    assert found == [one.id for one in own.store.repositories()]
    assert {91, 92, 93} <= set(found)


def test_a_part_may_end_at_a_path_of_any_length_and_letters(own: Dashboard) -> None:
    paths = [f"{number}".ljust(400, "\N{GRINNING FACE}") for number in range(3)] + ['q"\\ ,\n']
    places = [make_environment(repository_id=2, repository="acme/iris-deploy", path=path) for path in paths]
    write(own.store, *(SaveEnvironment(one, ()) for one in places))
    with program_as(own, VIEWER) as client:
        found = [one["path"] for (one,) in read_parts(client, "endpoints", limit=1)]
    assert found == [one.path for one in own.store.environments()]
    assert set(paths) <= set(found)


def test_a_page_goes_on_where_it_ended_though_new_ones_came(own: Dashboard) -> None:
    with program_as(own, VIEWER) as client:
        first = get(client, "trainings", limit=2)
        write(own.store, StartTraining(make_training(id="t-new", commit="f" * 40)))
        rest = get(client, "trainings", cursor=first["next"])["items"]
        now = [each["id"] for each in get(client, "trainings", limit=200)["items"]]
    assert now == ["t-new", *(each["id"] for each in [*first["items"], *rest])]


def test_a_list_is_kept_to_what_was_asked_for(viewer: httpx.Client) -> None:
    assert {each["model"] for each in get(viewer, "trainings", model="churn")["items"]} == {"churn"}
    assert [each["id"] for each in get(viewer, "trainings", phase="Refused")["items"]] == [REFUSED]
    assert get(viewer, "rollouts", endpoint="churn-staging", phase="Running")["items"] == []
    assert get(viewer, "trainings", repository="acme/none")["items"] == []


def test_the_trail_is_given_in_its_exact_bytes(fleet: Dashboard, viewer: httpx.Client) -> None:
    lines = viewer.get("/api/v1/audit/entries", params={"start": 1, "limit": 3}).content.splitlines()
    assert lines == list(fleet.store.audit_entries(1, 3))
    assert viewer.get("/api/v1/audit/entries", params={"start": 10**6}).content == b""


def test_what_served_when_is_answered_from_the_trail(viewer: httpx.Client) -> None:
    shown = get(viewer, "audit/at", endpoint="churn-staging", time="2001-01-31T12:00:00Z")
    assert (shown["known"], shown["message"].partition(" 20")[0]) == (False, "not known before")
    mistyped = viewer.get("/api/v1/audit/at", params={"endpoint": "churn-stagng", "time": "now"})
    assert (mistyped.status_code, mistyped.json()["code"]) == (404, "not_found")
    assert "did you mean churn-staging?" in mistyped.json()["detail"]
    answer = viewer.get("/api/v1/audit/at", params={"endpoint": "none", "time": "2026-01-31T12:00:00"})
    assert (answer.status_code, answer.json()["field"]) == (422, "time")


def test_what_is_not_there_is_a_problem_with_a_code(viewer: httpx.Client) -> None:
    for path in ("trainings/t-none", "rollouts/none", "endpoints/none", "commands/c-none", "nothing"):
        answer = viewer.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["content-type"] == "application/problem+json"
    answer = viewer.put("/api/v1/trainings")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
