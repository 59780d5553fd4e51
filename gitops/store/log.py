"""The part of the store that is the audit log: entries, the tree over them, signed heads, and who may sign."""

from collections.abc import Sequence

from gitops.audit import merkle
from gitops.audit.entry import Event
from gitops.ports import AuditNote, AuditRow
from gitops.store import audit_log, leading
from gitops.store.base import BaseStore
from gitops.store.checks import check_joins
from gitops.store.transaction import Transaction


class AuditStore(BaseStore):
    """The audit log in a SQL database; implements `gitops.ports.AuditLog`."""

    @property
    def log_id(self) -> str:
        """The audit log's origin, made once with the database: `<host>/audit/<uuid>`."""
        return self._log_id

    def append_audit(self, event: Event) -> None:
        """Append an entry that belongs to no job: a sign-in, a rotated key."""
        # Not again when its commit's answer was lost: nothing tells one such entry from another.
        with self._open() as tx:
            tx.record(event)

    def lead(self, role: str, owner: str, *, seconds: float) -> bool:
        """Become or stay the leader of a role for so long; False while somebody else is."""
        return self._write(lambda tx: leading.take_lead(tx, role, owner, seconds=seconds))

    def ask_checkpoint(self) -> int:
        """Ask the relay to sign the log as it is now; returns the size that the head will cover at least."""

        def ask(tx: Transaction) -> int:
            size = audit_log.read_size(tx.connection)
            leading.want_checkpoint(tx, size)
            return size

        return self._write(ask)

    def wanted_checkpoint(self) -> int:
        """Return the largest size that a signed head was asked for."""
        return self._read(leading.read_wanted)

    def audit_size(self) -> int:
        """Return the number of entries."""
        return self._read(audit_log.read_size)

    def audit_entries(self, start: int, limit: int) -> Sequence[bytes]:
        """Return the exact bytes of at most `limit` entries from a position on."""
        return self._read(lambda connection: audit_log.read_entries(connection, start, limit=limit))

    def audit_recent(self, limit: int) -> Sequence[AuditRow]:
        """Return the last entries, newest first."""
        return self._read(lambda connection: audit_log.read_newest(connection, limit=limit))

    def audit_root(self, size: int) -> bytes:
        """Return the root over the first `size` entries."""
        return self._read(lambda connection: merkle.root(size, read_node=audit_log.NodeReader(connection)))

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the path from an entry to the root over the first `size` entries."""
        return self._read(
            lambda connection: merkle.prove_inclusion(index, size, read_node=audit_log.NodeReader(connection))
        )

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `new` entries begins with that of `old`."""
        return self._read(
            lambda connection: merkle.prove_consistency(old, new, read_node=audit_log.NodeReader(connection))
        )

    def save_checkpoint(self, size: int, note: str, *, leader: str | None = None) -> None:
        """Keep a signed head, where a leader is named only while it leads."""

        def save(tx: Transaction) -> None:
            if leader is not None:
                leading.check_lead(tx, leading.RELAY, leader)
            audit_log.write_checkpoint(tx.connection, size, note=note, now=tx.now)

        self._write(save)

    def checkpoints(self, *, since: int = 0, limit: int | None = None) -> Sequence[AuditNote]:
        """Return the signed heads that cover at least so many entries, oldest first."""
        return self._read(lambda connection: audit_log.read_checkpoints(connection, since=since, limit=limit))

    def newest_checkpoint(self) -> AuditNote | None:
        """Return the signed head that covers most, None before the first."""
        return self._read(audit_log.read_newest_checkpoint)

    def check_audit_joins(self) -> list[str]:
        """Return every place where a state change and the audit log do not agree (I25)."""
        return self._read(check_joins)
