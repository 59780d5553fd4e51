"""What a look at an installation finds: for `launchpin doctor`, for the page of settings, and for `launchpin explain`.

A remedy names no verb that only whoever ran `launchpin up` has: the parts may have been started by somebody else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from gitops.ports.tallies import Pulse, Tallies
from gitops.words import lasting

GIB = 1024**3
CLOCK_DRIFT = 60.0
"""Seconds that two clocks may differ."""

SLOW = 120.0
"""Seconds that a job may be due before somebody should look."""

WORKERS = ("control", "training")
"""The queues that workers take jobs from."""

_LITTLE, _TOO_LITTLE = 5.0, 1.0  # GiB: an environment with scikit-learn and MLflow takes about one
_OLD_HEAD = 600.0


class Grade(StrEnum):
    """How a thing looked at is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What was found.

    Args:
        what: the thing looked at.
        text: how it is.
        remedy: what to do, empty when nothing is to be done.
    """

    what: str
    grade: Grade
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Due:
    """The jobs of a queue that a worker could take now.

    Args:
        age: seconds since the first of them became due, 0 when there is none.
    """

    count: int
    age: float


def grade_disk(what: str, free: float, *, remedy: str) -> Finding:
    """Grade a disk's free space.

    Args:
        free: in GiB.
    """
    text = f"{free:.1f} GiB free"
    if free >= _LITTLE:
        return Finding(what, Grade.OK, text)
    return Finding(what, Grade.FAIL if free < _TOO_LITTLE else Grade.WARN, text, remedy)


def grade_clock(drift: float) -> Finding:
    """Grade how far this machine's clock is from the database's, in seconds."""
    if abs(drift) <= CLOCK_DRIFT:
        return Finding("Clock", Grade.OK, "agrees with the database's")
    text = f"this machine and the database differ by {_lasting(abs(drift))}"
    return Finding("Clock", Grade.WARN, text, "set the clock, by NTP for example")


def grade_relay(lead: float | None) -> Finding:
    """Grade the relay by what is left of its lead, in seconds."""
    if lead is not None and lead > 0:
        return Finding("Relay", Grade.OK, "leads: what is due is handed out")
    text = "nobody leads: nothing goes on by itself" if lead is not None else "none was ever here"
    return Finding("Relay", Grade.FAIL, text, "start the relay; where it ended, its log says why")


def count_due(pulse: Pulse, queue: str) -> Due:
    """Return what a worker of a queue could take now: also what it looks at again, and what a lost one left."""
    due = [job for job in pulse.jobs if job.queue == queue and job.is_due]
    return Due(sum(job.count for job in due), max((job.age for job in due), default=0.0))


def grade_workers(pulse: Pulse) -> Iterator[Finding]:
    """Grade the workers by what waits for them."""
    for queue in WORKERS:
        due, name = count_due(pulse, queue), f"Workers for {queue}"
        if due.age > SLOW:
            text = f"{due.count} {'job is' if due.count == 1 else 'jobs are'} ready, the oldest for {_lasting(due.age)}"
            yield Finding(name, Grade.WARN, text, "start more of them; the log of those that run says what they do")
        else:
            yield Finding(name, Grade.OK, f"{due.count} ready" if due.count else "nothing waits for them")


def grade_queues(pulse: Pulse) -> Iterator[Finding]:
    """Grade the workers by what waits for them, and the jobs that wait for a person."""
    yield from grade_workers(pulse)
    stalled = sum(job.count for job in pulse.jobs if job.state == "stalled")
    if stalled:
        text = f"{stalled} {'waits' if stalled == 1 else 'wait'} for a person"
        yield Finding("Stalled jobs", Grade.WARN, text, "`launchpin explain` and the front page say on whom each waits")


def grade_heads(tallies: Tallies) -> Finding:
    """Grade how much of the audit log is signed, and kept outside of this installation."""
    unsigned = tallies.entries - tallies.signed
    if unsigned and tallies.head_age > _OLD_HEAD:
        text = f"{unsigned:,} {'entry is' if unsigned == 1 else 'entries are'} not signed"
        return Finding("Audit log", Grade.WARN, text, "the log of the relay says why no head is signed")
    if tallies.unanchored and tallies.unanchored_age > _OLD_HEAD:
        text = f"the newest head is not in every deploy repository for {_lasting(tallies.unanchored_age)}"
        return Finding("Audit log", Grade.WARN, text, "the log of the control workers says what the forge answers")
    return Finding("Audit log", Grade.OK, f"{tallies.signed:,} of {tallies.entries:,} entries are signed")


def _lasting(seconds: float) -> str:
    return lasting(timedelta(seconds=seconds))
