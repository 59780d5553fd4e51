"""Where things gather that nobody needs for ever."""

from collections.abc import Sequence
from typing import Protocol

from gitops.retention import Kind, Thing


class Storeroom(Protocol):
    """One place with things of one kind."""

    @property
    def kind(self) -> Kind:
        """Return what lies there."""
        ...

    def things(self) -> Sequence[Thing]:
        """Return what lies there; what is being made or taken is left out. Changes nothing."""
        ...

    def discard(self, thing: Thing) -> bool:
        """Remove a thing, unless it was used since it was looked at; False when it stays or is gone already."""
        ...
