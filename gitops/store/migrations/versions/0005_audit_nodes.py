"""Keeps the hashes of the audit log's tree side by side, many in a row, in the order in which they come to be.

There was a row for each node, two for each entry, and an index entry beside each: more work than the entries. The
hashes are those that were stored, not computed again, so what the tree says about an entry stays.
"""

import sqlalchemy as sa
from alembic import op

from gitops.errors import NotFoundError

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OLD = "audit_nodes_by_level"
_ENTRIES = 4096
"""Of so many entries the nodes are held in memory at once."""

_HASHES = 512
"""In a row."""


def upgrade() -> None:
    """Make the new table, fill it from the old one, let that go, and forbid changes again.

    Raises:
        NotFoundError: the stored tree has a gap, which is for an operator to look into and not to be written over.
    """
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        for verb in ("update", "delete"):
            op.execute(f"DROP TRIGGER audit_nodes_no_{verb}")
    op.rename_table("audit_nodes", _OLD)
    if not is_sqlite:
        # The index kept the name that the new table's is to have.
        op.execute(f"ALTER INDEX audit_nodes_pkey RENAME TO {_OLD}_pkey")
    table = op.create_table(
        "audit_nodes",
        sa.Column("start", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )
    _fill(table)
    op.drop_table(_OLD)
    _forbid_changes(is_sqlite=is_sqlite)


def _fill(table: sa.Table) -> None:
    connection = op.get_bind()
    # A new database has no head yet.
    size = connection.execute(sa.text("SELECT size FROM audit_head")).scalar() or 0
    for low in range(0, size, _ENTRIES):
        high = min(low + _ENTRIES, size)
        nodes = _read_nodes(connection, low, high)
        start, end = _count(low), _count(high)
        if len(nodes) != end - start:
            raise NotFoundError("AuditNodeMissing", f"the audit log has lost nodes of its entries {low} to {high - 1}")
        run = [nodes[number] for number in range(start, end)]
        cuts = range(0, len(run), _HASHES)
        rows = [{"start": start + cut, "hashes": b"".join(run[cut : cut + _HASHES])} for cut in cuts]
        connection.execute(sa.insert(table), rows)


def _read_nodes(connection: sa.Connection, low: int, high: int) -> dict[int, bytes]:
    """Return, by number, the hashes that the entries from `low` up to `high` completed."""
    query = sa.text(
        f'SELECT "index", hash FROM {_OLD} WHERE level = :level AND "index" >= :low AND "index" < :high'  # noqa: S608 - a constant
    )
    nodes: dict[int, bytes] = {}
    for level in range(high.bit_length()):
        for index, digest in connection.execute(query, {"level": level, "low": low >> level, "high": high >> level}):
            nodes[_count((index + 1 << level) - 1) + level] = bytes(digest)
    return nodes


def _count(size: int) -> int:
    """Return how many complete subtrees a tree of so many leaves has."""
    return 2 * size - size.bit_count()


def _forbid_changes(*, is_sqlite: bool) -> None:
    """Refuse changes as the first migration does; PostgreSQL's function is still there."""
    if is_sqlite:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_nodes_no_{verb.lower()} BEFORE {verb} ON audit_nodes "
                "BEGIN SELECT RAISE(ABORT, 'audit_nodes is append only'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER audit_nodes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_nodes "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_nodes_refuse()"
        )
