"""Pages of lists, each by an index: a page far back costs no more than the first one."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, or_
from sqlalchemy.sql import ColumnElement

from gitops.errors import InputError
from gitops.ports import Mark, Wanted
from gitops.records import Environment, Hold, Record, Repository
from gitops.store.rows import KINDS, Kind, read_all
from gitops.store.tables import OPEN_PHASES, environments, holds, repositories


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
    return where if wanted.after is None else [*where, *older(table, wanted.after)]


def older(table: Table, mark: Mark) -> list[ColumnElement[bool]]:
    """Return what stands after a place in a list that has the newest first."""
    moment = mark.created_at
    # The first condition is what an index can begin at; the second one alone would be no range of it.
    return [table.c.created_at <= moment, or_(table.c.created_at < moment, table.c.id < mark.id)]


def following(first: Column[Any], second: Column[Any], place: tuple[object, object]) -> list[ColumnElement[bool]]:
    """Return what stands after a place in a list that is sorted by two columns, with an index that begins as above."""
    return [first >= place[0], or_(first > place[0], second > place[1])]


def read_repositories(
    connection: Connection, *, ids: frozenset[int] | None, after: tuple[str, int] | None, limit: int
) -> Sequence[Repository]:
    """Return connected repositories by name; two have one where it went from one to the other."""
    order = (repositories.c.full_name, repositories.c.id)
    where: list[ColumnElement[bool]] = [] if ids is None else [repositories.c.id.in_(sorted(ids))]
    where += [] if after is None else following(*order, after)
    return read_all(connection, repositories, Repository, *where, order=order, limit=limit)


def read_environments(
    connection: Connection,
    *,
    repository_id: int | None,
    model: str | None,
    repositories: frozenset[int] | None,
    after: tuple[int, str] | None,
    limit: int,
) -> list[Environment]:
    """Return environments by repository and path."""
    wanted = {"repository_id": repository_id, "model": model}
    where: list[ColumnElement[bool]] = [
        environments.c[name] == value for name, value in wanted.items() if value is not None
    ]
    order = (environments.c.repository_id, environments.c.path)
    where += [] if repositories is None else [environments.c.repository_id.in_(sorted(repositories))]
    where += [] if after is None else following(*order, after)
    return read_all(connection, environments, Environment, *where, order=order, limit=limit)
