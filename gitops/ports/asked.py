"""What people ask for, and how what they ask about stands. A part of the store."""

from typing import Protocol

from gitops.records import Command
from gitops.standing import Expected, Standing


class Asked(Protocol):
    """Commands, and the endpoints that they are about."""

    def save_command(self, command: Command, *, expected: Expected | None = None) -> Command:
        """Store a command and its job, or return the one that has the same idempotency key.

        Args:
            expected: the endpoint that it is about, as whoever asks has seen it; a worker looks again.

        Raises:
            ConflictError: `IdempotencyKeyUsed`, or `NotAsSeen` where the endpoint is otherwise now.
        """
        ...

    def command(self, command_id: str) -> Command | None:
        """Return a command."""
        ...

    def standing(self, repository_id: int, path: str) -> Standing | None:
        """Return how an environment's endpoint stands, on one snapshot."""
        ...
