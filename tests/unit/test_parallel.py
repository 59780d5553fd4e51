"""The picture of a search and the order of its trials, from trials alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from webhooks.dashboard.parallel import MOST_TRIALS, Goal, Path, Picture, draw_search
from webhooks.dashboard.trials import show_search, sort_trials

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


def heights(path: Path) -> list[float]:
    return [float(point.partition(",")[2]) for point in path.points.split()]


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
    assert path_of(picture, 4).words == "Trial 4: Errored"
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
    assert len(heights(path_of(picture, 2))) == 2


def test_nothing_is_drawn_of_no_trials() -> None:
    assert draw_search([], ACCURACY) is None
    assert show_search([], ACCURACY) is None


def test_picture_and_table_show_the_newest_thousand_and_say_how_many_are_left_out() -> None:
    trials = [tried(at, at / 10_000, depth=str(at)) for at in range(1, MOST_TRIALS + 3)]
    part = show_search(trials, ACCURACY)
    assert part is not None
    assert (len(part.picture.paths), len(part.lines), part.left_out) == (MOST_TRIALS, MOST_TRIALS, 2)


@pytest.mark.parametrize(
    ("sort", "numbers"),
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
def test_table_is_sorted_as_asked_and_what_has_no_value_comes_last(sort: str, numbers: list[int]) -> None:
    failed = replace(tried(4, None, depth="10"), state="Errored")
    part = show_search([*THREE, failed], ACCURACY, sort=sort)
    assert part is not None
    assert [line.trial.number for line in part.lines] == numbers


def test_heading_leads_to_the_other_way_round_where_the_table_is_sorted_by_it() -> None:
    part = show_search(THREE, ACCURACY, sort="p.depth")
    assert part is not None
    depth = part.columns[2]
    assert (depth.order, depth.url, depth.is_number) == ("ascending", "?sort=-p.depth#trials", True)
    assert part.columns[0].order == ""
    assert not part.columns[3].is_number


def test_of_equal_trials_the_first_comes_first_both_ways() -> None:
    equal = [tried(at, 0.5, depth="1") for at in (2, 1, 3)]
    for is_down in (False, True):
        found = sort_trials(equal, "value", goal=ACCURACY, is_down=is_down)
        assert [one.number for one in found] == [1, 2, 3]
