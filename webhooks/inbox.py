"""Stores deliveries in groups: one thread writes what came while its last commit ran, and each is told its own result.

No time is waited for company. A lone delivery is committed at once; under load groups grow by themselves, as far as the
disk is the slower part. Whatever is wrong with one row is answered to that one alone.
"""

import asyncio
import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from gitops.errors import LaunchpinError, RetryError
from gitops.failpoints import failpoint
from gitops.ports import Received, Store
from gitops.records import Cause, Delivery
from webhooks.deadlines import Deadlines

PATIENCE = 3.0
"""Seconds that a delivery waits for its commit; GitHub hangs up after ten, reading the body included."""

_MOST_ROWS = 256
_MOST_BYTES = 32 * 1024 * 1024
_CLOSING_SECONDS = 8.0
_log = logging.getLogger("launchpin.receive")

_Answer = Received | Exception


class Arrival(NamedTuple):
    """A signed delivery as it came.

    Args:
        id: its GUID, in lower case.
    """

    id: str
    event: str
    body: bytes


class _Waiting:
    """A delivery and the request that waits for what becomes of it."""

    __slots__ = ("arrival", "future", "until")

    def __init__(self, arrival: Arrival, future: "asyncio.Future[Received]", until: float) -> None:
        self.arrival: Arrival | None = arrival
        self.future = future
        self.until = until

    def expire(self) -> None:
        """Answer that it took too long. The row may still be written: it is found when the delivery comes again."""
        self.answer(RetryError("DatabaseBusy", "the database did not take it in time"))

    def answer(self, answer: _Answer) -> None:
        """Tell the request, unless it was told already."""
        self.arrival = None
        if self.future.done():
            return
        if isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class Inbox:
    """The way of deliveries into the store; belongs to one event loop.

    Args:
        store: asked by one thread, which starts with the first delivery.
        deadlines: of the same event loop.
    """

    def __init__(self, store: Store, deadlines: Deadlines) -> None:
        self._store = store
        self._deadlines = deadlines
        self._queue: SimpleQueue[list[_Waiting]] = SimpleQueue()
        self._fresh: list[_Waiting] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    async def put(self, arrival: Arrival, *, patience: float = PATIENCE) -> Received:
        """Return what became of a delivery once it is durable.

        Args:
            patience: seconds after which it is given up.

        Raises:
            RetryError: it was not stored in time, or this part is going down.
            LaunchpinError: the database does not take this one.
        """
        if self._is_closed:
            raise RetryError("Stopping", "this part is going down")
        loop = self._loop or self._start()
        waiting = _Waiting(arrival, loop.create_future(), loop.time() + patience)
        self._deadlines.add(waiting)
        if not self._fresh:
            # At the end of this turn of the loop: whatever came at once is written at once.
            loop.call_soon(self._hand_over)
        self._fresh.append(waiting)
        try:
            return await waiting.future
        finally:
            self._deadlines.discard(waiting)

    def close(self) -> None:
        """Store what is queued, and end."""
        self._is_closed = True
        if self._thread is not None:
            self._hand_over()
            self._queue.put([])
            self._thread.join(_CLOSING_SECONDS)

    def _hand_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        if fresh:
            self._queue.put(fresh)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._run, args=(loop,), name="inbox", daemon=True)
        thread.start()
        self._loop, self._thread = loop, thread
        return loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        taken: deque[_Waiting] = deque()
        is_open = True
        while is_open or taken:
            is_open = _take(self._queue, taken) if is_open else False
            # A request that was answered meanwhile is not worth a row: its sender was told that nothing was stored.
            group = _next_group(taken)
            if group:
                answers = self._write([arrival for _, arrival in group])
                _tell(loop, [waiting.answer for waiting, _ in group], answers)

    def _write(self, group: Sequence[Arrival]) -> Sequence[_Answer]:
        try:
            failpoint("receive.before_commit")
            received = self._store.save_deliveries([_to_delivery(arrival) for arrival in group])
            failpoint("receive.after_commit")
        except Exception as error:  # noqa: BLE001 - the thread must live: whatever it was goes to who asked
            _log.warning("a group of %d deliveries could not be stored: %s", len(group), error)
            return [error] * len(group) if len(group) == 1 or _is_busy(error) else self._write_each(group)
        return received

    def _write_each(self, group: Sequence[Arrival]) -> Sequence[_Answer]:
        """Store one after the other: a row that the database does not take must not take others with it."""
        until = time.monotonic() + PATIENCE
        answers: list[_Answer] = []
        for arrival in group:
            (answer,) = self._write([arrival])
            answers.append(answer)
            if (isinstance(answer, Exception) and _is_busy(answer)) or time.monotonic() > until:
                late = RetryError("DatabaseBusy", "there was no time left to store it")
                return answers + [late] * (len(group) - len(answers))
        return answers


def _take(queue: "SimpleQueue[list[_Waiting]]", taken: deque[_Waiting]) -> bool:
    """Take what is queued, waiting only where nothing is left to do; False when that was the last."""
    while True:
        try:
            fresh = queue.get(block=not taken)
        except Empty:
            return True
        if not fresh:
            return False
        taken.extend(fresh)


def _next_group(taken: deque[_Waiting]) -> list[tuple[_Waiting, Arrival]]:
    group: list[tuple[_Waiting, Arrival]] = []
    size = 0
    while taken and len(group) < _MOST_ROWS and size < _MOST_BYTES:
        waiting = taken.popleft()
        if (arrival := waiting.arrival) is not None:
            group.append((waiting, arrival))
            size += len(arrival.body)
    return group


def _to_delivery(arrival: Arrival) -> Delivery:
    """Return the record. Made on the thread that writes: hashing runs beside the event loop there, not on it."""
    digest = hashlib.sha256(arrival.body).hexdigest()
    cause = Cause(kind="delivery", id=arrival.id, body_sha256=digest)
    return Delivery(id=arrival.id, cause=cause, event=arrival.event, body_sha256=digest, body=arrival.body)


def _is_busy(error: Exception) -> bool:
    return isinstance(error, LaunchpinError) and error.reason == "DatabaseBusy"


def _tell(
    loop: asyncio.AbstractEventLoop, tellers: Sequence[Callable[[_Answer], None]], answers: Sequence[_Answer]
) -> None:
    """Answer a whole group on the loop's thread, waking it once."""

    def tell() -> None:
        for teller, answer in zip(tellers, answers, strict=True):
            teller(answer)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        _log.warning("%d deliveries were dealt with after the last request had gone", len(answers))
