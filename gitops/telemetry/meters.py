"""What a worker counts: steps and how long they took, leases it lost, deliveries, messages. Counted where it is wanted.

A process that exposes no metrics counts nothing. No label is ever a name that users or strangers choose.
"""

from typing import Protocol


class Meters(Protocol):
    """Where counts go."""

    def count_step(self, kind: str, step: str, outcome: str, seconds: float) -> None:
        """Count a step that ended."""
        ...

    def count_lost(self, kind: str) -> None:
        """Count a step whose lease was lost before its end was written."""
        ...

    def count_delivery(self, outcome: str) -> None:
        """Count a delivery that a worker has read."""
        ...

    def count_message(self, queue: str) -> None:
        """Count a message that the relay published."""
        ...


class _Nothing:
    """Counts nothing."""

    def count_step(self, kind: str, step: str, outcome: str, seconds: float) -> None:
        """Do nothing."""

    def count_lost(self, kind: str) -> None:
        """Do nothing."""

    def count_delivery(self, outcome: str) -> None:
        """Do nothing."""

    def count_message(self, queue: str) -> None:
        """Do nothing."""


_meters: Meters = _Nothing()


def use_meters(meters: Meters) -> None:
    """Count there from now on."""
    global _meters  # noqa: PLW0603 - one for a process, as its standard error is
    _meters = meters


def meters() -> Meters:
    """Return where counts go."""
    return _meters
