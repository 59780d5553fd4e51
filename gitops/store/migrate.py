"""Brings a database to this code's schema. Forward only: an older Launchpin refuses a newer database."""

import uuid
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert, select

from gitops.store.database import Database, open_database
from gitops.store.tables import SCHEMA, audit_head, meta

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(url: str, *, host: str = "localhost", password: Callable[[], str] | None = None) -> None:
    """Make the database where there is none, and run every migration that it lacks. Twice is harmless.

    Args:
        url: SQLAlchemy's form.
        host: names this installation in its audit log's origin, once and for ever: `<host>/audit/<uuid>`.
        password: asked at each new connection to a server.

    Raises:
        InputError: as `open_database`.
        RetryError: another process holds the database.
    """
    database = Database(open_database(url, password=password))
    try:
        with database.write() as connection:
            database.kind.lock_schema(connection)
            upgrade(connection)
            found(connection, host)
    finally:
        database.close()


def upgrade(connection: Connection, revision: str = SCHEMA) -> None:
    """Run the migrations inside the caller's transaction, so that a failed one leaves nothing behind."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def found(connection: Connection, host: str) -> None:
    """Give a new database its audit log."""
    if connection.execute(select(meta.c.value).where(meta.c.name == "log_id")).first() is None:
        connection.execute(insert(meta).values(name="log_id", value=f"{host}/audit/{uuid.uuid4()}"))
        connection.execute(insert(audit_head).values(id=1, size=0))
