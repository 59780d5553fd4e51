"""The dashboard as people see it, in Debian's Chromium: live, in both colour schemes, narrow, and without scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gitops.records import Environment
from gitops.writes import SaveEnvironment
from tests.support.browser import running_chromium
from tests.support.dashboard import HOST, ORIGIN, Dashboard, running_dashboard
from tests.support.fleet import BAKING, REFUSED, fill_fleet
from tests.support.store import write

pytestmark = pytest.mark.chromium

PAGES = ("/", f"/trainings/{REFUSED}", f"/rollouts/{BAKING}")
CONTRASTS = (Path(__file__).parent / "contrast.js").read_text()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("fleet") / "home", fill_fleet) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(fleet: Dashboard) -> Iterator[Browser]:
    with running_chromium(host=HOST, port=fleet.port) as browser:
        yield browser


def sign_in(chromium: Browser, dashboard: Dashboard, *, width: int = 1280, scheme: str = "light") -> Page:
    """Open the front page by a one-time link."""
    context = chromium.new_context(
        base_url=ORIGIN, viewport={"width": width, "height": 900}, color_scheme=scheme, service_workers="block"
    )
    page = context.new_page()
    page.goto(dashboard.login_path())
    return page


def test_front_page_follows_the_store_without_being_loaded_again(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    expect(page.locator("#live-words")).to_have_text("Live")
    page.evaluate("window.loaded_once = true")
    card = page.locator(".place", has_text="iris-production")
    card.locator("summary").click()
    card.locator("summary").focus()
    before = fleet.store.environment(2, "production")
    assert before is not None
    now = before.model_copy(update={"serving": "7"})
    write(fleet.store, SaveEnvironment(now, tuple(Environment.model_fields)))
    expect(card.locator(".serving")).to_have_text("v7")
    assert page.evaluate("window.loaded_once")
    expect(card.locator("details")).to_have_attribute("open", "")
    expect(card.locator("summary")).to_be_focused()
    assert complaints == []
    page.context.close()


def test_page_says_that_it_is_not_live_when_the_session_is_over(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    expect(page.locator("#live-words")).to_have_text("Live")
    page.context.clear_cookies()
    expect(page.locator("#live-words")).to_have_text("Session over")
    expect(page.locator(".place").first).to_be_visible()
    page.context.close()


def test_page_works_without_scripts(chromium: Browser, fleet: Dashboard) -> None:
    context = chromium.new_context(base_url=ORIGIN, java_script_enabled=False)
    page = context.new_page()
    page.goto(fleet.login_path())
    expect(page.locator("#live-words")).to_have_text("Refresh")
    page.get_by_role("link", name="Refresh").click()
    page.get_by_role("link", name="iris-production v6").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("iris-production")
    expect(page.locator("[data-copy]").first).to_be_hidden()
    context.close()


def test_sign_out_button_ends_the_session(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in with a one-time link")
    assert page.context.cookies() == []
    page.context.close()


def test_pages_ask_nobody_but_us(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    for path in PAGES:
        page.goto(path, wait_until="networkidle")
    assert asked
    assert all(url.startswith((f"{ORIGIN}/", "data:image/svg+xml")) for url in asked)
    page.context.close()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [380, 768, 1280])
def test_page_needs_no_sideways_scrolling(chromium: Browser, fleet: Dashboard, path: str, width: int) -> None:
    page = sign_in(chromium, fleet, width=width)
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(chromium: Browser, fleet: Dashboard, scheme: str) -> None:
    page = sign_in(chromium, fleet, scheme=scheme)
    for path in PAGES:
        page.goto(path)
        assert page.evaluate(CONTRASTS) == []
    page.context.close()
