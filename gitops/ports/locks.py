"""The locks of environments, known to every machine. A part of the store."""

from typing import Protocol

from gitops.lockfile import Lock


class Locks(Protocol):
    """Locks that trainings and versions name."""

    def lock_of(self, key: str) -> Lock | None:
        """Return the lock of an environment; None for one that was locked before locks were kept."""
        ...
