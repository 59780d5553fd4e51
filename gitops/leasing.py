"""What a worker holds: the lease of each job under way, and the worker's own end.

A worker that is asked to stop claims nothing more. What it holds may go on for a while; then long work is handed back,
and in the end the jobs themselves, so that a stop on purpose costs no job one of its tries.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Self

from gitops.errors import LaunchpinError, RetryError, StaleEpochError
from gitops.ports import Claim, Exit, Store
from gitops.records import Frozen
from gitops.steps import Queue

_log = logging.getLogger(__name__)
# Until a step has said its own deadline: reading what the job is about.
_READING = timedelta(minutes=2)
# While the database does not answer, a lease is asked for this often: it must be ours again before anybody takes it.
_AGAIN = 0.5
# A training is asked for this often whether it was taken away, in seconds: a person who calls it off waits for its end.
_GLANCE = 1.0
# Who holds nothing looks this often, in seconds; whoever comes with less rings.
_PATROL = 60.0
# A job that is taken out of a running step's hands is not given to anybody before this process is surely gone.
_AFTERMATH = 10.0


class LeaseTimes(Frozen):
    """How long claims last; see the defaults in the reference."""

    lease: timedelta = timedelta(seconds=60)
    heartbeat: timedelta = timedelta(seconds=10)

    @classmethod
    def of(cls, lease: timedelta) -> "LeaseTimes":
        """Return the times for a lease of this length: six heartbeats in each, so that five may be lost."""
        return cls(lease=lease, heartbeat=lease / 6)


class _Pulse:
    """Begins the heartbeats of each lease in this process when its first one is due.

    Most steps are over by then, and a thread for each of them, started and joined, is time that the step waits for.
    """

    def __init__(self) -> None:
        self._due: dict[HeldLease, float] = {}
        self._bell = threading.Condition()
        self._until = 0.0
        self._thread: threading.Thread | None = None

    def await_first(self, lease: "HeldLease", after: float) -> None:
        """Have a lease renewed from so many seconds on."""
        due = time.monotonic() + after
        with self._bell:
            self._due[lease] = due
            # A forked process has the object, and no thread of it.
            if self._thread is None or not self._thread.is_alive():
                self._until = due
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as error:  # no room for a thread; the next lease tries again
                    self._thread = None
                    _log.warning("leases are not renewed: %s", error)
            elif due < self._until:
                self._bell.notify()

    def forget(self, lease: "HeldLease") -> None:
        """Begin no heartbeats of a lease any more; those that were begun are its own to end."""
        with self._bell:
            self._due.pop(lease, None)

    def _run(self) -> None:
        with self._bell:
            while True:
                now = time.monotonic()
                for lease in [lease for lease, due in self._due.items() if due <= now]:
                    self._begin(lease, now)
                self._until = min(self._due.values(), default=now + _PATROL)
                self._bell.wait(self._until - now)

    def _begin(self, lease: "HeldLease", now: float) -> None:
        try:
            lease.begin_beating()
        except Exception as error:  # noqa: BLE001 - no room for a thread, say: the others must be renewed
            _log.warning("lease of job %s not renewed: %s", lease.claim.job, error)
            self._due[lease] = now + _AGAIN
        else:
            del self._due[lease]


_PULSE = _Pulse()


class Shift:
    """One worker's time at work: what it holds, and whether it was asked to stop. Shared by its threads."""

    def __init__(self) -> None:
        self._ends: float | None = None
        self._held: set[HeldLease] = set()
        self._lock = threading.Lock()

    def end(self, seconds: float) -> None:
        """Ask the worker to stop; safe in a signal's handler, and the first call counts.

        Args:
            seconds: how long the steps under way may go on.
        """
        if self._ends is None:
            self._ends = time.monotonic() + seconds

    @property
    def is_ending(self) -> bool:
        """Whether nothing more may be claimed."""
        return self._ends is not None

    @property
    def is_over(self) -> bool:
        """Whether long work must be handed back now."""
        return self._ends is not None and time.monotonic() >= self._ends

    def begin(self, lease: "HeldLease") -> None:
        """Take note of a lease."""
        with self._lock:
            self._held.add(lease)

    def forget(self, lease: "HeldLease") -> None:
        """Take note that a lease was given back."""
        with self._lock:
            self._held.discard(lease)

    @property
    def held(self) -> AbstractSet["HeldLease"]:
        """The leases of the jobs under way."""
        with self._lock:
            return frozenset(self._held)

    def hand_back(self) -> int:
        """Give back every job whose step does not end; the process must end right after.

        Returns:
            how many were given back.
        """
        return sum(lease.hand_back() for lease in self.held)


class HeldLease:
    """Keeps a claim alive while its step runs, and knows when it is lost.

    Args:
        clock: seconds that never step back; they pass while this process is stopped, too.
    """

    def __init__(
        self,
        store: Store,
        claim: Claim,
        *,
        times: LeaseTimes,
        shift: Shift,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self.claim = claim
        self._times = times
        heartbeat = times.heartbeat.total_seconds()
        self._pace = min(heartbeat, _GLANCE) if claim.queue is Queue.TRAINING else heartbeat
        self._shift = shift
        self._ends = time.monotonic() + _READING.total_seconds()
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Have the heartbeats begin when the first is due."""
        self._shift.begin(self)
        _PULSE.await_first(self, self._pace)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the heartbeats."""
        _PULSE.forget(self)
        self._shift.forget(self)
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def begin_beating(self) -> None:
        """Renew the lease with each heartbeat from now on, and look in between whether it is lost where that counts."""
        thread = threading.Thread(target=self._beat, name=f"lease-{self.claim.job}", daemon=True)
        thread.start()
        self._thread = thread

    def allow(self, deadline: timedelta) -> None:
        """Keep the claim alive for so long from now on, whatever the step does."""
        self._ends = time.monotonic() + deadline.total_seconds()

    @property
    def lost(self) -> int:
        """How often a worker was lost while it held this job since a step of it last answered."""
        return self.claim.lost

    def is_held(self) -> bool:
        """Return False once the lease was lost, the deadline has passed, or the worker must hand it back."""
        return not self._lost.is_set() and not self._shift.is_over

    def is_stopping(self) -> bool:
        """Return whether the worker was asked to stop: what ends now is handed back, and nobody's fault."""
        return self._shift.is_ending

    def confirm(self) -> None:
        """Make sure, right before something is done that cannot be undone, that nobody else has the job by now.

        A process that stood still for longer than its lease goes on as if nothing had happened, and its clock need not
        tell: that of a suspended machine stood still with it. So the database is asked each time, and from then on the
        job is ours for a whole lease. Where the clock tells that the answer itself was so long on its way, it is asked
        again.

        Raises:
            StaleEpochError: somebody else has it.
            RetryError: the database cannot be asked.
        """
        asked = -math.inf
        while self._clock() - asked >= self._times.lease.total_seconds():
            asked = self._clock()
            if not self._renew():
                raise StaleEpochError(self.claim.job, self.claim.epoch)

    def _renew(self) -> bool:
        """Prolong the lease; False when it is lost."""
        is_ours = self._store.renew(self.claim, lease=self._times.lease)
        if not is_ours:
            self._lost.set()
        return is_ours

    def _glance(self) -> bool:
        """Return whether the job is ours still; the lease is not prolonged."""
        if self._store.is_ours(self.claim):
            return True
        self._lost.set()
        return False

    def hand_back(self) -> bool:
        """Give the job back although its step runs on, without counting a lost worker.

        A training is left to its lease: its processes may outlive this one for a moment, and must be looked for first.
        """
        if self.claim.queue is Queue.TRAINING:
            return False
        back = Exit(None, None, queue=self.claim.queue, retry_after=_AFTERMATH, recurring=True)
        try:
            self._store.finish(self.claim, back)
        except LaunchpinError as error:
            _log.warning("job %s not handed back, its lease runs out: %s", self.claim.job, error)
            return False
        self._lost.set()
        return True

    def _beat(self) -> None:
        wait, heartbeat = 0.0, self._times.heartbeat.total_seconds()
        due = time.monotonic() + heartbeat - self._pace  # when the lease is prolonged next
        while not self._over.wait(wait):
            now = time.monotonic()
            if now > self._ends:
                self._lost.set()
                return
            try:
                if not (self._renew() if now >= due else self._glance()):
                    return
                due = due if now < due else time.monotonic() + heartbeat
                wait = max(0.0, min(self._pace, due - time.monotonic()))
            except RetryError as error:
                _log.warning("lease of job %s not renewed: %s", self.claim.job, error)
                wait = min(heartbeat, _AGAIN)
            except Exception:  # noqa: BLE001 - whatever it is, the next beat asks again
                # A heart that stops unseen would leave the step believing in a lease that it lost.
                _log.exception("lease of job %s not renewed", self.claim.job)
