"""Who may do what, said by the API: by an admin of everything, each change with its audit entry."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.authority import AUTHORITY
from gitops.logins import this_user
from gitops.roles import AccessRole
from gitops.store import check_audit_joins
from tests.integration.api_rig import ADMIN, APPROVER, RUNNER, VIEWER, get, own
from tests.support.api import ROOT, give_token, program, program_as
from tests.support.dashboard import ORIGIN, Dashboard
from tests.support.signin import own_world

__all__ = ["own"]

ISSUER = "https://id.example"
IRIS = 1
GRANT, REVOKE, DISABLE = (AUTHORITY[f"people {verb}"].route for verb in ("grant", "revoke", "disable"))


@contextlib.contextmanager
def signed_in(dashboard: Dashboard, login: str = "") -> Iterator[httpx.Client]:
    """Give a browser in a session; of the stack's owner where nobody is named."""
    with dashboard.client(login=login) as client:
        csrf = client.get("/").text.partition('name="_csrf" value="')[2].partition('"')[0]
        client.headers.update({"Origin": ORIGIN, "X-Launchpin-CSRF": csrf})
        yield client


def test_an_admin_gives_and_takes_roles_and_each_change_is_on_record(own: Dashboard) -> None:
    ada = {"login": "ada", "provider": ISSUER}
    with signed_in(own) as client:
        given = client.post(GRANT, json=ada | {"role": "approver", "subject": "17", "repository": "acme/iris"})
        assert given.status_code == 200, given.text
        again = client.post(GRANT, json=ada | {"role": "viewer"})
        taken = client.post(REVOKE, json=ada | {"repository": "acme/iris"})
        ended = client.post(DISABLE, json=ada)
        listed = get(client, "people/list")
    assert (given.json()["login"], given.json()["subject"], given.json()["provider"]) == ("ada", "17", ISSUER)
    assert given.json()["grants"] == [{"repository": "acme/iris", "role": "approver"}]
    assert again.json()["grants"] == [{"repository": "", "role": "viewer"}, *given.json()["grants"]]
    assert taken.json()["grants"] == [{"repository": "", "role": "viewer"}]
    assert ended.json()["disabled_at"]
    assert ended.json() in listed
    told = [row.entry for row in reversed(own.store.audit_recent(4))]
    assert [one.kind for one in told] == ["grant.given", "grant.given", "grant.taken", "person.disabled"]
    assert {(one.actor.login, one.actor.auth_method) for one in told} == {(this_user(), "session")}
    assert {one.subject.name for one in told} == {given.json()["id"]}
    assert check_audit_joins(own.store) == []


@pytest.mark.parametrize("role", AccessRole)
@pytest.mark.parametrize("place", [EVERYWHERE, IRIS], ids=["everywhere", "on-one"])
def test_nobody_says_who_may_do_what_but_an_admin_of_everything(own: Dashboard, role: AccessRole, place: int) -> None:
    own.add_person("somebody", {place: role})
    own.add_person("mona", {EVERYWHERE: VIEWER})
    may = role is ADMIN and place == EVERYWHERE
    before = own.store.audit_size()
    with signed_in(own, "somebody") as client:
        answers = [
            client.get("/api/v1/people/list"),
            client.post(GRANT, json={"login": "mona", "role": "runner"}),
            client.post("/api/v1/tokens", json={"name": "ci", "role": "viewer", "login": "mona"}),
            client.post(REVOKE, json={"login": "mona"}),
            client.post(DISABLE, json={"login": "mona"}),
        ]
    assert {one.status_code for one in answers} == ({200, 201} if may else {403})
    assert own.store.audit_size() - before == (4 if may else 0)


def test_no_token_gives_what_outlives_it_and_an_admins_takes_away(own: Dashboard) -> None:
    own.add_person("mona", {EVERYWHERE: VIEWER})
    with program_as(own, ADMIN) as robot:
        assert robot.post(GRANT, json={"login": "eve", "role": "admin"}).status_code == 401
        assert robot.post("/api/v1/tokens", json={"name": "x", "role": "admin", "login": "mona"}).status_code == 401
        assert "mona" in {one["login"] for one in get(robot, "people/list")}
        assert robot.post(REVOKE, json={"login": "mona"}).json()["grants"] == []
        assert robot.post(DISABLE, json={"login": "mona"}).json()["disabled_at"]
    for role in (VIEWER, RUNNER, APPROVER):
        with program_as(own, role) as other:
            assert other.post(DISABLE, json={"login": "mona"}).status_code == 403


def test_a_page_elsewhere_changes_no_role_with_an_admins_cookie(own: Dashboard) -> None:
    with own.client() as client:
        answer = client.post(GRANT, json={"login": "eve", "role": "admin"}, headers={"Origin": "http://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")
    assert "eve" not in {one.login for one in own.store.people()}


@pytest.mark.parametrize(
    ("route", "body", "status", "code"),
    [
        (GRANT, {"login": "mona lisa", "role": "viewer"}, 422, "login"),
        (GRANT, {"login": "mona", "role": "king"}, 422, "invalid"),
        (GRANT, {"login": "mona"}, 422, "invalid"),
        (GRANT, {"login": "mona", "role": "viewer", "subject": "17"}, 422, "subject"),
        (GRANT, {"login": "mona", "role": "viewer", "provider": ISSUER}, 422, "subject"),
        (GRANT, {"login": "mona", "role": "viewer", "provider": "locl", "subject": "17"}, 422, "provider"),
        (GRANT, {"login": "mona", "role": "viewer", "repository": "acme/none"}, 404, "not_found"),
        (GRANT, {"login": "gone", "role": "viewer"}, 409, "PersonDisabled"),
        (REVOKE, {"login": "mona"}, 404, "UnknownPerson"),
        (DISABLE, {"login": "mona"}, 404, "UnknownPerson"),
        (DISABLE, {"login": this_user()}, 409, "OwnFolder"),
        ("/api/v1/tokens", {"name": "ci", "role": "viewer", "login": "mona"}, 404, "UnknownPerson"),
        ("/api/v1/tokens", {"name": "ci", "role": "viewer", "login": "gone"}, 409, "PersonDisabled"),
        ("/api/v1/tokens", {"name": "ci", "role": "viewer", "login": "poor"}, 409, "NoGrant"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    own: Dashboard, route: str, body: dict[str, str], status: int, code: str
) -> None:
    store = own.store
    own.add_person("poor", {})
    own.add_person("gone", {EVERYWHERE: VIEWER})
    store.disable_person(next(one.id for one in store.people() if one.login == "gone"), actor=ROOT)
    with signed_in(own) as client:
        before, people = store.audit_size(), len(store.people())
        answer = client.post(route, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (store.audit_size(), len(store.people())) == (before, people)


def test_a_role_is_given_only_to_whom_a_provider_of_this_installation_vouches_for(tmp_path: Path) -> None:
    ada = {"login": "ada", "role": "viewer", "subject": "17"}
    with own_world(tmp_path) as world, signed_in(world.dashboard) as client:
        wrong = client.post(GRANT, json=ada | {"provider": f"{world.provider.url}/"})
        right = client.post(GRANT, json=ada | {"provider": world.provider.url})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["field"]) == (422, "provider", "provider")
    assert f"write one of local, {world.provider.url}" in wrong.json()["detail"]
    assert right.status_code == 200, right.text


def test_a_token_that_an_admin_makes_for_somebody_may_what_they_may(own: Dashboard) -> None:
    own.add_person("robot", {IRIS: RUNNER})
    with signed_in(own) as client:
        made = client.post("/api/v1/tokens", json={"name": "ci", "role": "admin", "login": "robot"})
    assert (made.status_code, made.json()["login"]) == (201, "robot")
    with program(own, made.json()["text"]) as robot:
        me = get(robot, "me")
    assert (me["login"], me["grants"]) == ("robot", [{"repository": "acme/iris", "role": "runner"}])
    (entry,) = (row.entry for row in own.store.audit_recent(1))
    assert (entry.kind, entry.actor.login, entry.evidence["login"]) == ("token.made", this_user(), "robot")


def test_a_token_of_ones_own_is_made_as_before(own: Dashboard) -> None:
    text = give_token(own.store, "ada", {EVERYWHERE: VIEWER})
    with signed_in(own, "ada") as client, program(own, text) as robot:
        made = client.post("/api/v1/tokens", json={"name": "mine", "role": "viewer"}).json()
        assert made["login"] == "ada"
        assert robot.post("/api/v1/tokens", json={"name": "more", "role": "viewer"}).status_code == 401
