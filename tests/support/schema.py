"""What a database's schema is, in words that two databases of one kind can be compared by."""

from dataclasses import dataclass

from sqlalchemy import Connection, inspect, text

from gitops.store.database import open_database

_SQLITE = "SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('index', 'trigger')"
_POSTGRES = """
SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
"""


@dataclass(frozen=True)
class Schema:
    """A schema.

    Args:
        columns: of each table, by name: type, whether NULL is allowed, default.
        indexes: how each would be made.
        triggers: how each would be made.
    """

    columns: dict[str, dict[str, tuple[str, bool, str | None]]]
    indexes: set[str]
    triggers: set[str]


def describe(url: str) -> Schema:
    """Return a database's schema."""
    kind = open_database(url)
    try:
        with kind.engine.begin() as connection:
            return _describe(connection)
    finally:
        kind.close()


def _describe(connection: Connection) -> Schema:
    inspector = inspect(connection)
    columns = {
        table: {
            str(column["name"]): (
                repr(column["type"]),
                bool(column["nullable"]),
                column["default"],
            )
            for column in inspector.get_columns(table)
        }
        for table in inspector.get_table_names()
    }
    query = text(_SQLITE if connection.dialect.name == "sqlite" else _POSTGRES)
    made = [(str(kind), str(sql)) for kind, sql in connection.execute(query)]
    return Schema(columns, *({sql for kind, sql in made if kind == wanted} for wanted in ("index", "trigger")))
