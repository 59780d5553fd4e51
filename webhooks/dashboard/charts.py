"""Where the marks of a picture lie, in percent of its box, and what the picture says in words. Pure.

Percent, because text then keeps its size on a phone as on a wide screen, and nothing has to be drawn by a script.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from gitops.audit.history import Tenure
from gitops.records import Version
from gitops.words import age
from webhooks.dashboard.words import label, number, span

_SLIMMEST = 0.6
_ROOM_FOR_TEXT = 7.0
_TONES = 4
_TOP, _BOTTOM = 14.0, 86.0
_LEFT, _RIGHT = 2.0, 98.0


@dataclass(frozen=True)
class Band:
    """A time in which one version served.

    Args:
        x: where it begins.
        width: how long it is.
        tone: a number from 0 on; a version has the same wherever it serves.
        failed: whether it ended because it failed.
        has_room: whether its label fits into it.
        words: everything about it.
    """

    x: float
    width: float
    tone: int
    failed: bool
    has_room: bool
    version: str
    words: str
    tenure: Tenure


@dataclass(frozen=True)
class Row:
    """The bands of one endpoint."""

    endpoint: str
    env: str
    bands: tuple[Band, ...]
    words: str


@dataclass(frozen=True)
class Bands:
    """What served where, over one span of time that all rows share."""

    start: datetime
    end: datetime
    rows: tuple[Row, ...]


def keep_newest(tenures: Sequence[Tenure], most: int) -> tuple[Tenure, ...]:
    """Return the newest tenures, and of the older ones those that reach into their time: what serves is among them.

    Args:
        tenures: oldest first.
    """
    if len(tenures) <= most:
        return tuple(tenures)
    since = tenures[-most].start
    older = [one for one in tenures[:-most] if one.end is None or one.end > since]
    return (*older, *tenures[-most:])


def draw_bands(tenures: Sequence[Tenure], now: datetime, *, since: datetime | None = None) -> Bands | None:
    """Return the bands of these tenures; None where nothing ever served.

    Args:
        since: where the picture begins; what began earlier is cut there. The first beginning where none is given.
    """
    if not tenures:
        return None
    start = since or min(one.start for one in tenures)
    length = max((now - start).total_seconds(), 1.0)
    by_endpoint: dict[str, list[Tenure]] = defaultdict(list)
    for one in tenures:
        by_endpoint[one.endpoint].append(one)
    rows = [_row(name, found, start, length, now) for name, found in sorted(by_endpoint.items())]
    return Bands(start, now, tuple(rows))


def _row(endpoint: str, found: Sequence[Tenure], start: datetime, length: float, now: datetime) -> Row:
    bands = [_band(at, one, start, length, now) for at, one in enumerate(found)]
    told = "; ".join(f"{label(one.version)} for {age(one.start, one.end or now)}" for one in found)
    still = ", serving now" if found[-1].end is None else ", nothing since"
    return Row(endpoint, found[-1].env, tuple(bands), f"{endpoint}: {told}{still}")


def _band(at: int, one: Tenure, start: datetime, length: float, now: datetime) -> Band:
    begun = max(one.start, start)
    x = (begun - start).total_seconds() / length * 100
    width = max(((one.end or now) - begun).total_seconds() / length * 100, _SLIMMEST)
    x = max(0.0, min(x, 100 - width))
    ended = f", until {one.end:%Y-%m-%d %H:%M} UTC: {one.ended}" if one.end else ", serving now"
    since = f"{label(one.version)} from {one.start:%Y-%m-%d %H:%M}"
    return Band(
        x=round(x, 3),
        width=round(width, 3),
        tone=(int(one.version) if one.version.isdecimal() else at) % _TONES,
        failed=one.ended.startswith("failed"),
        has_room=width >= _ROOM_FOR_TEXT,
        version=one.version,
        words=f"{since}{ended}",
        tenure=one,
    )


@dataclass(frozen=True)
class Dot:
    """One version's value."""

    x: float
    y: float
    version: str
    value: str
    is_champion: bool


@dataclass(frozen=True)
class Stroke:
    """A line from one dot to the next."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Line:
    """One metric over versions."""

    metric: str
    dots: tuple[Dot, ...]
    strokes: tuple[Stroke, ...]
    words: str
    lowest: str
    highest: str

    @property
    def last(self) -> Dot:
        """The newest version's."""
        return self.dots[-1]


def draw_lines(
    versions: Sequence[Version], *, champion: str, first: Iterable[str], apart: Collection[str] = ()
) -> tuple[Line, ...]:
    """Return a line for each metric that at least two versions have.

    Args:
        versions: newest first.
        champion: the version that is marked, empty for none.
        first: metrics that come first, those that gates ask for.
        apart: versions that do not follow on the one before, nor the next on them: no stroke leads to their dots.
    """
    shown = list(reversed(versions))
    known = sorted({name for version in shown for name in version.metrics})
    ordered = list(dict.fromkeys([*(name for name in first if name in known), *known]))
    lines = (_line(name, shown, champion, apart) for name in ordered)
    return tuple(line for line in lines if line is not None)


def _line(metric: str, versions: Sequence[Version], champion: str, apart: Collection[str]) -> Line | None:
    found = [
        (at, version, value) for at, version in enumerate(versions) if (value := _value(version, metric)) is not None
    ]
    if len(found) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    values = [value for _, _, value in found]
    low, high = min(values), max(values)
    across = max(1, len(versions) - 1)
    dots = tuple(
        Dot(
            x=round(_LEFT + at / across * (_RIGHT - _LEFT), 2),
            y=round(_height(value, low, high), 2),
            version=version.version,
            value=version.metrics[metric],
            is_champion=version.version == champion,
        )
        for at, version, value in found
    )
    strokes = tuple(
        Stroke(one.x, one.y, two.x, two.y)
        for one, two in pairwise(dots)
        if one.version not in apart and two.version not in apart
    )
    lowest, highest = number(str(low)), number(str(high))
    words = (
        f"{metric} over {len(dots)} versions: {label(dots[0].version)} had {number(dots[0].value)}, "
        f"{label(dots[-1].version)} has {number(dots[-1].value)}; between {lowest} and {highest}"
    )
    alone = [dot for dot in dots if dot.version in apart]
    words += "".join(f"; {label(dot.version)}, apart from the others, has {number(dot.value)}" for dot in alone)
    return Line(metric, dots, strokes, words, lowest, highest)


def _value(version: Version, metric: str) -> Decimal | None:
    try:
        value = Decimal(version.metrics.get(metric, ""))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _height(value: Decimal, low: Decimal, high: Decimal) -> float:
    """Return how far from the top a value stands; all alike stand in the middle."""
    share = 0.5 if high == low else float((value - low) / (high - low))
    return _BOTTOM - share * (_BOTTOM - _TOP)


def length_of(tenure: Tenure, now: datetime) -> str:
    """Return how long a version served."""
    return span(((tenure.end or now) - tenure.start).total_seconds())
