"""The `search` part of launchpin.yaml: how many trials there are, of which space, and what makes one the best. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import prod

from gitops.config.goals import Objective, read_objective
from gitops.config.mlproject import MLproject
from gitops.config.parameters import explain_unknown_variable
from gitops.config.scalars import resolve
from gitops.config.section import Section
from gitops.config.space import FEWEST, Axis, Choices, Range
from gitops.config.text import did_you_mean, show
from gitops.errors import InputError

DEFAULT_PARALLEL = 4
LARGEST_GRID = 100
"""How many points a grid may have where `max_trials` says nothing."""

_LARGEST_WHOLE = 2**53
_SMALLEST, _LARGEST = Decimal("1e-300"), Decimal("1e300")


class Strategy(StrEnum):
    """How trials are chosen."""

    GRID = "grid"
    RANDOM = "random"


@dataclass(frozen=True)
class Search:
    """A search for the best parameters.

    Args:
        objective: what the best trial is best in.
        max_trials: how many trials there are at most.
        max_parallel: how many of them run at one time, over all workers.
        seed: what random draws begin with.
        space: the parameters, in the order written.
    """

    strategy: Strategy
    objective: Objective
    max_trials: int
    max_parallel: int
    space: tuple[Axis, ...]
    seed: int = 0

    @property
    def size(self) -> int | None:
        """How many points the space has; None for a continuum."""
        counts = [axis.count for axis in self.space]
        return None if None in counts else prod(count or 0 for count in counts)


def read_search(section: Section, *, fixed: Iterable[str]) -> Search | None:
    """Read the part, None where it is not there.

    Args:
        section: the part.
        fixed: the parameters that `train.parameters` gives a value.

    Raises:
        InputError: with the field, the limit and the way out.
    """
    objective = read_objective(section.at("objective"))
    if objective is None:
        return None
    strategy = Strategy(section.at("strategy").text(Strategy.GRID.value))
    is_grid = strategy is Strategy.GRID
    if is_grid and section.at("seed"):
        raise section.at("seed").error(
            "value_invalid", "a grid draws nothing; remove seed, or write `strategy: random`"
        )
    if not is_grid and not section.at("max_trials"):
        raise section.at("max_trials").error("key_missing", "a random search needs max_trials; write how many to draw")
    space = section.at("space")
    _check_names(space, set(fixed))
    search = Search(
        strategy=strategy,
        objective=objective,
        max_trials=section.at("max_trials").whole(LARGEST_GRID),
        max_parallel=section.at("max_parallel").whole(DEFAULT_PARALLEL),
        space=tuple(_read_axis(space.at(name), name, is_grid=is_grid) for name in space.names()),
        seed=section.at("seed").whole(),
    )
    if is_grid and (search.size or 0) > search.max_trials:
        said = "max_trials is" if section.at("max_trials") else "without max_trials the limit is"
        message = (
            f"the grid has {search.size} points and {said} {search.max_trials}; raise max_trials, take values out, "
            "or write `strategy: random`"
        )
        raise space.error("limit_exceeded", message)
    return search


def check_declared(search: Search, project: MLproject, entry_point: str) -> None:
    """Refuse a search over a parameter that the entry point does not know, where it says which it knows.

    Raises:
        InputError: `parameter_unknown`, naming what it knows.
    """
    point = next((point for point in project.entry_points if point.name == entry_point), None)
    known = [parameter.name for parameter in point.parameters] if point else []
    for axis in search.space if known else ():
        if axis.name not in known:
            near = did_you_mean(axis.name, known) or f"; it has {', '.join(known)}"
            message = (
                f"entry point {show(entry_point)} of {project.file} has no parameter {show(axis.name)}{near}; "
                "declare it there, or remove it here"
            )
            raise InputError("parameter_unknown", message, field=f"search.space.{axis.name}")


def _check_names(space: Section, fixed: set[str]) -> None:
    for name in space.names():
        if name in fixed:
            message = f"{show(name)} has a value in train.parameters, too; remove it there or here"
            raise space.at(name).error("value_invalid", message, key=True)


def _read_axis(section: Section, name: str, *, is_grid: bool) -> Axis:
    if section.at("values"):
        return _read_choices(section, name)
    is_whole = all(_is_whole(section.at(end)) for end in ("min", "max"))
    low, high = (_read_number(section.at(end), is_whole=is_whole) for end in ("min", "max"))
    if low > high:
        raise section.at("min").error("value_invalid", f"min {low} is greater than max {high}; exchange them")
    is_log = section.at("log").flag()
    if is_log and low <= 0:
        message = f"a logarithm needs numbers above 0 and min is {low}; raise min, or remove log"
        raise section.at("min").error("value_invalid", message)
    step = _read_step(section, is_whole=is_whole, is_log=is_log)
    points = section.at("points").whole()
    axis = Range(name, low, high, is_whole=is_whole, is_log=is_log, step=step, points=points)
    _check_step(section.at("step"), axis)
    _check_points(section.at("points"), axis)
    if is_grid and step is None and not points and (is_log or not is_whole):
        of = "a logarithm" if is_log else "decimals"
        ways = "points" if is_log else "step or points"
        message = f"a grid over {of} needs {ways}; write `points: 5` for example, or `strategy: random`"
        raise section.error("key_missing", message)
    if axis.is_too_narrow:
        message = (
            f"fewer than {FEWEST:,} numbers lie between min and max as scripts read them, in 64 bits; write them "
            "further apart, or values"
        )
        raise section.at("max").error("limit_exceeded", message)
    return axis


def _read_choices(section: Section, name: str) -> Choices:
    for key in section.names():
        if key != "values":
            message = f"{key} does not go with values; keep one of the two"
            raise section.at(key).error("value_invalid", message, key=True)
    seen: set[str] = set()
    for item in section.at("values").items():
        if problem := explain_unknown_variable(item.text()):
            raise item.error("variable_unknown", problem)
        if item.text() in seen:
            raise item.error("value_invalid", f"{show(item.text())} is there twice; remove one")
        seen.add(item.text())
    return Choices(name, section.at("values").texts())


def _read_step(section: Section, *, is_whole: bool, is_log: bool) -> Decimal | None:
    at = section.at("step")
    if not at:
        return None
    if is_log or section.at("points"):
        other = "log" if is_log else "points"
        raise at.error("value_invalid", f"step does not go with {other}; write points alone, or step alone", key=True)
    if is_whole and not _is_whole(at):
        message = f"min and max are whole numbers and step is {at.text()}; write a whole step, or min as a decimal"
        raise at.error("value_invalid", message)
    step = _read_number(at, is_whole=is_whole)
    if step <= 0:
        raise at.error("value_invalid", f"step is {step}; write a number above 0")
    return step


def _check_step(at: Section, axis: Range) -> None:
    """Refuse a step that comes to the same number twice, as scripts read numbers; so there are at most 2^53 steps."""
    if axis.step is not None and not axis.is_whole and axis.step < axis.least_step:
        largest = max(abs(axis.low), abs(axis.high))
        message = (
            f"step {axis.step} is lost beside {largest}: scripts read numbers of 64 bits, and {axis.least_step} is the "
            "least that tells two of them apart there; write a greater step, or points"
        )
        raise at.error("limit_exceeded", message)


def _check_points(at: Section, axis: Range) -> None:
    """Refuse points of which two come to the same number, so that there are as many trials as were asked for."""
    if axis.points and (axis.count or 0) < axis.points:
        most = axis.most_points
        kind = "whole numbers" if axis.is_whole else "numbers, as scripts read them"
        way_out = f"write `points: {most}`, or values" if most else f"write `values: [{axis.at(0)}]`"
        message = (
            f"{axis.points} points from {axis.low} to {axis.high} come to {axis.count} different {kind}; {way_out}"
        )
        raise at.error("limit_exceeded", message)


def _is_whole(section: Section) -> bool:
    """Return whether a number is written as a whole one: 1 is, 1.0 and 1e3 are not."""
    return isinstance(resolve(section.text()), int)


def _read_number(section: Section, *, is_whole: bool) -> Decimal:
    number = Decimal(resolve(section.text()) or 0)
    if is_whole and abs(number) > _LARGEST_WHOLE:
        raise section.error("limit_exceeded", f"{number} is beyond 2^53; write a smaller number, or values")
    if number and not _SMALLEST <= abs(number) <= _LARGEST:
        message = f"{number} is no number that every script can read; write 1e-300 to 1e300, or values"
        raise section.error("limit_exceeded", message)
    return number
