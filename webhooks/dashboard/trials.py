"""What a training's page shows of its search: the picture of all trials, and a page of their table. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from gitops.spaces import Space
from gitops.steps import Phase
from gitops.trials import in_order, read_value
from gitops.words import cut
from webhooks.dashboard.asked import EVERYTHING, ROWS, Asked
from webhooks.dashboard.parallel import Trial, draw_search, value_of
from webhooks.dashboard.picture import Goal, Picture
from webhooks.dashboard.scales import Marks
from webhooks.dashboard.words import spoken

T = TypeVar("T", bound=Trial)

_LONGEST = 100  # letters of a value that stand in the table; MLflow has all of it
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
        log_url: of the page with its log, empty for none.
    """

    trial: T
    cells: tuple[str, ...]
    value: float | None
    run_url: str
    log_url: str


@dataclass(frozen=True)
class State:
    """A state that the table may be narrowed to.

    Args:
        name: the phase; empty for all.
        count: how many of the trials between the marks are in it.
        url: of the page narrowed to it.
    """

    name: str
    count: int
    url: str
    is_chosen: bool


@dataclass(frozen=True)
class SearchPart(Generic[T]):
    """What a training's page shows of its search: all of it as a picture, and a page of the table.

    Args:
        asked: what is shown, as far as it makes sense.
        words: how many of the trials lie between the marks.
        count: how many rows the table has, of which `lines` are a page.
        missing: the number of a trial that was asked for and is none; 0 for none.
    """

    goal: Goal
    picture: Picture
    asked: Asked
    words: str
    states: tuple[State, ...]
    columns: tuple[Column, ...]
    lines: tuple[Line[T], ...]
    count: int
    missing: int

    @property
    def title(self) -> str:
        """Which rows are shown, of how many."""
        if len(self.lines) == self.count:
            return _count(self.count)
        return f"{self.asked.start:,} to {self.asked.start + len(self.lines) - 1:,} of {_count(self.count)}"

    @property
    def pages(self) -> tuple[tuple[str, str, str], ...]:
        """The other pages of the table that are led to: in words, as `rel` has it, and where."""
        start, found = self.asked.start, []
        if start > 1 + ROWS:
            found.append(("To the first", "", self.asked.url()))
        if start > 1:
            found.append(("Previous", "prev", self.asked.url(start=start - ROWS)))
        if start + ROWS <= self.count:
            found.append(("Next", "next", self.asked.url(start=start + ROWS)))
        return tuple(found)

    def mark(self, axis: int, end: str) -> int:
        """Return where a mark of an axis stands: `from` or `to`."""
        drawn = self.picture.axes[axis]
        marks = next((one for one in self.asked.marks if one.key == drawn.key), Marks(drawn.key))
        start, last = drawn.scale.between(marks)
        return start if end == "from" else last


def show_search(
    trials: Sequence[T],
    goal: Goal,
    *,
    space: Space | None = None,
    asked: Asked = EVERYTHING,
    run_url: Callable[[T], str] = lambda _: "",
    log_url: Callable[[T], str] = lambda _: "",
) -> SearchPart[T] | None:
    """Return what is shown of a search; None while it has no trial.

    Args:
        space: as `draw_search` takes it.
        asked: which page of its table; a trial that is asked for is shown whatever the state and the marks.
    """
    picture = draw_search(trials, goal, space)
    if picture is None:
        return None
    names = [axis.name for axis in picture.axes[:-1]]
    keys = ["number", "state", *(axis.key for axis in picture.axes)]
    wanted, found = _narrow(trials, picture, asked, keys=keys)
    by, is_down = _order(wanted.sort, goal)
    rows = sort_trials([one for one in found if wanted.state in ("", one.state)], by, goal=goal, is_down=is_down)
    known = {one.number: place for place, one in enumerate(rows, 1)}
    start = _page_of(known.get(wanted.trial) or min(wanted.start, len(rows)))
    part = replace(wanted, start=start)
    titles = ["Trial", "State", *names, goal.metric]
    are_numbers = [True, False, *(not axis.scale.choices for axis in picture.axes)]
    return SearchPart(
        goal=goal,
        picture=picture,
        asked=part,
        words=f"{len(found):,} of {_count(len(trials))}" if wanted.marks else f"All {_count(len(trials))}",
        states=tuple(_states(found, part)),
        columns=tuple(
            _column(title, key, part, is_number=is_number, order=_way(is_down=is_down) if key == by else "")
            for title, key, is_number in zip(titles, keys, are_numbers, strict=True)
        ),
        lines=tuple(
            Line(
                one,
                tuple(cut(one.parameters.get(name, ""), _LONGEST) for name in names),
                value_of(one, goal),
                run_url(one),
                log_url(one),
            )
            for one in rows[start - 1 : start - 1 + ROWS]
        ),
        count=len(rows),
        missing=0 if wanted.trial else asked.trial,
    )


def _narrow(shown: Sequence[T], picture: Picture, asked: Asked, *, keys: Collection[str]) -> tuple[Asked, Sequence[T]]:
    """Return what of the question makes sense here, and the trials between its marks."""
    sort = asked.sort if asked.sort.removeprefix("-") in keys else ""
    marks = tuple(one for one in asked.marks if picture.holds(one))
    state = asked.state if asked.state in set(Phase) else ""
    between = picture.between(marks) if marks else frozenset(one.number for one in shown)
    sought = next((one for one in shown if one.number == asked.trial), None)
    if sought is not None and sought.number not in between:
        marks, between = (), frozenset(one.number for one in shown)
    if sought is not None and sought.state != state:
        state = ""
    wanted = replace(asked, sort=sort, state=state, marks=marks, trial=sought.number if sought else 0)
    return wanted, [one for one in shown if one.number in between]


def _order(sort: str, goal: Goal) -> tuple[str, bool]:
    """Return what the table is sorted by, and whether the greatest comes first."""
    return (sort.removeprefix("-"), sort.startswith("-")) if sort else ("value", goal.is_greatest)


def _page_of(place: int) -> int:
    """Return the place of the first row of the page that a row is on."""
    return max(0, place - 1) // ROWS * ROWS + 1


def _way(*, is_down: bool) -> str:
    return _DOWN if is_down else _UP


def _states(found: Sequence[T], asked: Asked) -> Iterator[State]:
    """Give all of them, and each that a trial is in; also the one that was asked for, where none is in it any more."""
    counts = Counter(one.state for one in found)
    yield State("", len(found), asked.url(state=""), is_chosen=not asked.state)
    for name in (phase.value for phase in Phase if phase in counts or phase == asked.state):
        yield State(name, counts[name], asked.url(state=name), is_chosen=name == asked.state)


def _column(title: str, key: str, asked: Asked, *, is_number: bool, order: str) -> Column:
    turned = f"-{key}" if order == _UP else key
    return Column(title, order, asked.url(sort=turned), is_number)


def _count(count: int) -> str:
    return f"{count:,} trial{'' if count == 1 else 's'}"


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
                return read_value(one.parameters.get(name))
            case _:
                return one.number

    return in_order(trials, found, is_down=is_down)
