"""Starts a worker: `python -P -m workers.start --queue control --threads 4`.

Celery's own command brings what reads and completes lines at a terminal, which is a fifth of an idle worker's memory.
"""

import workers.lean_celery  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import argparse
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from celery import Celery
from celery.concurrency.thread import TaskPool
from celery.utils.nodenames import host_format

from gitops.settings import Settings
from gitops.steps import Queue
from workers.app import app


def main() -> None:
    """Work until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A worker of Launchpin")
    parser.add_argument("--queue", type=Queue, choices=tuple(Queue), required=True, help="which jobs it takes")
    how_many = "how many of them at a time; LAUNCHPIN_TRAINING_SLOTS for trainings, else 1, where not said"
    parser.add_argument("--threads", type=int, help=how_many)
    arguments = parser.parse_args()
    queue: Queue = arguments.queue
    threads = arguments.threads or (Settings().training_slots if queue is Queue.TRAINING else 1)
    work(app, name=queue.value, queues=[queue.value], threads=threads)


def work(application: Celery, *, name: str, queues: Sequence[str], threads: int) -> NoReturn:
    """Work until SIGTERM or SIGINT.

    Args:
        name: of this worker on its machine.
        threads: how many jobs it takes at a time.
    """
    worker = application.Worker(
        hostname=host_format(f"{name}@%h"),
        queues=list(queues),
        pool_cls=TaskPool,
        concurrency=threads,
        loglevel=logging.INFO,
        quiet=True,
        # Workers know nothing of each other: what they share is in the database.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main()
