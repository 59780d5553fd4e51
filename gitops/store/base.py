"""What every part of the store is built on: one database, and a transaction around whatever is asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, select

from gitops import __version__
from gitops.audit.entry import Service
from gitops.errors import StalledError
from gitops.store import tables
from gitops.store.database import Database, open_database
from gitops.store.failures import LOCK_SECONDS
from gitops.store.outbox import keep_notices
from gitops.store.transaction import Transaction, transaction

T = TypeVar("T")


class BaseStore:
    """Transactions on one migrated database, for the rooms that know what to ask.

    Args and errors are those of `SqlStore`.
    """

    def __init__(
        self,
        url: str,
        *,
        password: Callable[[], str] | None = None,
        clock: Callable[[], datetime] | None = None,
        service: Service | None = None,
        is_told: bool = False,
    ) -> None:
        self._database = Database(open_database(url, password=password), clock=clock)
        self._service = service or Service(version=__version__)
        self._is_told = is_told
        try:
            self._log_id = self._read(_read_log_id)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def _read(self, ask: Callable[[Connection], T]) -> T:
        def once(_: bool) -> T:  # noqa: FBT001 - as `Database.repeat` calls it
            with self._database.read() as connection:
                return ask(connection)

        return self._database.repeat(once)

    def _write(self, do: Callable[[Transaction], T], *, is_quiet: bool = False, patience: float = LOCK_SECONDS) -> T:
        """Carry out a transaction, whole and as often as it needs; what it does twice must come to the same."""

        def once(is_again: bool) -> T:  # noqa: FBT001 - as `Database.repeat` calls it
            with self._open(is_again=is_again, is_quiet=is_quiet) as tx:
                return do(tx)

        return self._database.repeat(once, patience=patience)

    @contextmanager
    def _open(self, *, is_again: bool = False, is_quiet: bool = False) -> Iterator[Transaction]:
        with transaction(
            self._database,
            log_id=self._log_id,
            service=self._service,
            is_again=is_again,
            is_quiet=is_quiet,
            is_told=self._is_told,
        ) as tx:
            yield tx
            keep_notices(tx)

    def check(self) -> None:
        """Ask the database whether it answers, and whether its schema is this code's.

        Raises:
            RetryError: it does not answer.
            StalledError: `SchemaMismatch`.
        """
        self._read(_read_log_id)

    def now(self) -> datetime:
        """Return the database's clock, in UTC."""
        return self._read(self._database.time)


def _read_log_id(connection: Connection) -> str:
    """Return the log's origin.

    Raises:
        StalledError: `SchemaMismatch` when the database is not on the schema that this code was written for.
    """
    found = connection.dialect.has_table(connection, "alembic_version")
    schema = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if found else None
    if schema != tables.SCHEMA:
        what = f"the database's schema is {schema or 'missing'}, this Launchpin needs {tables.SCHEMA}"
        how = "run the same version everywhere, and once `launchpin up`, or python -P -m gitops.embedded.stack.migrate"
        raise StalledError("SchemaMismatch", f"{what}: {how}")
    meta = tables.meta
    return str(connection.execute(select(meta.c.value).where(meta.c.name == "log_id")).scalar_one())
