"""The axes of a search: which values a parameter may take, counted, listed and drawn. Pure.

Numbers are computed as decimals, whose logarithms are correctly rounded, so that every machine comes to the same texts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from functools import cached_property

DRAW_BITS = 64
"""A draw is a whole number of so many bits."""

FEWEST = 1_000_000
"""So many decimals, at least, must fit between the ends to draw from them."""

_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)
# A drawn or spaced decimal is written with so many significant digits: enough to tell trials apart, few enough to read.
# Where the ends agree in their first digits it has more, up to what tells any two numbers of 64 bits apart.
_WRITTEN, _MOST_WRITTEN = 8, 17
_ROUND = Context(prec=1, rounding=ROUND_CEILING)
_HALF = Decimal("0.5")


@dataclass(frozen=True)
class Choices:
    """A parameter that takes one of these values.

    Args:
        values: as written, in their order; `${...}` is not filled in yet.
    """

    name: str
    values: tuple[str, ...]

    @property
    def count(self) -> int | None:
        """How many values there are."""
        return len(self.values)

    def at(self, index: int) -> str:
        """Return the value at a place, from 0."""
        return self.values[index]

    def draw(self, number: int) -> str:
        """Return the value that a draw of `DRAW_BITS` bits comes to, each with the same chance."""
        return self.values[number * len(self.values) >> DRAW_BITS]


@dataclass(frozen=True)
class Range:
    """A parameter that takes numbers from `low` to `high`, both of them included.

    Args:
        is_whole: whole numbers only.
        is_log: evenly spread over the logarithm, so that 0.001 to 0.01 is as much as 0.1 to 1.
        step: the distance between two values, None for none.
        points: how many evenly spread values there are, 0 where nothing is said.
    """

    name: str
    low: Decimal
    high: Decimal
    is_whole: bool = False
    is_log: bool = False
    step: Decimal | None = None
    points: int = 0

    @property
    def count(self) -> int | None:
        """How many values there are; None for a continuum."""
        if self.points:
            return len(self._spaced)
        if self.low == self.high:
            return 1
        if self.step is not None:
            return int(_EXACT.divide_int(_EXACT.subtract(self.high, self.low), self.step)) + 1
        return int(self.high) - int(self.low) + 1 if self.is_whole else None

    @property
    def spacing(self) -> Decimal:
        """How far two numbers are apart at the farther end, as every script reads them: in 64 bits."""
        return Decimal(math.ulp(float(max(abs(self.low), abs(self.high)))))

    @property
    def is_too_narrow(self) -> bool:
        """Whether a million draws could not all differ."""
        width = _EXACT.subtract(self.high, self.low)
        return self.count is None and width < _EXACT.multiply(Decimal(FEWEST), self.spacing)

    @property
    def most_points(self) -> int:
        """How many points, at most as many as asked for, come to as many numbers; 0 where not even two do."""
        points = self.points
        while points > 1 and (count := replace(self, points=points).count or 0) < points:
            points = min(count, points * 3 // 4)
        return points if points > 1 else 0

    @property
    def least_step(self) -> Decimal:
        """The least distance at which no two decimals of the range are read as the same number."""
        # By one spacing alone two of them may both be rounded to the one between.
        return _ROUND.plus(_EXACT.multiply(Decimal(2), self.spacing))

    def at(self, index: int) -> str:
        """Return the value at a place, from 0; only where there is a count."""
        if self.points:
            return self._spaced[index]
        return self._write(_EXACT.add(self.low, _EXACT.multiply(self.step or Decimal(1), Decimal(index))))

    def draw(self, number: int) -> str:
        """Return the value that a draw of `DRAW_BITS` bits comes to."""
        count = self.count
        if count is not None and not (self.is_log and not self.points):
            return self.at(number * count >> DRAW_BITS)
        share = _EXACT.divide(Decimal(number), Decimal(1 << DRAW_BITS))
        return self._write(self._between(share, *self._drawn_ends))

    @cached_property
    def _spaced(self) -> Sequence[str]:
        last = max(1, self.points - 1)
        shares = (_EXACT.divide(Decimal(index), Decimal(last)) for index in range(1, last))
        ends = self._scale(self.low), self._scale(self.high)
        inner = (self._write(self._between(share, *ends)) for share in shares)
        return tuple(dict.fromkeys([self._text(self.low), *inner, self._text(self.high)]))

    @cached_property
    def _written(self) -> Context:
        """How exactly a number is written: a million of them, at least, fit between the ends."""
        width = _EXACT.subtract(self.high, self.low)
        shared = max(abs(self.low), abs(self.high)).adjusted() - width.adjusted() - 1 if width else 0
        return Context(prec=min(_WRITTEN + max(0, shared), _MOST_WRITTEN), rounding=ROUND_HALF_EVEN)

    @cached_property
    def _drawn_ends(self) -> tuple[Decimal, Decimal]:
        # Each whole number stands for the half before and behind it, so that the ends have their full share.
        wider = _HALF if self.is_whole else Decimal(0)
        return self._scale(_EXACT.subtract(self.low, wider)), self._scale(_EXACT.add(self.high, wider))

    def _scale(self, value: Decimal) -> Decimal:
        """Return where a number stands on the axis: at its logarithm, or at itself."""
        return _EXACT.ln(value) if self.is_log else value

    def _between(self, share: Decimal, first: Decimal, last: Decimal) -> Decimal:
        """Return the number at a share of the way between two places of the axis, from 0 to 1."""
        place = _EXACT.add(first, _EXACT.multiply(_EXACT.subtract(last, first), share))
        return _EXACT.exp(place) if self.is_log else place

    def _write(self, value: Decimal) -> str:
        """Return the text of a number near a value, and never of one outside the range."""
        if self.is_whole:
            value = value.to_integral_value(rounding=ROUND_HALF_EVEN)
        elif self.step is None:
            value = self._written.plus(value)
        return self._text(min(max(value, self.low), self.high))

    def _text(self, value: Decimal) -> str:
        """Return what Python writes for a number."""
        return str(int(value)) if self.is_whole else repr(float(value))


Axis = Choices | Range
