"""A search's picture in Debian's Chromium: brushed by pointer and keyboard, read without scripts, with many trials."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.test_dashboard_pages import sign_in
from tests.support.axe import find_barriers
from tests.support.browser import running_chromium
from tests.support.dashboard import HOST, ORIGIN, Dashboard, running_dashboard
from tests.support.trials import PATH, SPACE, Stage, Tried, try_grid, try_many

pytestmark = pytest.mark.chromium

# A line of the picture begins at each M of its kind's path.
DRAWN = "[...document.querySelectorAll('{}')].map((one) => one.getAttribute('d').split('M').length - 1)"
# Where a trial's line is shortly before its end, once that is in sight.
PLACE_OF = """(number) => {
  const line = lines.find((one) => one.number === String(number));
  const [[left, from], [right, to]] = line.points.slice(-2);
  const group = document.querySelector("[data-lines]");
  group.scrollIntoView({ block: "center" });
  const place = new DOMPoint(left + 0.8 * (right - left), from + 0.8 * (to - from));
  const { x, y } = place.matrixTransform(group.getScreenCTM());
  return { x, y };
}"""
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
    stage.trials, stage.space = try_grid(), None
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


def lines(page: Page, kind: str = "") -> int:
    """Return how many lines the picture shows."""
    found: list[int] = page.evaluate(DRAWN.format(f"path[data-trials]{kind}"))
    return sum(found)


def marks(page: Page, axis: str) -> tuple[Locator, Locator]:
    return page.get_by_label(f"{axis} from"), page.get_by_label(f"{axis} to")


def test_drag_along_an_axis_leaves_only_the_trials_between_and_their_rows(page: Page) -> None:
    expect(page.locator("#brushed")).to_have_text("All 54 trials")
    drag(page, 0, start=0.0, end=0.1)
    expect(page.locator("#brushed")).to_have_text("18 of 54 trials")
    assert lines(page) == 18
    expect(page.locator(ROWS)).to_have_count(18)
    expect(page.locator(f"{ROWS} td:nth-child(3)").first).to_have_text("0.1")
    expect(page.get_by_role("heading", name="18 trials")).to_be_visible()
    drag(page, 2, start=0.9, end=1.0)
    expect(page.locator("#brushed")).to_have_text("6 of 54 trials")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#brushed")).to_have_text("All 54 trials")
    assert lines(page) == 54
    expect(page.get_by_role("heading", name="1 to 50 of 54 trials")).to_be_visible()
    assert "learning_rate" not in page.url


def test_failed_trials_are_left_out_when_the_objective_is_brushed(page: Page) -> None:
    drag(page, 3, start=0.0, end=0.97)
    expect(page.locator("#brushed")).to_have_text(re.compile(r"^4[89] of 54 trials$"))
    assert lines(page, ".failed") == 0


def test_click_on_an_axis_without_a_drag_shows_all_of_it_again(page: Page) -> None:
    drag(page, 0, start=0.0, end=0.1)
    expect(page.locator("#brushed")).to_have_text("18 of 54 trials")
    drag(page, 0, start=0.5, end=0.5)
    expect(page.locator("#brushed")).to_have_text("All 54 trials")
    assert lines(page) == 54


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
    assert lines(page) == 19
    expect(page.locator(ROWS)).to_have_count(19)


def test_axis_that_grows_while_the_search_goes_on_hides_nothing_that_nobody_marked(page: Page, stage: Stage) -> None:
    stage.trials = try_grid()[:1]
    page.goto(PATH)
    expect(page.locator("#brushed")).to_have_text("All 1 trial")
    stage.trials = try_grid()[:6]
    page.evaluate("htmx.trigger('#main', 'look')")
    expect(page.locator("#brushed")).to_have_text("All 6 trials")
    expect(page.locator(ROWS)).to_have_count(6)


def test_axes_are_those_of_the_space_from_the_first_trial_on(page: Page, stage: Stage) -> None:
    stage.trials, stage.space = try_grid()[:1], SPACE
    page.goto(PATH)
    expect(page.locator(".axis-hint").first).to_have_text("logarithm")
    ends = {"learning_rate": ("0.001", "0.1"), "max_depth": ("2", "7"), "criterion": ("gini", "log_loss")}
    for axis, (low, high) in ends.items():
        start, end = marks(page, axis)
        expect(start).to_have_attribute("aria-valuetext", low)
        expect(end).to_have_attribute("aria-valuetext", high)
    start, end = marks(page, "criterion")
    start.focus()
    page.keyboard.press("ArrowRight")
    expect(start).to_have_attribute("aria-valuetext", "entropy")
    expect(page).to_have_url(f"{ORIGIN}{PATH}?from.p.criterion=entropy")
    expect(page.locator("#brushed")).to_have_text("0 of 1 trial")
    stage.trials = try_grid()
    page.evaluate("htmx.trigger('#main', 'look')")
    expect(page.locator("#brushed")).to_have_text("36 of 54 trials")
    expect(start).to_have_attribute("aria-valuetext", "entropy")
    expect(end).to_have_attribute("aria-valuetext", "log_loss")


def test_marks_stay_at_their_values_and_words_when_the_axes_grow(page: Page, stage: Stage) -> None:
    of_word = [one for one in try_grid() if one.parameters["criterion"] == "gini"]
    good = [one for one in of_word if one.metrics.get("accuracy", 0.0) >= 0.8]
    page.goto(f"{PATH}?from.value=0.8&from.p.criterion=gini&to.p.criterion=gini")
    expect(page.locator("#brushed")).to_have_text(f"{len(good)} of 54 trials")
    parameters = {"learning_rate": "0.1", "max_depth": "2"}
    better = Tried(55, {**parameters, "criterion": "gini"}, {"accuracy": 1.4})
    other = Tried(56, {**parameters, "criterion": "friedman"}, {"accuracy": 0.9})
    stage.trials = [*try_grid(), better, other]
    page.evaluate("htmx.trigger('#main', 'look')")
    expect(page.locator("#brushed")).to_have_text(f"{len(good) + 1} of 56 trials")
    expect(page.locator(ROWS)).to_have_count(len(good) + 1)
    for mark in marks(page, "criterion"):
        expect(mark).to_have_attribute("aria-valuetext", "gini")
    start, end = marks(page, "accuracy")
    expect(start).to_have_attribute("aria-valuetext", re.compile(r"^0\.(8|799\d)$"))
    expect(end).to_have_attribute("aria-valuetext", "1.4")
    end.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#brushed")).to_have_text(f"{len(good)} of 56 trials")
    # What no hand has moved stays as it was written.
    expect(page).to_have_url(re.compile(r"\?from\.value=0\.8&.*&to\.value=1\.399\d*$"))


def test_table_and_address_follow_the_brush_and_a_page_loaded_again_has_both(page: Page, stage: Stage) -> None:
    stage.trials = try_many()
    page.goto(PATH)
    expect(page.get_by_role("heading", name="1 to 50 of 1,000 trials")).to_be_visible()
    drag(page, 0, start=0.0, end=0.1)
    expect(page).to_have_url(re.compile(r"\?from\.p\.learning_rate=0\.\d+(&to\.p\.learning_rate=0\.\d+)?$"))
    told = page.locator("#brushed").text_content()
    expect(page.get_by_role("heading", name=f"1 to 50 of {(told or '').partition(' ')[0]} trials")).to_be_visible()
    expect(page.locator(f"{ROWS} td:nth-child(3)", has_not_text="0.1")).to_have_count(0)
    page.get_by_role("link", name="Next").click()
    expect(page.locator(ROWS).first).to_be_visible()
    assert "from.p.learning_rate=" in page.url
    assert "from=51" in page.url
    expect(page.locator("#brushed")).to_have_text(told or "")
    expect(page.locator(f"{ROWS} td:nth-child(3)", has_not_text="0.1")).to_have_count(0)


def test_place_in_the_table_is_kept_when_the_page_renews_itself(page: Page, stage: Stage) -> None:
    stage.trials = try_many()
    page.goto(f"{PATH}?sort=number&state=Succeeded&from=51")
    first = page.locator(ROWS).first
    expect(first).to_have_attribute("id", "trial-54")
    with page.expect_response(lambda response: "from=51" in response.url and "state=Succeeded" in response.url):
        page.evaluate("htmx.trigger('#main', 'look')")
    expect(first).to_have_attribute("id", "trial-54")


def test_row_lights_its_line(page: Page) -> None:
    page.locator("#trial-40").hover()
    best = page.locator("path.trial.best").get_attribute("d")
    expect(page.locator("[data-lit]")).to_have_attribute("d", best or "")


def test_line_says_which_trial_it_is_and_a_click_leads_to_its_row_on_another_page(page: Page, stage: Stage) -> None:
    stage.trials = try_many()
    page.goto(PATH)
    worst = min((one for one in stage.trials if one.metrics), key=lambda one: (one.metrics["accuracy"], one.number))
    expect(page.locator(f"#trial-{worst.number}")).to_have_count(0)
    place = page.evaluate(PLACE_OF, worst.number)
    page.mouse.move(place["x"], place["y"])
    told = page.locator("[data-lit-words]")
    expect(told).to_have_text(re.compile(r"^Trial \d+: 0\.\d+$"))
    number = ((told.text_content() or "").partition(":")[0]).removeprefix("Trial ")
    expect(page.locator(f"#trial-{number}")).to_have_count(0)
    page.mouse.click(place["x"], place["y"])
    expect(page.locator(f"#trial-{number}")).to_be_in_viewport()
    expect(page.locator(f"#trial-{number}")).to_have_class(re.compile("sought"))
    assert f"trial={number}" in page.url


def test_search_is_read_without_scripts(chromium: Browser, board: Dashboard) -> None:
    context = chromium.new_context(base_url=ORIGIN, java_script_enabled=False)
    page = context.new_page()
    page.goto(board.login_path())
    page.goto(f"{PATH}?sort=p.max_depth")
    expect(page.get_by_role("img", name="54 trials over 3 parameters")).to_be_visible()
    expect(page.get_by_text("Trial 40 is the best with accuracy 0.97").first).to_be_visible()
    expect(page.locator(".brushes")).to_be_hidden()
    expect(page.get_by_role("row")).to_have_count(51)
    expect(page.get_by_role("columnheader", name="max_depth")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("link", name="accuracy")).to_have_attribute("href", "?sort=value#trial-rows")
    assert lines(page) == 54
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("row")).to_have_count(5)
    page.get_by_role("navigation", name="States").get_by_role("link", name="Errored 3").click()
    expect(page.locator(ROWS)).to_have_count(3)
    page.get_by_label("Trial", exact=True).fill("40")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#trial-40")).to_have_class("sought")
    expect(page).to_have_url(re.compile(r"trial=40#trial-rows$"))
    context.close()


def test_thousand_trials_are_brushed_at_once(chromium: Browser, board: Dashboard, stage: Stage) -> None:
    page = sign_in(chromium, board)
    stage.trials = try_many()
    page.goto(PATH)
    assert lines(page) == 1_000
    drag(page, 0, start=0.0, end=0.1)
    expect(page.locator("#brushed")).to_have_text(re.compile(r"^3\d\d of 1,000 trials$"))
    # With a mark that is set, so that it is asked of each line where it crosses the axis.
    took = page.evaluate("() => { const began = performance.now(); filter(); return performance.now() - began; }")
    assert took < 500
    expect(page.locator("#brushed")).to_have_text(re.compile(r"^3\d\d of 1,000 trials$"))
    stage.trials = try_grid()
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
