"""Scales: which height a value has on an axis of a picture, and where two marks on it stand. Values only; pure."""

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from gitops.words import cut
from webhooks.dashboard.words import number

WIDE = 1_000
"""The number of the top of an axis of numbers, as marks count."""

LONGEST = 60
"""Letters of a value that stand in a picture."""

_SLIP = 1e-6  # by which two ways to compute the same place may differ; `brush.js` has the same
_MOST_TICKS = 12


@dataclass(frozen=True)
class Marks:
    """Two marks on an axis, between which a trial's line must cross it.

    They are values and no places, so that they mean the same when the axis grows.

    Args:
        key: the axis'.
        start: a value, None for the axis' own end; so is `end`. Which of the two is the higher does not matter.
    """

    key: str
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Scale:
    """What stands where on an axis.

    Args:
        choices: the values of an axis of words, from the bottom up; empty for one of numbers.
        low: the least number, at the bottom.
        high: the greatest, at the top.
        is_log: whether the logarithm is what is evenly spread.
    """

    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False

    @property
    def most(self) -> int:
        """The number of its top; that of its bottom is 0."""
        return len(self.choices) - 1 if self.choices else WIDE

    @property
    def told(self) -> dict[str, object]:
        """What a script needs to say where on the axis somebody is."""
        if self.choices:
            return {"choices": self._words}
        return {"low": self.low, "high": self.high, "log": self.is_log}

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """What stands beside the axis, each with its share of the height."""
        if self.choices:
            shown = list(enumerate(self._words))[:: math.ceil(len(self.choices) / _MOST_TICKS)]
            return tuple((at / self.most if self.most else 0.5, word) for at, word in shown)
        if self.high == self.low:
            return ((0.5, _show(self.low)),)
        middle = math.sqrt(self.low) * math.sqrt(self.high) if self.is_log else self.low / 2 + self.high / 2
        return ((0.0, _show(self.low)), (0.5, _show(middle)), (1.0, _show(self.high)))

    @property
    def _words(self) -> list[str]:
        return [cut(one, LONGEST) for one in self.choices]

    def share(self, text: str) -> float | None:
        """Return how high a value stands, from 0 at the bottom to 1; None for what is no value of the axis."""
        if self.choices:
            if text not in self.choices:
                return None
            return self.choices.index(text) / self.most if self.most else 0.5
        value = to_number(text)
        return self._share(value) if value is not None and self.low <= value <= self.high else None

    def _share(self, value: float) -> float:
        if self.high == self.low:
            return 0.5
        if self.is_log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        # Of halves, since the whole distance of two numbers may be none.
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def between(self, marks: Marks) -> tuple[int, int]:
        """Return where two marks stand, as whole numbers from 0 to `most`, with whatever stands at them between."""
        start, end = self._place(marks.start, 0.0), self._place(marks.end, float(self.most))
        if start <= end:
            return math.floor(start + _SLIP), math.ceil(end - _SLIP)
        return math.ceil(start - _SLIP), math.floor(end + _SLIP)

    def _place(self, text: str | None, own: float) -> float:
        """Return where a mark stands; at the axis' own end where it is none of its values."""
        if self.choices:
            return float(self._words.index(text)) if text in self._words else own
        value = to_number(text or "")
        return own if value is None else self._share(min(max(value, self.low), self.high)) * WIDE


def to_number(text: str) -> float | None:
    """Return a finite number of 64 bits, as scripts read them; None for what is none."""
    try:
        value = float(Decimal(text))
    except (InvalidOperation, ValueError):
        return None
    return value if math.isfinite(value) else None  # 1e400 is a decimal, and no number of 64 bits


def to_plain(value: float) -> str:
    """Return a number without an exponent."""
    return format(Decimal(repr(value)), "f") if math.isfinite(value) else str(value)


def _show(value: float) -> str:
    return number(to_plain(value))
