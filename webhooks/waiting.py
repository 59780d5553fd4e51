"""Asks what may hang, without hanging: one question at most is open, and everybody waits for the same answer."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Patient(Generic[T]):
    """Asks and gives up waiting after some seconds; those who ask meanwhile share the answer.

    Args:
        ask: what is asked; it may never answer, but must not block.
        seconds: how long one caller waits.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asked: asyncio.Future[T] | None = None

    async def __call__(self) -> T:
        """Return the answer.

        Raises:
            TimeoutError: there is none yet; what was asked goes on, and the next caller waits for it.
        """
        if self._asked is None or self._asked.done():
            self._asked = asyncio.ensure_future(self._ask())
            self._asked.add_done_callback(_look_at_error)
        return await asyncio.wait_for(asyncio.shield(self._asked), self._seconds)


def in_thread(ask: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    """Return what asks something that may block, in a thread of its own."""
    threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="patient")
    return lambda: asyncio.get_running_loop().run_in_executor(threads, ask)


def _look_at_error(asked: "asyncio.Future[T]") -> None:
    """Take note of an error that everybody stopped waiting for, so that asyncio does not complain."""
    if not asked.cancelled():
        asked.exception()
