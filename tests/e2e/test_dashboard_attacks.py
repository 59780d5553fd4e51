"""The dashboard in Debian's Chromium, with strangers' markup in every row."""

from pathlib import Path

import pytest
from playwright.sync_api import Dialog, expect

from tests.support.browser import running_chromium
from tests.support.dashboard import HOST, ORIGIN, running_dashboard
from tests.support.hostile import HOSTILE_PAGES, fill_with_hostile_names

pytestmark = pytest.mark.chromium


def test_attack_70_nothing_of_a_stranger_runs(tmp_path: Path) -> None:
    happened: list[str] = []

    def note(dialog: Dialog) -> None:
        happened.append(dialog.message)
        dialog.dismiss()

    with (
        running_dashboard(tmp_path / "home", fill_with_hostile_names) as dashboard,
        running_chromium(host=HOST, port=dashboard.port) as chromium,
    ):
        page = chromium.new_context(base_url=ORIGIN).new_page()
        page.on("dialog", note)
        page.on("console", lambda message: happened.append(message.text))
        page.goto(dashboard.login_path())
        for path in HOSTILE_PAGES:
            page.goto(path)
            if page.locator("#live-words").count():
                expect(page.locator("#live-words")).to_have_text("Live")
    assert happened == []
