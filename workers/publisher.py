"""Turns ready jobs into hints: each time of being ready once, never more hints than ready jobs, none lost for long.

A hint is as good as another, because who is woken takes the oldest ready job and goes on until none is ready. So the
number of hints matters, and not whose they are. While all workers are busy the hints that lie there are enough.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gitops.ports import QueueDepth
from gitops.steps import Queue
from workers.broker import Seen

MOST = 64
"""Hints of one queue at a time; more workers than that are woken by and by."""

_STALE = 5.0
_SPARE_EVERY = 12.0


class Hints(Protocol):
    """Where hints go."""

    def look(self) -> Seen:
        """Say what is there."""
        ...

    def publish(self, queue: Queue, jobs: Sequence[int]) -> None:
        """Put a hint for each job."""
        ...

    def trim(self, queue: Queue, keep: int) -> None:
        """Drop all but so many hints."""
        ...


@dataclass
class Allowance:
    """How many hints may be repeated although nobody knows that they were lost: a burst, then one every twelve seconds.

    All queues share it. So workers that take hints and claim nothing, whatever ails them and whichever queues they
    serve, cost fewer than 500 messages in an hour: 64 of each queue once, 64 at once and 300 by and by.
    """

    _spare: float = MOST
    _counted: float = 0.0

    def take(self, wanted: int, now: float) -> int:
        """Return how many of those wanted may be repeated now, and count them."""
        self._spare = min(MOST, self._spare + (now - self._counted) / _SPARE_EVERY)
        self._counted = now
        taken = min(wanted, int(self._spare))
        self._spare -= taken
        return taken


@dataclass
class Publisher:
    """Keeps the broker's hints in step with the ready jobs.

    Args:
        hints: the broker.
    """

    hints: Hints
    _told: dict[Queue, set[tuple[int, int]]] = field(default_factory=dict)
    _allowance: Allowance = field(default_factory=Allowance)
    _turns: list[Queue] = field(default_factory=lambda: list(Queue))

    def tell(self, depths: Sequence[QueueDepth], now: float) -> None:
        """Publish what became ready, and what was lost; drop what is too much.

        Args:
            depths: the queues that have ready jobs.
            now: seconds by a clock that only goes forward.

        Raises:
            RetryError: the broker is away; call again later.
        """
        seen = self.hints.look()
        if seen.forgot:
            self._told.clear()
        ready = {depth.queue: depth for depth in depths}
        lost = {queue: self._tell(queue, ready.get(queue), seen.waiting[queue]) for queue in Queue}
        self._repeat(lost, now)

    def _tell(self, queue: Queue, depth: QueueDepth | None, waiting: int) -> Sequence[int]:
        """Publish what became ready, drop what is too much, and return the jobs whose hints seem to be lost."""
        wanted = min(len(depth.jobs), MOST) if depth else 0
        if waiting > wanted:
            self.hints.trim(queue, wanted)
        jobs = depth.jobs if depth else ()
        told = self._told.setdefault(queue, set())
        told &= set(jobs)
        new = [one for one in jobs if one not in told][: max(0, wanted - waiting)]
        if new:
            self.hints.publish(queue, [job for job, _ in new])
            told.update(new)
        is_starved = depth is not None and not new and waiting == 0 and depth.oldest >= _STALE
        return [job for job, _ in jobs[:wanted]] if is_starved else ()

    def _repeat(self, lost: Mapping[Queue, Sequence[int]], now: float) -> None:
        """Repeat hints: a worker may have taken them and died before it claimed anything.

        Or the broker lost its last second. Where workers are only busy, the hints repeated lie there for later. Queues
        take turns, so that none waits for ever because another one uses up what may be repeated.
        """
        shares: Counter[Queue] = Counter()
        for _ in range(self._allowance.take(sum(len(jobs) for jobs in lost.values()), now)):
            queue = next(queue for queue in self._turns if shares[queue] < len(lost[queue]))
            shares[queue] += 1
            self._turns.remove(queue)
            self._turns.append(queue)
        for queue, share in shares.items():
            self.hints.publish(queue, lost[queue][:share])
