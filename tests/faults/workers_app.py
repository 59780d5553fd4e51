"""A real worker process with small stories: Launchpin's own Celery configuration, loop, store, leases and drain."""

import os
import socket
from datetime import timedelta
from pathlib import Path

from celery.signals import worker_shutting_down

from gitops.leasing import LeaseTimes, Shift
from gitops.reconcile import Loop
from gitops.settings import Settings
from gitops.steps import Queue
from gitops.store import SqlStore
from tests.faults.workers_play import play_stories
from tests.faults.workers_training import play_deps
from workers.app import WAKE, app
from workers.serving import Serving

app.conf.include = ()


def _build(shift: Shift) -> Loop:
    settings = Settings()
    folder = Path(os.environ["WORKERS_OUTSIDE"])
    store = SqlStore(settings.database)
    return Loop(
        deps=play_deps(store, settings, folder),
        stories=play_stories(folder, deadline=timedelta(seconds=float(os.environ["WORKERS_DEADLINE"]))),
        owner=f"{socket.gethostname()}:{os.getpid()}",
        times=LeaseTimes.of(settings.lease),
        shift=shift,
    )


serving = Serving(_build, drain=Settings().drain.total_seconds())


@worker_shutting_down.connect  # type: ignore[untyped-decorator]  # Celery publishes no types
def stop_claiming(**_: object) -> None:
    """Drain, as `workers.tasks` does."""
    serving.stop()


@app.task(name=WAKE, ignore_result=True)  # type: ignore[untyped-decorator]  # Celery publishes no types
def wake(queue: str, job: int) -> None:
    """Work, as `workers.tasks` does."""
    serving.wake(Queue(queue), job)
