"""Inserts many rows by one statement of our own text: at the door, the layers above would cost more than the database.

One statement, because a driver gives up the interpreter's lock at each, and a busy event loop is slow to give it back.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table

from gitops.store.rows import Row

MOST_ROWS = 512
"""More parameters than so many rows have may be too many for one statement."""

_Convert = Callable[[Any], Any]


def insert_all(
    connection: Connection, table: Table, rows: Sequence[Sequence[object]], *, columns: tuple[str, ...], shared: Row
) -> int:
    """Insert rows, leaving out those that a unique index knows already; returns how many were inserted.

    Args:
        rows: at least one and at most `MOST_ROWS`, each with the values of `columns`.
        shared: the other columns, alike in all rows.
    """
    dialect = connection.dialect
    own = _converters(dialect, table, columns)
    names = tuple(shared)
    tail = [convert(value) for convert, value in zip(_converters(dialect, table, names), shared.values(), strict=True)]
    parameters: list[object] = []
    for row in rows:
        parameters += [convert(value) for convert, value in zip(own, row, strict=True)]
        parameters += tail
    text = _statement(dialect, table, columns + names, len(rows))
    return connection.exec_driver_sql(text, tuple(parameters)).rowcount


def append_all(
    connection: Connection, table: Table, rows: Sequence[Sequence[object]], *, columns: tuple[str, ...]
) -> None:
    """Insert rows of values that the driver takes as they are; one that is there already is an error."""
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(map(quote, columns))
    marks = ", ".join([_mark(connection.dialect)] * len(columns))
    # Names of our own tables; every value is a parameter.
    connection.exec_driver_sql(f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})", [*map(tuple, rows)])  # noqa: S608 - see above


@lru_cache
def _converters(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> tuple[_Convert, ...]:
    """Return for each column what makes of a value what the driver takes."""
    types = (table.c[name].type.dialect_impl(dialect) for name in columns)
    return tuple(kind.bind_processor(dialect) or _as_it_is for kind in types)


def _as_it_is(value: object) -> object:
    return value


@lru_cache(maxsize=2 * MOST_ROWS)
def _statement(dialect: Dialect, table: Table, columns: tuple[str, ...], count: int) -> str:
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(name) for name in columns)
    row = f"({', '.join([_mark(dialect)] * len(columns))})"
    # Names of our own tables; every value is a parameter.
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES {', '.join([row] * count)} ON CONFLICT DO NOTHING"  # noqa: S608 - see above


def _mark(dialect: Dialect) -> str:
    return "?" if dialect.paramstyle == "qmark" else "%s"
