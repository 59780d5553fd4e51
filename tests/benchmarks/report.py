"""The table and the pictures: for a terminal while it runs, and for `docs/` when everything was measured."""

import json
import math
import os
import platform
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.figures import Curve, Measured, Must, Reach, Result, Row

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference" / "benchmarks.md"
PICTURES = DOCS / "images" / "benchmarks"
_HALF_DECADE = math.sqrt(10)
_HEAD = """\
# Benchmarks

Written by `make bench`, which measures everything here in one run on one machine: ours and what it is compared with by
turns, or one after the other where each needs servers of its own (starting work, looking up versions, environments,
starting and resting). Ratios travel to other machines better than rates do. A figure is the median; behind it stands
half of what lies between the quartiles, but for what was measured once, or is a percentile itself. A row has nothing
beside it where nothing else does the same. `make bench` ends with an error when a row misses its goal; a goal that is
not the design's says so.
"""


def told(measured: Measured) -> str:
    """Return a figure as people read it; what was measured once has no spread."""
    spread = f" ±{measured.spread:.0%}" if len(measured.values) > 1 else ", once"
    return f"{number(measured.median)} {measured.unit}{spread}"


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def goal(reach: Reach | None, *, unit: str = "") -> str:
    """Return what is to be reached, in a few characters.

    Args:
        unit: of the figure itself; a ratio has none.
    """
    if reach is None:
        return ""
    sign = "≥" if reach.must in {Must.RATIO_AT_LEAST, Must.AT_LEAST} else "≤"
    after = "x" if reach.must in {Must.RATIO_AT_LEAST, Must.RATIO_AT_MOST} else f" {unit}".rstrip()
    return f"{sign} {number(reach.value)}{after}{f' ({reach.design})' if reach.design else ''}"


def verdict(row: Row) -> str:
    """Return whether a row reaches its goal."""
    if row.reach is None:
        return ""
    return "yes" if row.is_reached else "**no**"


def lines(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """Return the table's cells."""
    found: list[tuple[str, ...]] = []
    for row in rows:
        beside = "; ".join(f"{name}: {told(measured)}" for name, measured in row.beside.items())
        ratio = f"{row.ratio:.2f}x" if row.ratio is not None else ""
        value = told(row.ours) if row.figure is None else f"{number(row.figure)} {row.ours.unit}"
        found.append((row.what, value, beside, ratio, goal(row.reach, unit=row.ours.unit), verdict(row), row.note))
    return found


def write_page(results: Mapping[str, Result]) -> None:
    """Write the table, the pictures and the raw figures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    parts = [_HEAD, _machine(), ""]
    for name, result in results.items():
        parts += [f"## {name}", "", *_table(result.rows), ""]
        for curve in result.curves:
            draw(curve, PICTURES / f"{curve.name}.svg")
            parts += [f"![{curve.title}](../images/benchmarks/{curve.name}.svg)", ""]
    PAGE.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    (PICTURES / "figures.jsonl").write_text("".join(_raw(results)), encoding="utf-8")


def _raw(results: Mapping[str, Result]) -> Iterator[str]:
    """Give every value that was measured, a line of JSON for each row and each series of a curve."""
    for name, result in results.items():
        told = [{"what": row.what, "unit": row.ours.unit, "values": _short(row.ours.values)} for row in result.rows]
        told += [
            {"what": f"{curve.title}: {series}", "unit": curve.y, curve.x: _short(x), "values": _short(y)}
            for curve in result.curves
            for series, points in curve.series.items()
            for x, y in [zip(*points, strict=True)]
        ]
        yield from (json.dumps({"benchmark": name, **line}, ensure_ascii=False) + "\n" for line in told)


def _short(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _table(rows: Sequence[Row]) -> list[str]:
    head = ("what", "Launchpin", "beside it", "ratio", "to reach", "reached", "note")
    shown = [head, tuple("---" for _ in head), *lines(rows)]
    return ["| " + " | ".join(cells) + " |" for cells in shown]


def _machine() -> str:
    day = datetime.now(UTC).date().isoformat()
    return (
        f"Measured on {day}: {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}."
    )


def _between(value: float, _: int) -> str:
    """Return the label of a small tick: of one that begins with 2 or 5."""
    return f"{value:,.10g}" if f"{value:e}"[0] in "25" else ""


def draw(curve: Curve, file: Path) -> None:
    """Draw a curve as SVG that looks right on light and dark pages."""
    import matplotlib as mpl  # noqa: PLC0415 - a second of import that the quick run does without

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of what it draws with
    from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415 - as above

    with plt.rc_context(
        {"svg.hashsalt": curve.name, "svg.fonttype": "none", "font.size": 10, "axes.spines.top": False}
    ):
        figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
        for name, points in curve.series.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        if curve.is_logarithmic:
            axes.set_xscale("log")
            axes.set_yscale("log")
            heights = [y for points in curve.series.values() for _, y in points]
            # A decade at least, or noise looks like a cliff.
            middle = math.sqrt(min(heights) * max(heights))
            axes.set_ylim(
                min(0.8 * min(heights), middle / _HALF_DECADE), max(1.25 * max(heights), middle * _HALF_DECADE)
            )
            for axis, has_small in ((axes.xaxis, False), (axes.yaxis, True)):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
                axis.set_minor_formatter(FuncFormatter(_between) if has_small else NullFormatter())
            axes.set_xticks(sorted({x for points in curve.series.values() for x, _ in points}))
        axes.set(title=curve.title, xlabel=curve.x, ylabel=curve.y)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
        figure.savefig(file, metadata={"Date": None}, facecolor="white")
        plt.close(figure)
