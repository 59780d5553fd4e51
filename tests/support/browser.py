"""Debian's Chromium by Playwright; where it is missing a test fails in CI, and says at home how to get it."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

from tests.support.postgres import require

_HINT = "install chromium: apt-get install chromium"
# As Debian calls it, and as it is called where Debian's package is not.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-proxy-server",
)


def find_chromium() -> str:
    """Return where Chromium is; end the test where it is not."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    require(found, _HINT)
    assert found
    return found


@contextlib.contextmanager
def running_chromium(*, host: str, port: int) -> Iterator[Browser]:
    """Start a headless Chromium that finds one name on a loopback port, and nothing else anywhere."""
    rules = f"--host-resolver-rules=MAP {host}:80 127.0.0.1:{port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*_ARGUMENTS, rules])
        try:
            yield browser
        finally:
            browser.close()
