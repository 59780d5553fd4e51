"""What Celery calls: one task that wakes the loop. The loop claims what is oldest, whichever number came."""

import functools
import logging
import os
import socket

from celery.signals import worker_shutting_down

from gitops.bootstrap import for_worker, stories
from gitops.reconcile import Loop, run_until_idle
from gitops.settings import Settings
from gitops.steps import Queue
from workers.app import WAKE, app

_log = logging.getLogger(__name__)
# A line for every request to the endpoint host would bury everything else.
logging.getLogger("httpx").setLevel(logging.WARNING)
_is_stopping = False


@functools.cache
def loop() -> Loop:
    """Return this process's loop, built at the first task."""
    return Loop(deps=for_worker(Settings()), stories=stories(), owner=f"{socket.gethostname()}:{os.getpid()}")


@worker_shutting_down.connect  # type: ignore[untyped-decorator]  # Celery publishes no types
def stop_claiming(**_: object) -> None:
    """Claim nothing more once the worker was asked to stop."""
    global _is_stopping  # noqa: PLW0603 - one flag for one process, set once by its signal
    _is_stopping = True


@app.task(name=WAKE, ignore_result=True)  # type: ignore[untyped-decorator]  # Celery publishes no types
def wake(queue: str, job: int) -> None:
    """Run ready jobs of a queue until none is ready."""
    if queue not in set(Queue):
        _log.error("a message names the unknown queue %.40r for job %s", queue, job)
        return
    run_until_idle(loop(), Queue(queue), is_stopping=lambda: _is_stopping)
