"""What fault tests share: how much of them runs now, and the table they close with.

`make faults` runs everything. An ordinary run takes one of ten slices, so that ten runs cover every case; which one is
said by `LAUNCHPIN_FAULTS`: `all`, or a number from 0 to 9. Tests that take long, wherever they stand, name the slices
that they belong to by one mark: `slices`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
SLICES = 10
_VARIABLE = "LAUNCHPIN_FAULTS"


def is_full() -> bool:
    """Return whether everything was asked for."""
    return os.environ.get(_VARIABLE, "0") == "all"


def choose(cases: Sequence[T], *, of: int = SLICES) -> list[T]:
    """Return the cases of this run: all, or every tenth, beginning with the slice's number.

    Args:
        of: every fifth for example, of cases that only every second run comes by.
    """
    return list(cases) if is_full() else list(cases)[_slice() % of :: of]


def is_slice(*numbers: int) -> bool:
    """Return whether this run is one of these slices; it is when everything was asked for."""
    return is_full() or _slice() in numbers


def find_mistake(marks: Sequence[Sequence[int]], *, is_on_both: bool) -> str:
    """Return what is wrong with the slices that a test belongs to; empty when nothing is.

    Args:
        marks: the numbers that each of its marks `slices` names.
        is_on_both: whether it is on SQLite in slices of an even number and on PostgreSQL in the others.
    """
    if len(marks) > 1:
        return f"{len(marks)} marks say to which slices it belongs, and one must"
    (numbers,) = marks
    if not numbers or list(numbers) != [one for one in range(SLICES) if one in numbers]:
        return f"slices are numbers from 0 to {SLICES - 1}, each once, in their order"
    if is_on_both and {one % 2 for one in numbers} != {0, 1}:
        return "no slice of its is on one of the two databases"
    return ""


def turn(cases: Sequence[T]) -> list[T]:
    """Return all cases, or in an ordinary run the one whose turn it is: ten runs cover up to ten."""
    return list(cases) if is_full() else [cases[_slice() % len(cases)]]


def scale(full: int, *, slice_: int) -> int:
    """Return how often to repeat: `full` times when everything was asked for, `slice_` times in an ordinary run."""
    return full if is_full() else slice_


def _slice() -> int:
    return int(os.environ.get(_VARIABLE, "0")) % SLICES


@dataclass
class Tally:
    """Cases and breaches of one row of the closing table.

    Args:
        name: the promise, with its number where it has one: `I2 no acknowledged delivery is lost to SIGKILL`.
        figures: what was measured on the way, for the table's last column.
    """

    name: str
    cases: int = 0
    breaches: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def case(self, label: str) -> Iterator[None]:
        """Count a case; whatever fails in it is a breach, and the next case goes on."""
        self.cases += 1
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a case that breaks is told as one that fails, beside the others
            first = str(error).splitlines()[0] if str(error) else "failed"
            self.breaches.append(f"{label}: {type(error).__name__}: {first}")

    def check(self) -> None:
        """End the test: at least one case, and no breach."""
        assert self.cases, f"{self.name}: no case ran"
        assert not self.breaches, "\n".join(self.breaches)
