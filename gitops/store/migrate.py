"""Brings a database to this code's schema. Forward only: an older Launchpin refuses a newer database."""

import uuid
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert, select

from gitops.store.database import Database, open_engine
from gitops.store.tables import SCHEMA, audit_head, meta

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(url: str, *, host: str = "localhost") -> None:
    """Make the database where there is none, and run every migration that it lacks. Twice is harmless.

    Args:
        url: SQLAlchemy's form.
        host: names this installation in its audit log's origin, once and for ever: `<host>/audit/<uuid>`.

    Raises:
        InputError: as `open_engine`.
        RetryError: another process holds the database.
    """
    database = Database(open_engine(url))
    try:
        with database.write() as connection:
            upgrade(connection)
            _found(connection, host)
    finally:
        database.close()


def upgrade(connection: Connection) -> None:
    """Run the migrations inside the caller's transaction, so that a failed one leaves nothing behind."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA)


def _found(connection: Connection, host: str) -> None:
    """Give a new database its audit log."""
    if connection.execute(select(meta.c.value).where(meta.c.name == "log_id")).first() is None:
        connection.execute(insert(meta).values(name="log_id", value=f"{host}/audit/{uuid.uuid4()}"))
        connection.execute(insert(audit_head).values(id=1, size=0))
