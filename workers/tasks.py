"""What Celery runs: one task that wakes the loop. The loop claims what is oldest, whichever number came."""

import os
import socket

from celery.signals import celeryd_init, setup_logging, worker_shutting_down

from gitops.bootstrap import for_worker, observe, stories
from gitops.failpoints import failpoint
from gitops.leasing import LeaseTimes, Shift
from gitops.reconcile import Loop
from gitops.settings import Settings
from gitops.steps import Queue
from workers.app import WAKE, app
from workers.counting import count_where_asked
from workers.serving import Serving


@celeryd_init.connect  # type: ignore[untyped-decorator]  # Celery publishes no types
def begin(sender: str, **_: object) -> None:
    """Set up logs, traces and metrics before the worker says anything; its name is `PART@HOST`."""
    from celery.apps import worker  # noqa: PLC0415 - only in a worker

    # Celery says its last words past every logger; a log of records has no room for them.
    worker.safe_say = lambda *_: None
    settings = Settings()
    observe(sender.partition("@")[0], settings)
    count_where_asked(settings)


@setup_logging.connect  # type: ignore[untyped-decorator]  # Celery publishes no types
def keep_logs(**_: object) -> None:
    """Keep Celery from setting up logs of its own: it does so where nobody listens to this signal."""


def build_loop(shift: Shift) -> Loop:
    """Return the loop of a worker process, from its settings and from how many jobs it was told to run at a time."""
    settings = Settings()
    return Loop(
        deps=for_worker(settings, at_once=app.conf.worker_concurrency or 0),
        stories=stories(),
        owner=f"{socket.gethostname()}:{os.getpid()}",
        times=LeaseTimes.of(settings.lease),
        shift=shift,
    )


serving = Serving(build_loop, drain=Settings().drain.total_seconds())


@worker_shutting_down.connect  # type: ignore[untyped-decorator]  # Celery publishes no types
def stop_claiming(**_: object) -> None:
    """Claim nothing more once the worker was asked to stop."""
    serving.stop()


@app.task(name=WAKE, ignore_result=True, Request="workers.consumer:HintRequest")  # type: ignore[untyped-decorator]  # Celery publishes no types
def wake(queue: str, job: int) -> None:
    """Run ready jobs of a queue until none is ready. What a message may be is held by `workers.hints`."""
    failpoint("wake.before")
    serving.wake(Queue(queue), job)
