"""PostgreSQL: many hosts, the server's clock, and locks on rows.

Transactions that write are READ COMMITTED, on purpose. Every story ends by appending to one audit log, whose head is
locked last; at a stricter level each of two writers at once would fail there, because the head moved since its
snapshot. So nothing is left to the level: what a transaction decides on, it locks first (a record belongs to whoever
holds its job's row), and the unique indexes refuse the rest. Readers see one snapshot.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
from psycopg import errors as pg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from gitops.errors import InputError
from gitops.store.failures import LOCK_SECONDS, Failure, busy
from gitops.store.tables import tell_postgresql

tell_postgresql()
DRIVER = "postgresql+psycopg"
OLDEST = 14
"""The oldest major version that its makers still mend."""
CHANNEL = "launchpin"

_SECRETS = {"password", "sslpassword", "passfile"}
_BEGIN = "launchpin_begin"
_TIME = "launchpin_time"
_CONNECTIONS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
# One way to the server and back begins a transaction and tells its time.
_BEGIN_WRITING = f"{_CLOCK}; BEGIN"
# Who reads holds nobody up: a self-audit may think about a million entries for as long as it needs.
_BEGIN_READING = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
    "SET LOCAL statement_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '600s'"
)
# After the commit, not in it: a NOTIFY inside makes all commits of the database wait for each other's fsync. One that
# is lost with its process costs the relay a second.
_NOTIFY = f"NOTIFY {CHANNEL}"
_COMMIT = f"COMMIT; {_NOTIFY}"
_SCHEMA_LOCK = 0x6C61756E63687069  # "launchpi"
# A stopped process must not hold its locks: a transaction of ours never idles. A server that was told not to wait for
# its disk is asked to, as far as one session may.
_SESSION = f"""
SET default_transaction_isolation = 'read committed';
SET lock_timeout = {int(LOCK_SECONDS * 1000)};
SET statement_timeout = 10000;
SET idle_in_transaction_session_timeout = 5000;
SET timezone = 'UTC';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
# A server that cannot be reached is noticed in seconds, not in the two hours of a system's defaults.
_REACH = {
    "application_name": "launchpin",
    "client_encoding": "utf8",
    "connect_timeout": int(LOCK_SECONDS),
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}
_LOST = (
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.IdleInTransactionSessionTimeout,
    # What was the primary is a standby now, or is being made one.
    pg.ReadOnlySqlTransaction,
)
_FAILURES: tuple[tuple[tuple[type[psycopg.Error], ...], Failure], ...] = (
    ((pg.SerializationFailure, pg.DeadlockDetected), Failure.AGAIN),
    ((pg.LockNotAvailable, pg.QueryCanceled), Failure.BUSY),
    ((psycopg.IntegrityError,), Failure.REFUSED),
    ((psycopg.DataError,), Failure.UNSTORABLE),
)


class PostgresKind:
    """What PostgreSQL does in its own way.

    Args:
        url: without a password.
        password: asked at each new connection, so that a changed one needs no restart.

    Raises:
        InputError: `secret_in_url`.
    """

    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    is_commit_certain = False
    # A claim that finds nothing locks nothing and writes nothing.
    checks_before_writing = False

    def __init__(self, url: URL, *, password: Callable[[], str] | None = None) -> None:
        if url.password is not None or _SECRETS & url.query.keys():
            message = "the database's URL holds a password: name a file in LAUNCHPIN_DATABASE_PASSWORD_FILE instead"
            raise InputError("secret_in_url", message, field="database_url")
        self.engine = _open(url.set(drivername=DRIVER), password)
        self._writer = self.engine.execution_options(**{_BEGIN: _BEGIN_WRITING})
        self._watch_lock = threading.Lock()
        self._watcher: psycopg.Connection[Any] | None = None
        self._door_lock = threading.Lock()
        self._door: psycopg.Connection[Any] | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one snapshot."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *, is_quiet: bool = False) -> Iterator[Connection]:
        """Give a connection whose work is kept all or not at all.

        Args:
            is_quiet: nobody who waits for work needs to know of it.
        """
        with self._writer.begin() as connection:
            yield connection
            connection.exec_driver_sql("COMMIT" if is_quiet else _COMMIT)

    def run_alone(self, text: str, parameters: Sequence[object], *, begun: Callable[[], None]) -> None:
        """Carry out one statement as a transaction of its own, and tell who waits for work.

        Args:
            begun: called before anything may be kept.

        Raises:
            RetryError: `DatabaseBusy` when other threads held the connection for too long.
        """
        if not self._door_lock.acquire(timeout=LOCK_SECONDS):
            raise busy()
        try:
            if self._door is None:
                self._door = self._connect()
            begun()
            self._door.execute(text, parameters)
            # It is kept by now, whoever hears of it: one that nobody hears of costs the relay a second.
            with suppress(psycopg.Error):
                self._door.execute(_NOTIFY)
        finally:
            if self._door is not None and self._door.info.transaction_status is not TransactionStatus.IDLE:
                self._close_door()
            self._door_lock.release()

    def _close_door(self) -> None:
        if self._door is not None:
            with suppress(psycopg.Error):
                self._door.close()
            self._door = None

    def time(self, connection: Connection) -> datetime:
        """Return the server's clock, in UTC; in a transaction that writes, as it was when that began."""
        known = connection.info.get(_TIME)
        moment = connection.exec_driver_sql(_CLOCK).scalar_one() if known is None else known
        return _EPOCH + timedelta(microseconds=moment)

    def own_time(self) -> None:
        """Return nothing: only the server knows its time."""
        return

    def lock_schema(self, connection: Connection) -> None:
        """Make everybody else who would change the schema wait until this transaction ends."""
        connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")

    def has_changed(self) -> bool:
        """Return whether anybody committed since the last call; True on the first. Asks the server nothing.

        The server tells a moment after the commit, and what it told while the connection was lost is made up for by a
        True.
        """
        with self._watch_lock:
            if self._watcher is None:
                self._watcher = self._listen()
                return True
            try:
                return sum(1 for _ in self._watcher.notifies(timeout=0)) > 0
            except psycopg.Error:
                self._stop_listening()
                raise

    def _listen(self) -> psycopg.Connection[Any]:
        watcher = self._connect()
        watcher.execute(f"LISTEN {CHANNEL}")
        return watcher

    def _connect(self) -> psycopg.Connection[Any]:
        """Return a connection that the pool knows nothing of: whoever asked for it closes it."""
        made = self.engine.raw_connection()
        made.detach()
        return cast("psycopg.Connection[Any]", made.dbapi_connection)

    def _stop_listening(self) -> None:
        if self._watcher is not None:
            with suppress(psycopg.Error):
                self._watcher.close()
            self._watcher = None

    def failure(self, error: BaseException) -> Failure:
        """Return what must happen after an error of the driver."""
        if isinstance(error, _LOST) or _is_out_of_reach(error):
            return Failure.LOST
        return next((failure for kinds, failure in _FAILURES if isinstance(error, kinds)), Failure.BROKEN)

    def describe(self, error: BaseException) -> str:
        """Return an error of the driver in one line, without the row that it may quote."""
        primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        return primary or " ".join(str(error).split())

    def close(self) -> None:
        """Close every connection."""
        with self._watch_lock:
            self._stop_listening()
        with self._door_lock:
            self._close_door()
        self.engine.dispose()


def _open(url: URL, password: Callable[[], str] | None) -> Engine:
    engine = create_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=LOCK_SECONDS,
        pool_use_lifo=True,  # so that those which are rarely needed stay unused
        connect_args={name: value for name, value in _REACH.items() if name not in url.query},
    )

    def give_password(_dialect: object, _entry: object, _arguments: object, parameters: dict[str, Any]) -> None:
        if password is not None:
            parameters["password"] = password()

    event.listen(engine, "do_connect", give_password)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _note_loss)
    return engine


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Leave every BEGIN to us, and refuse a server that is too old or keeps text in another encoding."""
    raw = cast("psycopg.Connection[Any]", connection)
    try:
        _check_server(raw)
        raw.autocommit = True
        raw.execute(_SESSION)
    except BaseException:
        # Nobody else knows of it yet.
        raw.close()
        raise


def _check_server(raw: "psycopg.Connection[Any]") -> None:
    if raw.info.server_version < OLDEST * 10_000:
        found = raw.info.server_version // 10_000
        raise InputError("database_unsupported", f"PostgreSQL {found} is too old; {OLDEST} is needed")
    encoding = raw.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise InputError("database_unsupported", f"the database's encoding is {encoding}; UTF8 is needed")


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options().get(_BEGIN, _BEGIN_READING)
    result = connection.exec_driver_sql(statement)
    connection.info[_TIME] = result.scalar_one() if statement == _BEGIN_WRITING else None


def _is_out_of_reach(error: BaseException) -> bool:
    """Return whether the server, or the way to it, ended the connection or never made one."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith("08")


def _note_loss(context: ExceptionContext) -> None:
    """Have every pooled connection made anew after one was lost in a way that the driver does not call a loss."""
    if isinstance(context.original_exception, _LOST):
        context.is_disconnect = True
