"""One worker process: builds its loop at the first wake, and leaves in time when it is asked to stop.

On SIGTERM Celery stops taking messages and waits for its threads, however long they take. So the drain is ours: the
steps under way may go on for a while, trainings are handed back then, and at the end the process leaves, whatever
still runs in it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

from gitops.errors import RetryError
from gitops.leasing import Shift
from gitops.reconcile import Loop, run_until_idle
from gitops.steps import Queue

_log = logging.getLogger(__name__)
# After the steps' time is over: for trainings to be handed back, which ends their processes first.
_LAST_MOMENT = 5.0
_PAUSE = 1.0
_LOOK = 0.1


class Serving:
    """What a worker process does.

    Args:
        build: makes the loop.
        drain: seconds that the steps under way may go on when the process is asked to stop.
    """

    def __init__(self, build: Callable[[Shift], Loop], *, drain: float) -> None:
        self._build = build
        self._drain = drain
        self._shift = Shift()
        self._loop: Loop | None = None
        self._lock = threading.Lock()

    def wake(self, queue: Queue, job: int) -> None:
        """Run ready jobs of a queue until none is ready.

        Args:
            job: the one that the message named; it may be over, or somebody else's by now.
        """
        if self._shift.is_ending:
            return
        loop = self._ready_loop()
        if not run_until_idle(loop, queue) and not loop.deps.store.has_job(job):
            _log.error("a message names job %s, and there is none", job)

    def stop(self) -> None:
        """Claim nothing more, and leave; returns at once, so that a signal's handler may call it."""
        if self._shift.is_ending:
            return
        self._shift.end(self._drain)
        threading.Thread(target=self._leave, name="drain", daemon=True).start()

    def _ready_loop(self) -> Loop:
        """Return the one loop of this process; a database that is away is waited for.

        Raises:
            RetryError: it is still away when the worker is asked to stop.
        """
        with self._lock:
            while self._loop is None:
                try:
                    self._loop = self._build(self._shift)
                except RetryError as error:
                    if self._shift.is_ending:
                        raise
                    _log.warning("not ready to work: %s", error)
                    time.sleep(_PAUSE)
            return self._loop

    def _leave(self) -> None:
        """End the process when its time is over; where every step ends in time, Celery ends it before."""
        while not self._shift.is_over:
            time.sleep(_LOOK)
        last = time.monotonic() + _LAST_MOMENT
        while self._shift.held and time.monotonic() < last:
            time.sleep(_LOOK)
        # What is held no more was answered; Celery may still be waiting for its broker.
        count = self._shift.hand_back()
        _log.warning("left with %s steps under way, %s of them handed back", len(self._shift.held), count)
        logging.shutdown()
        os._exit(os.EX_OK)
