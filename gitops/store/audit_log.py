"""The audit log's rows: entries as bytes, nodes of complete subtrees, the size, and signed heads. Append only."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from gitops.audit import merkle
from gitops.audit.entry import parse
from gitops.errors import ConflictError, NotFoundError
from gitops.ports import AuditNote, AuditRow
from gitops.store.bulk import append_all
from gitops.store.tables import audit_checkpoints, audit_entries, audit_head, audit_nodes


def append_entries(connection: Connection, entries: Sequence[bytes]) -> None:
    """Append entries and the nodes that they complete; locks the head row, so call it last in a transaction."""
    if not entries:
        return
    grow = update(audit_head).values(size=audit_head.c.size + len(entries)).returning(audit_head.c.size)
    start = connection.execute(grow).scalar_one() - len(entries)
    nodes = merkle.extend(start, map(merkle.hash_leaf, entries), read_node=NodeReader(connection))
    append_all(connection, audit_entries, list(enumerate(entries, start)), columns=("position", "bytes"))
    append_all(connection, audit_nodes, nodes, columns=("level", "index", "hash"))


class NodeReader:
    """Gives the tree's rules the stored nodes of one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree.

        Raises:
            NotFoundError: no such node; the log is damaged, or the size asked about was never reached.
        """
        where = (audit_nodes.c.level == level, audit_nodes.c.index == index)
        digest = self._connection.execute(select(audit_nodes.c.hash).where(*where)).scalar_one_or_none()
        if digest is None:
            raise NotFoundError("AuditNodeMissing", f"the audit log has no node {index} at level {level}")
        return bytes(digest)


def read_size(connection: Connection) -> int:
    """Return the number of entries."""
    return int(connection.execute(select(audit_head.c.size)).scalar_one())


def read_entries(connection: Connection, start: int, *, limit: int) -> list[bytes]:
    """Return the bytes of at most `limit` entries from a position on."""
    query = select(audit_entries.c.bytes).where(audit_entries.c.position >= start)
    return list(connection.execute(query.order_by(audit_entries.c.position).limit(limit)).scalars())


def read_newest(connection: Connection, *, limit: int) -> list[AuditRow]:
    """Return the last entries, newest first."""
    query = select(audit_entries.c.position, audit_entries.c.bytes)
    rows = connection.execute(query.order_by(audit_entries.c.position.desc()).limit(limit))
    return [AuditRow(position, parse(raw)) for position, raw in rows]


def write_checkpoint(connection: Connection, size: int, *, note: str, now: datetime) -> None:
    """Keep a signed head; the same one again is harmless.

    Raises:
        ConflictError: `AuditFork` when another note of this size is kept, or the log is shorter than that.
    """
    if size > read_size(connection):
        raise ConflictError("AuditFork", f"a head of {size} entries was signed, the log has {read_size(connection)}")
    query = select(audit_checkpoints.c.note).where(audit_checkpoints.c.size == size)
    kept = connection.execute(query).scalar_one_or_none()
    if kept is None:
        connection.execute(insert(audit_checkpoints).values(size=size, note=note, created_at=now))
    elif kept != note:
        raise ConflictError("AuditFork", f"another head of {size} entries was signed before")


def read_checkpoints(connection: Connection) -> list[AuditNote]:
    """Return every signed head, oldest first."""
    query = select(audit_checkpoints.c.size, audit_checkpoints.c.note).order_by(audit_checkpoints.c.size)
    return [AuditNote(size, note) for size, note in connection.execute(query)]


def read_newest_checkpoint(connection: Connection) -> AuditNote | None:
    """Return the signed head that covers most, None before the first."""
    columns = (audit_checkpoints.c.size, audit_checkpoints.c.note, audit_checkpoints.c.created_at)
    row = connection.execute(select(*columns).order_by(audit_checkpoints.c.size.desc()).limit(1)).first()
    return AuditNote(row.size, row.note, row.created_at) if row else None
