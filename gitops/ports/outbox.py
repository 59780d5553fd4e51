"""What is to be told, and how far it came on its way to each channel. A part of the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gitops.notices import Letter, Notice


@dataclass(frozen=True)
class DueLetter:
    """The letter of a channel that is due first, and what it tells.

    Args:
        after: how long until it is due.
    """

    letter: Letter
    notice: Notice
    after: timedelta


class Outbox(Protocol):
    """Notices and letters."""

    def unrouted(self, *, limit: int) -> Sequence[Notice]:
        """Return the notices of which nobody decided yet who is told, oldest first."""
        ...

    def told_lately(self, notices: Sequence[Notice]) -> Mapping[tuple[str, str, str], datetime]:
        """Return when somebody was last told the same as each of these, by `gitops.notices.same_as`."""
        ...

    def first_letter(self, channel: str) -> DueLetter | None:
        """Return a channel's letter that is due first; None when none waits."""
        ...

    def letters(self, *, limit: int = 100) -> Sequence[tuple[Letter, Notice]]:
        """Return the newest letters, each with what it tells."""
        ...
