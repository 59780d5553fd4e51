"""Tokens by the API: made by people in a browser, seen and ended by whom they belong to."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.store import check_audit_joins
from tests.integration.api_rig import ADMIN, APPROVER, VIEWER, fleet, get, own
from tests.support.api import give_token, program, program_as
from tests.support.dashboard import ORIGIN, Dashboard

__all__ = ["fleet", "own"]


@contextlib.contextmanager
def signed_in(dashboard: Dashboard) -> Iterator[httpx.Client]:
    with dashboard.client() as client:
        csrf = client.get("/").text.partition('name="_csrf" value="')[2].partition('"')[0]
        client.headers.update({"Origin": ORIGIN, "X-Launchpin-CSRF": csrf})
        yield client


def test_a_person_makes_a_token_sees_it_and_ends_it(own: Dashboard) -> None:
    wanted = {"name": "nightly", "role": "runner", "repositories": ["acme/iris"], "days": 7}
    with signed_in(own) as client:
        made = client.post("/api/v1/tokens", json=wanted)
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        text = made.json().pop("text")
        with program(own, text) as robot:
            me = get(robot, "me")
            assert [each["full_name"] for each in get(robot, "repositories")] == ["acme/iris"]
            assert (me["token_id"], me["grants"]) == (
                made.json()["id"],
                [{"repository": "acme/iris", "role": "runner"}],
            )
            (shown,) = get(client, "tokens")
            assert (shown["name"], shown["role"], shown["repositories"]) == ("nightly", "runner", ["acme/iris"])
            assert "text" not in shown
            ends = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
            assert timedelta(days=6, hours=23) < ends <= timedelta(days=7)
            assert client.delete(f"/api/v1/tokens/{shown['id']}").status_code == 204
            assert robot.get("/api/v1/me").status_code == 401
    assert check_audit_joins(own.store) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"role": "king"}, "role"),
        ({"days": 0}, "days"),
        ({"days": 366}, "days"),
        ({"repositories": ["acme/none"]}, "repositories"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_a_token_that_cannot_be_made_says_which_part_is_wrong(
    fleet: Dashboard, changes: dict[str, object], field: str
) -> None:
    with signed_in(fleet) as client:
        answer = client.post("/api/v1/tokens", json={"name": "ci", "role": "viewer"} | changes)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_token_lists_and_ends_no_other_of_its_person(fleet: Dashboard) -> None:
    texts = [give_token(fleet.store, "ivan", {EVERYWHERE: VIEWER}) for _ in range(2)]
    person = next(each for each in fleet.store.people() if each.login == "ivan")
    known = {token.id for token in fleet.store.tokens(person_id=person.id)}
    with program(fleet, texts[0]) as client:
        (own,) = get(client, "tokens")
        (other,) = known - {own["id"]}
        assert client.delete(f"/api/v1/tokens/{other}").status_code == 404
        assert client.delete(f"/api/v1/tokens/{own['id']}").status_code == 204
        assert client.get("/api/v1/me").status_code == 401


def test_nobody_ends_another_ones_token_but_an_admin(fleet: Dashboard) -> None:
    give_token(fleet.store, "heidi", {EVERYWHERE: VIEWER})
    person = next(each for each in fleet.store.people() if each.login == "heidi")
    (token,) = fleet.store.tokens(person_id=person.id)
    with program_as(fleet, APPROVER) as other:
        assert token.id not in {each["id"] for each in get(other, "tokens")}
        assert other.delete(f"/api/v1/tokens/{token.id}").status_code == 404
    with program_as(fleet, ADMIN) as admin:
        assert token.id in {each["id"] for each in get(admin, "tokens")}
        assert admin.delete(f"/api/v1/tokens/{token.id}").status_code == 204
