"""Gathers deliveries into groups: what came while the last commit ran is stored by the next, and each is told its own.

No time is waited for company. A lone delivery is handed over at once; under load groups grow by themselves, as far as
storing is the slower part.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from gitops.errors import RetryError
from gitops.ports import Received
from webhooks.deadlines import Deadlines
from webhooks.saving import PATIENCE, STOPPING, Answer, Arrival, Keeper

_MOST_ROWS = 256
_MOST_BYTES = 8 * 1024 * 1024
# So many need not wait until the others of this turn of the loop are checked: they are stored meanwhile.
_ENOUGH_ROWS = 4
# A second group lies ready when the first is stored; more would only be smaller.
_MOST_GROUPS = 2
_CLOSING_SECONDS = 8.0


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

    def answer(self, answer: Answer) -> None:
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
        keeper: is given groups, and tells of them in their order.
        deadlines: of the same event loop.
    """

    def __init__(self, keeper: Keeper, deadlines: Deadlines) -> None:
        self._keeper = keeper
        self._deadlines = deadlines
        self._waiting: deque[_Waiting] = deque()
        self._under_way = 0
        self._is_called = False
        self._is_closed = False
        self._at_rest = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def put(self, arrival: Arrival, *, patience: float = PATIENCE) -> Received:
        """Return what became of a delivery once it is durable.

        Args:
            patience: seconds after which it is given up.

        Raises:
            RetryError: it was not stored in time, or this part is going down.
            LaunchpinError: the database does not take this one.
        """
        if self._is_closed:
            raise RetryError(STOPPING, "this part is going down")
        # Asking for the loop asks the kernel for the process's number, each time.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        waiting = _Waiting(arrival, loop.create_future(), time.monotonic() + patience)
        self._deadlines.add(waiting)
        self._waiting.append(waiting)
        if len(self._waiting) >= _ENOUGH_ROWS:
            self._store()
        elif not self._is_called:
            # At the end of this turn of the loop: whatever came at once is stored at once.
            self._is_called = True
            loop.call_soon(self._store)
        try:
            return await waiting.future
        finally:
            self._deadlines.discard(waiting)

    async def close(self) -> None:
        """Store what waits, and end."""
        self._is_closed = True
        self._store()
        if self._under_way:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._at_rest.wait(), _CLOSING_SECONDS)
        await self._keeper.close()

    def _store(self) -> None:
        """Hand over what waits, unless enough is under way: then the end of that does so."""
        self._is_called = False
        if self._under_way >= (_MOST_GROUPS if len(self._waiting) >= _ENOUGH_ROWS else 1):
            self._forget_answered()
            return
        group = self._next_group()
        if group:
            self._under_way += 1
            self._at_rest.clear()
            self._keeper.store([arrival for _, arrival in group], partial(self._tell, [one for one, _ in group]))

    def _tell(self, group: Sequence[_Waiting], answers: Sequence[Answer]) -> None:
        self._under_way -= 1
        for waiting, answer in zip(group, answers, strict=True):
            waiting.answer(answer)
        self._store()
        if not self._under_way:
            self._at_rest.set()

    def _next_group(self) -> list[tuple[_Waiting, Arrival]]:
        group: list[tuple[_Waiting, Arrival]] = []
        size = 0
        while self._waiting and len(group) < _MOST_ROWS and size < _MOST_BYTES:
            waiting = self._waiting.popleft()
            # A request that was answered meanwhile is not worth a row: its sender was told that nothing was stored.
            if (arrival := waiting.arrival) is not None:
                group.append((waiting, arrival))
                size += len(arrival.body)
        return group

    def _forget_answered(self) -> None:
        while self._waiting and self._waiting[0].arrival is None:
            self._waiting.popleft()
