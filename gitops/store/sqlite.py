"""SQLite: a file on this host, one writer at a time, and this host's clock."""

import os
import random
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from gitops.errors import InputError
from gitops.store.failures import LOCK_SECONDS, Failure, busy

_IS_WRITER = "launchpin_is_writer"
_OLDEST = (3, 35, 0)  # RETURNING
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CONNECTIONS = 64
_PATIENCE = f"PRAGMA busy_timeout={int(LOCK_SECONDS * 1000)}"
# Between two tries for the write lock, in seconds; transactions take about one millisecond.
_SHORTEST_NAP = 0.0005
_LONGEST_NAP = 0.01


class SqliteKind:
    """What SQLite does in its own way.

    Args:
        url: names a file, made with mode 0600 where there is none.

    Raises:
        InputError: `database_unsupported` without a file or with an old SQLite, `insecure_mode` when others may read
            it.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, OverflowError)
    is_commit_certain = True
    # A look at a snapshot is free, the one write lock is not.
    checks_before_writing = True

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:":
            raise InputError("database_unsupported", "SQLite without a file is not supported; use sqlite:///FILE")
        if sqlite3.sqlite_version_info < _OLDEST:
            raise InputError("database_unsupported", f"SQLite {sqlite3.sqlite_version} is too old; 3.35 is needed")
        _secure(Path(url.database))
        self.engine = _open(url)
        self._writer = self.engine.execution_options(**{_IS_WRITER: True})
        # Threads of one process queue here; SQLite's own waiting is sleeping in ever longer naps.
        self._write_lock = threading.Lock()
        self._watch_lock = threading.Lock()
        self._watcher: PoolProxiedConnection | None = None
        self._seen = -1
        self._door: PoolProxiedConnection | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one snapshot."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *, is_quiet: bool = False) -> Iterator[Connection]:
        """Give a connection that holds the write lock: SQLite gives up at once when a reader becomes a writer.

        Args:
            is_quiet: makes no difference here.

        Raises:
            RetryError: `DatabaseBusy` when another thread held the lock for too long.
        """
        del is_quiet
        if not self._write_lock.acquire(timeout=LOCK_SECONDS):
            raise busy()
        try:
            with self._writer.begin() as connection:
                yield connection
        finally:
            self._write_lock.release()

    def run_alone(self, text: str, parameters: Sequence[object], *, begun: Callable[[], None]) -> None:
        """Carry out one statement as a transaction of its own, on a connection that does nothing else.

        Each call into the driver gives up the interpreter's lock and a busy event loop is slow to give it back: here
        it is given up once, for beginning, writing and waiting for the disk together.

        Args:
            begun: called before anything may be kept.

        Raises:
            RetryError: `DatabaseBusy` when the write lock was not won in time.
        """
        if not self._write_lock.acquire(timeout=LOCK_SECONDS):
            raise busy()
        try:
            if self._door is None:
                self._door = self.engine.raw_connection()
                self._door.detach()
                self._door.cursor().execute("PRAGMA busy_timeout=0")
            cursor = self._door.cursor()
            begun()
            _insist(lambda: cursor.execute(text, parameters))
            cursor.close()
        finally:
            self._write_lock.release()

    def time(self, connection: Connection) -> datetime:
        """Return the time in UTC; SQLite is a library, so its clock is the host's."""
        del connection
        return self.own_time()

    def own_time(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    def lock_schema(self, connection: Connection) -> None:
        """Do nothing: whoever writes holds the only lock already."""

    def has_changed(self) -> bool:
        """Return whether anybody committed since the last call; True on the first.

        SQLite tells each connection of the commits of all others, so one is kept that writes nothing; outside of
        transactions, because a snapshot's number stands still.
        """
        with self._watch_lock:
            if self._watcher is None:
                self._watcher = self.engine.raw_connection()
            cursor = self._watcher.cursor()
            try:
                cursor.execute("PRAGMA data_version")
                (version,) = cursor.fetchone() or (0,)
            finally:
                cursor.close()
            is_news, self._seen = version != self._seen, int(version)
            return is_news

    def failure(self, error: BaseException) -> Failure:
        """Return what must happen after an error of the driver."""
        if isinstance(error, OverflowError):
            return Failure.UNSTORABLE
        if isinstance(error, sqlite3.IntegrityError):
            return Failure.REFUSED
        return Failure.BUSY if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY else Failure.BROKEN

    def describe(self, error: BaseException) -> str:
        """Return an error of the driver in one line."""
        return str(error)

    def close(self) -> None:
        """Close every connection."""
        with self._watch_lock:
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None
        with self._write_lock:
            if self._door is not None:
                self._door.close()
                self._door = None
        self.engine.dispose()


def _open(url: URL) -> Engine:
    engine = create_engine(url, pool_size=_CONNECTIONS, max_overflow=0, pool_timeout=LOCK_SECONDS)
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
        _PATIENCE,
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        # Moving the log into the file waits for the disk twice more, in whoever's commit it falls due: every 16 MiB.
        "PRAGMA wal_autocheckpoint=4000",
    ):
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get(_IS_WRITER, False):
        _win_lock(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _win_lock(connection: Connection) -> None:
    """Begin to write as soon as no other process does."""
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        _insist(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    finally:
        connection.exec_driver_sql(_PATIENCE)


def _insist(write: Callable[[], object]) -> None:
    """Try until no other process writes.

    SQLite's own naps grow to 100 ms: under a steady load of short transactions, whoever came first would wait longest.
    """
    begun = time.monotonic()
    while True:
        try:
            write()
        except (OperationalError, sqlite3.OperationalError) as error:
            raw = error.orig if isinstance(error, OperationalError) else error
            waited = time.monotonic() - begun
            if getattr(raw, "sqlite_errorcode", 0) & 0xFF not in _BUSY or waited > LOCK_SECONDS:
                raise
            time.sleep(min(_LONGEST_NAP, max(_SHORTEST_NAP, waited / 8)) * random.uniform(0.5, 1.5))  # noqa: S311 - spreads tries
        else:
            return
