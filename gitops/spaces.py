"""The space of a search as it was accepted: what each of its parameters may be, kept from the first trial on. Pure.

It is kept in the database as JSON of a version of its own; what a later launchpin.yaml says changes nothing of it.
"""

from collections.abc import Callable, Iterable
from typing import Literal, Self

from pydantic import BaseModel

from gitops.config.space import Axis, Choices


class SpaceAxis(BaseModel, frozen=True, extra="forbid"):
    """What a parameter may be: one of some values, or a number between two.

    Args:
        values: in the order written, variables filled in; none for numbers between two bounds.
        low: the least number, as a decimal; empty where there are values, and so the next.
        high: the greatest.
        log: whether the numbers are evenly spread over their logarithm.
    """

    name: str
    values: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    log: bool = False

    @classmethod
    def of(cls, axis: Axis, fill: Callable[[str, str], str]) -> Self:
        """Return what is kept of a parameter."""
        if isinstance(axis, Choices):
            return cls(name=axis.name, values=tuple(dict.fromkeys(fill(axis.name, value) for value in axis.values)))
        return cls(name=axis.name, low=str(axis.low), high=str(axis.high), log=axis.is_log)


class Space(BaseModel, frozen=True, extra="forbid"):
    """The parameters of a search, in the order written."""

    version: Literal[1] = 1
    axes: tuple[SpaceAxis, ...]

    @classmethod
    def of(cls, axes: Iterable[Axis], fill: Callable[[str, str], str]) -> Self:
        """Return what is kept of a search's space.

        Args:
            fill: gives a parameter's value with its variables filled in, by name and value.
        """
        return cls(axes=tuple(SpaceAxis.of(axis, fill) for axis in axes))
