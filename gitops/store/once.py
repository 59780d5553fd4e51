"""What is asked for with a key and carried out at once: the same key does it once, however often it is sent.

What a worker carries out has its key in the row of its command.
"""

from sqlalchemy import Connection, select

from gitops.errors import ConflictError
from gitops.ports import Once
from gitops.store.rows import insert_new
from gitops.store.tables import asked_once
from gitops.store.transaction import Transaction


def find_earlier(tx: Transaction, once: Once | None, *, subject: str) -> str | None:
    """Note that something is done now; or return what it was about, where that was noted before.

    Args:
        once: None for what has no key, which is always new.
        subject: what it is about now.

    Raises:
        ConflictError: `IdempotencyKeyUsed`.
    """
    if once is None:
        return None
    row = {"key": once.key, "asked_sha256": once.asked_sha256, "subject": subject, "created_at": tx.now}
    return None if insert_new(tx.connection, asked_once, row) else read_earlier(tx.connection, once)


def read_earlier(connection: Connection, once: Once) -> str | None:
    """Return what was done with a key before was about, None where it is new.

    Raises:
        ConflictError: `IdempotencyKeyUsed`.
    """
    known = connection.execute(select(asked_once).where(asked_once.c.key == once.key)).first()
    if known is None:
        return None
    if known.asked_sha256 != once.asked_sha256:
        raise ConflictError("IdempotencyKeyUsed", "this idempotency key was used for something else; make a new one")
    return str(known.subject)
