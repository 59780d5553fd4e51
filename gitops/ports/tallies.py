"""What the database holds, counted, as a scrape shows it on one snapshot; and whether its parts are at work."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

ANCHOR_REF = "refs/heads/launchpin-audit"
"""Where a deploy repository keeps the signed heads; its row among the watched refs says how far."""

HOOK_REF = "hook"
"""The row among the watched refs that says whether a repository's webhook is heard; refs of git begin with `refs/`."""

HOOK_LOST = "lost "
"""How that row begins while it is not."""

_ANCHORED = re.compile(r"anchored ([0-9]{1,18})(?: in file ([0-9]{1,9}))?")


@dataclass(frozen=True)
class Anchored:
    """How far an anchor branch has the signed heads.

    Args:
        size: of the newest head there: how many entries it covers; 0 when nothing is known.
        file: the number of the file that holds it.
    """

    size: int = 0
    file: int = 1


def note_anchored(anchored: Anchored) -> str:
    """Return what the row of an anchor branch says of it."""
    place = f" in file {anchored.file}" if anchored.file > 1 else ""
    return f"anchored {anchored.size}{place}"


def read_anchored(message: str) -> Anchored:
    """Return what the row of an anchor branch says."""
    found = _ANCHORED.fullmatch(message)
    return Anchored(int(found[1]), int(found[2] or "1")) if found else Anchored()


@dataclass(frozen=True)
class JobTally:
    """Jobs that are not over and have these words in common.

    Args:
        state: `ready`, `leased`, `waiting`, `stalled`, `retrying` or `idle`.
        reason: CamelCase; empty where there is none.
        is_due: it may be claimed now; for a leased job, its lease ran out.
        count: how many jobs.
        age: seconds since the first of them became due, 0 when none is.
        tries: the most tries in vain that one of them has behind it.
    """

    kind: str
    queue: str
    state: str
    reason: str
    is_due: bool
    count: int
    age: float
    tries: int


@dataclass(frozen=True)
class Pulse:
    """What tells whether the parts are at work.

    Args:
        jobs: those that are not over.
        lead: seconds that the relay's lead still lasts, negative when it ran out; None when there never was one.
    """

    jobs: tuple[JobTally, ...]
    lead: float | None


@dataclass(frozen=True)
class Tallies(Pulse):
    """All counts.

    Args:
        open_stories: by kind and phase, those that are not over.
        ended_stories: by kind and phase, those that ended within 24 hours.
        just_ended: of these, those that ended within 15 minutes.
        deliveries: by outcome, of the newest 1,000; `pending` for those that no worker has read yet.
        holds: open ones.
        entries: of the audit log.
        signed: how many of them the newest signed head covers.
        head_age: seconds since it was signed; without one since the log's first entry was written, 0 in an empty log.
        unanchored: signed heads that at least one deploy repository does not hold yet.
        unanchored_age: seconds since the oldest of them was signed, 0 when there is none.
        hooks_lost: repositories whose pushes no delivery tells of.
        letters_waiting: messages that a channel has not taken yet.
        letter_age: seconds since the oldest of them was written, 0 when there is none.
        letters_settled: by state, messages that were sent or given up within 24 hours.
    """

    open_stories: Mapping[tuple[str, str], int]
    ended_stories: Mapping[tuple[str, str], int]
    just_ended: Mapping[tuple[str, str], int]
    deliveries: Mapping[str, int]
    holds: int
    entries: int
    signed: int
    head_age: float
    unanchored: int
    unanchored_age: float
    hooks_lost: int
    letters_waiting: int
    letter_age: float
    letters_settled: Mapping[str, int]


@dataclass(frozen=True)
class Leader:
    """The relay that leads, or led last.

    Args:
        owner: names it, for people only.
        since: when it began to lead.
        until: when its lead runs out, where it does not prolong it.
    """

    owner: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class HeldJob:
    """A job that a worker has.

    Args:
        worker: names it, for people only.
        until: when its lease runs out, where it does not prolong it.
    """

    kind: str
    subject: str
    queue: str
    worker: str
    until: datetime


@dataclass(frozen=True)
class Hands:
    """In whose hands things are.

    Args:
        leader: None when there never was one.
        held: the first to run out first.
    """

    now: datetime
    leader: Leader | None
    held: tuple[HeldJob, ...]
