"""The page of DORA's figures as people see it, in Debian's Chromium: both colour schemes, narrow, without scripts."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.test_dashboard_pages import find_wrong, sign_in
from tests.support.browser import running_chromium
from tests.support.dashboard import HOST, ORIGIN, Dashboard, running_dashboard
from tests.support.deployed import fill_busy_weeks

pytestmark = pytest.mark.chromium

PATHS = ("/dora?days=90", "/dora?days=365", "/dora?days=1")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("busy") / "home", fill_busy_weeks) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(busy: Dashboard) -> Iterator[Browser]:
    with running_chromium(host=HOST, port=busy.port) as browser:
        yield browser


def test_page_is_reached_from_the_front_page_and_loads_nothing_that_it_may_not(
    chromium: Browser, busy: Dashboard
) -> None:
    page = sign_in(chromium, busy)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.get_by_role("link", name="DORA").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("How versions are delivered")
    expect(page.locator("#live-words")).to_have_text("Live")
    page.get_by_role("link", name="90 days").click()
    expect(page.get_by_role("heading", name="production")).to_be_visible()
    assert complaints == []
    page.context.close()


def test_failed_deployments_differ_by_their_pattern_and_not_by_colour_alone(chromium: Browser, busy: Dashboard) -> None:
    page = sign_in(chromium, busy)
    page.goto("/dora?days=90")
    failed = page.locator(".bars .lost").first
    assert "url(" in (failed.get_attribute("fill") or "")
    pattern = (failed.get_attribute("fill") or "")[5:-1]
    assert page.locator(f"#{pattern} rect").count() == 2
    box = failed.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) > 4
    page.context.close()


def test_page_is_read_without_scripts_and_by_the_keyboard(chromium: Browser, busy: Dashboard) -> None:
    context = chromium.new_context(base_url=ORIGIN, java_script_enabled=False)
    page = context.new_page()
    page.goto(busy.login_path("/dora?days=90"))
    image = page.get_by_role("img", name="Deployments by the week: 15 deployments, 4 failed")
    expect(image).to_be_visible()
    summary = page.locator("summary", has_text="As numbers, production by the week")
    summary.focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name="Deployments by the week in production")
    expect(table).to_be_visible()
    expect(page.get_by_role("row", name="iris 14")).to_have_count(2)
    page.get_by_role("link", name="7 days").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "page")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(380, "dark"), (768, "light"), (1280, "light"), (1280, "dark")])
def test_axe_finds_nothing_and_the_page_needs_no_sideways_scrolling(
    chromium: Browser, busy: Dashboard, width: int, scheme: str
) -> None:
    page = sign_in(chromium, busy, width=width, scheme=scheme)
    assert find_wrong(page, PATHS, width=width) == {}
    page.context.close()
