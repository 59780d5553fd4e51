"""Signing in at an identity provider: there, back, and who gets a session. The provider is a real server."""

import re
import shlex
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gitops.access import EVERYWHERE
from gitops.roles import AccessRole
from tests.support.dashboard import HOST, ORIGIN, running_dashboard
from tests.support.identity import running_provider
from tests.support.signin import (
    CALLBACK,
    ROOT,
    Browser,
    World,
    assert_refused,
    own_world,
    said,
    served,
    settings_of,
    world,
)

__all__ = ["served", "world"]


def test_a_person_with_a_role_signs_in_and_is_where_they_wanted_to_be(world: World) -> None:
    world.grant()
    with world.browser() as browser:
        answer = browser.sign_in(path="/trainings/t-1?x=1")
        me = browser.client.get("/api/v1/me").json()
    assert (answer.status_code, answer.headers["location"]) == (303, "/trainings/t-1?x=1")
    assert (me["login"], me["name"], me["provider"], me["method"]) == ("ada", "Ada", world.provider.url, "session")


def test_a_page_without_a_session_offers_the_ways_to_sign_in_and_leads_back(world: World) -> None:
    with world.browser() as browser:
        for path in ("/trainings/t-1?x=1&y=2", "/_signin?next=%2Ftrainings%2Ft-1%3Fx%3D1%26y%3D2"):
            links = [
                unescape(each) for each in re.findall(r'class="way" href="([^"]+)"', browser.client.get(path).text)
            ]
            assert [urlsplit(link).path for link in links] == ["/_signin/github", "/_signin/oidc"]
            assert {parse_qs(urlsplit(link).query)["next"][0] for link in links} == {"/trainings/t-1?x=1&y=2"}


def test_who_has_no_role_is_told_what_to_ask_for_and_leaves_no_trace(world: World) -> None:
    with world.browser() as browser:
        answer = browser.sign_in()
    assert_refused(world, answer, 403, "nobody has given you a role here yet")
    assert list(world.dashboard.store.people()) == []
    command = re.search(r"<code>(launchpin [^<]+)</code>", answer.text)
    assert command is not None
    typed = shlex.split(unescape(command[1]))
    assert typed == [
        *("launchpin", "people", "grant", "ada", "viewer", "--provider", world.provider.url, "--subject", "s-17")
    ]
    world.grant(subject=typed[-1], login=typed[3])
    with world.browser() as browser:
        assert browser.sign_in().status_code == 303


def test_who_lost_every_role_gets_no_session(world: World) -> None:
    person = world.grant()
    world.dashboard.store.ungrant(person, repository_id=EVERYWHERE, actor=ROOT)
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(), 403, "nobody has given you a role")


def test_who_was_disabled_gets_no_session(world: World) -> None:
    world.dashboard.store.disable_person(world.grant(), actor=ROOT)
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(), 403, "may not sign in any more")


def test_a_person_who_is_called_otherwise_now_is_the_same(world: World) -> None:
    world.grant()
    world.provider.person |= {"preferred_username": "lovelace"}
    with world.browser() as browser:
        assert browser.sign_in().status_code == 303
        assert browser.client.get("/api/v1/me").json()["login"] == "lovelace (s-17)"
    assert [person.login for person in world.dashboard.store.people()] == ["lovelace (s-17)"]
    world.grant(login="lovelace")
    with world.browser() as browser:
        assert browser.sign_in().status_code == 303
        assert browser.client.get("/api/v1/me").json()["login"] == "lovelace"


def test_whoever_takes_over_a_login_is_somebody_else(world: World) -> None:
    ada = world.grant()
    world.provider.person |= {"sub": "s-18"}
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(), 403, "--subject s-18")
    eve = world.grant(subject="s-18", login="eve")
    with world.browser() as browser:
        assert browser.sign_in().status_code == 303
        assert browser.client.get("/api/v1/me").json()["login"] == "ada (s-18)"
    known = {person.id: person.login for person in world.dashboard.store.people()}
    assert known == {ada: "ada", eve: "ada (s-18)"}


def test_who_lost_every_role_is_shown_the_name_that_an_admin_gave(world: World) -> None:
    person = world.grant(login="kept")
    world.dashboard.store.ungrant(person, repository_id=EVERYWHERE, actor=ROOT)
    with world.browser() as browser:
        assert "people grant kept viewer" in browser.sign_in().text


def test_a_grant_to_a_login_alone_lets_nobody_in(world: World) -> None:
    store = world.dashboard.store
    store.grant(
        store.ensure_person(world.provider.url, "ada").id, AccessRole.ADMIN, repository_id=EVERYWHERE, actor=ROOT
    )
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(), 403, "nobody has given you a role")


@pytest.mark.parametrize(
    ("person", "login"),
    [
        ({"preferred_username": None, "email": "ada@x.example", "email_verified": True}, "ada@x.example (s-17)"),
        ({"preferred_username": None, "email": "ada@x.example", "email_verified": False}, "kept"),
        ({"preferred_username": None, "email": "ada@x.example", "email_verified": "true"}, "kept"),
        ({"preferred_username": "Ada <b>Lovelace</b>"}, "kept"),
        ({"preferred_username": ["ada"]}, "kept"),
    ],
    ids=["proved-address", "address", "address-in-words", "markup", "list"],
)
def test_a_login_is_a_name_that_can_be_one_or_stays_as_it_was(world: World, person: dict[str, Any], login: str) -> None:
    world.grant(login="kept")
    world.provider.person |= person
    world.provider.conduct.claims = {name: value for name, value in person.items() if value is None}
    with world.browser() as browser:
        assert browser.sign_in().status_code == 303
        assert browser.client.get("/api/v1/me").json()["login"] == login


# ---------------------------------------------------------------- sessions, cookies, addresses


def test_the_session_is_a_new_one_and_the_one_before_ends(world: World) -> None:
    world.grant()
    with world.dashboard.client() as client:
        before = client.cookies["launchpin_session"]
        browser = Browser(client)
        assert browser.sign_in().status_code == 303
        assert client.cookies["launchpin_session"] != before
        assert client.get("/").status_code == 200
        client.cookies.clear()
        assert client.get("/", headers={"Cookie": f"launchpin_session={before}"}).status_code == 401


def test_signing_out_ends_the_session(world: World) -> None:
    world.grant()
    with world.browser() as browser:
        browser.sign_in()
        kept = browser.client.cookies["launchpin_session"]
        csrf = re.search(r'name="_csrf" value="([^"]+)"', browser.client.get("/").text)
        assert csrf is not None
        answer = browser.client.post("/_logout", data={"_csrf": csrf[1]}, headers={"Origin": ORIGIN})
        assert (answer.status_code, world.sessions()) == (303, 0)
        assert browser.client.get("/", headers={"Cookie": f"launchpin_session={kept}"}).status_code == 401


def test_cookies_are_kept_from_scripts_and_neighbours_and_travel_by_tls_where_there_is_tls(
    tmp_path: Path,
) -> None:
    with own_world(tmp_path, base_url=f"https://{HOST}") as world, world.browser() as browser:
        answer = browser.client.get("/_signin/oidc")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("__host-launchpin_signin=")
    assert {"httponly", "samesite=lax", "path=/", "secure", "max-age=600"} <= set(re.split(r";\s*", cookie))
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["redirect_uri"] == [f"https://{HOST}{CALLBACK}"]
    assert (asked["response_type"], asked["code_challenge_method"]) == (["code"], ["S256"])
    assert asked["scope"] == ["openid profile email"]


@pytest.mark.parametrize(
    "path",
    ["http://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "/a\r\nX: y", "/" + "x" * 1001],
)
def test_nobody_is_sent_elsewhere_afterwards(world: World, path: str) -> None:
    world.grant()
    with world.browser() as browser:
        answer = browser.sign_in(path=path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_whoever_comes_by_another_name_of_ours_begins_under_the_first(tmp_path: Path) -> None:
    with own_world(tmp_path, base_url="http://localhost:9") as world, world.browser() as browser:
        answer = browser.client.get("/_signin/oidc?next=/x", headers={"Host": "127.0.0.1:9"})
        assert answer.headers["location"] == "http://localhost:9/_signin/oidc?next=%2Fx"
        assert "set-cookie" not in answer.headers
        there = browser.client.get("/_signin/oidc", headers={"Host": "localhost:9"})
        assert there.headers["location"].startswith(f"{world.provider.url}/authorize?")


def test_a_way_that_was_not_set_up_is_not_there(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard, dashboard.client(signed_in=False) as client:
        assert client.get("/_signin/oidc").status_code == 404
        assert client.get("/_signin/github/callback?state=x&code=y").status_code == 404
        assert "launchpin status" in client.get("/_signin").text


# ---------------------------------------------------------------- a provider that is away


@pytest.mark.parametrize("how", ["error", "page", "elsewhere", "packed"])
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
def test_a_provider_that_does_not_answer_is_said_to_and_nothing_is_half_done(
    tmp_path: Path, path: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops.identity.oidc._STILL", 0.0)
    with own_world(tmp_path) as world, world.browser() as browser:
        world.grant()
        world.provider.conduct.breaks = {path: how}
        answer = browser.client.get("/_signin/oidc")
        if answer.status_code == 303:
            answer = browser.client.get(browser.visit(answer.headers["location"]))
        assert_refused(world, answer, 503, "try again in a moment")
        world.provider.conduct.breaks = {}
        assert browser.sign_in().status_code == 303


def test_a_provider_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with running_provider() as provider:
        settings = settings_of(provider, tmp_path)
    with running_dashboard(tmp_path / "home", settings=settings) as dashboard:
        world = World(dashboard, provider)
        with world.browser() as browser:
            assert_refused(world, browser.client.get("/_signin/oidc"), 503, "got no answer (ConnectError)")


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://a@evil.example/"},
        {"token_endpoint": None},
        {"jwks_uri": 7},
    ],
    ids=["issuer", "plain", "file", "script", "user", "missing", "number"],
)
def test_a_provider_that_says_odd_things_of_itself_is_not_used(tmp_path: Path, metadata: dict[str, Any]) -> None:
    with own_world(tmp_path) as world, world.browser() as browser:
        world.provider.conduct.metadata = metadata
        answer = browser.client.get("/_signin/oidc")
        assert_refused(world, answer, 503, "Nobody can sign in there now")
    assert "location" not in answer.headers


def test_our_own_mistake_is_not_put_on_whoever_signs_in(tmp_path: Path) -> None:
    with own_world(tmp_path, oidc_client_id="other", github_oauth_client_id="other") as world:
        for way in ("oidc", "github"):
            with world.browser() as browser:
                assert_refused(world, browser.sign_in(way=way), 503, "refused our client id or secret")


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"], None])
def test_the_secret_is_sent_as_the_provider_wants_it(tmp_path: Path, methods: list[str] | None) -> None:
    with own_world(tmp_path) as world, world.browser() as browser:
        world.provider.conduct.metadata = {"token_endpoint_auth_methods_supported": methods}
        world.grant()
        assert browser.sign_in().status_code == 303
        assert world.provider.secret_in == {"post": "form"}.get((methods or [""])[0].rpartition("_")[2], "header")


# ---------------------------------------------------------------- GitHub


def test_who_signs_in_at_github_is_known_by_the_number_that_never_changes(world: World) -> None:
    world.provider.person = {"id": 583231, "login": "octocat", "name": None}
    world.grant(subject="583231", login="before")
    with world.browser() as browser:
        address = browser.begin(way="github")
        assert "scope" not in parse_qs(urlsplit(address).query)
        assert browser.client.get(browser.visit(address)).status_code == 303
        assert browser.client.get("/api/v1/me").json()["login"] == "octocat (583231)"
    world.provider.person = {"id": 583232, "login": "octocat", "name": None}
    with world.browser() as browser:
        answer = browser.sign_in(way="github")
    assert (answer.status_code, "--subject 583232" in said(answer)) == (403, True)


def test_a_code_of_github_that_was_used_before_is_refused(world: World) -> None:
    with world.browser() as browser:
        back = browser.visit(browser.begin(way="github"))
        world.provider.codes.clear()
        assert_refused(world, browser.client.get(back), 403, "used before, or is too old")


@pytest.mark.parametrize("user", [{"id": "1"}, {"id": 0}, {"id": True}, {"id": 1.5}, {"login": "x"}, {"id": None}])
def test_a_user_without_a_number_is_nobody(world: World, user: dict[str, Any]) -> None:
    world.provider.person = {"login": "octocat", **user}
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(way="github"), 503, "has another form")


@pytest.mark.parametrize("path", ["/login/oauth/access_token", "/api/v3/user"])
def test_github_that_does_not_answer_is_said_to(world: World, path: str) -> None:
    world.provider.person = {"id": 583231, "login": "octocat"}
    world.provider.conduct.breaks = {path: "error"}
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(way="github"), 503, "try again in a moment")
