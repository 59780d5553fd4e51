"""The picture of a search and the order of its trials, from trials alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from webhooks.dashboard.asked import ROWS, Asked
from webhooks.dashboard.parallel import MOST_TRIALS, draw_search
from webhooks.dashboard.picture import Goal, Marks, Path, Picture
from webhooks.dashboard.trials import SearchPart, show_search, sort_trials

ACCURACY = Goal("accuracy")


@dataclass(frozen=True)
class Tried:
    """A trial, good unless a test says otherwise."""

    number: int
    parameters: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: str = "Succeeded"
    is_best: bool = False
    reason: str = ""


def tried(number: int, accuracy: float | None, *, is_best: bool = False, **parameters: str) -> Tried:
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    return Tried(number, parameters, metrics, is_best=is_best)


THREE = (
    tried(1, 0.5, depth="2", criterion="gini"),
    tried(2, 0.9, depth="3", criterion="entropy", is_best=True),
    tried(3, 0.7, depth="4", criterion="gini"),
)


def drawn(*trials: Tried, goal: Goal = ACCURACY, **hints: object) -> Picture:
    picture = draw_search(trials, goal, **hints)  # type: ignore[arg-type]
    assert picture is not None
    return picture


def heights(path: Path) -> list[int]:
    return [y for _, y in path.points]


def path_of(picture: Picture, number: int) -> Path:
    return next(path for path in picture.paths if path.number == number)


def test_each_parameter_has_an_axis_in_the_order_given_and_the_objective_is_the_last() -> None:
    picture = drawn(*THREE)
    assert [axis.name for axis in picture.axes] == ["depth", "criterion", "accuracy"]
    assert [axis.x for axis in picture.axes] == [50, 465, 880]
    assert picture.axes[-1].hint == "higher is better"
    assert picture.width == 450
    assert drawn(Tried(1, {"a" * 40: "1"})).width == 640
    assert drawn(*THREE, goal=Goal("accuracy", is_greatest=False)).axes[-1].hint == "lower is better"


def test_numbers_lie_where_they_are_between_the_least_and_the_greatest() -> None:
    picture = drawn(*THREE)
    assert [heights(path_of(picture, number))[0] for number in (1, 2, 3)] == [900, 460, 20]
    assert [heights(path_of(picture, number))[-1] for number in (1, 2, 3)] == [900, 20, 460]
    assert [tick.text for tick in picture.axes[0].ticks] == ["2", "3", "4"]


def test_words_have_a_place_each_in_the_order_of_the_space() -> None:
    picture = drawn(*THREE, choices={"criterion": ("log_loss", "gini", "entropy")})
    axis = picture.axes[0]
    assert axis.choices == ("log_loss", "gini", "entropy")
    assert axis.most == 2
    assert [heights(path_of(picture, number))[0] for number in (1, 2)] == [460, 20]
    assert drawn(*THREE).axes[1].choices == ("entropy", "gini")


@pytest.mark.parametrize("odd", ["1e400", "-1e400", "inf", "-Infinity", "nan", "sNaN"])
def test_what_no_number_of_64_bits_can_hold_is_a_word(odd: str) -> None:
    axis = drawn(tried(1, 0.5, rate=odd), tried(2, 0.7, rate="2")).axes[0]
    assert axis.choices == tuple(sorted((odd, "2")))
    assert axis.scale == {"choices": sorted((odd, "2"))}


def test_logarithm_is_spread_evenly_where_the_space_says_so_or_the_values_ask_for_it() -> None:
    rates = [tried(at, at / 10, rate=rate) for at, rate in enumerate(("1e-4", "0.01", "1"), 1)]
    for picture in (drawn(*rates), drawn(*rates, logs={"rate"})):
        assert picture.axes[0].is_log
        assert [heights(path)[0] for path in sorted(picture.paths, key=lambda one: one.number)] == [900, 460, 20]
        assert [tick.text for tick in picture.axes[0].ticks] == ["0.0001", "0.01", "1"]
    assert not drawn(*rates, logs=set()).axes[0].is_log
    assert not drawn(tried(1, 0.1, rate="0"), tried(2, 0.2, rate="9999"), logs={"rate"}).axes[0].is_log


def test_trial_that_came_to_no_value_ends_apart_and_its_line_is_of_another_kind() -> None:
    failed = replace(tried(4, 0.99, depth="2"), state="Errored")
    running = replace(tried(5, None, depth="3"), state="Running")
    picture = drawn(*THREE, failed, running)
    assert picture.has_apart
    assert (path_of(picture, 4).kind, path_of(picture, 5).kind) == ("failed", "open")
    assert heights(path_of(picture, 4)) == [900, 975]
    assert "1 trial came to no value. 1 trial is not over." in picture.words
    assert picture.axes[-1].high == 0.9
    assert (path_of(picture, 4).value, path_of(picture, 2).value) == ("", "0.9")
    assert not drawn(*THREE).has_apart


def test_best_lies_on_top_and_the_others_are_the_stronger_the_better_they_are() -> None:
    picture = drawn(*(tried(at, at / 10, is_best=at == 8, depth=str(at)) for at in range(1, 9)))
    assert picture.paths[-1].kind == "best"
    assert [path_of(picture, at).kind for at in range(1, 8)] == ["q0", "q0", "q1", "q1", "q2", "q2", "q3"]
    least = drawn(*(tried(at, at / 10, depth=str(at)) for at in range(1, 5)), goal=Goal("accuracy", is_greatest=False))
    assert [path_of(least, at).kind for at in range(1, 5)] == ["q3", "q2", "q1", "q0"]


def test_picture_says_in_words_what_is_the_best_and_between_what_all_lie() -> None:
    words = drawn(*THREE).words
    assert words.startswith("Trial 2 is the best with accuracy 0.9: depth 3, criterion entropy.")
    assert "accuracy lies between 0.5 and 0.9" in words
    assert drawn(*THREE).title == "3 trials over 2 parameters"


def test_parameter_that_never_changes_and_a_single_trial_lie_in_the_middle() -> None:
    (path,) = drawn(tried(1, 0.5, depth="3", criterion="gini")).paths
    assert heights(path) == [460, 460, 460]


def test_trial_without_one_of_the_parameters_has_a_line_over_that_axis() -> None:
    picture = drawn(tried(1, 0.5, depth="3", leaves="2"), tried(2, 0.6, depth="4"))
    assert [axis for axis, _ in path_of(picture, 2).points] == [0, 2]
    assert picture.between([Marks(1, 0, 999)]) == {1}


def test_lines_of_a_kind_are_one_stroke_that_names_its_trials_in_order() -> None:
    failed = [replace(tried(at, None, depth="2", criterion="gini"), state="Errored") for at in (5, 4)]
    strokes = drawn(*THREE, *failed).strokes
    assert [(one.kind, one.trials) for one in strokes] == [
        ("failed", "4: 5:"),
        ("q0", "1:0.5"),
        ("q1", "3:0.7"),
        ("best", "2:0.9"),
    ]
    assert strokes[0].path == "M0 900 1 20 2 975M0 900 1 20 2 975"
    assert drawn(*THREE).step == 415


@pytest.mark.parametrize(
    ("marks", "numbers"),
    [
        ([], {1, 2, 3, 4}),
        ([Marks(0, 0, 1000)], {1, 2, 3, 4}),
        ([Marks(0, 0, 500)], {1, 2, 4}),
        ([Marks(0, 500, 0)], {1, 2, 4}),
        ([Marks(0, 500, 500), Marks(1, 0, 0)], {2}),
        ([Marks(1, 1, 1)], {1, 3, 4}),
        ([Marks(2, 0, 999)], {1, 3}),
        ([Marks(2, 1, 1000)], {2, 3}),
        ([Marks(9, 1, 2)], {1, 2, 3, 4}),
    ],
)
def test_marks_leave_the_trials_whose_lines_cross_between_them(marks: list[Marks], numbers: set[int]) -> None:
    failed = replace(tried(4, None, depth="2", criterion="gini"), state="Errored")
    assert drawn(*THREE, failed).between(marks) == numbers


def test_long_words_are_cut_in_the_picture_and_the_table() -> None:
    part = shown(tried(1, 0.5, text="x" * 5_000), tried(2, 0.6, text="y"))
    assert [len(tick.text) for tick in part.picture.axes[0].ticks] == [60, 1]
    assert len(str(part.picture.axes[0].scale)) < 100
    assert sorted(len(line.cells[0]) for line in part.lines) == [1, 100]


def test_nothing_is_drawn_of_no_trials() -> None:
    assert draw_search([], ACCURACY) is None
    assert show_search([], ACCURACY) is None


def shown(*trials: Tried, **asked: str) -> SearchPart[Tried]:
    """Return what a page shows whose address asks for this."""
    part = show_search(trials, ACCURACY, asked=Asked.read({name.rstrip("_"): value for name, value in asked.items()}))
    assert part is not None
    return part


def numbers(part: SearchPart[Tried]) -> list[int]:
    return [line.trial.number for line in part.lines]


def many(count: int) -> list[Tried]:
    """Return so many trials, each better than the one before; every tenth has failed."""
    trials = [tried(at, at / 10_000, depth=str(100 + at)) for at in range(1, count + 1)]
    return [replace(one, state="Errored", metrics={}) if one.number % 10 == 0 else one for one in trials]


def test_picture_shows_the_newest_thousand_and_says_how_many_are_left_out() -> None:
    part = shown(*many(MOST_TRIALS + 2))
    assert (len(part.picture.paths), len(part.lines), part.left_out) == (MOST_TRIALS, ROWS, 2)
    assert part.title == "1 to 50 of 1,000 trials"


def test_table_is_a_page_of_the_best_with_ways_to_the_others() -> None:
    trials = many(120)
    first, second, last = shown(*trials), shown(*trials, from_="51"), shown(*trials, from_="101")
    assert numbers(first)[:3] == [119, 118, 117]
    assert [len(one.lines) for one in (first, second, last)] == [50, 50, 20]
    assert len({*numbers(first), *numbers(second), *numbers(last)}) == 120
    assert numbers(last)[-12:] == list(range(10, 121, 10))
    assert first.pages == (("Next", "next", "?from=51#trial-rows"),)
    assert [words for words, _, _ in second.pages] == ["Previous", "Next"]
    assert [url for _, _, url in last.pages] == ["?#trial-rows", "?from=51#trial-rows"]


@pytest.mark.parametrize(("start", "first"), [("0", 1), ("7", 1), ("99", 51), ("999", 101), ("x", 1), ("-5", 1)])
def test_page_begins_where_pages_do_and_never_behind_the_last_row(start: str, first: int) -> None:
    assert shown(*many(120), from_=start).asked.start == first


def test_table_is_narrowed_to_a_state_and_keeps_its_order() -> None:
    part = shown(*many(120), state="Errored", sort="-number")
    assert numbers(part) == list(range(120, 0, -10))
    assert [(one.name, one.count, one.is_chosen) for one in part.states] == [
        ("", 120, False),
        ("Succeeded", 108, False),
        ("Errored", 12, True),
    ]
    assert part.states[1].url == "?sort=-number&state=Succeeded#trial-rows"
    assert part.columns[0].url == "?sort=number&state=Errored#trial-rows"
    assert len(part.picture.paths) == 120


def test_state_that_no_trial_is_in_any_more_is_said_and_one_that_is_none_is_not_asked_for() -> None:
    part = shown(*THREE, state="Running")
    assert (part.lines, part.title, part.asked.state) == ((), "0 trials", "Running")
    assert ("Running", 0, True) in [(one.name, one.count, one.is_chosen) for one in part.states]
    assert numbers(shown(*THREE, state="nonsense")) == [2, 3, 1]


def test_table_has_the_trials_between_the_marks_of_the_picture() -> None:
    part = shown(*many(120), marks="0-0-500")
    assert (part.count, part.words) == (60, "60 of 120 trials")
    assert part.pages == (("Next", "next", "?marks=0-0-500&from=51#trial-rows"),)
    assert [part.mark(0, end) for end in ("from", "to")] == [0, 500]
    assert [part.mark(1, end) for end in ("from", "to")] == [0, 1000]
    assert [one.count for one in part.states] == [60, 54, 6]
    assert (shown(*many(120)).words, shown(THREE[0]).words) == ("All 120 trials", "All 1 trial")


@pytest.mark.parametrize("marks", ["", "nonsense", "0-1", "9-0-1", "0-0-1000", "1-0-99999", "-1-0-5", "0-\u0661-5"])
def test_marks_that_make_no_sense_leave_all_trials(marks: str) -> None:
    part = shown(*THREE, marks=marks)
    assert (part.count, part.asked.marks, part.words) == (3, (), "All 3 trials")


def test_trial_that_is_asked_for_is_on_the_page_that_is_shown() -> None:
    part = shown(*many(120), trial="3")
    assert 3 in numbers(part)
    assert (part.asked.start, part.asked.trial, part.missing) == (101, 3, 0)
    assert part.pages[0][2] == "?#trial-rows"


def test_trial_that_is_asked_for_is_shown_though_the_state_or_the_marks_leave_it_out() -> None:
    by_state = shown(*many(120), trial="3", state="Errored", marks="0-0-500")
    assert (by_state.asked.state, by_state.words) == ("", "60 of 120 trials")
    by_marks = shown(*many(120), trial="3", state="Succeeded", marks="0-900-1000")
    assert (by_marks.asked.state, by_marks.asked.marks) == ("Succeeded", ())
    assert 3 in numbers(by_state)
    assert 3 in numbers(by_marks)


def test_trial_that_is_not_there_is_said() -> None:
    part = shown(*THREE, trial="17")
    assert (part.missing, numbers(part)) == (17, [2, 3, 1])
    assert shown(*THREE, trial="x").missing == 0


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("", [2, 3, 1, 4]),
        ("nonsense", [2, 3, 1, 4]),
        ("value", [1, 3, 2, 4]),
        ("-number", [4, 3, 2, 1]),
        ("p.depth", [1, 2, 3, 4]),
        ("-p.depth", [4, 3, 2, 1]),
        ("p.criterion", [2, 1, 3, 4]),
        ("state", [4, 1, 2, 3]),
    ],
)
def test_table_is_sorted_as_asked_and_what_has_no_value_comes_last(sort: str, order: list[int]) -> None:
    failed = replace(tried(4, None, depth="10"), state="Errored")
    assert numbers(shown(*THREE, failed, sort=sort)) == order


def test_heading_leads_to_the_other_way_round_where_the_table_is_sorted_by_it() -> None:
    part = shown(*THREE, sort="p.depth")
    depth = part.columns[2]
    assert (depth.order, depth.url, depth.is_number) == ("ascending", "?sort=-p.depth#trial-rows", True)
    assert part.columns[0].order == ""
    assert not part.columns[3].is_number


def test_of_equal_trials_the_first_comes_first_both_ways() -> None:
    equal = [tried(at, 0.5, depth="1") for at in (2, 1, 3)]
    for is_down in (False, True):
        found = sort_trials(equal, "value", goal=ACCURACY, is_down=is_down)
        assert [one.number for one in found] == [1, 2, 3]
