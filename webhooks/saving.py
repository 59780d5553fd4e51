"""Stores a group of deliveries with one commit, and says of each what became of it.

Whatever is wrong with one row is answered to that one alone: where a group cannot be stored as it is, its deliveries
are stored one after the other.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from gitops.errors import LaunchpinError, RetryError
from gitops.failpoints import failpoint
from gitops.ports import Received, Store
from gitops.records import Cause, Delivery

PATIENCE = 3.0
"""Seconds that a delivery waits for its commit; GitHub hangs up after ten, reading the body included."""

STOPPING = "Stopping"
"""The reason of a failure that lasts until this part was started anew."""

Answer = Received | Exception
_log = logging.getLogger("launchpin.receive")


class Arrival(NamedTuple):
    """A signed delivery as it came.

    Args:
        id: its GUID, in lower case.
    """

    id: str
    event: str
    body: bytes


Save = Callable[[Sequence[Arrival]], Sequence[Answer]]
"""What stores a group, and answers for each in its place; it raises nothing."""

Tell = Callable[[Sequence[Answer]], None]
"""What hears the answers for a group, on the event loop."""


class Keeper(Protocol):
    """What makes groups of deliveries durable, beside the event loop."""

    async def open(self) -> None:
        """Be ready on this event loop."""
        ...

    def store(self, group: Sequence[Arrival], tell: Tell) -> None:
        """Begin to store a group, after those before it; each is told of, in that order."""
        ...

    async def check(self) -> None:
        """Return once what it was given before is stored, or was answered for.

        Raises:
            RetryError: `Stopping`, it is gone.
        """
        ...

    async def close(self) -> None:
        """End."""
        ...


class ThreadKeeper:
    """Stores in a thread of this process.

    Args:
        store: asked by that thread alone.
    """

    def __init__(self, store: Store) -> None:
        self._save = saver(store)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keeper")

    async def open(self) -> None:
        """Do nothing: the thread starts with the first group."""

    def store(self, group: Sequence[Arrival], tell: Tell) -> None:
        """Begin to store a group."""
        stored = asyncio.get_running_loop().run_in_executor(self._thread, self._save, group)
        stored.add_done_callback(lambda done: tell(done.result()))

    async def check(self) -> None:
        """Return once the thread has done what it was given before."""
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)

    async def close(self) -> None:
        """End the thread once it is done."""
        self._thread.shutdown(wait=False)


def saver(store: Store) -> Save:
    """Return what stores into a store of this process."""

    def save(group: Sequence[Arrival]) -> Sequence[Answer]:
        try:
            failpoint("receive.before_commit")
            received = store.save_deliveries([_to_delivery(arrival) for arrival in group])
            failpoint("receive.after_commit")
        except Exception as error:  # noqa: BLE001 - who saves must live: whatever it was goes to who asked
            _log.warning("a group of %d deliveries could not be stored: %s", len(group), error)
            return [error] * len(group) if len(group) == 1 or _is_busy(error) else save_each(group)
        return received

    def save_each(group: Sequence[Arrival]) -> Sequence[Answer]:
        until = time.monotonic() + PATIENCE
        answers: list[Answer] = []
        for arrival in group:
            (answer,) = save([arrival])
            answers.append(answer)
            if (isinstance(answer, Exception) and _is_busy(answer)) or time.monotonic() > until:
                late = RetryError("DatabaseBusy", "there was no time left to store it")
                return answers + [late] * (len(group) - len(answers))
        return answers

    return save


def _to_delivery(arrival: Arrival) -> Delivery:
    digest = hashlib.sha256(arrival.body).hexdigest()
    cause = Cause(kind="delivery", id=arrival.id, body_sha256=digest)
    return Delivery(id=arrival.id, cause=cause, event=arrival.event, body_sha256=digest, body=arrival.body)


def _is_busy(error: Exception) -> bool:
    return isinstance(error, LaunchpinError) and error.reason == "DatabaseBusy"
