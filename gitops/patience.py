"""How long an outside is listened to, and when it may be asked again. For every adapter alike, whatever its client.

An answer is read up to a size and for a time, since a client's own timeout only counts the silence between two pieces.
An outside that named a time is not asked before that time has passed, whatever wakes a job earlier.
"""

import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from gitops.errors import RetryError

_PIECE = 1 << 16
_LONGEST = 3600.0


class EndlessReplyError(Exception):
    """An answer was larger, or took longer, than any that is expected."""


def read_bounded(read: Callable[[int], bytes], *, limit: int, seconds: float) -> bytes:
    """Return the whole of an answer's body.

    Args:
        read: returns what is there, at most so many bytes and at least one; nothing at the end.
        limit: bytes.
        seconds: for all of it.

    Raises:
        EndlessReplyError: when it passes one of the bounds.
    """
    ends = time.monotonic() + seconds
    pieces: list[bytes] = []
    size = 0
    while piece := read(_PIECE):
        size += len(piece)
        if size > limit:
            raise EndlessReplyError(f"an answer of more than {limit} bytes")
        if time.monotonic() > ends:
            raise EndlessReplyError(f"an answer that took more than {seconds:g} s")
        pieces.append(piece)
    return b"".join(pieces)


def named_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds that `retry-after` asks for, at least one and at most an hour; 0 where it asks for nothing.

    A time (RFC 9110, 10.2.3) is compared with the answer's own date, never with our clock.

    Args:
        headers: of an answer, their names in lower case.
    """
    named = headers.get("retry-after", "").strip()
    if named.isascii() and named.isdigit():
        return min(max(float(named), 1.0), _LONGEST)
    try:
        left = parsedate_to_datetime(named) - parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError):
        return 0.0
    return min(max(left.total_seconds(), 1.0), _LONGEST)


class Pause:
    """The time until which one outside is not asked, because it said so. Thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends = 0.0
        self._reason = ""
        self._lock = threading.Lock()

    def begin(self, error: RetryError) -> None:
        """Ask nothing for as long as this error says; one that says nothing changes nothing."""
        with self._lock:
            ends = self._clock() + error.after
            if error.after > 0 and ends > self._ends:
                self._ends, self._reason = ends, error.reason

    def check(self, who: str) -> None:
        """Return when the outside may be asked.

        Args:
            who: asked for the wait, in words for people.

        Raises:
            RetryError: for the same reason as the pause, with the seconds that are left.
        """
        with self._lock:
            left, reason = self._ends - self._clock(), self._reason
        if left > 0:
            raise RetryError(reason, f"{who} asked us to wait: {left:.0f} s are left", after=left)
