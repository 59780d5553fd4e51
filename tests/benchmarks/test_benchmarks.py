"""Every benchmark can be run and gives all its figures; what they come to is judged by `make bench` alone.

One ordinary run has a fifth of them, the next one another.
"""

from pathlib import Path

import pytest

from tests.benchmarks.__main__ import BENCHMARKS, run
from tests.benchmarks.figures import Curve, Measured, Must, Reach, Row, Scale
from tests.benchmarks.report import draw, goal, lines, verdict
from tests.faults.tally import choose


# On a busy machine: whole stacks are started here, and environments made.
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", choose(list(BENCHMARKS), of=5))
def test_a_benchmark_gives_its_rows_and_curves(name: str) -> None:
    result = run(name, Scale(is_quick=True))

    assert result.rows or result.curves
    for row in result.rows:
        for measured in (row.ours, *row.beside.values()):
            assert all(value > 0 for value in measured.values), row.what
    for curve in result.curves:
        assert len({len(points) for points in curve.series.values()}) == 1
        assert all(x > 0 and y > 0 for points in curve.series.values() for x, y in points)


def test_a_row_is_held_against_its_baseline_or_a_number() -> None:
    ten, forty = Measured((9.0, 10.0, 11.0), "ms"), Measured((40.0,), "ms")

    def is_reached(must: Must, value: float) -> bool:
        return Row("row", ten, {"baseline": forty}, Reach(must, value)).is_reached

    assert is_reached(Must.RATIO_AT_MOST, 0.25)
    assert not is_reached(Must.RATIO_AT_MOST, 0.24)
    assert is_reached(Must.RATIO_AT_LEAST, 0.25)
    assert not is_reached(Must.RATIO_AT_LEAST, 0.26)
    assert is_reached(Must.AT_MOST, 10)
    assert not is_reached(Must.AT_MOST, 9.9)
    assert not is_reached(Must.AT_LEAST, 10.1)


def test_a_row_that_misses_says_so_in_its_line() -> None:
    row = Row("row", Measured((2500.0,), "ms"), {"other": Measured((1000.0,), "ms")}, Reach(Must.RATIO_AT_MOST, 2.0))

    assert lines([row]) == [("row", "2,500 ms, once", "other: 1,000 ms, once", "2.50x", "≤ 2x", "**no**", "")]
    assert (goal(None), verdict(Row("row", row.ours))) == ("", "")
    assert goal(Reach(Must.AT_MOST, 15.0), unit="ms") == "≤ 15 ms"
    assert (
        goal(Reach(Must.AT_MOST, 330.0, "the design: 300 MB; ADR 19"), unit="MB")
        == "≤ 330 MB (the design: 300 MB; ADR 19)"
    )


def test_a_ratio_without_its_baseline_is_not_reached() -> None:
    assert not Row("row", Measured((1.0,), "ms"), {}, Reach(Must.RATIO_AT_MOST, 2.0)).is_reached


def test_a_curve_becomes_a_picture(tmp_path: Path) -> None:
    draw(Curve("one", "One", "x", "y", {"a": [(1, 2), (10, 20)]}), tmp_path / "one.svg")

    assert "<svg" in (tmp_path / "one.svg").read_text()
