"""One database and its transactions. A writer takes the write lock when it begins: SQLite gives up at once on upgrades.

Whatever the driver raises leaves here as an error of ours: busy or broken is tried again, a broken invariant is a
conflict.
"""

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from gitops.errors import ConflictError, InputError, RetryError

LOCK_SECONDS = 3.0
"""How long a transaction waits for the write lock; a webhook must be answered within ten seconds whatever happens."""

_BEGIN = "launchpin_begin"
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CONNECTIONS = 64


def open_engine(url: str) -> Engine:
    """Open a SQLite database, made with mode 0600 where there is none.

    Args:
        url: SQLAlchemy's form, `sqlite:////absolute/path` for example.

    Raises:
        InputError: `database_unsupported` for another kind or an old SQLite, `insecure_mode` when others may read it.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        name = parsed.get_backend_name()
        raise InputError("database_unsupported", f"{name} without a file is not in this release; use sqlite:///FILE")
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise InputError("database_unsupported", f"SQLite {sqlite3.sqlite_version} is too old; 3.35 is needed")
    _secure(Path(parsed.database))
    engine = create_engine(parsed, pool_size=_CONNECTIONS, max_overflow=0, pool_timeout=LOCK_SECONDS)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _secure(file: Path) -> None:
    """Make the file readable by its owner only; SQLite gives its journals the same mode."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise InputError("database_missing", f"{file} cannot be opened: {error.strerror}") from error
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError("insecure_mode", f"{file.name} may be read by others: chmod 600 it", field="database_url")


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Leave every BEGIN to us, and ask for durability: FULL, because NORMAL may lose a commit when the power goes."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={int(LOCK_SECONDS * 1000)}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


class Database:
    """Transactions on one engine; safe to share between threads.

    Args:
        engine: from `open_engine`.
        clock: replaces the database's clock in tests; returns aware datetimes.
    """

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] | None = None) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        self._clock = clock
        # Threads of one process queue here; SQLite's own waiting is sleeping in ever longer naps.
        self._write_lock = threading.Lock()
        self._watch_lock = threading.Lock()
        self._watcher: PoolProxiedConnection | None = None

    def now(self) -> datetime:
        """Return the time in UTC; SQLite is a library, so its clock is the host's."""
        return self._clock() if self._clock else datetime.now(UTC)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one snapshot.

        Raises:
            RetryError: `DatabaseBusy` or `DatabaseUnavailable`.
        """
        with _translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection that holds the write lock; all or nothing of it is kept.

        Raises:
            RetryError: `DatabaseBusy` when the lock was not won in time, `DatabaseUnavailable`.
            ConflictError: an invariant refused a row.
        """
        if not self._write_lock.acquire(timeout=LOCK_SECONDS):
            raise _busy()
        try:
            with _translated(), self._writer.begin() as connection:
                yield connection
        finally:
            self._write_lock.release()

    def version(self) -> int:
        """Return a number that is another one after every commit, ours or another process's.

        SQLite tells each connection of the commits of all others, so one is kept that writes nothing; outside of
        transactions, because a snapshot's number stands still.
        """
        with self._watch_lock, _translated():
            if self._watcher is None:
                self._watcher = self._engine.raw_connection()
            cursor = self._watcher.cursor()
            try:
                cursor.execute("PRAGMA data_version")
                (version,) = cursor.fetchone() or (0,)
            finally:
                cursor.close()
            return int(version)

    def close(self) -> None:
        """Close every connection."""
        with self._watch_lock:
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise ConflictError("Conflict", f"the database refused the row: {error.orig}") from error
    except PoolTimeoutError as error:
        raise _busy() from error
    except (DBAPIError, sqlite3.Error) as error:  # while a connection is prepared, the driver's own error comes out
        raw = error.orig if isinstance(error, DBAPIError) else error
        if getattr(raw, "sqlite_errorcode", 0) & 0xFF in _BUSY:
            raise _busy() from error
        raise RetryError("DatabaseUnavailable", f"the database failed: {raw}") from error


def _busy() -> RetryError:
    return RetryError("DatabaseBusy", f"the database was locked for {LOCK_SECONDS:.0f} s; it is tried again")
