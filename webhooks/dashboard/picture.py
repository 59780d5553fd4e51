"""A search's picture: its axes, its lines, and which of them cross the axes between two marks. Values only; pure.

Lines lie in thousandths of the picture's box, which is stretched to the width it gets; text lies in percent beside
them, so that it keeps its size. Lines of a kind are one path, so that a thousand of them are a few dozen kilobytes and
not a thousand elements.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

from webhooks.dashboard.scales import WIDE, Marks, Scale

TOP, BOTTOM = 20.0, 900.0
"""Where the greatest and the least value of an axis lie."""

APART = 975.0
"""Where a line ends that came to no value."""

_NEAR = 0.0006  # of an axis, by which a line may miss a mark: heights are whole thousandths; `brush.js` has the same


@dataclass(frozen=True)
class Goal:
    """What the best trial is best in."""

    metric: str
    is_greatest: bool = True


@dataclass(frozen=True)
class Tick:
    """A value at an axis, and how far from the top it stands, in percent."""

    y: float
    text: str


@dataclass(frozen=True)
class Axis:
    """An axis of the picture.

    Args:
        key: what an address calls it by: `p.NAME` for a parameter, `value` for the objective.
        x: how far from the left it stands, in thousandths.
        ticks: none for an objective that no trial has a value of.
        hint: which way is better, for the objective alone.
    """

    key: str
    name: str
    x: float
    scale: Scale
    ticks: tuple[Tick, ...]
    hint: str = ""


@dataclass(frozen=True)
class Path:
    """A trial's line.

    Args:
        points: each axis that it meets, by its number from 0, and how far from the top, in thousandths.
        kind: `best`, `open` for one that is not over, `failed`, or `q0` to `q3` from the worst quarter to the best.
        value: what it counts with, as people read it; empty for none.
    """

    number: int
    points: tuple[tuple[int, int], ...]
    kind: str
    value: str

    @property
    def end(self) -> float:
        """How far from the top it ends, in percent."""
        return self.points[-1][1] / WIDE * 100

    @property
    def stroke(self) -> str:
        """Itself, as a part of an SVG path whose unit across is the distance of two axes."""
        return "M" + " ".join(f"{axis} {y}" for axis, y in self.points)


@dataclass(frozen=True)
class Stroke:
    """All lines of a kind.

    Args:
        trials: each trial's number and value, in the order in which the path begins anew.
        path: as SVG has it.
    """

    kind: str
    trials: str
    path: str


@dataclass(frozen=True)
class Picture:
    """The whole of it.

    Args:
        width: pixels that it needs at least.
        paths: the best one last, so that it lies on top.
        has_apart: whether there is a place for lines that came to no value.
        words: what the picture says.
        top: where the axes begin, in thousandths; `bottom` and `apart` likewise.
    """

    title: str
    words: str
    width: int
    axes: tuple[Axis, ...]
    paths: tuple[Path, ...]
    has_apart: bool
    top: float = TOP
    bottom: float = BOTTOM
    apart: float = APART

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of lines that it has."""
        return frozenset(path.kind for path in self.paths)

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """Its lines, kind by kind."""
        kinds = groupby(self.paths, key=lambda path: path.kind)
        return tuple(_draw_all(kind, list(paths)) for kind, paths in kinds)

    @property
    def best(self) -> Path | None:
        """The best trial's line."""
        return next((path for path in self.paths if path.kind == "best"), None)

    @property
    def step(self) -> float:
        """The distance of two axes, in thousandths."""
        return round((self.axes[-1].x - self.axes[0].x) / (len(self.axes) - 1), 4)

    def between(self, marks: Collection[Marks]) -> frozenset[int]:
        """Return the trials whose lines cross every axis between its marks, as `brush.js` finds them."""
        limits = [limit for one in marks if (limit := self._limit(one)) is not None]
        return frozenset(
            path.number
            for path in self.paths
            if all(low <= _share_of(path, axis) <= high for axis, low, high in limits)
        )

    def holds(self, marks: Marks) -> bool:
        """Return whether there is such an axis, and the marks leave out a part of it."""
        return self._limit(marks) is not None

    def _limit(self, marks: Marks) -> tuple[int, float, float] | None:
        """Return an axis by its number, and between which shares of its height a line must cross it."""
        at = next((at for at, axis in enumerate(self.axes) if axis.key == marks.key), None)
        if at is None:
            return None
        most = self.axes[at].scale.most
        low, high = sorted(self.axes[at].scale.between(marks))
        return (at, low / most - _NEAR, high / most + _NEAR) if low > 0 or high < most else None


def _draw_all(kind: str, paths: Sequence[Path]) -> Stroke:
    trials = " ".join(f"{path.number}:{path.value}" for path in paths)
    return Stroke(kind, trials, "".join(path.stroke for path in paths))


def _share_of(path: Path, axis: int) -> float:
    """Return how high a line crosses an axis, from 0 at its bottom to 1; NaN, which is nowhere, where it does not."""
    y = next((y for at, y in path.points if at == axis), None)
    return (BOTTOM - y) / (BOTTOM - TOP) if y is not None and y <= BOTTOM else math.nan
