"""A search as parallel coordinates: an upright axis for each parameter, the objective last, a line a trial. Pure.

A line that comes to no value is broken and ends apart, below the objective's axis: what colour says is said by shape,
too, and all of it stands in the table of trials.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gitops.spaces import Space, SpaceAxis
from gitops.steps import Phase
from gitops.trials import count_for
from webhooks.dashboard.picture import APART, BOTTOM, TOP, Axis, Goal, Path, Picture, Tick
from webhooks.dashboard.scales import WIDE, Scale, to_number, to_plain
from webhooks.dashboard.words import number

_LEFT, _RIGHT = 50.0, 880.0  # of the first and the last axis
_PER_AXIS, _PER_LETTER = 150, 8  # pixels, at least
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


def draw_search(trials: Sequence[Trial], goal: Goal, space: Space | None = None) -> Picture | None:
    """Return the picture of a search; None while it has no trial with a parameter.

    Args:
        space: what its parameters may be; where nobody knows, what its trials have tells.
    """
    shown = [one for one in trials if one.parameters]
    if not shown:
        return None
    scales = _scales(shown, space)
    values = {one.number: value for one in shown if (value := value_of(one, goal)) is not None}
    last = Scale(low=min(values.values()), high=max(values.values())) if values else Scale()
    xs = _spread(len(scales) + 1)
    axes = [
        Axis(f"p.{name}", name, x, scale, _ticks(scale)) for (name, scale), x in zip(scales.items(), xs, strict=False)
    ]
    hint = "higher is better" if goal.is_greatest else "lower is better"
    axes.append(Axis("value", goal.metric, xs[-1], last, _ticks(last) if values else (), hint))
    strengths = _strengths(values, is_greatest=goal.is_greatest)
    paths = [_path(one, axes, values.get(one.number), strengths) for one in shown]
    return Picture(
        title=f"{_count(len(shown), 'trial')} over {_count(len(scales), 'parameter')}",
        words=_words(shown, goal, values),
        width=len(axes) * max(_PER_AXIS, *(len(axis.name) * _PER_LETTER for axis in axes)),
        axes=tuple(axes),
        paths=tuple(sorted(paths, key=lambda one: (one.kind == "best", one.kind[0] == "q", one.kind, one.number))),
        has_apart=len(values) < len(shown),
    )


def value_of(trial: Trial, goal: Goal) -> float | None:
    """Return what a trial counts with; None for one that came to no model, whatever it logged."""
    return count_for(trial.state, trial.metrics, goal.metric)


def is_over(trial: Trial) -> bool:
    """Return whether nothing more comes of a trial."""
    return trial.state not in {Phase.PENDING.value, Phase.RUNNING.value}


def _scales(trials: Sequence[Trial], space: Space | None) -> dict[str, Scale]:
    """Return each parameter's scale, in the order of the axes."""
    if space is not None:
        return {axis.name: _scale_of_axis(axis) for axis in space.axes}
    names = dict.fromkeys(name for one in trials for name in one.parameters)
    return {
        name: _scale_of(sorted({one.parameters[name] for one in trials if name in one.parameters})) for name in names
    }


def _scale_of_axis(axis: SpaceAxis) -> Scale:
    return _scale_of(axis.values) if axis.values else _scale_of((axis.low, axis.high), is_log=axis.log)


def _scale_of(texts: Sequence[str], *, is_log: bool | None = None) -> Scale:
    """Return the scale of some values: of words in their order, unless all are numbers.

    Args:
        is_log: whether the logarithm is evenly spread; None where that is not known, and the numbers tell.
    """
    numbers = [value for text in texts if (value := to_number(text)) is not None]
    if len(numbers) < len(texts):
        return Scale(choices=tuple(texts))
    low, high = min(numbers), max(numbers)
    return Scale(low=low, high=high, is_log=low > 0 and (high / low >= _LOG_FROM if is_log is None else is_log))


def _ticks(scale: Scale) -> tuple[Tick, ...]:
    return tuple(Tick(round(_at(share) / WIDE * 100, 2), text) for share, text in scale.ticks)


def _spread(count: int) -> list[float]:
    return [round(_LEFT + at / (count - 1) * (_RIGHT - _LEFT), 1) for at in range(count)]


def _strengths(values: Mapping[int, float], *, is_greatest: bool) -> dict[int, int]:
    """Return the quarter that each trial is in, 3 for the best."""
    order = sorted(values, key=lambda one: values[one], reverse=not is_greatest)
    return {one: at * _STRENGTHS // len(order) for at, one in enumerate(order)}


def _path(trial: Trial, axes: Sequence[Axis], value: float | None, strengths: Mapping[int, int]) -> Path:
    texts = [*(trial.parameters.get(axis.name) for axis in axes[:-1]), None if value is None else to_plain(value)]
    shares = [None if text is None else axis.scale.share(text) for axis, text in zip(axes, texts, strict=True)]
    heights = [None if share is None else _at(share) for share in shares]
    heights[-1] = APART if heights[-1] is None else heights[-1]
    points = tuple((axis, round(y)) for axis, y in enumerate(heights) if y is not None)
    if trial.is_best:
        kind = "best"
    elif value is not None:
        kind = f"q{strengths[trial.number]}"
    else:
        kind = "failed" if is_over(trial) else "open"
    return Path(trial.number, points, kind, number(to_plain(value)) if value is not None else "")


def _words(trials: Sequence[Trial], goal: Goal, values: Mapping[int, float]) -> str:
    best = next((one for one in trials if one.is_best), None)
    said = []
    if best is not None and best.number in values:
        given = ", ".join(f"{name} {value}" for name, value in list(best.parameters.items())[:_MOST_TOLD])
        said.append(
            f"Trial {best.number} is the best with {goal.metric} {number(to_plain(values[best.number]))}: {given}."
        )
    if values:
        low, high = min(values.values()), max(values.values())
        said.append(f"{goal.metric} lies between {number(to_plain(low))} and {number(to_plain(high))}.")
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
