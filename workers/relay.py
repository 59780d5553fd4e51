"""The relay: tells idle workers that jobs are ready, keeps time, and signs audit heads. One leader, by lease.

It publishes a job's number once for each time the job becomes ready, so messages stay within ready jobs. What the
broker forgot is published again: at once when its marker key is gone, and at most every 30 s for a queue that is empty
while its jobs wait.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from celery import Celery
from kombu.exceptions import KombuError

from gitops.bootstrap import broker_url, for_relay
from gitops.errors import LaunchpinError
from gitops.ports import QueueDepth
from gitops.settings import Settings
from workers.signer import Signer

_log = logging.getLogger(__name__)
_MARKER = "launchpin:marker"
_LOOK = 0.01
_PATROL = 1.0
_FORGOTTEN = 30.0
_LEASE = 15.0


@dataclass
class Publisher:
    """Turns ready jobs into messages, each readiness once.

    Args:
        publish: sends one message: queue, job.
        waiting: number of messages in a queue of the broker.
    """

    publish: Callable[[str, int], None]
    waiting: Callable[[str], int]
    told: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    repeated: dict[str, float] = field(default_factory=dict)

    def tell(self, depth: QueueDepth) -> None:
        """Publish what became ready since the last call."""
        told = self.told.setdefault(depth.queue, set())
        ready = set(depth.jobs)
        told &= ready
        for job, epoch in depth.jobs:
            if (job, epoch) not in told:
                self.publish(depth.queue, job)
                told.add((job, epoch))

    def forget(self) -> None:
        """Publish everything again at the next call: the broker lost its memory."""
        self.told.clear()

    def patrol(self, depth: QueueDepth, now: float) -> None:
        """Publish a queue's oldest jobs again when they wait although the broker holds no message for it."""
        if depth.oldest < _FORGOTTEN or now - self.repeated.get(depth.queue, -_FORGOTTEN) < _FORGOTTEN:
            return
        if self.waiting(depth.queue) == 0:
            self.repeated[depth.queue] = now
            self.told.pop(depth.queue, None)
            self.tell(depth)


class Relay:
    """The relay's loop.

    Args:
        settings: where database and broker are.
    """

    def __init__(self, settings: Settings, celery: Celery) -> None:
        self._settings = settings
        self._store = for_relay(settings)
        self._redis = redis.Redis.from_url(broker_url(settings), socket_timeout=5, health_check_interval=10)
        self._celery = celery
        self._publisher = Publisher(self._publish, self._waiting)
        self._signer = Signer(self._store, settings)
        self._owner = f"{socket.gethostname()}:{settings.home.absolute()}"
        self._next_patrol = 0.0
        self._next_lead = 0.0
        self._is_leader = False
        self.stopping = threading.Event()

    def run(self) -> None:
        """Relay until asked to stop."""
        _log.info("relay up, pid %s", os.getpid())
        due = 0.0
        while not self.stopping.wait(_LOOK):
            try:
                now = time.monotonic()
                if self._store.has_changed() or now >= due:
                    self._look(now)
                    wait = self._store.next_due()
                    due = now + min(_PATROL, _PATROL if wait is None else max(wait, _LOOK))
            except (LaunchpinError, KombuError, redis.RedisError, OSError) as error:
                _log.warning("relay: %s", error)
                self.stopping.wait(_PATROL)

    def _look(self, now: float) -> None:
        if now >= self._next_lead:
            self._is_leader = self._store.lead("relay", self._owner, seconds=_LEASE)
            self._next_lead = now + _LEASE / 3
        if not self._is_leader:
            return
        depths = self._store.depth()
        if now >= self._next_patrol:
            self._next_patrol = now + _PATROL
            if not self._redis.set(_MARKER, "1", nx=True):
                for depth in depths:
                    self._publisher.patrol(depth, now)
            else:
                self._publisher.forget()
        for depth in depths:
            self._publisher.tell(depth)
        self._signer.sign_when_due()

    def _publish(self, queue: str, job: int) -> None:
        # No retry here: what cannot be published now is published when the broker is back.
        self._celery.send_task("launchpin.wake", args=(queue, job), queue=queue, retry=False, ignore_result=True)

    def _waiting(self, queue: str) -> int:
        return int(self._redis.llen(queue))


def main() -> None:
    """Run the relay until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    from workers.app import app  # noqa: PLC0415 - the broker's secret is read when a process starts, not at import

    relay = Relay(Settings(), app)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stopping.set())
    with contextlib.suppress(KeyboardInterrupt):
        relay.run()


if __name__ == "__main__":
    main()
