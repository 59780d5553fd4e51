"""Pages of lists, each by an index: a page far back costs no more than the first one."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table, or_
from sqlalchemy.sql import ColumnElement

from gitops.errors import InputError
from gitops.ports import Wanted
from gitops.records import Hold, Record
from gitops.store.rows import KINDS, Kind, read_all
from gitops.store.tables import OPEN_PHASES, holds


def read_page(connection: Connection, kind: str, wanted: Wanted) -> Sequence[Record]:
    """Return a page of the records of a kind.

    Raises:
        InputError: `record_kind`, `filter`.
    """
    known = _known(kind)
    table = known.table
    newest = (table.c.created_at.desc(), table.c.id.desc())
    return read_all(connection, table, known.model, *_where(table, wanted), order=newest, limit=wanted.limit)


def _known(kind: str) -> Kind:
    known = KINDS.get(kind)
    if known is None:
        raise InputError("record_kind", f"{kind} is none of {', '.join(KINDS)}")
    return known


def read_unfinished(
    connection: Connection, kind: str, *, limit: int, repositories: frozenset[int] | None
) -> Sequence[Record]:
    """Return the records of a kind that are not over, the oldest first: of very many, those that wait longest.

    Raises:
        InputError: `record_kind`.
    """
    known = _known(kind)
    table = known.table
    where = [table.c.phase.in_(OPEN_PHASES)]
    if repositories is not None:
        # What is not over is looked through for theirs, and not what is theirs for what is not over.
        where.append((table.c.repository_id + 0).in_(sorted(repositories)))
    return read_all(connection, table, known.model, *where, order=(table.c.created_at, table.c.id), limit=limit)


def read_past_holds(connection: Connection, wanted: Wanted) -> Sequence[Hold]:
    """Return a page of holds, lifted ones too.

    Raises:
        InputError: `filter`.
    """
    newest = (holds.c.created_at.desc(), holds.c.id.desc())
    return read_all(connection, holds, Hold, *_where(holds, wanted), order=newest, limit=wanted.limit)


def _where(table: Table, wanted: Wanted) -> list[ColumnElement[bool]]:
    where = []
    for name, value in wanted.filters.items():
        if name not in table.c:
            raise InputError("filter", f"{table.name} have no {name}", field=name)
        where.append(table.c[name] == value)
    if wanted.repositories is not None:
        if "repository_id" not in table.c:
            raise InputError("filter", f"{table.name} belong to no repository", field="repository")
        where.append(table.c.repository_id.in_(sorted(wanted.repositories)))
    if wanted.after is not None:
        moment = wanted.after.created_at
        # The first condition is what an index can begin at; the second one alone would be no range of it.
        where.append(table.c.created_at <= moment)
        where.append(or_(table.c.created_at < moment, table.c.id < wanted.after.id))
    return where
