"""Which relay leads: the one that holds a lease in the database. Others stand by and take over when it runs out."""

import fcntl
import socket
import uuid
from pathlib import Path
from typing import IO

from gitops.ports import Store

ROLE = "relay"
"""As the store knows it, which lets only this role's leader publish signed heads."""

LEASE = 8.0
"""Seconds; a relay that stands by asks every second, so that it leads within 15 s of the other one's death."""

_LEASE_PARTS = 3
# Less than the relay's patrol: as long as that, every other look would come a moment too early to ask.
_ASKED = 0.5


class Lead:
    """One relay's part in who leads.

    Args:
        home: the relay's folder. The first relay of a folder has the folder's name, and so leads on at once where its
            dead forerunner led; a second one beside it is somebody else.
        lease: seconds.
    """

    def __init__(self, store: Store, home: Path, *, lease: float = LEASE) -> None:
        self._store = store
        self._lease = lease
        self._lock = _take_lock(home / "relay" / "lead.lock")
        self.owner = f"{socket.gethostname()}:{home.absolute()} {_read_mark(self._lock)}"
        self._next = 0.0
        self._is_leader = False

    def is_held(self, now: float) -> bool:
        """Return whether this relay leads, and see to it that it goes on doing so.

        Args:
            now: seconds by a clock that only goes forward.

        Raises:
            RetryError: the database is away; nobody leads then.
        """
        if now >= self._next:
            self._is_leader = False
            self._is_leader = self._store.lead(ROLE, self.owner, seconds=self._lease)
            self._next = now + (self._lease / _LEASE_PARTS if self._is_leader else _ASKED)
        return self._is_leader

    def give_up(self) -> None:
        """Let another relay lead at once.

        Raises:
            RetryError: the database is away; the lease runs out by itself.
        """
        if self._is_leader:
            self._is_leader = False
            self._store.lead(ROLE, self.owner, seconds=0.0)

    def close(self) -> None:
        """Leave the folder to the next relay, as the end of the process does."""
        if self._lock is not None:
            self._lock.close()


def _read_mark(lock: IO[bytes] | None) -> str:
    """Return what tells this folder from others of its name on hosts of the same name; a new one without its lock."""
    if lock is None:
        return uuid.uuid4().hex
    lock.seek(0)
    mark = lock.read(32).decode("ascii", "replace")
    if not mark:
        mark = uuid.uuid4().hex
        lock.write(mark.encode())
        lock.flush()
    return mark


def _take_lock(file: Path) -> IO[bytes] | None:
    """Return the folder's lock, None when a living relay has it; it goes with the process."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = file.open("a+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    return handle
