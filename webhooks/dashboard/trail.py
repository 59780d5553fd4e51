"""The audit log as pages read it: its end is remembered, since nothing that was written to it ever changes.

The figures need the whole log, but few of its entries, and read it apart (`webhooks.trail`): a page does not wait for
that. What is remembered is bounded, and every page that shows it says how far it reaches.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from gitops.audit.at import is_merge, moves_traffic
from gitops.audit.entry import Entry, parse
from gitops.audit.history import Tenure, tenures
from gitops.explaining.phrases import PHRASES, phrase
from gitops.ports import AuditLog, AuditRow
from webhooks.dashboard.sight import Sight
from webhooks.trail import is_continued

DEPTH = 50_000
"""Entries from the end of the log that are read at first."""

MOST_TELLING = 20_000
"""Remembered entries that tell what served; after these many, a model's history begins later."""

MOST_RECENT = 3_000
"""Remembered entries of every kind, for the pages of single records."""

MOST_SCANNED = 5_000
"""Entries that one page of a filtered timeline looks through."""

_PAGE = 1_000
_TELLING = frozenset(
    {
        "training.succeeded",
        "promotion.opened",
        "rollout.opened",
        "rollout.written_back",
        "rollout.rolled_back",
    }
)


@dataclass(frozen=True)
class Remembered:
    """What is remembered of the entries about a record, newest first.

    Args:
        is_whole: whether none of them can be older than what is remembered.
    """

    rows: tuple[AuditRow, ...]
    is_whole: bool


class Trail:
    """The end of the log, in memory; one for a process, used by all its threads."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._next = -1
        self._last = b""
        self._first = 0
        self._recent: deque[AuditRow] = deque(maxlen=MOST_RECENT)
        self._telling: deque[Entry] = deque(maxlen=MOST_TELLING)

    def _catch_up(self) -> None:
        if self._last and not is_continued(self._log, self._next, self._last):
            self._forget()
        if self._next < 0:
            self._first = self._next = max(0, self._log.audit_size() - DEPTH)
        while page := self._log.audit_entries(self._next, _PAGE):
            for raw in page:
                entry = parse(raw)
                self._recent.append(AuditRow(self._next, entry))
                if _tells_what_served(entry):
                    self._telling.append(entry)
                self._next += 1
            self._last = page[-1]
            if len(page) < _PAGE:
                return

    def about(self, sight: Sight, since: datetime | None, **subject: str) -> Remembered:
        """Return the remembered entries about a record; the name is that of the subject's field.

        Args:
            since: when the record was made.
        """
        with self._lock:
            self._catch_up()
            rows = list(self._recent)
        is_whole = not rows or rows[0].position == 0 or (since is not None and rows[0].entry.time < since)
        wanted = subject.items()
        found = (
            row for row in reversed(rows) if all(getattr(row.entry.subject, name) == value for name, value in wanted)
        )
        return Remembered(tuple(row for row in found if sight.may_read(row.entry)), is_whole)

    def tenures(self, sight: Sight, model: str) -> tuple[list[Tenure], bool]:
        """Return what served of a model, oldest first, and whether that reaches back to the log's beginning."""
        with self._lock:
            self._catch_up()
            entries = list(self._telling)
            is_whole = self._first == 0 and len(entries) < MOST_TELLING
        about = [one for one in entries if one.subject.model == model]
        return tenures(filter(sight.may_read, about), model), is_whole


def _tells_what_served(entry: Entry) -> bool:
    return moves_traffic(entry) or is_merge(entry) or entry.kind in _TELLING


# ---------------------------------------------------------------- the timeline


@dataclass(frozen=True)
class Filters:
    """What a timeline is asked for; what is empty asks for nothing.

    Args:
        kind: the beginning of a kind, `rollout` or `rollout.opened`.
        name: a model or an endpoint.
        actor: a login, whole.
        since: not before this moment.
        until: not after this moment.
    """

    kind: str = ""
    name: str = ""
    actor: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def are_set(self) -> bool:
        """Whether anything is asked for."""
        return self != Filters()

    def take(self, entry: Entry) -> bool:
        """Return whether an entry is asked for."""
        subject = entry.subject
        return (
            (not self.kind or entry.kind == self.kind or entry.kind.startswith(f"{self.kind}."))
            and (not self.name or self.name in {subject.model, subject.endpoint, subject.repo, subject.env})
            and (not self.actor or self.actor == (entry.actor.login or entry.actor.type))
            and (self.since is None or entry.time >= self.since)
            and (self.until is None or entry.time <= self.until)
        )


@dataclass(frozen=True)
class Happened:
    """An entry with its sentence."""

    row: AuditRow
    text: str


@dataclass(frozen=True)
class Timeline:
    """A page of the log, newest first.

    Args:
        size: entries of the whole log.
        next: the position below which the next page begins; None at the end.
        scanned: how many entries were looked through.
    """

    filters: Filters
    size: int
    happened: tuple[Happened, ...] = field(default=())
    next: int | None = None
    scanned: int = 0


def read_timeline(log: AuditLog, filters: Filters, *, below: int | None, limit: int) -> Timeline:
    """Return a page of the log; it looks through 5,000 entries at most, and says where to go on.

    Args:
        below: begin below this position; None at the newest.
    """
    size = log.audit_size()
    end = size if below is None else max(0, min(below, size))
    floor = max(0, end - MOST_SCANNED)
    found = list(islice(_matching(log, filters, end, floor), limit + 1))
    is_full = len(found) > limit
    rows = found[:limit]
    at = rows[-1].position if is_full else floor
    is_over = at == 0 or (not is_full and filters.since is not None and _begins_before(log, floor, filters.since))
    happened = tuple(Happened(row, phrase(row.entry)) for row in rows)
    return Timeline(filters, size, happened, None if is_over else at, end - at)


def _matching(log: AuditLog, filters: Filters, end: int, floor: int) -> Iterator[AuditRow]:
    while end > floor:
        start = max(floor, end - _PAGE)
        rows = [AuditRow(at, parse(raw)) for at, raw in enumerate(log.audit_entries(start, end - start), start)]
        yield from (row for row in reversed(rows) if filters.take(row.entry))
        end = start


def _begins_before(log: AuditLog, position: int, moment: datetime) -> bool:
    """Return whether an entry was written before a moment, so that all below it were, too."""
    found = log.audit_entries(position, 1)
    return bool(found) and parse(found[0]).time < moment


def kinds_of_log() -> Sequence[str]:
    """Return the kinds that a timeline can be asked for: each noun, and each kind."""
    nouns: Iterable[str] = {kind.partition(".")[0] for kind in PHRASES}
    return sorted({*nouns, *PHRASES})
