"""What of Celery's worker is ours: it asks for a lost broker often enough, and takes the next message at once.

As it comes, Celery's pauses between two tries grow to 30 s, and a ready job would wait as long after the broker's
return. And a worker that was as busy as it may be looks for messages up to a second after it is free again, because
nothing tells its event loop.
"""

import functools
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.request import Request

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
"""Seconds between two tries to reach the broker."""

_STEP = 0.4


class Bell:
    """Wakes an event loop from other threads."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        for end in (self._out, self._in):
            os.set_blocking(end, False)

    @property
    def file(self) -> int:
        """The descriptor that is readable after a ring."""
        return self._out

    def ring(self) -> None:
        """Wake the loop; a bell that rings already may ring on."""
        with suppress(BlockingIOError):
            os.write(self._in, b"\0")

    def quiet(self) -> None:
        """Take back every ring so far."""
        with suppress(BlockingIOError):
            os.read(self._out, 4096)


_FREE = Bell()


class HintRequest(Request):  # type: ignore[misc]  # Celery publishes no types
    """A message that was taken; at its end the worker looks for the next one.

    Celery makes a class of its own from this one, with an `on_success` that calls no other.
    """

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 - handed on
        """Have Celery's class tell the event loop when it is done."""
        super().__init_subclass__(**options)
        cls.on_success = _then_ring(cls.on_success)
        cls.on_failure = _then_ring(cls.on_failure)


def _then_ring(finish: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(finish)
    def finish_and_ring(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on
        try:
            return finish(*arguments, **options)
        finally:
            _FREE.ring()

    return finish_and_ring


def be_patient(connection: Any) -> Any:  # noqa: ANN401 - kombu publishes no types
    """Return a connection of kombu that waits between two tries for 0.2 s at first and 5 s at most."""
    pauses = {"interval_start": FIRST_PAUSE, "interval_step": _STEP, "interval_max": LONGEST_PAUSE}
    connection.ensure_connection = functools.partial(connection.ensure_connection, **pauses)
    return connection


class PatientConsumer(Consumer):  # type: ignore[misc]  # Celery publishes no types
    """Takes messages for as long as the process lives, whatever becomes of the broker."""

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401 - Celery publishes no types
        """Connect, however long it takes."""
        return super().ensure_connected(be_patient(conn))

    def register_with_event_loop(self, hub: Any) -> None:  # noqa: ANN401 - kombu publishes no types
        """Listen to the bell, too; asked for at every connection."""
        super().register_with_event_loop(hub)
        hub.add_reader(_FREE.file, _FREE.quiet)
