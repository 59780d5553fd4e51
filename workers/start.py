"""Starts a worker: `python -P -m workers.start --queue control --threads 4`.

Celery's own command brings what reads and completes lines at a terminal, which is a fifth of an idle worker's memory.
"""

import workers.lean_celery  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from celery import Celery
from celery.concurrency.thread import TaskPool
from celery.utils.nodenames import host_format

from gitops.settings import MOST_SLOTS, Settings
from gitops.steps import Queue
from workers.app import app

if TYPE_CHECKING:
    from celery.apps.worker import Worker


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Work until SIGTERM or SIGINT.

    Args:
        arguments: of the command line; those of this process by default.
    """
    queue, threads = read_arguments(arguments)
    work(app, name=queue.value, queues=[queue.value], threads=threads)


def read_arguments(arguments: Sequence[str] | None = None) -> tuple[Queue, int]:
    """Return which jobs are taken, and how many at a time.

    Raises:
        SystemExit: an argument is wrong; it was said which.
    """
    parser = argparse.ArgumentParser(description="A worker of Launchpin")
    parser.add_argument("--queue", type=Queue, choices=tuple(Queue), required=True, help="which jobs it takes")
    how_many = "how many of them at a time; LAUNCHPIN_TRAINING_SLOTS for trainings, else 1, where not said"
    parser.add_argument("--threads", type=_read_count, help=how_many)
    given = parser.parse_args(arguments)
    queue: Queue = given.queue
    return queue, given.threads or (Settings().training_slots if queue is Queue.TRAINING else 1)


def _read_count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if not 1 <= count <= MOST_SLOTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_SLOTS}")
    return count


def work(application: Celery, *, name: str, queues: Sequence[str], threads: int) -> NoReturn:
    """Work until SIGTERM or SIGINT.

    Args:
        name: of this worker on its machine.
        threads: how many jobs it takes at a time.
    """
    worker = make_worker(application, name=name, queues=queues, threads=threads)
    worker.start()
    sys.exit(worker.exitcode)


def make_worker(application: Celery, *, name: str, queues: Sequence[str], threads: int) -> "Worker":
    """Return a worker that was not started yet; the application's settings say how many jobs it takes at a time.

    Args:
        name: as in `work`, as are the others.
    """
    # Where its jobs read it, too: trainings that run at a time share the machine's memory.
    application.conf.worker_concurrency = threads
    return application.Worker(
        hostname=host_format(f"{name}@%h"),
        queues=list(queues),
        pool_cls=TaskPool,
        loglevel=logging.INFO,
        quiet=True,
        # Workers know nothing of each other: what they share is in the database.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )


if __name__ == "__main__":
    main()
