"""Ends what takes too long. Looks now and then while anything is under way: a timer for each would cost far more."""

import asyncio
import time
from types import TracebackType
from typing import Protocol, Self

_LOOK_SECONDS = 0.2


class Expiring(Protocol):
    """Something that must be over at some moment.

    Args:
        until: by the monotonic clock.
    """

    until: float

    def expire(self) -> None:
        """End it."""
        ...


class Deadlines:
    """What is under way on one event loop; each deadline is kept to within a fifth of a second."""

    def __init__(self) -> None:
        self._under_way: set[Expiring] = set()
        self._is_looking = False

    def add(self, one: Expiring) -> None:
        """Watch something."""
        self._under_way.add(one)
        if not self._is_looking:
            self._is_looking = True
            self._look(asyncio.get_running_loop())

    def discard(self, one: Expiring) -> None:
        """Watch something no more: it is over."""
        self._under_way.discard(one)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for one in [one for one in self._under_way if one.until < now]:
            self._under_way.discard(one)
            one.expire()
        self._is_looking = bool(self._under_way)
        if self._is_looking:
            loop.call_later(_LOOK_SECONDS, self._look, loop)


class Limit:
    """A block that ends with a `TimeoutError` when it takes too long, as `asyncio.timeout` has it.

    Args:
        until: by the monotonic clock.
    """

    __slots__ = ("_cancelled", "_deadlines", "_is_over", "_task", "until")

    def __init__(self, deadlines: Deadlines, until: float) -> None:
        self._deadlines = deadlines
        self._task: asyncio.Task[object] | None = None
        self._is_over = False
        self._cancelled = 0
        self.until = until

    def __enter__(self) -> Self:
        """Begin to watch the task that runs now."""
        self._task = asyncio.current_task()
        self._cancelled = self._task.cancelling() if self._task is not None else 0
        self._deadlines.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """End it."""
        self._deadlines.discard(self)
        if not self._is_over or self._task is None:
            return
        # Who else cancelled the task is not to be taken for us.
        if self._task.uncancel() <= self._cancelled and kind is asyncio.CancelledError:
            raise TimeoutError

    def expire(self) -> None:
        """Break into the task."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
