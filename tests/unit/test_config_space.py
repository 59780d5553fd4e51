"""The reader of a search's space against every number that YAML can hold, and the values that come of it."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitops.config.launchpin import parse_launchpin
from gitops.config.search import Search
from gitops.config.space import Range
from gitops.errors import InputError
from gitops.layout import lay_out

MOST = 12
_STRATEGIES = {"grid": f"  max_trials: {MOST}\n", "random": f"  strategy: random\n  max_trials: {MOST}\n"}

_ODD = [
    *(".inf", "-.inf", ".nan", "1e400", "-1e400", "1e-400", "1e401", "1e300", "1e-300", "-0.0", "0e0", "0.0", "-0"),
    *("0x10", "0o17", "+5", "007", "1_0", "~", "true", "abc", "1e", ".5", "5.", '""', '"1"', "'0.5'", "9" * 61),
]
_NUMBERS = st.one_of(
    st.integers().map(str),
    st.integers(-3, 40).map(str),
    st.integers(10**15, 10**70).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.floats(0, 1).map(repr),
    st.decimals(-1000, 1000, places=3).map(str),
    st.tuples(st.integers(-99, 99), st.integers(-420, 420)).map(lambda pair: f"{pair[0]}e{pair[1]}"),
    st.sampled_from(_ODD),
    st.text(max_size=5).map(lambda text: "'" + text.replace("'", "''") + "'"),
)
_AXES = st.fixed_dictionaries(
    {"min": _NUMBERS, "max": _NUMBERS},
    optional={"step": _NUMBERS, "points": _NUMBERS | st.integers(2, MOST).map(str), "log": st.just("true")},
)


def read(axis: dict[str, str], strategy: str) -> Search | InputError:
    """Read a file whose search has this one axis; returns its mistake where it has one."""
    written = ", ".join(f"{name}: {value}" for name, value in axis.items())
    space = f"  space:\n    a: {{{written}}}\n"
    text = "version: 1\nmodel: iris\nsearch:\n  objective: {metric: f1}\n" + _STRATEGIES[strategy] + space
    try:
        search = parse_launchpin(text.encode(), file="launchpin.yaml").search
    except InputError as error:
        return error
    assert search is not None
    return search


@given(_AXES, st.sampled_from(sorted(_STRATEGIES)))
@example({"min": "0", "max": "1e300", "step": "0.1"}, "grid")
@example({"min": "0", "max": "1e300", "step": "0.1"}, "random")
@example({"min": "0.0", "max": "1.0", "step": "1e-29"}, "grid")
@example({"min": "1", "max": "9", "points": "0x5"}, "grid")
@example({"min": "100000000.5", "max": "100000001.5", "points": "5"}, "grid")
@example({"min": "100000000.5", "max": "100000001.5"}, "random")
@example({"min": "0.5", "max": "0.5"}, "random")
@example({"min": "-0.0", "max": "0.0", "step": "5e-300"}, "grid")
@settings(max_examples=400, deadline=None)
def test_a_space_of_any_numbers_has_as_many_trials_as_it_says_or_is_refused_with_its_place(
    axis: dict[str, str], strategy: str
) -> None:
    found = read(axis, strategy)
    if isinstance(found, InputError):
        assert found.line > 0
        assert found.message
        return
    values = [trial["a"] for trial in lay_out(found)]
    assert len({float(text) for text in values}) == len(values), "two trials are the same"
    (axis_read,) = found.space
    assert isinstance(axis_read, Range)
    if axis_read.points:
        spaced = [axis_read.at(index) for index in range(axis_read.points)]
        assert len(spaced) == len(set(spaced))
        assert (float(spaced[0]), float(spaced[-1])) == (float(axis_read.low), float(axis_read.high))
    assert len(values) == (MOST if found.size is None else min(found.size, MOST))
