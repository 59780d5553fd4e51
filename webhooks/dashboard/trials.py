"""What a training's page shows of its search: the picture, and a table of all trials in the order asked for. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Generic, TypeVar
from urllib.parse import urlencode

from webhooks.dashboard.parallel import MOST_TRIALS, Goal, Picture, Trial, draw_search, value_of
from webhooks.dashboard.words import spoken

T = TypeVar("T", bound=Trial)

_UP, _DOWN = "ascending", "descending"


@dataclass(frozen=True)
class Column:
    """A column of the table, and where its heading leads.

    Args:
        order: as `aria-sort` has it; empty where the table is not sorted by it.
        url: of the page sorted by it, the other way round where it is already.
        is_number: its values stand at the right.
    """

    title: str
    order: str
    url: str
    is_number: bool


@dataclass(frozen=True)
class Line(Generic[T]):
    """A line of the table.

    Args:
        cells: its parameters' values, empty where it has none.
        value: the objective's; None where it came to none.
        run_url: where MLflow shows its run, empty while there is none.
    """

    trial: T
    cells: tuple[str, ...]
    value: float | None
    run_url: str


@dataclass(frozen=True)
class SearchPart(Generic[T]):
    """What a training's page shows of its search.

    Args:
        left_out: how many older trials are not shown.
    """

    goal: Goal
    picture: Picture
    columns: tuple[Column, ...]
    lines: tuple[Line[T], ...]
    left_out: int


def show_search(
    trials: Sequence[T],
    goal: Goal,
    *,
    sort: str = "",
    run_url: Callable[[T], str] = lambda _: "",
    choices: Mapping[str, Sequence[str]] | None = None,
    logs: Collection[str] | None = None,
) -> SearchPart[T] | None:
    """Return what is shown of a search; None while it has no trial.

    Args:
        sort: as the page's address has it: `number`, `state`, `value` or `p.NAME`, after a `-` for the greatest
            first; what is none of these is the best first.
        choices: as `draw_search` takes it, and so the next.
    """
    shown = list(trials)[-MOST_TRIALS:]
    picture = draw_search(shown, goal, choices=choices, logs=logs)
    if picture is None:
        return None
    names = [axis.name for axis in picture.axes[:-1]]
    keys = ["number", "state", *(f"p.{name}" for name in names), "value"]
    is_down, by = sort.startswith("-"), sort.removeprefix("-")
    if by not in keys:
        is_down, by = goal.is_greatest, "value"
    titles = ["Trial", "State", *names, goal.metric]
    are_numbers = [True, False, *(not axis.choices for axis in picture.axes[:-1]), True]
    return SearchPart(
        goal=goal,
        picture=picture,
        columns=tuple(
            _column(title, key, is_number=is_number, by=by, is_down=is_down)
            for title, key, is_number in zip(titles, keys, are_numbers, strict=True)
        ),
        lines=tuple(
            Line(one, tuple(one.parameters.get(name, "") for name in names), value_of(one, goal), run_url(one))
            for one in sort_trials(shown, by, goal=goal, is_down=is_down)
        ),
        left_out=len(trials) - len(shown),
    )


def _column(title: str, key: str, *, is_number: bool, by: str, is_down: bool) -> Column:
    order = (_DOWN if is_down else _UP) if key == by else ""
    turned = f"-{key}" if order == _UP else key
    return Column(title, order, f"?{urlencode({'sort': turned})}#trials", is_number)


def sort_trials(trials: Sequence[T], by: str, *, goal: Goal, is_down: bool) -> list[T]:
    """Return the trials in an order; those without a value come last, and of equals the first by number.

    Args:
        by: `number`, `state`, `value` for the objective, or `p.NAME` for a parameter; numbers before words.
        is_down: the greatest first.
    """

    def found(one: T) -> str | float | None:
        match by.partition("."):
            case ("state", _, _):
                return spoken(one.state)
            case ("value", _, _):
                return value_of(one, goal)
            case ("p", _, name):
                return _read(one.parameters.get(name))
            case _:
                return one.number

    def rank(one: T) -> tuple[bool, float, str]:
        value = found(one)
        return (True, 0.0, value) if isinstance(value, str) else (False, value or 0.0, "")

    in_order = sorted(trials, key=lambda one: one.number)
    known = sorted((one for one in in_order if found(one) is not None), key=rank, reverse=is_down)
    return [*known, *(one for one in in_order if found(one) is None)]


def _read(text: str | None) -> str | float | None:
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        return text
    return float(value) if value.is_finite() else text
