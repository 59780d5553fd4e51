"""A search as parallel coordinates: an upright axis for each parameter, the objective last, a line a trial. Pure.

A line that comes to no value is broken and ends apart, below the objective's axis: what colour says is said by shape,
too, and all of it stands in the table of trials.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Protocol

from gitops.steps import Phase
from gitops.words import cut
from webhooks.dashboard.picture import APART, BOTTOM, LONGEST, TOP, WIDE, Axis, Goal, Path, Picture, Tick
from webhooks.dashboard.words import number

MOST_TRIALS = 1_000
"""Trials that a picture and its table show; a search with more shows its newest."""

_LEFT, _RIGHT = 50.0, 880.0  # of the first and the last axis
_PER_AXIS, _PER_LETTER = 150, 8  # pixels, at least
_MOST_TICKS = 12
_LOG_FROM = 100  # the greatest is so many times the least: a logarithm tells them apart
_STRENGTHS = 4
_MOST_TOLD = 8


class Trial(Protocol):
    """What a picture needs of a trial; `gitops.trials.TrialView` has it."""

    @property
    def number(self) -> int:
        """From 1, in the order in which the search was laid out."""
        ...

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the search gave it."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it logged."""
        ...

    @property
    def state(self) -> str:
        """Its phase."""
        ...

    @property
    def is_best(self) -> bool:
        """Whether it is the best so far."""
        ...

    @property
    def reason(self) -> str:
        """Why it failed or what it waits for."""
        ...


@dataclass(frozen=True)
class _Scale:
    """How values of one name become heights."""

    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False

    def height(self, text: str) -> float | None:
        """Return how far from the top a value stands; None for what is no value of the axis."""
        if self.choices:
            if text not in self.choices:
                return None
            most = len(self.choices) - 1
            return _at(self.choices.index(text) / most if most else 0.5)
        value = _number(text)
        return None if value is None else _at(self._share(value))

    def _share(self, value: float) -> float:
        if self.high == self.low:
            return 0.5
        if self.is_log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> tuple[Tick, ...]:
        """Return what stands beside the axis."""
        if self.choices:
            every = math.ceil(len(self.choices) / _MOST_TICKS)
            return tuple(_tick(self.height(one), one) for one in self.choices[::every])
        if self.high == self.low:
            return (_tick(_at(0.5), number(_plain(self.low))),)
        middle = math.sqrt(self.low * self.high) if self.is_log else (self.low + self.high) / 2
        return tuple(
            _tick(_at(share), number(_plain(value)))
            for share, value in ((0.0, self.low), (0.5, middle), (1.0, self.high))
        )


def draw_search(
    trials: Sequence[Trial],
    goal: Goal,
    *,
    choices: Mapping[str, Sequence[str]] | None = None,
    logs: Collection[str] | None = None,
) -> Picture | None:
    """Return the picture of a search; None while it has no trial with a parameter.

    Args:
        choices: the values of the parameters that take one of a list, in its order.
        logs: parameters whose logarithm is evenly spread; None where that is not known, and their values tell.
    """
    shown = [one for one in trials if one.parameters][-MOST_TRIALS:]
    names = list(dict.fromkeys([*(choices or {}), *(name for one in shown for name in one.parameters)]))
    names = [name for name in names if any(name in one.parameters for one in shown)]
    if not names:
        return None
    scales = {
        name: _scale_of([one.parameters[name] for one in shown if name in one.parameters], (choices or {}).get(name))
        for name in names
    }
    scales = {name: _with_log(scale, name, logs) for name, scale in scales.items()}
    values = {one.number: value for one in shown if (value := value_of(one, goal)) is not None}
    found = list(values.values())
    last = _Scale(low=min(found), high=max(found)) if found else _Scale()
    xs = _spread(len(names) + 1)
    axes = [Axis(name, x, *_told(scales[name])) for name, x in zip(names, xs, strict=False)]
    hint = "higher is better" if goal.is_greatest else "lower is better"
    ticks = last.ticks() if found else ()
    axes.append(Axis(goal.metric, xs[-1], ticks, (), last.low, last.high, hint=hint))
    strengths = _strengths(values, is_greatest=goal.is_greatest)
    paths = [_path(one, names, scales, last, values.get(one.number), strengths) for one in shown]
    return Picture(
        title=f"{_count(len(shown), 'trial')} over {_count(len(names), 'parameter')}",
        words=_words(shown, goal, values),
        width=len(axes) * max(_PER_AXIS, *(len(axis.name) * _PER_LETTER for axis in axes)),
        axes=tuple(axes),
        paths=tuple(sorted(paths, key=lambda one: (one.kind == "best", one.kind[0] == "q", one.kind, one.number))),
        has_apart=len(found) < len(shown),
    )


def value_of(trial: Trial, goal: Goal) -> float | None:
    """Return what a trial counts with; None for one that came to no model, whatever it logged."""
    return trial.metrics.get(goal.metric) if trial.state == Phase.SUCCEEDED.value else None


def is_over(trial: Trial) -> bool:
    """Return whether nothing more comes of a trial."""
    return trial.state not in {Phase.PENDING.value, Phase.RUNNING.value}


def _scale_of(texts: Sequence[str], known: Sequence[str] | None) -> _Scale:
    read = [_number(text) for text in texts]
    numbers = [value for value in read if value is not None]
    if len(numbers) == len(texts) and numbers:
        return _Scale(low=min(numbers), high=max(numbers))
    seen = dict.fromkeys(known or sorted(set(texts)))
    return _Scale(choices=tuple(dict.fromkeys([*seen, *sorted(set(texts))])))


def _with_log(scale: _Scale, name: str, logs: Collection[str] | None) -> _Scale:
    if scale.choices or scale.low <= 0:
        return scale
    is_log = name in logs if logs is not None else scale.high / scale.low >= _LOG_FROM
    return _Scale(low=scale.low, high=scale.high, is_log=is_log)


def _told(scale: _Scale) -> tuple[tuple[Tick, ...], tuple[str, ...], float, float, bool]:
    return scale.ticks(), scale.choices, scale.low, scale.high, scale.is_log


def _spread(count: int) -> list[float]:
    return [round(_LEFT + at / (count - 1) * (_RIGHT - _LEFT), 1) for at in range(count)]


def _strengths(values: Mapping[int, float], *, is_greatest: bool) -> dict[int, int]:
    """Return the quarter that each trial is in, 3 for the best."""
    order = sorted(values, key=lambda one: values[one], reverse=not is_greatest)
    return {one: at * _STRENGTHS // len(order) for at, one in enumerate(order)}


def _path(
    trial: Trial,
    names: Sequence[str],
    scales: Mapping[str, _Scale],
    last: _Scale,
    value: float | None,
    strengths: Mapping[int, int],
) -> Path:
    heights = [scales[name].height(trial.parameters[name]) if name in trial.parameters else None for name in names]
    heights.append(APART if value is None else last.height(_plain(value)) or APART)
    points = tuple((axis, round(y)) for axis, y in enumerate(heights) if y is not None)
    if trial.is_best:
        kind = "best"
    elif value is not None:
        kind = f"q{strengths[trial.number]}"
    else:
        kind = "failed" if is_over(trial) else "open"
    return Path(trial.number, points, kind, number(_plain(value)) if value is not None else "")


def _words(trials: Sequence[Trial], goal: Goal, values: Mapping[int, float]) -> str:
    best = next((one for one in trials if one.is_best), None)
    said = []
    if best is not None and best.number in values:
        given = ", ".join(f"{name} {value}" for name, value in list(best.parameters.items())[:_MOST_TOLD])
        said.append(
            f"Trial {best.number} is the best with {goal.metric} {number(_plain(values[best.number]))}: {given}."
        )
    if values:
        low, high = min(values.values()), max(values.values())
        said.append(f"{goal.metric} lies between {number(_plain(low))} and {number(_plain(high))}.")
    without = [one for one in trials if one.number not in values]
    failed = sum(is_over(one) for one in without)
    if failed:
        said.append(f"{_count(failed, 'trial')} came to no value.")
    if len(without) > failed:
        waiting = len(without) - failed
        said.append(f"{_count(waiting, 'trial')} {'is' if waiting == 1 else 'are'} not over.")
    return " ".join(said)


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _at(share: float) -> float:
    return BOTTOM - share * (BOTTOM - TOP)


def _tick(height: float | None, text: str) -> Tick:
    return Tick(round((height or 0.0) / WIDE * 100, 2), cut(text, LONGEST))


def _number(text: str) -> float | None:
    try:
        value = float(Decimal(text))
    except (InvalidOperation, ValueError):
        return None
    return value if math.isfinite(value) else None  # 1e400 is a decimal, and no number of 64 bits


def _plain(value: float) -> str:
    return format(Decimal(repr(value)), "f") if math.isfinite(value) else str(value)
