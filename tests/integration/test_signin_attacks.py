"""Attacks 66 and 71 on signing in at a provider: tokens that prove nothing, answers that belong to nobody."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.support.identity import CLIENT_ID, running_provider
from tests.support.signin import CALLBACK, World, assert_refused, own_world, said, served, world
from tests.support.web import wait_until

__all__ = ["served", "world"]

# ---------------------------------------------------------------- tokens that prove nothing

NOW = 1_000_000_000
BAD_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "nonce-of-another-attempt": ({"nonce": "other"}, "nonce"),
    "no-nonce": ({"nonce": None}, "nonce"),
    "for-another-client": ({"aud": "other"}, "aud"),
    "for-several-without-azp": ({"aud": [CLIENT_ID, "other"]}, "azp"),
    "for-several-by-another": ({"aud": [CLIENT_ID, "other"], "azp": "other"}, "azp"),
    "by-another-client": ({"azp": "other"}, "azp"),
    "no-audience": ({"aud": None}, "aud"),
    "of-another-issuer": ({"iss": "https://evil.example"}, "iss"),
    "issuer-with-a-slash": ({"iss": "{url}/"}, "iss"),
    "no-issuer": ({"iss": None}, "iss"),
    "expired": ({"exp": NOW}, "expired"),
    "never-ends": ({"exp": None}, "exp"),
    "ends-at-no-number": ({"exp": "later"}, "exp"),
    "not-yet": ({"nbf": 2 * NOW + NOW}, "not yet"),
    "from-the-future": ({"iat": 2 * NOW + NOW}, "future"),
    "no-time": ({"iat": None}, "iat"),
    "of-nobody": ({"sub": None}, "sub"),
    "of-an-empty-subject": ({"sub": ""}, "subject"),
    "of-a-number": ({"sub": 17}, "sub"),
    "of-a-long-subject": ({"sub": "x" * 256}, "subject"),
    "with-another-access-token": ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"),
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_attack_66_a_token_that_is_not_for_this_attempt_is_refused_by_what_is_wrong(world: World, name: str) -> None:
    world.grant()
    claims, word = BAD_CLAIMS[name]
    world.provider.conduct.claims = {
        key: value.format(url=world.provider.url) if isinstance(value, str) else value for key, value in claims.items()
    }
    with world.browser() as browser:
        answer = browser.sign_in()
    assert_refused(world, answer, 403, "token does not prove who you are")
    assert word in said(answer)


@pytest.mark.parametrize("signs", ["none", "HS256", "stranger"])
def test_attack_66_a_token_that_the_provider_has_not_signed_is_refused(world: World, signs: str) -> None:
    world.grant()
    world.provider.conduct.signs = signs
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(), 403, "token does not prove who you are")


def test_a_clock_that_differs_a_little_harms_nobody(world: World) -> None:
    world.grant()
    now = int(time.time())
    world.provider.conduct.claims = {"exp": now - 30, "iat": now + 30, "nbf": now + 30}
    with world.browser() as browser:
        assert browser.sign_in().status_code == 303


def test_new_keys_of_the_provider_are_found_and_old_ones_forgotten(world: World) -> None:
    world.grant()
    old = world.provider.key
    with world.browser() as browser:
        assert browser.sign_in().status_code == 303
    world.provider.rotate()
    with world.browser() as browser:
        assert browser.sign_in().status_code == 303
    world.provider.key = old
    with world.browser() as browser:
        answer = browser.sign_in()
    assert (answer.status_code, "no key of the provider has signed it" in said(answer)) == (403, True)


# ---------------------------------------------------------------- answers that belong to nobody


def test_attack_71_an_answer_that_this_browser_did_not_ask_for_is_refused(world: World) -> None:
    world.grant()
    with world.browser() as mine, world.browser() as other:
        back = other.visit(other.begin())
        assert_refused(world, mine.client.get(back), 403, "was not begun in this browser")
        mine.begin()
        assert_refused(world, mine.client.get(back), 403, "was not begun in this browser")


@pytest.mark.parametrize("state", ["", "x", "é", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")])
def test_an_answer_with_another_state_is_refused(world: World, state: str) -> None:
    world.grant()
    with world.browser() as browser:
        query = parse_qs(urlsplit(browser.visit(browser.begin())).query)
        given = {**{name: values[0] for name, values in query.items()}, "state": state}
        assert_refused(world, browser.client.get(CALLBACK, params=given), 403, "was not begun")


def test_an_answer_that_says_something_twice_is_refused(world: World) -> None:
    world.grant()
    with world.browser() as browser:
        for name in ("code", "state", "iss"):
            back = browser.visit(browser.begin())
            value = parse_qs(urlsplit(back).query)[name][0]
            answer = browser.client.get(f"{back}&{urlencode({name: value})}")
            assert_refused(world, answer, 403, "was not begun" if name == "state" else "says something twice")


def test_a_cookie_that_was_changed_or_belongs_to_another_provider_is_refused(world: World) -> None:
    world.grant()
    with world.browser() as browser:
        back = browser.visit(browser.begin())
        kept = browser.client.cookies["launchpin_signin"]
        for wrong in (
            kept[:-1] + ("B" if kept.endswith("A") else "A"),
            "x" + kept,
            kept.partition(".")[0],
            ".",
            "a.b",
            "x" * 5000,
        ):
            browser.client.cookies.clear()
            answer = browser.client.get(back, headers={"Cookie": f"launchpin_signin={wrong}"})
            assert_refused(world, answer, 403, "was not begun")
        # Both have one secret here, so the seal holds: the name inside must.
        answer = browser.client.get(back.replace("/oidc/", "/github/"), headers={"Cookie": f"launchpin_signin={kept}"})
        assert_refused(world, answer, 403, "was not begun")


def test_an_attempt_that_took_too_long_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.grant()
    monkeypatch.setattr("gitops.signins.SECONDS", -1)
    with world.browser() as browser:
        address = browser.begin()
        assert_refused(world, browser.client.get(browser.visit(address)), 403, "longer than 10 minutes")


def test_an_answer_that_was_taken_is_not_taken_again_whatever_the_provider_does(world: World) -> None:
    world.grant()
    world.provider.conduct.is_code_good_twice = True
    with world.browser() as browser:
        back = browser.visit(browser.begin())
        kept = browser.client.cookies["launchpin_signin"]
        assert browser.client.get(back).status_code == 303
        assert "launchpin_signin" not in browser.client.cookies
        browser.client.cookies.clear()
        again = browser.client.get(back, headers={"Cookie": f"launchpin_signin={kept}"})
    assert (again.status_code, world.sessions()) == (403, 1)
    assert "finished already" in said(again)


def test_a_code_that_was_used_before_is_refused(world: World) -> None:
    world.grant()
    with world.browser() as browser:
        first = parse_qs(urlsplit(browser.visit(browser.begin())).query)
        world.provider.codes.clear()
        given = {name: values[0] for name, values in first.items()}
        assert_refused(world, browser.client.get(CALLBACK, params=given), 403, "used before, or is too old")


def test_a_code_that_another_browser_got_is_of_no_use(world: World) -> None:
    """The verifier is the browser's own: a code put into somebody else's attempt signs nobody in (PKCE)."""
    world.grant()
    with world.browser() as thief, world.browser() as victim:
        stolen = parse_qs(urlsplit(victim.visit(victim.begin())).query)["code"][0]
        mine = parse_qs(urlsplit(thief.visit(thief.begin())).query)
        given = {"code": stolen, "state": mine["state"][0], "iss": mine["iss"][0]}
        assert_refused(world, thief.client.get(CALLBACK, params=given), 403, "used before, or is too old")


@pytest.mark.parametrize("issuer", ["https://evil.example", "", None], ids=["other", "empty", "none"])
def test_another_providers_answer_is_refused_before_its_code_is_sent_anywhere(world: World, issuer: str | None) -> None:
    world.grant()
    world.provider.conduct.answer = {"iss": issuer}
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(), 403, "This answer is not")
    assert "/token" not in world.provider.asked


def test_another_providers_code_is_refused(world: World) -> None:
    world.grant()
    with running_provider() as other, world.browser() as browser:
        address = browser.begin()
        asked = urlsplit(address)
        code = parse_qs(urlsplit(browser.visit(f"{other.url}{asked.path}?{asked.query}")).query)["code"][0]
        given = {"code": code, "state": parse_qs(asked.query)["state"][0], "iss": world.provider.url}
        assert_refused(world, browser.client.get(CALLBACK, params=given), 403, "used before, or is too old")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"code": None, "error": "access_denied"}, "did not sign you in (access_denied)"),
        ({"code": None, "error": "<script>"}, "did not sign you in (it says no more)"),
        ({"code": None}, "without a code"),
        ({"code": "x" * 3000}, "without a code"),
        ({"code": "x\r\ny"}, "without a code"),
    ],
    ids=["denied", "markup", "nothing", "long", "lines"],
)
def test_an_answer_without_a_code_is_told_as_it_is(world: World, answer: dict[str, str | None], words: str) -> None:
    world.grant()
    world.provider.conduct.answer = answer
    with world.browser() as browser:
        assert_refused(world, browser.sign_in(), 403, words)


# ---------------------------------------------------------------- strangers who only begin, or come back with nothing

MANY = 48
"""More than the web process has threads."""


def visit(world: World, path: str, cookie: str = "") -> int:
    """Ask as a browser that comes for the first time; returns the status."""
    with world.browser() as browser:
        return browser.client.get(path, headers={"Cookie": cookie} if cookie else {}).status_code


def test_strangers_who_begin_to_sign_in_stop_neither_pages_nor_api_while_the_provider_hangs(
    tmp_path: Path,
) -> None:
    with own_world(tmp_path) as world:
        world.grant()
        world.provider.conduct.breaks = {"/.well-known/openid-configuration": "hangs"}
        with ThreadPoolExecutor(MANY) as threads, world.dashboard.client() as client:
            asked = [threads.submit(visit, world, "/_signin/oidc") for _ in range(MANY)]
            try:
                wait_until(lambda: bool(world.provider.asked), what="nobody asked the provider")
                for path in ("/models", "/api/v1/me"):
                    assert client.get(path, timeout=15).status_code == 200
                wait_until(
                    lambda: sum(one.done() for one in asked) >= MANY - 8, what="over 8 keep a thread", seconds=15
                )
                assert {one.result() for one in asked if one.done()} == {503}
                with world.browser() as other:
                    assert "/login/oauth/authorize" in other.begin(way="github")
            finally:
                world.provider.conduct.breaks = {}
            assert {one.result() for one in asked} <= {303, 503}


def test_strangers_who_come_back_with_nothing_keep_nobody_from_another_provider(world: World) -> None:
    world.provider.person = {"id": 583231, "login": "octocat"}
    world.grant(subject="583231", login="octocat")
    world.provider.conduct.breaks = {"/token": "hangs"}
    with world.browser() as octocat, ThreadPoolExecutor(16) as threads:
        backs = []
        for _ in range(16):
            with world.browser() as stranger:
                state = parse_qs(urlsplit(stranger.begin()).query)["state"][0]
                cookie = f"launchpin_signin={stranger.client.cookies['launchpin_signin']}"
            query = urlencode({"code": "x", "state": state, "iss": world.provider.url})
            backs.append((f"{CALLBACK}?{query}", cookie))
        asked = [threads.submit(visit, world, *one) for one in backs]
        try:
            wait_until(lambda: world.provider.asked.count("/token") == 8, what="eight do not wait at the provider")
            assert octocat.sign_in(way="github").status_code == 303
        finally:
            world.provider.conduct.breaks = {}
        assert {one.result() for one in asked} <= {403, 503}
