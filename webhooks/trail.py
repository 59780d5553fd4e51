"""The audit trail as the web process reads it: by one request at a time, and what it tells of deployments only once.

A log only grows. So the deployments are kept, and a request reads what came since; where another log stands in its
place, after a restore say, it is read anew.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import NoReturn

from gitops.audit.deployments import Ledger
from gitops.audit.figures import Report, Selection, Window
from gitops.ports import AuditLog
from gitops.telling.dora import read_figures
from webhooks.problems import ProblemError

_PAGE = 1000
_PATIENCE = 10.0


class TrailReader:
    """The trail of one web process.

    Args:
        patience: seconds that a request waits for its turn.
        longest: seconds that one request may read for the figures; the next one goes on where it ended.
    """

    def __init__(self, *, patience: float = _PATIENCE, longest: float = _PATIENCE) -> None:
        self._turn = threading.Semaphore()
        self._patience = patience
        self._longest = longest
        self._forget()

    def _forget(self) -> None:
        self._ledger = Ledger()
        self._size = 0
        self._last = b""

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Give a block to one request at a time: a whole log is read in it.

        Raises:
            ProblemError: 503 when its turn does not come.
        """
        if not self._turn.acquire(timeout=self._patience):
            _be_busy("The audit log is being read for others: try again in a moment.")
        try:
            yield
        finally:
            self._turn.release()

    def measure(self, log: AuditLog, window: Window, selection: Selection) -> Report:
        """Return the figures of a window, from the log as it is now.

        Raises:
            ProblemError: 503 when the turn does not come, or so much is new that it takes another request.
            UnknownNameError: as `read_figures`.
        """
        with self.turn():
            try:
                self._follow(log)
            except ProblemError:
                raise
            except Exception:
                # A page of entries may have been read in part.
                self._forget()
                raise
            return read_figures(self._ledger, window, selection)

    def _follow(self, log: AuditLog) -> None:
        size = log.audit_size()
        if not is_continued(log, self._size, self._last):
            self._forget()
        until = time.monotonic() + self._longest
        while self._size < size:
            if time.monotonic() > until:
                _be_busy(f"The audit log is long, {self._size} of {size} entries are read: try again in a moment.")
            lines = log.audit_entries(self._size, min(_PAGE, size - self._size))
            if not lines:
                self._forget()
                _be_busy("The audit log is being replaced: try again in a moment.")
            self._ledger.read(lines)
            self._size += len(lines)
            self._last = lines[-1]


def is_continued(log: AuditLog, size: int, last: bytes) -> bool:
    """Return whether a log goes on from where it was read to; after a restore say, another one stands in its place.

    Args:
        size: how many entries were there.
        last: the last of them.
    """
    return not size or list(log.audit_entries(size - 1, 1)) == [last]


def _be_busy(detail: str) -> NoReturn:
    raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "busy_reading", detail)
