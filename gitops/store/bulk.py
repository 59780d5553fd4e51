"""Inserts many rows by one statement of our own text, where the layers above would cost more than the database."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from sqlalchemy import Connection, Dialect, Table

MOST_ROWS = 256
"""In one statement; more would make it no cheaper."""


def append_all(
    connection: Connection, table: Table, rows: Sequence[Sequence[object]], *, columns: tuple[str, ...]
) -> None:
    """Insert rows of values that the driver takes as they are; one that is there already is an error."""
    for start in range(0, len(rows), MOST_ROWS):
        part = rows[start : start + MOST_ROWS]
        text = _statement(connection.dialect, table, columns, len(part))
        connection.exec_driver_sql(text, tuple(chain.from_iterable(part)))


@lru_cache(maxsize=MOST_ROWS)
def _statement(dialect: Dialect, table: Table, columns: tuple[str, ...], count: int) -> str:
    quote = dialect.identifier_preparer.quote
    names = ", ".join(map(quote, columns))
    row = f"({', '.join([_mark(dialect)] * len(columns))})"
    # Names of our own tables; every value is a parameter.
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES {', '.join([row] * count)}"  # noqa: S608 - see above


def _mark(dialect: Dialect) -> str:
    return "?" if dialect.paramstyle == "qmark" else "%s"
