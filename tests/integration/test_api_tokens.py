"""Tokens by the API: made by people in a browser, seen and ended by whom they belong to."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.store import check_audit_joins
from tests.integration.api_rig import ADMIN, APPROVER, RUNNER, VIEWER, fleet, get, own, read_parts
from tests.support.api import give_token, program, program_as
from tests.support.dashboard import ORIGIN, Dashboard

__all__ = ["fleet", "own"]


@contextlib.contextmanager
def signed_in(dashboard: Dashboard, login: str = "") -> Iterator[httpx.Client]:
    with dashboard.client(login=login) as client:
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
            assert [each["full_name"] for each in get(robot, "repositories")["items"]] == ["acme/iris"]
            assert (me["token_id"], me["grants"]) == (
                made.json()["id"],
                [{"repository": "acme/iris", "role": "runner"}],
            )
            (shown,) = get(client, "tokens")["items"]
            assert (shown["name"], shown["role"], shown["repositories"]) == ("nightly", "runner", ["acme/iris"])
            assert "text" not in shown
            ends = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
            assert timedelta(days=6, hours=23) < ends <= timedelta(days=7)
            assert client.delete(f"/api/v1/tokens/{shown['id']}").status_code == 204
            assert robot.get("/api/v1/me").status_code == 401
    assert check_audit_joins(own.store) == []


def test_tokens_come_in_parts_newest_first_each_with_whose_it_is(own: Dashboard) -> None:
    for login in ("ada", "bob", "eve") * 2:
        give_token(own.store, login, {EVERYWHERE: VIEWER})
    with program_as(own, ADMIN) as client:
        parts = read_parts(client, "tokens", limit=3)
    known, logins = own.store.tokens(), {person.id: person.login for person in own.store.people()}
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [one["id"] for part in parts for one in part] == [token.id for token in known]
    assert [one["login"] for part in parts for one in part] == [logins[token.person_id] for token in known]


WANTED = {"name": "nightly", "role": "runner", "repositories": ["acme/iris"], "days": 7}


def test_a_key_makes_one_token_whose_text_is_never_sent_again(own: Dashboard) -> None:
    key = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
    with signed_in(own) as client:
        before = own.store.audit_size()
        made = client.post("/api/v1/tokens", json=WANTED, headers=key)
        assert made.status_code == 201, made.text
        again = client.post("/api/v1/tokens", json=WANTED, headers=key)
        assert (again.status_code, again.json()["code"]) == (409, "token_made")
        assert f"`DELETE /api/v1/tokens/{made.json()['id']}`" in again.json()["detail"]
        assert made.json()["text"] not in again.text
        other = client.post("/api/v1/tokens", json=WANTED | {"days": 8}, headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_used")
        assert [token.id for token in own.store.tokens()] == [made.json()["id"]]
        assert own.store.audit_size() == before + 1
        # The way out that it names.
        assert client.delete(f"/api/v1/tokens/{made.json()['id']}").status_code == 204
        assert client.post("/api/v1/tokens", json=WANTED, headers=key).status_code == 409
        anew = client.post("/api/v1/tokens", json=WANTED, headers={"Idempotency-Key": "another"})
        assert anew.status_code == 201
        with program(own, anew.json()["text"]) as robot:
            assert get(robot, "me")["token_id"] == anew.json()["id"]
    assert check_audit_joins(own.store) == []


def test_a_token_without_a_key_is_another_one_each_time_and_nobody_meets_another_ones_key(own: Dashboard) -> None:
    own.add_person("ada", {EVERYWHERE: RUNNER})
    key = {"Idempotency-Key": "nightly"}
    with signed_in(own) as client, signed_in(own, "ada") as ada:
        plain = [client.post("/api/v1/tokens", json=WANTED).json()["id"] for _ in range(2)]
        keyed = [one.post("/api/v1/tokens", json=WANTED, headers=key).json()["id"] for one in (client, ada)]
        wrong = client.post("/api/v1/tokens", json=WANTED, headers={"Idempotency-Key": "a b"})
    assert len({*plain, *keyed}) == 4
    assert (wrong.status_code, wrong.json()["field"]) == (422, "Idempotency-Key")


def test_of_a_crowd_with_one_key_one_is_told_the_text(own: Dashboard) -> None:
    start, found = threading.Barrier(6), list[httpx.Response]()
    with signed_in(own) as client:

        def ask() -> None:
            start.wait()
            found.append(client.post("/api/v1/tokens", json=WANTED, headers={"Idempotency-Key": "one"}))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(one.status_code for one in found) == [201, *[409] * 5]
    assert len(own.store.tokens()) == 1


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
        (own,) = get(client, "tokens")["items"]
        (other,) = known - {own["id"]}
        assert client.delete(f"/api/v1/tokens/{other}").status_code == 404
        assert client.delete(f"/api/v1/tokens/{own['id']}").status_code == 204
        assert client.get("/api/v1/me").status_code == 401


def test_nobody_ends_another_ones_token_but_an_admin(fleet: Dashboard) -> None:
    give_token(fleet.store, "heidi", {EVERYWHERE: VIEWER})
    person = next(each for each in fleet.store.people() if each.login == "heidi")
    (token,) = fleet.store.tokens(person_id=person.id)
    with program_as(fleet, APPROVER) as other:
        assert token.id not in {each["id"] for each in get(other, "tokens")["items"]}
        assert other.delete(f"/api/v1/tokens/{token.id}").status_code == 404
    with program_as(fleet, ADMIN) as admin:
        assert token.id in {each["id"] for each in get(admin, "tokens", limit=200)["items"]}
        assert admin.delete(f"/api/v1/tokens/{token.id}").status_code == 204
