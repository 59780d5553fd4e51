"""The dashboard of an installation in which nothing has happened yet, and its page for whoever is not signed in."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.test_dashboard_pages import find_wrong, sign_in
from tests.support.browser import running_chromium
from tests.support.dashboard import HOST, Dashboard, running_dashboard

pytestmark = pytest.mark.chromium

PAGES = ("/", "/models", "/dora", "/audit", "/audit/at", "/audit/verify", "/deliveries", "/messages", "/settings")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("empty") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def chromium(empty: Dashboard) -> Iterator[Browser]:
    with running_chromium(host=HOST, port=empty.port) as browser:
        yield browser


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_axe_finds_nothing_where_there_is_nothing_yet(
    chromium: Browser, empty: Dashboard, width: int, scheme: str
) -> None:
    page = sign_in(chromium, empty, width=width, scheme=scheme)
    assert find_wrong(page, PAGES, width=width) == {}
    page.context.clear_cookies()
    assert find_wrong(page, ("/", "/_signin"), width=width) == {}
    page.context.close()
