"""Locks of environments: the text once, by its digest, and for each environment the interpreter that it is for.

They are never changed and never removed: a record that names one may ask for it at any time.
"""

from sqlalchemy import Connection, select

from gitops.lockfile import Lock
from gitops.store.rows import insert_new
from gitops.store.tables import locked_environments, locks
from gitops.store.transaction import Transaction
from gitops.writes import KeepLock


def keep_lock(tx: Transaction, write: KeepLock) -> None:
    """Keep a lock; one that is kept stays as it is, since what names it is a digest of it."""
    lock = write.lock
    kept: dict[str, object] = {"digest": lock.digest, "text": lock.text}
    insert_new(tx.connection, locks, kept)
    named: dict[str, object] = {
        "key": lock.key,
        "digest": lock.digest,
        "python": lock.python,
        "interpreter": lock.interpreter,
    }
    insert_new(tx.connection, locked_environments, named)


def read_lock(connection: Connection, key: str) -> Lock | None:
    """Return the lock of an environment."""
    of = locked_environments
    columns = (locks.c.text, of.c.digest, of.c.python, of.c.key, of.c.interpreter)
    row = connection.execute(
        select(*columns).join_from(of, locks, of.c.digest == locks.c.digest).where(of.c.key == key)
    ).first()
    return None if row is None else Lock(*row)
