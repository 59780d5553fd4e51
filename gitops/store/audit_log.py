"""The audit log's rows: entries as bytes, nodes of complete subtrees, the size, and signed heads. Append only.

A row of `audit_nodes` holds the hashes that one append made, in the order of `merkle.number_node`, so that the tree
costs an append about one row, however many entries it has.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from gitops.audit import merkle
from gitops.audit.entry import parse
from gitops.errors import ConflictError, NotFoundError
from gitops.ports import AuditNote, AuditRow
from gitops.store.bulk import append_all
from gitops.store.tables import audit_checkpoints, audit_entries, audit_head, audit_nodes

_MOST_HASHES = 512
"""In a row: to read one of them means to read all."""

_GROW = "UPDATE audit_head SET size = size + ? RETURNING size"
_NODE = (
    "(SELECT substr(hashes, CAST(? - start AS INTEGER) * 32 + 1, 32) FROM audit_nodes"
    " WHERE start BETWEEN ? AND ? ORDER BY start DESC LIMIT 1)"
)


def append_entries(connection: Connection, entries: Sequence[bytes]) -> None:
    """Append entries and the nodes that they complete; locks the head row, so call it last in a transaction."""
    if not entries:
        return
    start = int(_ask(connection, _GROW, len(entries))[0]) - len(entries)
    left = read_nodes(connection, merkle.list_left(start, len(entries)))
    leaves = map(merkle.hash_leaf, entries)
    made = merkle.extend(start, leaves, read_node=lambda level, index: left[level, index])
    append_all(connection, audit_entries, list(enumerate(entries, start)), columns=("position", "bytes"))
    append_all(connection, audit_nodes, _cut(merkle.count_nodes(start), made), columns=("start", "hashes"))


def _cut(start: int, hashes: bytes) -> list[tuple[int, bytes]]:
    """Return the rows that hold these hashes, the first of which has the number `start`."""
    length = _MOST_HASHES * merkle.DIGEST_SIZE
    return [(start + cut // merkle.DIGEST_SIZE, hashes[cut : cut + length]) for cut in range(0, len(hashes), length)]


def read_nodes(connection: Connection, nodes: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Return the hashes of complete subtrees, given by level and index, by one statement.

    Raises:
        NotFoundError: no such node; the log is damaged, or the size asked about was never reached.
    """
    if not nodes:
        return {}
    numbers = [merkle.number_node(level, index) for level, index in nodes]
    values = [value for number in numbers for value in (number, number - _MOST_HASHES + 1, number)]
    found = _ask(connection, _select_nodes(len(nodes)), *values)
    known = {node: bytes(digest) for node, digest in zip(nodes, found, strict=True) if digest}
    for level, index in nodes:
        if (level, index) not in known:
            raise NotFoundError("AuditNodeMissing", f"the audit log has no node {index} at level {level}")
    return known


class NodeReader:
    """Gives the tree's rules the stored nodes of one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree.

        Raises:
            NotFoundError: as `read_nodes`.
        """
        return read_nodes(self._connection, [(level, index)])[level, index]


@lru_cache(maxsize=64)
def _select_nodes(count: int) -> str:
    return f"SELECT {', '.join([_NODE] * count)}"


def _ask(connection: Connection, text: str, *values: int) -> Row[Any]:
    """Return the one row that a statement of our own text gives; the layers above the driver cost more than it."""
    style = connection.dialect.paramstyle
    return connection.exec_driver_sql(text if style == "qmark" else text.replace("?", "%s"), values).one()


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


def read_checkpoints(connection: Connection, *, since: int, limit: int | None) -> list[AuditNote]:
    """Return signed heads from a size on, oldest first."""
    heads = select(audit_checkpoints.c.size, audit_checkpoints.c.note).where(audit_checkpoints.c.size >= since)
    rows = connection.execute(heads.order_by(audit_checkpoints.c.size).limit(limit))
    return [AuditNote(size, note) for size, note in rows]


def read_newest_checkpoint(connection: Connection) -> AuditNote | None:
    """Return the signed head that covers most, None before the first."""
    columns = (audit_checkpoints.c.size, audit_checkpoints.c.note, audit_checkpoints.c.created_at)
    row = connection.execute(select(*columns).order_by(audit_checkpoints.c.size.desc()).limit(1)).first()
    return AuditNote(row.size, row.note, row.created_at) if row else None
