"""A search's picture in Debian's Chromium: brushed by pointer and keyboard, read without scripts, with many trials."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.test_dashboard_pages import sign_in
from tests.support.axe import find_barriers
from tests.support.browser import running_chromium
from tests.support.dashboard import HOST, ORIGIN, Dashboard, running_dashboard
from tests.support.trials import PATH, Stage, Tried, try_grid

pytestmark = pytest.mark.chromium

LINES = "polyline[data-trial]"
SHOWN = f"{LINES}:not(.out)"
ROWS = "tr[data-trial]:not([hidden])"


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, stage: Stage) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("board") / "home", around=stage.around) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(board: Dashboard) -> Iterator[Browser]:
    with running_chromium(host=HOST, port=board.port) as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, board: Dashboard, stage: Stage) -> Iterator[Page]:
    page = sign_in(chromium, board)
    page.goto(PATH)
    yield page
    stage.trials = try_grid()
    page.context.close()


def drag(page: Page, axis: int, *, start: float, end: float) -> None:
    """Drag along an axis, from a share of its height to another, counted from the top."""
    box = page.locator("line.axis").nth(axis).bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + start * box["height"])
    page.mouse.down()
    page.mouse.move(x, box["y"] + end * box["height"], steps=4)
    page.mouse.up()


def marks(page: Page, axis: str) -> tuple[Locator, Locator]:
    return page.get_by_label(f"{axis} from"), page.get_by_label(f"{axis} to")


def test_drag_along_an_axis_leaves_only_the_trials_between_and_their_rows(page: Page) -> None:
    expect(page.locator("#brushed")).to_have_text("All 54 trials")
    drag(page, 0, start=0.0, end=0.1)
    expect(page.locator("#brushed")).to_have_text("18 of 54 trials")
    expect(page.locator(SHOWN)).to_have_count(18)
    expect(page.locator(ROWS)).to_have_count(18)
    expect(page.locator(f"{ROWS} td:nth-child(3)").first).to_have_text("0.1")
    drag(page, 2, start=0.9, end=1.0)
    expect(page.locator("#brushed")).to_have_text("6 of 54 trials")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(SHOWN)).to_have_count(54)
    expect(page.locator(ROWS)).to_have_count(54)


def test_failed_trials_are_left_out_when_the_objective_is_brushed(page: Page) -> None:
    drag(page, 3, start=0.0, end=0.97)
    expect(page.locator(f"{SHOWN}.failed")).to_have_count(0)
    expect(page.locator("#brushed")).to_have_text(re.compile(r"^4[89] of 54 trials$"))


def test_click_on_an_axis_without_a_drag_shows_all_of_it_again(page: Page) -> None:
    drag(page, 0, start=0.0, end=0.1)
    expect(page.locator(SHOWN)).to_have_count(18)
    drag(page, 0, start=0.5, end=0.5)
    expect(page.locator(SHOWN)).to_have_count(54)


def test_keyboard_moves_the_marks_and_hears_where_they_are(page: Page) -> None:
    _, to = marks(page, "criterion")
    expect(to).to_have_attribute("aria-valuetext", "log_loss")
    to.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(to).to_have_attribute("aria-valuetext", "entropy")
    expect(page.locator("#brushed")).to_have_text("18 of 54 trials")
    page.keyboard.press("End")
    expect(page.locator("#brushed")).to_have_text("All 54 trials")
    low, _ = marks(page, "learning_rate")
    low.focus()
    page.keyboard.press("End")
    expect(low).to_have_attribute("aria-valuetext", "0.1")
    expect(page.locator("#brushed")).to_have_text("18 of 54 trials")


def test_brush_stays_when_the_page_shows_a_further_trial(page: Page, stage: Stage) -> None:
    drag(page, 0, start=0.0, end=0.1)
    stage.trials = [*try_grid(), Tried(55, {"learning_rate": "0.1", "max_depth": "2"}, state="Running")]
    page.evaluate("htmx.trigger('#main', 'look')")
    expect(page.locator("#brushed")).to_have_text("19 of 55 trials")
    expect(page.locator(SHOWN)).to_have_count(19)
    expect(page.locator(ROWS)).to_have_count(19)


def test_row_lights_its_line(page: Page) -> None:
    page.locator("#trial-40").hover()
    expect(page.locator(f"{LINES}.lit")).to_have_attribute("data-trial", "40")


def test_search_is_read_without_scripts(chromium: Browser, board: Dashboard, stage: Stage) -> None:
    context = chromium.new_context(base_url=ORIGIN, java_script_enabled=False)
    page = context.new_page()
    page.goto(board.login_path())
    stage.sort = "p.max_depth"
    page.goto(PATH)
    stage.sort = ""
    expect(page.get_by_role("img", name="54 trials over 3 parameters")).to_be_visible()
    expect(page.get_by_text("Trial 40 is the best with accuracy 0.97").first).to_be_visible()
    expect(page.locator(".brushes")).to_be_hidden()
    expect(page.get_by_role("row")).to_have_count(55)
    expect(page.get_by_role("columnheader", name="max_depth")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("link", name="accuracy")).to_have_attribute("href", "?sort=value#trials")
    context.close()


def test_thousand_trials_are_brushed_at_once(chromium: Browser, board: Dashboard, stage: Stage) -> None:
    page = sign_in(chromium, board)
    stage.trials = try_grid(repeated=20)
    page.goto(PATH)
    stage.trials = try_grid()
    expect(page.locator(LINES)).to_have_count(1_000)
    drag(page, 0, start=0.0, end=0.1)
    expect(page.locator("#brushed")).to_have_text(re.compile(r"^3\d\d of 1000 trials$"))
    # With a mark that is set, so that it is asked of each line where it crosses the axis.
    took = page.evaluate("() => { const began = performance.now(); filter(); return performance.now() - began; }")
    assert took < 500
    expect(page.locator("#brushed")).to_have_text(re.compile(r"^3\d\d of 1000 trials$"))
    page.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_axe_finds_nothing_on_a_search(chromium: Browser, board: Dashboard, width: int, scheme: str) -> None:
    page = sign_in(chromium, board, width=width, scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(PATH)
    drag(page, 1, start=0.0, end=0.5)
    assert find_barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    page.context.close()
