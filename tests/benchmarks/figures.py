"""What a benchmark gives: rows of a table and curves, as values. No figure stands alone: its baseline is beside it."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Args:
        is_quick: only enough to see that every figure is there; what comes out means nothing.
    """

    is_quick: bool = False

    def pick(self, full: int, *, quick: int) -> int:
        """Return a size or a number of repetitions."""
        return quick if self.is_quick else full

    def steps(self, *full: int) -> tuple[int, ...]:
        """Return the sizes of a curve; the first two when it is quick."""
        return full[:2] if self.is_quick else full


@dataclass(frozen=True)
class Measured:
    """Repeated measurements of one thing.

    Args:
        values: each repetition's, in `unit`.
        unit: `ms`, `requests/s`, `MB` and so on.
    """

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half of what lies between the quartiles, as a share of the median."""
        if len(self.values) < 2 or not self.median:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return (high - low) / 2 / self.median

    def percentile(self, percent: int) -> float:
        """Return the value that so many percent stay under."""
        if len(self.values) < 2:
            return self.median
        return statistics.quantiles(self.values, n=100, method="inclusive")[percent - 1]


class Must(StrEnum):
    """How a figure is held against what is to be reached."""

    RATIO_AT_LEAST = "at least, times the baseline"
    RATIO_AT_MOST = "at most, times the baseline"
    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True)
class Reach:
    """What is to be reached.

    Args:
        design: what the design asked for, and where it is told why the goal is another one; empty where it is the same.
    """

    must: Must
    value: float
    design: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        what: what is measured, and how.
        ours: of Launchpin.
        beside: what it is compared with, by name; the first is the baseline of a ratio.
        reach: None where there is no goal.
        figure: the number that is held against `reach` where it is not the median: a percentile, say.
        note: what a reader must know, the CPU per request for example.
    """

    what: str
    ours: Measured
    beside: Mapping[str, Measured] = field(default_factory=dict)
    reach: Reach | None = None
    figure: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours against the baseline."""
        baseline = next(iter(self.beside.values()), None)
        return self.value / baseline.median if baseline is not None and baseline.median else None

    @property
    def value(self) -> float:
        """The number that counts."""
        return self.ours.median if self.figure is None else self.figure

    @property
    def is_reached(self) -> bool:
        """Whether it reaches its goal."""
        if self.reach is None:
            return True
        is_ratio = self.reach.must in {Must.RATIO_AT_LEAST, Must.RATIO_AT_MOST}
        number = self.ratio if is_ratio else self.value
        if number is None:
            return False
        wants_more = self.reach.must in {Must.RATIO_AT_LEAST, Must.AT_LEAST}
        return number >= self.reach.value if wants_more else number <= self.reach.value


@dataclass(frozen=True)
class Curve:
    """How figures grow.

    Args:
        name: of the picture's file, without its ending.
        series: by name, points of x and y.
    """

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    is_logarithmic: bool = True


@dataclass(frozen=True)
class Result:
    """Everything that one benchmark found."""

    rows: tuple[Row, ...] = ()
    curves: tuple[Curve, ...] = ()


def time_each(do: Callable[[], object], *, times: int) -> tuple[float, ...]:
    """Return the milliseconds that each call took."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        do()
        taken.append((time.perf_counter() - begun) * 1000)
    return tuple(taken)


def time_in_turn(
    ours: Callable[[], object], baseline: Callable[[], object], *, times: int
) -> tuple[Measured, Measured]:
    """Time two things by turns, so that whatever else the machine does meets both alike."""
    first: list[float] = []
    second: list[float] = []
    for _ in range(times):
        first.extend(time_each(ours, times=1))
        second.extend(time_each(baseline, times=1))
    return Measured(tuple(first), "ms"), Measured(tuple(second), "ms")
