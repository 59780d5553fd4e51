"""What the API tells, as a program sees it."""

import httpx
import pytest

from gitops.telling import shapes
from gitops.writes import StartTraining
from tests.integration.api_rig import VIEWER, fleet, get, own, viewer
from tests.support.api import program_as
from tests.support.dashboard import Dashboard
from tests.support.fleet import BAD_BODY, BAKING, REFUSED
from tests.support.store import make_training, write

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
    found = {each["endpoint"]: each for each in get(viewer, "endpoints")}
    assert set(found) == {"iris-staging", "iris-production", "churn-staging", "churn-production"}
    production = found["iris-production"]
    assert (production["pinned"], production["serving"], production["sync"]) == ("7", "6", "OutOfSync")
    assert len(found["churn-staging"]["holds"]) == 1
    assert [each["endpoint"] for each in get(viewer, "endpoints", model="iris")] == ["iris-production", "iris-staging"]
    assert get(viewer, "endpoints/acme/iris-deploy:production") == production


def test_a_delivery_is_found_by_its_guid_however_it_is_spelled(viewer: httpx.Client) -> None:
    assert get(viewer, f"deliveries/{BAD_BODY.upper()}")["reason"] == "BadPayload"


def test_versions_are_shown_with_their_verdict(viewer: httpx.Client) -> None:
    (shown,) = get(viewer, "models/iris/versions")
    assert (shown["version"], shown["verdict"], shown["quarantined"]) == ("6", "pass", False)
    assert get(viewer, "models/iris/versions/6") == shown
    assert get(viewer, "models/none/versions") == []


def test_holds_that_were_lifted_are_listed_too(viewer: httpx.Client) -> None:
    (shown,) = get(viewer, "holds")["items"]
    assert (shown["model"], shown["reason"], shown["lifted_at"]) == ("churn", "EndpointUnhealthy", None)
    assert get(viewer, "holds", model="iris")["items"] == []


@pytest.mark.parametrize("path", ["trainings", "deliveries"])
def test_the_pages_of_a_list_are_together_the_list(viewer: httpx.Client, path: str) -> None:
    whole = get(viewer, path, limit=200)
    assert whole["next"] == ""
    found: list[object] = []
    cursor = ""
    for _ in range(len(whole["items"])):
        page = get(viewer, path, limit=1, cursor=cursor)
        found += page["items"]
        cursor = page["next"]
        if not cursor:
            break
    assert found == whole["items"]
    assert len(found) >= 3


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
    shown = get(viewer, "audit/at", endpoint="none", time="2026-01-31T12:00:00Z")
    assert (shown["known"], shown["message"]) == (False, "not known: no record of endpoint none")
    answer = viewer.get("/api/v1/audit/at", params={"endpoint": "none", "time": "2026-01-31T12:00:00"})
    assert (answer.status_code, answer.json()["field"]) == (422, "time")


def test_what_is_not_there_is_a_problem_with_a_code(viewer: httpx.Client) -> None:
    for path in ("trainings/t-none", "rollouts/none", "endpoints/none", "commands/c-none", "nothing"):
        answer = viewer.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["content-type"] == "application/problem+json"
    answer = viewer.put("/api/v1/trainings")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
