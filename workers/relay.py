"""The relay: tells idle workers that jobs are ready, keeps time, and signs audit heads. One leader, by lease.

A broker or an audit log that is in trouble holds up nothing else: each has its own pause before it is tried again.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gitops.bootstrap import broker_url, for_relay, observe
from gitops.errors import LaunchpinError
from gitops.settings import Settings
from workers.broker import Broker
from workers.counting import count_where_asked
from workers.lead import LEASE, Lead
from workers.publisher import Publisher
from workers.signer import Signer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How often the relay looks, in seconds.

    Args:
        busy: between two looks whether anybody wrote, while somebody does.
        idle: the same while nobody does.
        lively: how long after a write somebody is taken to be writing.
        aside: while somebody writes, what no ready job waits for is seen to no more often than this: signing, and what
            becomes due next.
        patrol: at least so often everything is looked at, changed or not.
        lease: how long a relay leads without saying so again.
        first_pause: before a broker that did not answer is asked again; doubled each time.
        longest_pause: the most it is doubled to.
    """

    busy: float = 0.004
    idle: float = 0.02
    lively: float = 0.25
    aside: float = 0.05
    patrol: float = 1.0
    lease: float = LEASE
    first_pause: float = 0.25
    longest_pause: float = 4.0


class Chore:
    """Something to do again and again, which is left alone for a while after it failed.

    Args:
        name: for the log.
        do: what; raises when it cannot.
        pace: says how long it is left alone.
        clock: seconds that only go forward.
    """

    def __init__(
        self, name: str, do: Callable[[], object], pace: Pace, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._clock = clock
        self._do = do
        self._pace = pace
        self._pause = 0.0
        self.due = 0.0

    def run(self, now: float) -> None:
        """Do it, unless it is left alone yet."""
        if now < self.due:
            return
        try:
            self._do()
        except Exception as error:  # noqa: BLE001 - one that fails is told and tried again, and holds up no other
            self._pause = min(self._pace.longest_pause, self._pause * 2 or self._pace.first_pause)
            self.due = self._clock() + self._pause
            is_ours = isinstance(error, LaunchpinError | OSError)
            _log.warning("%s: %s; again in %.2g s", self._name, error, self._pause, exc_info=not is_ours)
            return
        if self._pause:
            _log.info("%s: works again", self._name)
        self._pause = self.due = 0.0


class Relay:
    """The relay's loop.

    Args:
        settings: where database and broker are.
        pace: how often it looks.
    """

    def __init__(self, settings: Settings, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._store = for_relay(settings)
        self._broker = Broker(broker_url(settings))
        self._publisher = Publisher(self._broker)
        self._lead = Lead(self._store, settings.home, lease=self._pace.lease)
        self._signer = Signer(self._store, settings, leader=self._lead.owner)
        self._looking = Chore("looking", self._look, self._pace)
        self._publishing = Chore("publishing", self._publish, self._pace)
        self._signing = Chore("signing", self._signer.sign_when_due, self._pace)
        self._due = self._changed = self._aside = 0.0
        self.stopping = threading.Event()

    def run(self) -> None:
        """Relay until asked to stop."""
        _log.info("relay up, pid %s", os.getpid())
        nap = self._pace.busy
        while not self.stopping.wait(nap):
            now = time.monotonic()
            self._looking.run(now)
            nap = self._pace.busy if now - self._changed < self._pace.lively else self._pace.idle
        self._end()

    def _look(self) -> None:
        """See to what is ready, if anybody wrote or it is time; and to all else, where that was not done just now."""
        now = time.monotonic()
        if self._store.has_changed():
            self._changed = now
        elif now < self._due:
            return
        self._due = 0.0  # until all of it is done
        is_leader = self._lead.is_held(now)
        if is_leader:
            self._publishing.run(now)
        else:
            self._signer.rest()
        if now < self._aside:
            self._due = self._aside
            return
        if is_leader:
            self._signing.run(now)
        paused = [chore.due for chore in (self._publishing, self._signing) if chore.due]
        soon = now + (self._store.next_due() or self._pace.patrol)
        self._due = min(now + self._pace.patrol, soon, *paused)
        self._aside = now + self._pace.aside

    def _publish(self) -> None:
        self._publisher.tell(self._store.depth(), time.monotonic())

    def _end(self) -> None:
        """Let another relay lead at once; what is not said here is said by the end of the lease."""
        try:
            self._lead.give_up()
        except LaunchpinError as error:
            _log.warning("the lead was not given up: %s", error)
        self._lead.close()
        self._broker.close()
        self._store.close()


def main() -> None:
    """Run the relay until SIGTERM or SIGINT."""
    settings = Settings()
    observe("relay", settings)
    count_where_asked(settings)
    relay = Relay(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stopping.set())
    relay.run()


if __name__ == "__main__":
    main()
