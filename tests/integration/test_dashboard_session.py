"""Who gets in, and what may change something."""

import contextlib
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gitops.logins import mint_link, this_user, use_link
from tests.support.dashboard import HOST, ORIGIN, Dashboard, running_dashboard

FORM = {"content-type": "application/x-www-form-urlencoded"}
GUARDED = ("/", "/trainings/t-1", "/rollouts/r-1", "/dora", "/api/v1/deliveries/guid-1")


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path / "home") as running:
        yield running


def csrf_of(client: httpx.Client) -> str:
    found = re.search(r'name="_csrf" value="([^"]+)"', client.get("/").text)
    assert found is not None
    return found[1]


def log_out(client: httpx.Client, *, csrf: str, origin: str | None = ORIGIN) -> httpx.Response:
    headers = {"Origin": origin} if origin is not None else {}
    return client.post("/_logout", data={"_csrf": csrf}, headers=headers)


@pytest.mark.parametrize("path", GUARDED)
def test_page_says_how_to_get_in_when_there_is_no_session(dashboard: Dashboard, path: str) -> None:
    with dashboard.client(signed_in=False) as client:
        answer = client.get(path)
        made_up = client.get(path, headers={"Cookie": "launchpin_session=../logins/x"})
    assert (answer.status_code, made_up.status_code) == (401, 401)
    assert "launchpin status" in answer.text


def test_one_time_link_opens_one_session_and_keeps_its_cookie_from_scripts(dashboard: Dashboard) -> None:
    link = dashboard.login_path("/trainings/t-1?x=1")
    with dashboard.client(signed_in=False) as client:
        first, second = client.get(link), client.get(link)
        assert client.get("/").status_code == 200
    cookie = first.headers["set-cookie"].lower()
    assert (first.status_code, first.headers["location"], second.status_code) == (303, "/trainings/t-1?x=1", 403)
    assert cookie.startswith("launchpin_session=")
    assert {"httponly", "samesite=lax", "path=/"} <= set(re.split(r";\s*", cookie))
    assert "secure" not in cookie


def test_cookie_travels_by_tls_alone_when_people_reach_us_by_it(tmp_path: Path) -> None:
    secure = running_dashboard(tmp_path / "home", base_url=f"https://{HOST}")
    with secure as dashboard, dashboard.client(signed_in=False) as client:
        answer = client.get(dashboard.login_path())
    assert "secure" in re.split(r";\s*", answer.headers["set-cookie"].lower())


def test_one_time_link_is_refused_when_it_is_old_or_made_up(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("gitops.logins.LINK_SECONDS", -1)
        old = dashboard.login_path()
    with dashboard.client(signed_in=False) as client:
        assert client.get(old).status_code == 403
        for token in ("x", "..%2f..%2fhook.secret", "%00"):
            assert client.get(f"/_login/{token}").status_code in {403, 404}


def test_one_time_link_opens_once_when_many_use_it_at_a_time(tmp_path: Path) -> None:
    token = mint_link(tmp_path).removeprefix("/_login/").partition("?")[0]
    start, outcomes = threading.Barrier(8), []

    def use() -> None:
        start.wait()
        outcomes.append(use_link(tmp_path, token))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [link.login for link in outcomes if link is not None] == [this_user()]


def test_unused_links_are_swept_when_they_are_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("gitops.logins.LINK_SECONDS", -1)
        mint_link(tmp_path)
    mint_link(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "target", ["http://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "/a\r\nX: y", ""]
)
def test_one_time_link_leads_nowhere_else(dashboard: Dashboard, target: str) -> None:
    with dashboard.client(signed_in=False) as client:
        answer = client.get(dashboard.login_path(target))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_session_outlives_the_web_process(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard, dashboard.client() as client:
        cookies = dict(client.cookies)
    with running_dashboard(tmp_path / "home") as dashboard, dashboard.client(signed_in=False) as client:
        client.cookies.update(cookies)
        assert client.get("/").status_code == 200


def test_session_is_over_when_its_time_is(dashboard: Dashboard) -> None:
    with dashboard.client() as client:
        assert client.get("/").status_code == 200
        with contextlib.closing(sqlite3.connect(dashboard.home / "launchpin.sqlite3")) as database, database:
            assert database.execute("UPDATE sessions SET expires_at = 1").rowcount == 1
        assert client.get("/").status_code == 401


def test_no_cookie_or_link_is_kept_but_its_hash(dashboard: Dashboard) -> None:
    with dashboard.client() as client:
        link, token = dashboard.login_path(), client.cookies["launchpin_session"]
    (file,) = (dashboard.home / "logins").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert link.split("/")[2].partition("?")[0] not in file.name + file.read_text()
    kept = [path.read_bytes() for path in dashboard.home.glob("launchpin.sqlite3*")]
    assert kept
    assert not any(token.encode() in content for content in kept)


def test_session_ends_when_its_page_signs_out(dashboard: Dashboard) -> None:
    with dashboard.client() as client:
        cookies = dict(client.cookies)
        answer = log_out(client, csrf=csrf_of(client))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        client.cookies.update(cookies)
        assert client.get("/").status_code == 401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", f"https://{HOST}", f"{ORIGIN}:81", None])
def test_attack_71_change_from_another_origin_is_refused(dashboard: Dashboard, origin: str | None) -> None:
    with dashboard.client() as client:
        answer = log_out(client, csrf=csrf_of(client), origin=origin)
        assert (answer.status_code, client.get("/").status_code) == (403, 200)


def test_attack_71_change_with_two_origins_is_refused(dashboard: Dashboard) -> None:
    with dashboard.client() as client:
        headers = [("Origin", ORIGIN), ("Origin", "http://evil.example"), *FORM.items()]
        answer = client.post("/_logout", content=f"_csrf={csrf_of(client)}", headers=headers)
        assert (answer.status_code, client.get("/").status_code) == (403, 200)


@pytest.mark.parametrize("body", [b"", b"_csrf=", b"_csrf=wrong", b"csrf=x", b"\xff", b"&" * 99, b"_csrf=%C3%A9"])
def test_attack_71_change_without_the_pages_token_is_refused(dashboard: Dashboard, body: bytes) -> None:
    with dashboard.client() as client:
        answer = client.post("/_logout", content=body, headers={"Origin": ORIGIN, **FORM})
        assert (answer.status_code, client.get("/").status_code) == (403, 200)


def test_attack_71_change_with_another_sessions_token_is_refused(dashboard: Dashboard) -> None:
    with dashboard.client() as mine, dashboard.client() as other:
        assert log_out(mine, csrf=csrf_of(other)).status_code == 403
        assert mine.get("/").status_code == 200


def test_change_is_refused_when_there_is_no_session(dashboard: Dashboard) -> None:
    with dashboard.client(signed_in=False) as client:
        assert log_out(client, csrf="x").status_code == 401


def test_form_is_refused_when_it_is_too_large(dashboard: Dashboard) -> None:
    with dashboard.client() as client:
        answer = client.post("/_logout", content=b"a=" + b"x" * 70_000, headers={"Origin": ORIGIN, **FORM})
        assert answer.status_code == 413


def test_attack_72_no_page_can_be_framed_or_load_from_elsewhere(dashboard: Dashboard) -> None:
    with dashboard.client() as client:
        for path in ("/", "/trainings/none", "/_static/style.css", "/healthz"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
            assert "unsafe" not in policy
            assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


@pytest.mark.parametrize(("scheme", "header"), [("http", None), ("https", "max-age=31536000")])
def test_a_browser_that_came_by_tls_never_comes_without(tmp_path: Path, scheme: str, header: str | None) -> None:
    with (
        running_dashboard(tmp_path / "home", base_url=f"{scheme}://{HOST}") as dashboard,
        dashboard.client(signed_in=False) as client,
    ):
        for path in ("/", "/_static/style.css", "/healthz", "/api/v1/me"):
            assert client.get(path).headers.get("strict-transport-security") == header


def test_every_path_is_refused_when_the_host_is_not_ours(dashboard: Dashboard) -> None:
    with dashboard.client() as client:
        for path in ("/", "/_static/style.css", "/_login/x", "/healthz"):
            assert client.get(path, headers={"Host": "evil.example"}).status_code == 421


def test_by_tls_the_session_is_in_a_cookie_that_no_neighbour_can_set(tmp_path: Path) -> None:
    with (
        running_dashboard(tmp_path / "home", base_url=f"https://{HOST}") as dashboard,
        dashboard.client(signed_in=False) as client,
    ):
        answer = client.get(dashboard.login_path())
        cookie = answer.headers["set-cookie"]
        name, _, rest = cookie.partition("=")
        value, *attributes = re.split(r";\s*", rest)
        assert name == "__Host-launchpin_session"
        assert {one.lower() for one in attributes} >= {"secure", "httponly", "path=/", "samesite=lax"}
        assert not [one for one in attributes if one.lower().startswith("domain")]
        client.cookies.clear()
        page = client.get("/", headers={"Cookie": f"{name}={value}"})
        assert page.status_code == 200
        assert client.get("/", headers={"Cookie": f"launchpin_session={value}"}).status_code == 401

        csrf = re.search(r'name="_csrf" value="([^"]+)"', page.text)
        assert csrf is not None
        headers = {"Cookie": f"{name}={value}", "Origin": f"https://{HOST}"}
        gone = client.post("/_logout", data={"_csrf": csrf[1]}, headers=headers)
        # A browser takes no cookie of that name, and no end of one, without these.
        assert gone.headers["set-cookie"].startswith(f'{name}=""')
        assert {"secure", "path=/"} <= {one.lower() for one in re.split(r";\s*", gone.headers["set-cookie"])}
        assert client.get("/", headers={"Cookie": f"{name}={value}"}).status_code == 401
