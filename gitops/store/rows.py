"""Rows to frozen values and back. Column names are field names, so nothing is mapped by hand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Connection, LargeBinary, Table, func, literal_column, select, type_coerce, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ColumnElement

from gitops.records import Command, Delivery, Frozen, Promotion, Record, Rollout, Training
from gitops.store import tables
from gitops.store.columns import Json
from gitops.trials import Trial

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

M = TypeVar("M", bound=Frozen)
Row = dict[str, object]
Order = ColumnElement[Any]

_MOVING = ("phase", "step", "reason", "message", "revision", "facts")


@dataclass(frozen=True)
class Kind:
    """A kind of record: where its rows are.

    Args:
        is_audited: whether its transitions are entries of the audit log.
    """

    name: str
    table: Table
    model: type[Record]
    is_audited: bool = True


TRAINING = Kind("training", tables.trainings, Training)
TRIAL = Kind("trial", tables.trials, Trial)
PROMOTION = Kind("promotion", tables.promotions, Promotion)
ROLLOUT = Kind("rollout", tables.rollouts, Rollout)
COMMAND = Kind("command", tables.commands, Command)
DELIVERY = Kind("delivery", tables.deliveries, Delivery, is_audited=False)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (TRAINING, TRIAL, PROMOTION, ROLLOUT, COMMAND, DELIVERY)}
"""Kinds of jobs that are about a record of ours; every other kind is recurring work."""


def to_row(value: Frozen, **changes: object) -> Row:
    """Return a value's columns.

    Args:
        value: a record or another row.
        changes: columns that differ from the value's fields.
    """
    fields = {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    return fields | changes


def _plain(value: object) -> object:
    return value.value if isinstance(value, StrEnum) else value


def read_all(
    connection: Connection,
    table: Table,
    model: type[M],
    *where: ColumnElement[bool],
    order: Sequence[Order],
    limit: int = 0,
    is_locked: bool = False,
) -> list[M]:
    """Return the rows that match, without their large columns.

    Args:
        where: conditions, all of which hold.
        order: what to sort by.
        limit: at most so many rows, 0 for all.
        is_locked: nobody else changes them before this transaction ends.
    """
    columns = [column for column in table.c if not isinstance(column.type, LargeBinary)]
    query = select(*columns).where(*where).order_by(*order)
    query = query.with_for_update() if is_locked else query
    rows = connection.execute(query.limit(limit) if limit else query)
    return [model.model_validate(row) for row in rows.mappings()]


def read_one(
    connection: Connection,
    table: Table,
    model: type[M],
    *where: ColumnElement[bool],
    order: Sequence[Order] = (),
    is_locked: bool = False,
) -> M | None:
    """Return the first row that matches, without its large columns; None when there is none."""
    found = read_all(connection, table, model, *where, order=order, limit=1, is_locked=is_locked)
    return found[0] if found else None


def without(connection: Connection, column: Column[Any], key: str) -> ColumnElement[Any]:
    """Return a column of JSON as the database gives it without one of its keys, so that what that holds is not read."""
    if connection.dialect.name == "postgresql":
        return literal_column(f"({column.table.name}.{column.name}::jsonb - '{key}')::text", Json)
    return type_coerce(func.json_remove(column, f"$.{key}"), Json)


def insert_new(connection: Connection, table: Table, row: Row) -> bool:
    """Insert a row, or do nothing where a unique index knows it already; returns whether it was inserted."""
    first = next(iter(table.primary_key.columns))
    done = connection.execute(_insert(connection, table).values(row).on_conflict_do_nothing().returning(first))
    return done.first() is not None


def write_row(connection: Connection, table: Table, row: Row, *, fields: Iterable[str] = ()) -> None:
    """Insert a row, or change the one with the same primary key.

    Args:
        fields: of a row that is there, only these change; all when there are none.
    """
    keys = {column.name for column in table.primary_key.columns}
    statement = _insert(connection, table).values(row)
    changes = {name: statement.excluded[name] for name in fields or row.keys() - keys}
    connection.execute(statement.on_conflict_do_update(index_elements=sorted(keys), set_=changes))


def insert_new_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> set[str]:
    """Insert rows, leaving out those that a unique index knows already; returns the ids of the inserted ones."""
    statement = _insert(connection, table).on_conflict_do_nothing().returning(table.c.id)
    return set(connection.execute(statement, rows).scalars())


def save_state(connection: Connection, kind: Kind, record: Record, *, now: datetime) -> None:
    """Write the columns of a record that a story moves; never its identity or a delivery's body."""
    row = to_row(record)
    moving = {name: row[name] for name in _MOVING} | {"updated_at": now}
    connection.execute(update(kind.table).where(kind.table.c.id == record.id).values(moving))


def hold_name(connection: Connection, name: str) -> None:
    """Be the only one with this name until the transaction ends; on SQLite whoever writes is the only one anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def _insert(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Return the insert that knows ON CONFLICT, which SQLAlchemy keeps with each dialect."""
    if connection.dialect.name != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - megabytes, for those who have that database

    return postgresql.insert(table)
