"""Celery by itself, as its documentation shows it: what a user would have without Launchpin's database of jobs."""

import os
import time

from celery import Celery

QUEUE = "peer"

app = Celery("peer", broker=os.environ.get("PEER_BROKER", ""))
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


def _note(name: str) -> None:
    """Write down that a task has begun, by the clock that all processes of a machine share."""
    moment = time.monotonic()
    with open(os.environ["PEER_NOTES"], "a", encoding="utf-8") as file:  # noqa: PTH123 - the shortest way to append
        file.write(f"{name} {moment:.6f}\n")


@app.task  # type: ignore[untyped-decorator]  # Celery publishes no types
def store(event: str, guid: str, body: dict[str, object]) -> None:
    """Take a delivery; nobody runs it where only publishing is measured."""


@app.task  # type: ignore[untyped-decorator]  # Celery publishes no types
def note(name: str) -> None:
    """Note when it began; acknowledged before it runs, so a worker that dies loses it."""
    _note(name)


@app.task(acks_late=True)  # type: ignore[untyped-decorator]  # Celery publishes no types
def note_late(name: str) -> None:
    """Note when it began; acknowledged after it ran, so a worker that dies has it run again an hour later."""
    _note(name)
