"""The picture of a search, from its trials and its space alone."""

from dataclasses import replace

import pytest

from gitops.spaces import Space, SpaceAxis
from tests.support.trials import ACCURACY, THREE, Tried, tried
from webhooks.dashboard.parallel import draw_search
from webhooks.dashboard.picture import Goal, Path, Picture
from webhooks.dashboard.scales import Marks, Scale

SPACE = Space(
    axes=(
        SpaceAxis(name="criterion", values=("log_loss", "gini", "entropy")),
        SpaceAxis(name="depth", low="2", high="10"),
        SpaceAxis(name="rate", low="0.0001", high="1", log=True),
    )
)


def drawn(*trials: Tried, goal: Goal = ACCURACY, space: Space | None = None) -> Picture:
    picture = draw_search(trials, goal, space)
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


def test_axes_are_those_of_the_space_from_the_first_trial_on() -> None:
    picture = drawn(tried(1, 0.5, rate="0.01", depth="2", criterion="gini"), space=SPACE)
    assert [axis.name for axis in picture.axes] == ["criterion", "depth", "rate", "accuracy"]
    criterion, depth, rate = (axis.scale for axis in picture.axes[:-1])
    assert (criterion.choices, criterion.most) == (("log_loss", "gini", "entropy"), 2)
    assert (depth.low, depth.high, depth.is_log) == (2, 10, False)
    assert (rate.low, rate.high, rate.is_log) == (0.0001, 1, True)
    assert heights(picture.paths[0]) == [460, 900, 460, 460]
    assert [[tick.text for tick in axis.ticks] for axis in picture.axes[:-1]] == [
        ["log_loss", "gini", "entropy"],
        ["2", "6", "10"],
        ["0.0001", "0.01", "1"],
    ]
    assert picture.title == "1 trial over 3 parameters"


def test_words_have_a_place_each_in_the_order_of_the_alphabet_where_no_space_is_kept() -> None:
    assert drawn(*THREE).axes[1].scale.choices == ("entropy", "gini")


def test_values_of_a_space_that_are_all_numbers_lie_where_they_are() -> None:
    space = Space(
        axes=(SpaceAxis(name="leaves", values=("16", "4", "10")), SpaceAxis(name="rate", values=("1", "0.01")))
    )
    picture = drawn(tried(1, 0.5, leaves="10", rate="0.1"), space=space)
    assert [(axis.scale.choices, axis.scale.low, axis.scale.high, axis.scale.is_log) for axis in picture.axes[:-1]] == [
        ((), 4, 16, False),
        ((), 0.01, 1, True),
    ]
    assert heights(picture.paths[0]) == [460, 460, 460]


def test_value_outside_the_space_has_no_place_on_its_axis() -> None:
    picture = drawn(tried(1, 0.5, criterion="mae", depth="11", rate="-1"), space=SPACE)
    assert [axis for axis, _ in picture.paths[0].points] == [3]


@pytest.mark.parametrize("odd", ["1e400", "-1e400", "inf", "-Infinity", "nan", "sNaN"])
def test_what_no_number_of_64_bits_can_hold_is_a_word(odd: str) -> None:
    axis = drawn(tried(1, 0.5, rate=odd), tried(2, 0.7, rate="2")).axes[0]
    assert axis.scale.choices == tuple(sorted((odd, "2")))
    assert axis.scale.told == {"choices": sorted((odd, "2"))}


def test_logarithm_is_spread_evenly_where_the_space_says_so_or_the_values_ask_for_it() -> None:
    rates = [tried(at, at / 10, rate=rate) for at, rate in enumerate(("1e-4", "0.01", "1"), 1)]
    evenly, plainly = (Space(axes=(SpaceAxis(name="rate", low="1e-4", high="1", log=log),)) for log in (True, False))
    for picture in (drawn(*rates), drawn(*rates, space=evenly)):
        assert picture.axes[0].scale.is_log
        assert [heights(path)[0] for path in sorted(picture.paths, key=lambda one: one.number)] == [900, 460, 20]
        assert [tick.text for tick in picture.axes[0].ticks] == ["0.0001", "0.01", "1"]
    assert not drawn(*rates, space=plainly).axes[0].scale.is_log
    assert not drawn(tried(1, 0.1, rate="0"), tried(2, 0.2, rate="9999")).axes[0].scale.is_log


def test_values_as_far_apart_as_numbers_go_are_drawn() -> None:
    picture = drawn(tried(1, -1.7e308, rate="1e-300"), tried(2, 1.7e308, rate="1e300"), tried(3, 0.0, rate="1"))
    assert [heights(path_of(picture, number)) for number in (1, 2, 3)] == [[900, 900], [20, 20], [460, 460]]


def test_trial_that_came_to_no_value_ends_apart_and_its_line_is_of_another_kind() -> None:
    failed = replace(tried(4, 0.99, depth="2"), state="Errored")
    running = replace(tried(5, None, depth="3"), state="Running")
    picture = drawn(*THREE, failed, running)
    assert picture.has_apart
    assert (path_of(picture, 4).kind, path_of(picture, 5).kind) == ("failed", "open")
    assert heights(path_of(picture, 4)) == [900, 975]
    assert "1 trial came to no value. 1 trial is not over." in picture.words
    assert picture.axes[-1].scale.high == 0.9
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
    assert picture.between([Marks("p.leaves", "2", "2")]) == {1}


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
        ([Marks("p.depth", "2", "4")], {1, 2, 3, 4}),
        ([Marks("p.depth", None, "3")], {1, 2, 4}),
        ([Marks("p.depth", "3", "2")], {1, 2, 4}),
        ([Marks("p.depth", "3", "3"), Marks("p.criterion", "entropy", "entropy")], {2}),
        ([Marks("p.criterion", "gini")], {1, 3, 4}),
        ([Marks("p.criterion", "mae", "entropy")], {2}),
        ([Marks("value", None, "0.89")], {1, 3}),
        ([Marks("value", "0.7")], {2, 3}),
        ([Marks("value", "0.9", "7")], {2}),
        ([Marks("p.other", "1", "2")], {1, 2, 3, 4}),
    ],
)
def test_marks_leave_the_trials_whose_lines_cross_between_them(marks: list[Marks], numbers: set[int]) -> None:
    failed = replace(tried(4, None, depth="2", criterion="gini"), state="Errored")
    assert drawn(*THREE, failed).between(marks) == numbers


def test_marks_mean_the_same_values_and_words_when_the_axes_have_grown() -> None:
    marks = [Marks("value", "0.7"), Marks("p.criterion", "entropy", "gini")]
    assert drawn(*THREE).between(marks) == {2, 3}
    later = (tried(4, 0.99, depth="9", criterion="absolute"), tried(5, 1.3, depth="9", criterion="gini"))
    grown = drawn(*THREE, *later)
    assert grown.axes[1].scale.choices == ("absolute", "entropy", "gini")
    assert grown.between(marks) == {2, 3, 5}
    assert [axis.scale.between(mark) for axis, mark in zip((grown.axes[2], grown.axes[1]), marks, strict=True)] == [
        (250, 1000),
        (1, 2),
    ]


@pytest.mark.parametrize("at", [0, 1, 333, 500, 666, 999, 1000])
@pytest.mark.parametrize("is_log", [False, True], ids=["even", "logarithm"])
def test_mark_at_a_value_takes_in_what_lies_there(at: int, is_log: bool) -> None:
    value = 0.001 * 1000 ** (at / 1000) if is_log else 0.001 + at / 1000 * 0.999
    scale = Scale(low=0.001, high=1.0, is_log=is_log)
    assert scale.between(Marks("p.rate", repr(value), repr(value))) == (at, at)
    assert scale.between(Marks("p.rate", repr(value))) == (at, 1000)


def test_mark_of_a_long_word_is_found_by_what_the_picture_has_of_it() -> None:
    scale = Scale(choices=("short", "x" * 5_000))
    shown = "x" * 59 + "…"
    assert scale.told == {"choices": ["short", shown]}
    assert scale.between(Marks("p.text", shown)) == (1, 1)


def test_marks_on_an_axis_of_one_value_leave_it() -> None:
    picture = drawn(tried(1, 0.5, depth="3", criterion="gini"))
    for marks in (Marks("p.depth", "3"), Marks("p.criterion", "gini", "gini"), Marks("value", "0.1", "0.5")):
        assert picture.between([marks]) == {1}


def test_nothing_is_drawn_of_no_trials() -> None:
    assert draw_search([], ACCURACY) is None
