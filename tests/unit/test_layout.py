"""Which trials a search has: the same for the same search, in a documented order, none of them twice."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.config.goals import Objective
from gitops.config.search import Search, Strategy
from gitops.config.space import Axis, Choices, Range
from gitops.layout import lay_out

WHOLE = st.integers(-(10**6), 10**6)
NAMES = ("a", "b", "c")


@st.composite
def whole_ranges(draw: st.DrawFn, name: str) -> Range:
    low = draw(WHOLE)
    high = low + draw(st.integers(0, 50))
    step = draw(st.none() | st.integers(1, 20).map(Decimal))
    return Range(name, Decimal(low), Decimal(high), is_whole=True, step=step)


@st.composite
def decimal_ranges(draw: st.DrawFn, name: str) -> Range:
    low = Decimal(draw(st.integers(1, 10**7))).scaleb(-4)
    high = low + Decimal(draw(st.integers(0, 10**7))).scaleb(-4)
    return Range(name, low, high, is_log=draw(st.booleans()), points=draw(st.sampled_from([0, 2, 5, 9])))


def axes(name: str) -> st.SearchStrategy[Axis]:
    texts = st.sampled_from([("x",), ("0.10", "0.1"), ("a", "b", "c"), ("true", "false"), tuple("uvwxyz")])
    choices = st.builds(Choices, st.just(name), texts)
    return st.one_of(choices, whole_ranges(name), decimal_ranges(name))


@st.composite
def searches(draw: st.DrawFn) -> Search:
    space = tuple(draw(axes(name)) for name in NAMES[: draw(st.integers(1, 3))])
    return Search(
        strategy=Strategy.RANDOM,
        objective=Objective("f1"),
        max_trials=draw(st.integers(1, 20)),
        max_parallel=4,
        seed=draw(st.integers(0, 2**32 - 1)),
        space=space,
    )


def search(*space: Axis, strategy: Strategy = Strategy.GRID, max_trials: int = 100, seed: int = 0) -> Search:
    return Search(strategy, Objective("f1"), max_trials=max_trials, max_parallel=4, seed=seed, space=space)


def whole(name: str, low: int, high: int, *, is_log: bool = False) -> Range:
    return Range(name, Decimal(low), Decimal(high), is_whole=True, is_log=is_log)


def test_a_grid_goes_through_the_space_like_nested_loops_the_first_parameters_outermost() -> None:
    trials = lay_out(search(whole("depth", 2, 3), Choices("leaves", ("4", "8", "16"))))
    assert [tuple(trial.values()) for trial in trials] == [
        ("2", "4"),
        ("2", "8"),
        ("2", "16"),
        ("3", "4"),
        ("3", "8"),
        ("3", "16"),
    ]
    assert list(trials[0]) == ["depth", "leaves"]


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (Range("a", Decimal(1), Decimal(9), is_whole=True, step=Decimal(3)), ["1", "4", "7"]),
        (Range("a", Decimal("0.1"), Decimal("0.3"), step=Decimal("0.1")), ["0.1", "0.2", "0.3"]),
        (Range("a", Decimal("0.0"), Decimal(1), points=3), ["0.0", "0.5", "1.0"]),
        (Range("a", Decimal("0.001"), Decimal(1), is_log=True, points=4), ["0.001", "0.01", "0.1", "1.0"]),
        (Range("a", Decimal(1), Decimal(1000), is_whole=True, is_log=True, points=4), ["1", "10", "100", "1000"]),
        (Range("a", Decimal(1), Decimal(3), is_whole=True, points=9), ["1", "2", "3"]),
        (Range("a", Decimal("1e-5"), Decimal("1e-5"), is_log=True, points=4), ["1e-05"]),
        (Range("a", Decimal(7), Decimal(7), is_whole=True), ["7"]),
        (
            Range("a", Decimal("100000000.5"), Decimal("100000001.5"), points=5),
            ["100000000.5", "100000000.75", "100000001.0", "100000001.25", "100000001.5"],
        ),
        (
            Range("a", Decimal("0.1234567891"), Decimal("0.9876543219"), points=3),
            ["0.1234567891", "0.55555556", "0.9876543219"],
        ),
    ],
    ids=["whole-step", "step", "points", "log", "whole-log", "few-whole", "one-decimal", "one-whole", "near", "long"],
)
def test_an_axis_of_a_grid_has_the_values_that_its_step_or_points_say(axis: Range, values: list[str]) -> None:
    assert [trial["a"] for trial in lay_out(search(axis))] == values


def test_these_draws_stay_what_they_are_in_every_release() -> None:
    space = (Range("rate", Decimal("0.0001"), Decimal(1), is_log=True), whole("depth", 1, 9), Choices("k", ("x", "y")))
    trials = lay_out(search(*space, strategy=Strategy.RANDOM, max_trials=3, seed=42))
    assert [tuple(trial.values()) for trial in trials] == [
        ("0.06186339", "3", "y"),
        ("0.028081743", "4", "x"),
        ("0.63168648", "7", "y"),
    ]


def test_another_parameter_changes_no_draw_of_those_that_were_there() -> None:
    rate = Range("rate", Decimal("0.1"), Decimal(1))
    alone = lay_out(search(rate, strategy=Strategy.RANDOM, max_trials=9))
    beside = lay_out(search(rate, whole("depth", 1, 10**6), strategy=Strategy.RANDOM, max_trials=9))
    assert [trial["rate"] for trial in alone] == [trial["rate"] for trial in beside]


def test_a_space_of_fewer_points_than_trials_is_tried_whole() -> None:
    space = (whole("a", 1, 3), Choices("b", ("x", "y")))
    trials = lay_out(search(*space, strategy=Strategy.RANDOM, max_trials=50))
    assert sorted(map(tuple, (trial.values() for trial in trials))) == list(itertools.product("123", "xy"))


def test_points_that_are_hardly_ever_drawn_are_tried_all_the_same() -> None:
    trials = lay_out(search(whole("a", 1, 300, is_log=True), strategy=Strategy.RANDOM, max_trials=300))
    assert sorted(int(trial["a"]) for trial in trials) == list(range(1, 301))


def test_draws_from_a_narrow_range_far_from_zero_all_differ() -> None:
    axis = Range("a", Decimal("100000000.5"), Decimal("100000001.5"))
    drawn = {trial["a"] for trial in lay_out(search(axis, strategy=Strategy.RANDOM, max_trials=900))}
    assert len(drawn) == 900
    assert len({float(text) for text in drawn}) == 900


def test_a_logarithm_draws_as_often_from_each_power_of_ten() -> None:
    axis = Range("a", Decimal("0.001"), Decimal(1), is_log=True)
    drawn = [float(trial["a"]) for trial in lay_out(search(axis, strategy=Strategy.RANDOM, max_trials=900))]
    for low in (0.001, 0.01, 0.1):
        assert 240 <= sum(low <= value < 10 * low for value in drawn) <= 360


@given(searches())
@settings(max_examples=60)
def test_the_same_search_has_the_same_trials_and_none_of_them_twice(drawn: Search) -> None:
    trials = lay_out(drawn)
    assert trials == lay_out(drawn)
    points = [tuple(trial.values()) for trial in trials]
    assert len(set(points)) == len(points)
    size = drawn.size
    assert 1 <= len(points) <= drawn.max_trials
    if size is not None:
        assert len(points) == min(size, drawn.max_trials)


@given(searches())
@settings(max_examples=60)
def test_every_value_lies_in_its_axis(drawn: Search) -> None:
    for trial in lay_out(drawn):
        assert list(trial) == [axis.name for axis in drawn.space]
        for axis in drawn.space:
            assert_in_axis(trial[axis.name], axis)


def assert_in_axis(value: str, axis: Axis) -> None:
    if isinstance(axis, Choices):
        assert value in axis.values
        return
    assert float(axis.low) <= float(value) <= float(axis.high)
    if axis.is_whole:
        assert value == str(int(value))
    if axis.count is not None and axis.count <= 60:
        assert value in {axis.at(index) for index in range(axis.count)}


@given(whole_ranges("a") | decimal_ranges("a"))
@settings(max_examples=60)
def test_an_axis_that_can_be_counted_rises_and_has_as_many_values_as_it_says(axis: Range) -> None:
    if axis.count is None:
        return
    values = [float(axis.at(index)) for index in range(axis.count)]
    assert values == sorted(set(values))
    assert values[0] == float(axis.low)
