"""Stops a process where that is its own trouble alone."""

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def freeze(send: Callable[[signal.Signals], None], home: Path) -> None:
    """Stop a process, but not with SQLite's write lock in its hand: that holds up everybody until it goes on.

    Args:
        send: sends it a signal.
        home: where the database would lie, were it SQLite.
    """
    send(signal.SIGSTOP)
    while is_locked(home):
        send(signal.SIGCONT)
        send(signal.SIGSTOP)


def is_locked(home: Path) -> bool:
    """Return whether a process sits in a transaction of SQLite; PostgreSQL ends one by itself."""
    file = home / "launchpin.sqlite3"
    if not file.exists():
        return False
    with closing(sqlite3.connect(file, timeout=1.0, isolation_level=None)) as probe:
        try:
            probe.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        probe.execute("ROLLBACK")
    return False
