"""`search` in launchpin.yaml: what it reads, and each mistake named with its field, the limit and the way out."""

from decimal import Decimal

import pytest

from gitops.config.goals import Goal, Objective
from gitops.config.launchpin import LaunchpinFile, parse_launchpin
from gitops.config.mlproject import parse_mlproject
from gitops.config.search import Search, Strategy, check_declared
from gitops.config.space import Choices, Range
from gitops.errors import InputError

HEAD = "version: 1\nmodel: iris\n"
SEARCH = """\
search:
  strategy: random
  seed: 7
  objective: {metric: loss, goal: minimize}
  max_trials: 20
  max_parallel: 3
  space:
    depth: {min: 2, max: 8, step: 2}
    rate: {min: 0.001, max: 0.1, log: true}
    split: {min: 0.0, max: 1, points: 3}
    kind: {values: [a, 0.10, true]}
"""


def read(text: str) -> LaunchpinFile:
    return parse_launchpin((HEAD + text).encode(), file="launchpin.yaml")


def read_search(text: str) -> Search:
    search = read(text).search
    assert search is not None
    return search


def space(axis: str, *, more: str = "", name: str = "a") -> str:
    return f"search:\n  objective: {{metric: f1}}\n{more}  space:\n    {name}: {axis}\n"


def refuse(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read(text)
    return caught.value


def test_reads_every_field_when_all_are_written() -> None:
    assert read_search(SEARCH) == Search(
        strategy=Strategy.RANDOM,
        objective=Objective("loss", Goal.MINIMIZE),
        max_trials=20,
        max_parallel=3,
        seed=7,
        space=(
            Range("depth", Decimal(2), Decimal(8), is_whole=True, step=Decimal(2)),
            Range("rate", Decimal("0.001"), Decimal("0.1"), is_log=True),
            Range("split", Decimal("0.0"), Decimal(1), points=3),
            Choices("kind", ("a", "0.10", "true")),
        ),
    )


def test_a_grid_of_four_at_a_time_is_meant_when_nothing_is_said() -> None:
    search = read_search(space("{values: [1, 2]}"))
    assert (search.strategy, search.max_trials, search.max_parallel, search.seed) == (Strategy.GRID, 100, 4, 0)


def test_there_is_no_search_when_the_file_has_none() -> None:
    assert read("").search is None
    assert read("register: {objective: {metric: f1}}\n").objective == Objective("f1")


def test_the_objective_of_the_search_chooses_the_best_run() -> None:
    assert read(space("{values: [1, 2]}")).objective == Objective("f1")


@pytest.mark.parametrize(
    ("axis", "reason", "field", "words"),
    [
        ("{min: 0.1, max: 1}", "key_missing", "search.space.a", "needs step or points"),
        ("{min: 1, max: 1.0}", "key_missing", "search.space.a", "needs step or points"),
        ("{min: 1, max: 9, log: true}", "key_missing", "search.space.a", "a grid over a logarithm needs points"),
        ("{min: 3, max: 2}", "value_invalid", "search.space.a.min", "min 3 is greater than max 2"),
        ("{min: 0, max: 2, log: true}", "value_invalid", "search.space.a.min", "raise min, or remove log"),
        ("{min: 1, max: 2, step: 0.5}", "value_invalid", "search.space.a.step", "or min as a decimal"),
        ("{min: 1, max: 2, step: 0}", "value_invalid", "search.space.a.step", "a number above 0"),
        ("{min: 1, max: 2, step: 1, points: 2}", "value_invalid", "search.space.a.step", "does not go with points"),
        ("{min: 1, max: 2, step: 1, log: true}", "value_invalid", "search.space.a.step", "does not go with log"),
        ("{min: 1}", "value_invalid", "search.space.a", "either values, or min and max"),
        ("{}", "value_invalid", "search.space.a", "either values, or min and max"),
        ("{values: [1], log: true}", "value_invalid", "search.space.a.log", "does not go with values"),
        ("{values: [1, 2, 1]}", "value_invalid", "search.space.a.values[2]", "is there twice"),
        ("{values: []}", "limit_exceeded", "search.space.a.values", "too few entries"),
        ('{values: ["${user}"]}', "variable_unknown", "search.space.a.values[0]", "known: commit"),
        ("{min: 0, max: 9007199254740993}", "limit_exceeded", "search.space.a.max", "2^53"),
        ("{min: 0.0, max: 1e301, points: 2}", "limit_exceeded", "search.space.a.max", "1e300"),
        ("{min: 0, max: 1e300, step: 0.1}", "limit_exceeded", "search.space.a.step", "3E+284 is the least that tells"),
        (
            "{min: 0.0, max: 1.0, step: 1e-29}",
            "limit_exceeded",
            "search.space.a.step",
            "write a greater step, or points",
        ),
        ("{min: 1, max: 3, points: 9}", "limit_exceeded", "search.space.a.points", "3 different whole numbers"),
        ("{min: 1, max: 10, log: true, points: 9}", "limit_exceeded", "search.space.a.points", "write `points: 6`"),
        ("{min: 0.5, max: 0.5, points: 2}", "limit_exceeded", "search.space.a.points", "write `values: [0.5]`"),
        ("{min: 1.0, max: 1.0000000000000004, points: 5}", "limit_exceeded", "search.space.a.points", "`points: 3`"),
        ('{min: "1", max: 2}', "wrong_type", "search.space.a.min", "a number"),
        ("{low: 1}", "unknown_key", "search.space.a.low", 'did you mean "log"?'),
        ("{min: 1, max: 101}", "limit_exceeded", "search.space", "101 points and without max_trials the limit is 100"),
    ],
)
def test_an_axis_that_cannot_be_is_refused_with_the_way_out(axis: str, reason: str, field: str, words: str) -> None:
    error = refuse(space(axis))
    assert (error.reason, error.field) == (reason, field)
    assert words in error.message
    assert error.line >= 3


@pytest.mark.parametrize(
    ("text", "reason", "field", "words"),
    [
        ("search: {space: {a: {values: [1]}}}", "key_missing", "search.objective", "what the best trial is best in"),
        ("search: {objective: {metric: f1}}", "key_missing", "search.space", "the parameters that are tried"),
        ("search: {objective: {metric: f1}, space: {}}", "limit_exceeded", "search.space", "too few keys"),
        (space("{values: [1]}", more="  strategy: random\n"), "key_missing", "search.max_trials", "needs max_trials"),
        (space("{values: [1]}", more="  strategy: bayes\n"), "value_unknown", "search.strategy", "grid, random"),
        (space("{values: [1]}", more="  seed: 3\n"), "value_invalid", "search.seed", "a grid draws nothing"),
        (space("{values: [1]}", more="  max_trials: 0\n"), "limit_exceeded", "search.max_trials", "the limit is 1"),
        (space("{values: [1]}", more="  max_trials: 1001\n"), "limit_exceeded", "search.max_trials", "1000"),
        (space("{values: [1]}", more="  max_parallel: 101\n"), "limit_exceeded", "search.max_parallel", "100"),
        (space("{values: [1]}", name='"--a"'), "name_invalid", "search.space.--a", "begins with a letter"),
        (
            space("{values: [1]}") + "register: {objective: {metric: f1}}\n",
            "value_invalid",
            "register.objective",
            "remove it here",
        ),
        (
            space("{values: [1]}") + "train: {parameters: {a: 3}}\n",
            "value_invalid",
            "search.space.a",
            "train.parameters",
        ),
        (
            space("{min: 1, max: 5}", more="  max_trials: 4\n"),
            "limit_exceeded",
            "search.space",
            "5 points and max_trials is 4; raise max_trials",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_the_way_out(text: str, reason: str, field: str, words: str) -> None:
    error = refuse(text)
    assert (error.reason, error.field) == (reason, field)
    assert words in error.message


def test_a_grid_beyond_every_machine_is_counted_and_not_laid_out() -> None:
    axes = "".join(f"    p{n}: {{min: 1, max: 9007199254740992}}\n" for n in range(20))
    error = refuse(f"search:\n  objective: {{metric: f1}}\n  space:\n{axes}")
    assert error.reason == "limit_exceeded"
    assert "max_trials" in error.message


def test_a_step_may_be_as_small_as_the_refusal_says() -> None:
    for axis in ("{min: 0.0, max: 1.0, step: 5E-16}", "{min: 0, max: 1e300, step: 3E+284}"):
        (read_axis,) = read_search(space(axis, more="  strategy: random\n  max_trials: 3\n")).space
        assert isinstance(read_axis, Range)
        assert (read_axis.count or 0) > 10**15


def test_points_may_be_as_many_as_the_refusal_says() -> None:
    for axis in ("{min: 1, max: 10, log: true, points: 6}", "{min: 1.0, max: 1.0000000000000004, points: 3}"):
        (read_axis,) = read_search(space(axis)).space
        assert isinstance(read_axis, Range)
        assert read_axis.count == read_axis.points


def test_a_range_too_narrow_to_draw_from_is_refused_and_one_number_is_no_range() -> None:
    more = "  strategy: random\n  max_trials: 3\n"
    error = refuse(space("{min: 1.0, max: 1.0000000001}", more=more))
    assert (error.reason, error.field) == ("limit_exceeded", "search.space.a.max")
    assert "fewer than 1,000,000 numbers lie between" in error.message
    assert read_search(space("{min: 0.5, max: 0.5}", more=more)).size == 1


def test_whole_numbers_are_read_in_whichever_base_they_are_written() -> None:
    more = "  strategy: random\n  seed: 0x10\n  max_trials: 0o14\n  max_parallel: +3\n"
    search = read_search(space("{min: 0x1, max: 0x20, points: 0x5}", more=more))
    assert (search.seed, search.max_trials, search.max_parallel) == (16, 12, 3)
    assert search.space == (Range("a", Decimal(1), Decimal(32), is_whole=True, points=5),)


MLPROJECT = (
    b"entry_points:\n  main:\n    parameters: {depth: float}\n    command: python a.py {depth}\n  bare: {command: a}\n"
)


@pytest.mark.parametrize(("entry_point", "name"), [("main", "depth"), ("bare", "anything"), ("train.py", "anything")])
def test_a_parameter_is_taken_that_the_entry_point_has_or_cannot_say(entry_point: str, name: str) -> None:
    search = read_search(space("{values: [1]}", name=name))
    check_declared(search, parse_mlproject(MLPROJECT, file="MLproject"), entry_point)


def test_a_parameter_that_the_entry_point_does_not_have_is_refused() -> None:
    search = read_search(space("{values: [1]}", name="dept"))
    with pytest.raises(InputError) as caught:
        check_declared(search, parse_mlproject(MLPROJECT, file="MLproject"), "main")
    assert (caught.value.reason, caught.value.field) == ("parameter_unknown", "search.space.dept")
    assert 'did you mean "depth"?' in caught.value.message
