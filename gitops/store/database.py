"""One database and its transactions, whichever it is; what differs stands in `sqlite` and `postgres`.

Whatever the driver raises leaves here as an error of ours: busy or broken is tried again, a broken invariant is a
conflict. A transaction that gave way to another one, or may or may not have been committed, is done again whole.
"""

import itertools
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Protocol, TypeVar, assert_never

from sqlalchemy import Connection, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gitops.errors import ConflictError, InputError, RetryError, UnknownOutcomeError
from gitops.store.failures import LOCK_SECONDS, Failure, GaveWayError, LostError, busy
from gitops.store.sqlite import SqliteKind

T = TypeVar("T")

_TRIES = 8
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5
# A statement alone: what only a database says that is there and kept nothing of it.
_ANSWERS = {Failure.AGAIN, Failure.BUSY, Failure.REFUSED, Failure.UNSTORABLE}


class Kind(Protocol):
    """What each kind of database does in its own way."""

    engine: Engine
    errors: tuple[type[Exception], ...]
    """What its driver raises beside what SQLAlchemy wraps."""
    is_commit_certain: bool
    """Whether a commit that failed is surely none."""
    checks_before_writing: bool
    """Whether looking first is cheaper than a transaction that finds nothing to write."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees one snapshot."""
        ...

    def writing(self, *, is_quiet: bool = False) -> AbstractContextManager[Connection]:
        """Give a connection whose work is kept all or not at all; quietly, nobody who waits for work is told."""
        ...

    def run_alone(self, text: str, parameters: Sequence[object], *, begun: Callable[[], None]) -> None:
        """Carry out one statement as a transaction of its own.

        Args:
            begun: called before anything may be kept.
        """
        ...

    def time(self, connection: Connection) -> datetime:
        """Return the database's clock, in UTC."""
        ...

    def own_time(self) -> datetime | None:
        """Return the database's clock where that is this host's, None where it is a server's."""
        ...

    def lock_schema(self, connection: Connection) -> None:
        """Make everybody else who would change the schema wait until this transaction ends."""
        ...

    def has_changed(self) -> bool:
        """Return whether anybody committed since the last call; True on the first."""
        ...

    def failure(self, error: BaseException) -> Failure:
        """Return what must happen after an error of the driver."""
        ...

    def describe(self, error: BaseException) -> str:
        """Return an error of the driver in one line."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


def open_database(url: str, *, password: Callable[[], str] | None = None) -> Kind:
    """Open a database: `sqlite:////absolute/path`, or `postgresql://user@host:port/name`.

    Args:
        url: SQLAlchemy's form, without a password.
        password: asked at each new connection to a server.

    Raises:
        InputError: `database_unsupported` for another kind or an old one, `secret_in_url`, `insecure_mode`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        # Not told which: what cannot be read may hold a password.
        raise InputError("database_unsupported", "the database's URL cannot be read", field="database_url") from None
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            return SqliteKind(parsed)
        case "postgresql" | "postgresql+psycopg":
            from gitops.store.postgres import PostgresKind  # noqa: PLC0415 - its driver is loaded only where it is used

            return PostgresKind(parsed, password=password)
        case other:
            message = f"{other} is not supported; use sqlite:///FILE or postgresql://USER@HOST/NAME"
            raise InputError("database_unsupported", message, field="database_url")


class Database:
    """Transactions on one database; safe to share between threads.

    Args:
        kind: from `open_database`.
        clock: replaces the database's clock in tests; returns aware datetimes.
    """

    def __init__(self, kind: Kind, *, clock: Callable[[], datetime] | None = None) -> None:
        self.kind = kind
        self._clock = clock

    def time(self, connection: Connection) -> datetime:
        """Return the database's clock, in UTC; inside a transaction that writes, as it was when that began."""
        return self._clock() if self._clock else self.kind.time(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one snapshot.

        Raises:
            RetryError: `DatabaseBusy` or `DatabaseUnavailable`.
        """
        with self._translated(), self.kind.reading() as connection:
            yield connection

    @contextmanager
    def write(self, *, is_quiet: bool = False) -> Iterator[Connection]:
        """Give a connection that may write; all or nothing of it is kept.

        Args:
            is_quiet: nobody who waits for work needs to know of it.

        Raises:
            RetryError: `DatabaseBusy` when a lock was not won in time, `DatabaseUnavailable`.
            UnknownOutcomeError: the connection was lost in the commit.
            ConflictError: an invariant refused a row.
        """
        # A commit has company: what goes with it may fail when it is kept already.
        ending = _Ending({Failure.AGAIN})
        with self._translated(ending), self.kind.writing(is_quiet=is_quiet) as connection:
            yield connection
            ending.begin()

    def run_alone(self, text: str, parameters: Sequence[object]) -> None:
        """Carry out one statement as a transaction of its own: the shortest way in, for those who write all the time.

        Raises:
            RetryError: `DatabaseBusy` when a lock was not won in time, `DatabaseUnavailable`.
            UnknownOutcomeError: the connection was lost before the answer came.
            ConflictError: an invariant refused a row, so that none is kept.
        """
        ending = _Ending(_ANSWERS)
        with self._translated(ending):
            self.kind.run_alone(text, parameters, begun=ending.begin)

    def own_time(self) -> datetime | None:
        """Return the time where this process knows it without asking, None where only the server does."""
        return self._clock() if self._clock else self.kind.own_time()

    def repeat(self, attempt: Callable[[bool], T], *, patience: float = LOCK_SECONDS) -> T:
        """Carry out a transaction, again and whole when it gave way, lost its connection or may not have been kept.

        Args:
            attempt: the transaction; told whether an earlier try may have been kept.
            patience: seconds after which it is not begun again.

        Raises:
            RetryError: `DatabaseBusy` or `DatabaseUnavailable`.
            UnknownOutcomeError: it may have been kept.
        """
        ends = time.monotonic() + patience
        unknown: RetryError | None = None
        last: RetryError
        lost = gave_way = 0
        for number in itertools.count():
            try:
                return attempt(unknown is not None)
            except UnknownOutcomeError as error:
                unknown, last = error, error
            except LostError as error:
                # Once more at once, because a pool's connections all die with the server; then it is away.
                lost, last = lost + 1, unknown or error
                if lost > 1 and unknown is None:
                    raise
            except GaveWayError as error:
                gave_way, last = gave_way + 1, unknown or error
                if gave_way == _TRIES:
                    raise last from error
            except RetryError as error:
                if unknown is None:
                    raise
                # This try is in vain, but the first one may have been kept.
                raise unknown from error
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**number) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads tries
            if time.monotonic() + pause > ends:
                raise last
            time.sleep(pause)
        raise AssertionError("counting never ends")

    def has_changed(self) -> bool:
        """Return whether anybody committed since the last call, ours or another process's; True on the first.

        Raises:
            RetryError: `DatabaseUnavailable`.
        """
        with self._translated():
            return self.kind.has_changed()

    def close(self) -> None:
        """Close every connection."""
        self.kind.close()

    @contextmanager
    def _translated(self, ending: "_Ending | None" = None) -> Iterator[None]:
        errors: tuple[type[Exception], ...] = (DBAPIError, *self.kind.errors)
        try:
            yield
        except PoolTimeoutError as error:
            raise busy() from error
        except errors as error:
            # While a connection is made or prepared, the driver's own error comes out.
            raw = error.orig or error if isinstance(error, DBAPIError) else error
            begun = ending if ending is not None and ending.has_begun and not self.kind.is_commit_certain else None
            raise self._translate(raw, begun) from error

    def _translate(self, raw: BaseException, begun: "_Ending | None") -> Exception:
        told = self.kind.describe(raw)
        failure = self.kind.failure(raw)
        if begun is not None and failure not in begun.answers:
            return UnknownOutcomeError("DatabaseUnavailable", f"the connection was lost in a commit: {told}")
        match failure:
            case Failure.AGAIN:
                error: Exception = GaveWayError("DatabaseBusy", f"another transaction was in the way: {told}")
            case Failure.BUSY:
                error = busy()
            case Failure.LOST:
                error = LostError("DatabaseUnavailable", f"the database cannot be reached: {told}")
            case Failure.REFUSED:
                error = ConflictError("Conflict", f"the database refused the row: {told}")
            case Failure.UNSTORABLE:
                error = InputError("unstorable", f"no column holds the value: {told}")
            case Failure.BROKEN:
                error = RetryError("DatabaseUnavailable", f"the database failed: {told}")
            case _:
                assert_never(failure)
        return error


class _Ending:
    """Whether a transaction's commit has begun.

    Args:
        answers: failures that say that nothing was kept, whatever had begun.
    """

    def __init__(self, answers: Collection[Failure]) -> None:
        self.answers = answers
        self.has_begun = False

    def begin(self) -> None:
        """Note that something may be kept from now on."""
        self.has_begun = True
