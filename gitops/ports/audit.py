"""The audit log as its readers and its signer see it; entries of stories are appended by `Store.finish`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gitops.audit.entry import Entry, Event


@dataclass(frozen=True)
class AuditRow:
    """An entry at its place in the tree."""

    position: int
    entry: Entry


@dataclass(frozen=True)
class AuditNote:
    """A signed head: the number of entries that it covers, the note's text, and when it was kept."""

    size: int
    note: str
    kept_at: datetime | None = None


class AuditLog(Protocol):
    """The append-only log. Thread-safe; every method is one transaction."""

    @property
    def log_id(self) -> str:
        """Return the log's origin, made once with the database: `<host>/audit/<uuid>`."""
        ...

    def append_audit(self, event: Event) -> None:
        """Append an entry that belongs to no job: a sign-in, a rotated key.

        Raises:
            InputError: `audit_entry` when the event has no canonical form.
        """
        ...

    def ask_checkpoint(self) -> int:
        """Ask the relay to sign the log as it is now; returns the size that the head will cover at least."""
        ...

    def wanted_checkpoint(self) -> int:
        """Return the largest size that a signed head was asked for."""
        ...

    def audit_size(self) -> int:
        """Return the number of entries."""
        ...

    def audit_entries(self, start: int, limit: int) -> Sequence[bytes]:
        """Return the exact bytes of at most `limit` entries from a position on."""
        ...

    def audit_recent(self, limit: int) -> Sequence[AuditRow]:
        """Return the last entries, newest first."""
        ...

    def audit_root(self, size: int) -> bytes:
        """Return the root over the first `size` entries.

        Raises:
            NotFoundError: the log was never that long.
        """
        ...

    def inclusion_proof(self, index: int, size: int) -> Sequence[bytes]:
        """Return the path from an entry to the root over the first `size` entries.

        Raises:
            ValueError: no such entry in a log of that size.
            NotFoundError: the log was never that long.
        """
        ...

    def consistency_proof(self, old: int, new: int) -> Sequence[bytes]:
        """Return the proof that the log of `new` entries begins with that of `old`.

        Raises:
            ValueError: `old` is below 1 or above `new`.
            NotFoundError: the log was never that long.
        """
        ...

    def save_checkpoint(self, size: int, note: str, *, leader: str | None = None) -> None:
        """Keep a signed head; the same one again is harmless.

        Args:
            leader: keep it only while this relay leads.

        Raises:
            ConflictError: `AuditFork` when another head of this size is kept, or the log is shorter; `NotLeading`.
        """
        ...

    def checkpoints(self, *, since: int = 0, limit: int | None = None) -> Sequence[AuditNote]:
        """Return the signed heads that cover at least so many entries, oldest first.

        Args:
            limit: so many of them; None for all.
        """
        ...

    def newest_checkpoint(self) -> AuditNote | None:
        """Return the signed head that covers most, None before the first."""
        ...
