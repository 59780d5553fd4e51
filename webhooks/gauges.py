"""What a scrape shows of the database and the disk: every series is there from the first scrape on, at 0 if need be."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gitops import __version__
from gitops.ports.tallies import JobTally, Tallies
from gitops.steps import Phase, Queue

Values = dict[tuple[str, ...], float]
"""A family's series, by the values of their labels."""

_STORIES = ("training", "promotion", "rollout")
_OUTCOMES = ("woke", "ignored", "rejected", "pending")
_SETTLED = ("sent", "given_up")
_WAITS = ("waiting", "stalled", "retrying")
_LEASED = "leased"
# Reasons are a closed set of ours; should an adapter ever let foreign words through, a scrape stays small.
_MOST_REASONS = 100
_OTHER = "other"


@dataclass(frozen=True)
class Snapshot:
    """The database's counts, and the seconds that they took to read."""

    tallies: Tallies
    seconds: float

    @classmethod
    def take(cls, read: Callable[[], Tallies]) -> "Snapshot":
        """Read them now."""
        begun = time.perf_counter()
        return cls(read(), time.perf_counter() - begun)


class SnapshotCollector(Collector):
    """Gives the last snapshot to prometheus_client.

    Args:
        home: the folder whose disk is watched.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._snapshot: Snapshot | None = None

    def show(self, snapshot: Snapshot | None) -> None:
        """Show these counts from now on; None when the database did not answer."""
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Give every family."""
        yield _family("launchpin_info", "This release: always 1", {(__version__,): 1}, "version")
        yield _single(
            "launchpin_database_up",
            "1 when the database answered this scrape; when 0, its counts are left out",
            self._snapshot is not None,
        )
        yield from self._disk()
        if self._snapshot is not None:
            tallies = self._snapshot.tallies
            yield _single("launchpin_database_read_seconds", "How long reading its counts took", self._snapshot.seconds)
            yield from _queues(tallies.jobs)
            yield from _jobs(tallies.jobs)
            yield from _stories(tallies)
            yield from _audit(tallies)
            yield from _messages(tallies)

    def _disk(self) -> Iterator[Metric]:
        try:
            disk = shutil.disk_usage(self._home)
        except OSError:
            return
        yield _single("launchpin_disk_free_bytes", "Free space on the disk of the home folder", disk.free)
        yield _single("launchpin_disk_size_bytes", "Size of that disk", disk.total)


def _queues(jobs: Iterable[JobTally]) -> Iterator[Metric]:
    ready, held, expired = (Counter({queue.value: 0 for queue in Queue}) for _ in range(3))
    oldest = dict.fromkeys((queue.value for queue in Queue), 0.0)
    for job in jobs:
        if job.is_due:
            ready[job.queue] += job.count
            oldest[job.queue] = max(oldest.get(job.queue, 0.0), job.age)
        if job.state == _LEASED:
            (expired if job.is_due else held)[job.queue] += job.count
    yield _family("launchpin_queue_ready", "Jobs that may be claimed now", _keyed(ready), "queue")
    yield _family(
        "launchpin_queue_oldest_seconds", "How long the first of them has been ready", _keyed(oldest), "queue"
    )
    yield _family("launchpin_leases_held", "Jobs that a worker holds", _keyed(held), "queue")
    yield _family(
        "launchpin_leases_expired",
        "Jobs whose worker was lost and that nobody has taken again",
        _keyed(expired),
        "queue",
    )


def _jobs(jobs: Iterable[JobTally]) -> Iterator[Metric]:
    counts: Counter[tuple[str, ...]] = Counter()
    waits: Counter[tuple[str, ...]] = Counter()
    tries: dict[tuple[str, ...], float] = {}
    for job in jobs:
        counts[job.kind, job.state] += job.count
        tries[job.kind,] = max(tries.get((job.kind,), 0), job.tries)
        if job.state in _WAITS:
            is_known = len({reason for _, _, reason in waits} | {job.reason}) <= _MOST_REASONS
            waits[job.kind, job.state, job.reason if is_known else _OTHER] += job.count
    yield _family("launchpin_jobs", "Jobs that are not over", counts, "kind", "state")
    yield _family("launchpin_job_tries", "The most tries in vain behind one open job", tries, "kind")
    yield _family(
        "launchpin_waits", "Jobs that wait, stall or are tried again, by cause", waits, "kind", "state", "reason"
    )


def _stories(tallies: Tallies) -> Iterator[Metric]:
    phases = [(kind, phase) for kind in _STORIES for phase in Phase]
    begun: Values = {(kind, phase.value): 0 for kind, phase in phases if not phase.is_final}
    ended: Values = {(kind, phase.value): 0 for kind, phase in phases if phase.is_final}
    outcomes = dict.fromkeys(_OUTCOMES, 0)
    yield _family(
        "launchpin_stories_open",
        "Trainings, promotions and rollouts under way",
        begun | dict(tallies.open_stories),
        "kind",
        "phase",
    )
    for name, text, found in (
        ("day", "Stories that ended within 24 hours", tallies.ended_stories),
        ("recent", "Stories that ended within 15 minutes", tallies.just_ended),
    ):
        yield _family(f"launchpin_stories_ended_{name}", text, ended | dict(found), "kind", "phase")
    yield _family(
        "launchpin_deliveries_newest",
        "What became of the newest 1,000 deliveries",
        _keyed({**outcomes, **tallies.deliveries}),
        "outcome",
    )
    yield _single("launchpin_holds_open", "Environments on hold", tallies.holds)


def _audit(tallies: Tallies) -> Iterator[Metric]:
    yield _single("launchpin_audit_entries", "Entries of the audit log", tallies.entries)
    yield _single("launchpin_audit_signed_entries", "Entries that the newest signed head covers", tallies.signed)
    yield _single(
        "launchpin_audit_head_age_seconds",
        "Since the newest head was signed; without one, since the first entry was written",
        tallies.head_age,
    )
    yield _single(
        "launchpin_anchors_unacknowledged", "Signed heads that at least one deploy repository lacks", tallies.unanchored
    )
    yield _single(
        "launchpin_anchor_oldest_seconds", "Since the oldest of them was signed, 0 without one", tallies.unanchored_age
    )
    yield _single(
        "launchpin_relay_lead_seconds",
        "What is left of the relay's lead; below 0 when nobody leads, or ever did",
        -1 if tallies.lead is None else tallies.lead,
    )


def _messages(tallies: Tallies) -> Iterator[Metric]:
    settled = _keyed({**dict.fromkeys(_SETTLED, 0), **tallies.letters_settled})
    yield _single("launchpin_hooks_lost", "Repositories whose pushes no delivery tells of", tallies.hooks_lost)
    yield _single(
        "launchpin_messages_waiting", "Messages that their channel has not taken yet", tallies.letters_waiting
    )
    yield _single(
        "launchpin_messages_oldest_seconds", "Since the oldest of them was written, 0 without one", tallies.letter_age
    )
    yield _family("launchpin_messages_settled_day", "Messages that ended within 24 hours", settled, "state")


def _keyed(values: Mapping[str, float]) -> Values:
    return {(name,): value for name, value in values.items()}


def _single(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _family(name: str, text: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for words, value in sorted(values.items()):
        family.add_metric(words, float(value))
    return family
