"""What may go wrong in a database, by what must happen next; both databases' errors come down to these."""

from enum import Enum, auto

from gitops.errors import RetryError

LOCK_SECONDS = 3.0
"""How long a transaction waits for a lock; a webhook must be answered within ten seconds whatever happens."""


class Failure(Enum):
    """What must happen after an error."""

    AGAIN = auto()
    """Two transactions were in each other's way and this one gave way: nothing of it is kept, do it again."""
    BUSY = auto()
    """A lock was not won in time."""
    LOST = auto()
    """The connection is gone."""
    REFUSED = auto()
    """An invariant refused a row."""
    UNSTORABLE = auto()
    """A value that no column can hold: trying again changes nothing."""
    BROKEN = auto()
    """The database cannot do it now: a full disk, a missing right, a damaged file."""


class GaveWayError(RetryError):
    """The database broke off this transaction in favour of another one; nothing of it is kept."""


class LostError(RetryError):
    """The connection was lost before anything was committed."""


def busy() -> RetryError:
    """Return the error for a lock that was not won in time."""
    return RetryError("DatabaseBusy", f"the database was locked for {LOCK_SECONDS:.0f} s; it is tried again")
