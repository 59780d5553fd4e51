"""Answers from the trail: what served on an endpoint when, trained from which commit, judged how, approved by whom.

It reads `rollout.applied`, `rollout.restored`, `rollout.succeeded` and `rollout.rolled_back` (traffic moves at the
first two; `serving` in their evidence names the version that serves from then on), `training.succeeded`, and every
`promotion.*` entry whose evidence names `merged_by`. `rollout.opened` says which folder of which deploy repository
a rollout was for, so that a place may be named as REPOSITORY:PATH, too, and is told of no merge for another one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from gitops.audit.entry import Entry
from gitops.errors import InputError

OPENED = "rollout.opened"
APPLIED = "rollout.applied"
RESTORED = "rollout.restored"
ROLLED_BACK = "rollout.rolled_back"
SUCCEEDED = "rollout.succeeded"
BY_HAND = "RolledBack"
"""The failure of a rollout whose bake a person ended."""

_SERVING = {APPLIED, SUCCEEDED, ROLLED_BACK, RESTORED}
_TRAINED = "training.succeeded"
_PROMOTION = "promotion."

Folder = tuple[int, str]
"""A deploy repository, by its id, and a path in it."""


@dataclass(frozen=True)
class Span:
    """A time in which one version, or none, served on an endpoint.

    Args:
        endpoint: the endpoint's name.
        model: the registered model.
        version: its version; empty when nothing served.
        env: the environment the endpoint belongs to.
        start: when traffic went to it.
        end: when traffic left it; None while it serves.
        kind: the entry that began it.
        rollout_id: the rollout that began it.
        repo_id: the deploy repository; 0 where no entry says so.
        path: the folder there; empty likewise.
        pinned_after: when Git was last known to pin another version there, where this one's pin was followed since:
            what was merged before led to an earlier time of service. None where it began otherwise, or at first.
    """

    endpoint: str
    model: str
    version: str
    env: str
    start: datetime
    end: datetime | None
    kind: str
    rollout_id: str = ""
    repo_id: int = 0
    path: str = ""
    pinned_after: datetime | None = None


@dataclass(frozen=True)
class Answer:
    """What the trail says about an endpoint at a time; facts that no entry states are empty.

    Args:
        known: False before the first record of the endpoint.
        message: the whole answer for a person.
        endpoint: the one that served then; the name that was asked for where that is not known.
        time: the time asked about.
        model: the registered model.
        version: the version that served; empty when nothing did.
        since: when it began to serve.
        env: the environment.
        repo: the model repository it was trained from.
        sha: the commit it was trained from.
        training_id: the training.
        verdict: `pass`, or what the judging said.
        gates: one sentence for each gate.
        approved_by: the logins that approved what was merged; None where no reviews are on record.
        merged_by: the login that merged it.
        merge_sha: the merge's commit in the deploy repository.
    """

    known: bool
    message: str
    endpoint: str
    time: datetime
    model: str = ""
    version: str = ""
    since: datetime | None = None
    env: str = ""
    repo: str = ""
    sha: str = ""
    training_id: str = ""
    verdict: str = ""
    gates: tuple[str, ...] = ()
    approved_by: tuple[str, ...] | None = None
    merged_by: str = ""
    merge_sha: str = ""


def read_time(text: str) -> datetime:
    """Return a moment as people write it.

    Raises:
        InputError: `audit_time` when it is none, or has no zone.
    """
    if text == "now":
        return datetime.now(UTC)
    # The first and the last hours that there are have no time in UTC.
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    raise InputError("audit_time", "give the time with its zone, 2026-01-31T12:00:00Z for example", field="--time")


class Folders:
    """Which folder each rollout and each promotion was for, and what repositories are called."""

    def __init__(self) -> None:
        self._of: dict[str, Folder] = {}
        self._ids: dict[str, int] = {}
        self._promoted: dict[str, str] = {}
        self._followed: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}

    def read(self, entry: Entry) -> None:
        """Learn what an entry says of it."""
        if entry.subject.repo:
            # A name that went from one repository to another is the newer one's.
            self._ids[entry.subject.repo] = entry.subject.repo_id
        path = text_of(entry, "path")
        if entry.kind == OPENED and path:
            self._of[entry.subject.rollout_id] = (entry.subject.repo_id, path)
        if entry.kind == OPENED and not is_rollback(entry):
            self._followed[entry.subject.rollout_id] = entry.time
        if text_of(entry, "write_back_sha"):
            self._written.setdefault(entry.subject.rollout_id, entry.time)
        if entry.kind.startswith(_PROMOTION) and path:
            self._promoted[entry.subject.promotion_id] = path

    def of(self, rollout_id: str) -> Folder | None:
        """Return the folder that a rollout was for; None where its beginning is not on record."""
        return self._of.get(rollout_id)

    def followed_at(self, move: Entry) -> datetime | None:
        """Return when a rollout that follows its pin began, where it gave its version the traffic by this entry."""
        return self._followed.get(move.subject.rollout_id) if move.kind in {APPLIED, SUCCEEDED} else None

    def pinned_at(self, move: Entry) -> datetime | None:
        """Return when Git was known to pin what got the traffic by this entry; None where it is not known to have."""
        return self.followed_at(move) or self._written.get(move.subject.rollout_id)

    def is_for(self, merge: Entry, span: Span) -> bool:
        """Return whether a merge was for where a span's version served, as far as both say where that is.

        An environment's name will not do where both say its folder: another repository, and another folder, may have
        one of the same name.
        """
        subject = merge.subject
        if span.repo_id and subject.repo_id and span.repo_id != subject.repo_id:
            return False
        path = text_of(merge, "path") or self._promoted.get(subject.promotion_id, "")
        return path == span.path if path and span.path else subject.env == span.env

    def named(self, name: str) -> Folder | None:
        """Return the folder that a person means by REPOSITORY:PATH; None where it is no such name, or nobody's."""
        repository, colon, path = name.partition(":")
        return (self._ids[repository], path) if colon and repository in self._ids else None


def serving_at(entries: Iterable[Entry], endpoint: str, *, time: datetime) -> Answer:
    """Tell what served on an endpoint at a time.

    Args:
        entries: the trail in tree order, verified by the caller.
        endpoint: its name, or REPOSITORY:PATH: then whatever endpoint that folder had.
        time: an aware datetime; after the last entry it means "as of the last entry".

    Raises:
        InputError: a time without its zone.
    """
    if time.tzinfo is None:
        raise InputError("audit_time", "give the time with its zone, 2026-01-31T12:00:00Z for example")
    folders = Folders()
    relevant: list[Entry] = []
    for entry in entries:
        folders.read(entry)
        if _is_relevant(entry):
            relevant.append(entry)
    meant = folders.named(endpoint)
    if meant is None:
        spans = serving_spans(relevant, endpoint, folders)
    else:
        here = [one for one in relevant if moves_traffic(one) and folders.of(one.subject.rollout_id) == meant]
        spans = _spans(here, folders)
    if not spans:
        return Answer(known=False, message=f"not known: no record of endpoint {endpoint}", endpoint=endpoint, time=time)
    if time < spans[0].start:
        first = spans[0].start.isoformat()
        return Answer(known=False, message=f"not known before {first}", endpoint=endpoint, time=time)
    span = next(span for span in reversed(spans) if span.start <= time)
    trained = find_training(relevant, span, time)
    merged = find_merge(relevant, span, time, folders)
    return _compose(span, time, trained, merged)


def serving_spans(entries: Iterable[Entry], endpoint: str, folders: Folders) -> tuple[Span, ...]:
    """Return what served on an endpoint, oldest first, each span ending where the next begins.

    Args:
        entries: the trail in tree order.
        endpoint: the endpoint's name.
        folders: where each rollout was, as the whole trail tells it.
    """
    here = [entry for entry in entries if moves_traffic(entry) and entry.subject.endpoint == endpoint]
    return _spans(here, folders)


def _spans(moves: Sequence[Entry], folders: Folders) -> tuple[Span, ...]:
    begun: list[Entry] = []
    for entry in sorted(moves, key=lambda entry: entry.ts):
        if not begun or _served_on(entry) != _served_on(begun[-1]):
            begun.append(entry)
    ends: list[datetime | None] = [*(entry.time for entry in begun[1:]), None]
    spans: list[Span] = []
    pins: dict[Folder | None, list[tuple[str, datetime]]] = defaultdict(list)
    for entry, end in zip(begun, ends, strict=False):
        version, pinned = served_by(entry)[1], folders.pinned_at(entry)
        here = pins[folders.of(entry.subject.rollout_id)]
        others = (moment for one, moment in reversed(here) if one != version)
        pinned_after = next(others, None) if folders.followed_at(entry) else None
        spans.append(_span(entry, end, folders, pinned_after=pinned_after))
        if pinned:
            here.append((version, pinned))
    return tuple(spans)


def _span(entry: Entry, end: datetime | None, folders: Folders, *, pinned_after: datetime | None) -> Span:
    subject = entry.subject
    model, version = served_by(entry)
    folder = folders.of(subject.rollout_id)
    return Span(
        endpoint=subject.endpoint,
        model=model,
        version=version,
        env=subject.env,
        start=entry.time,
        end=end,
        kind=entry.kind,
        rollout_id=subject.rollout_id,
        repo_id=subject.repo_id,
        path=folder[1] if folder else "",
        pinned_after=pinned_after,
    )


def _served_on(entry: Entry) -> tuple[str, str, str]:
    return (entry.subject.endpoint, *served_by(entry))


def served_by(entry: Entry) -> tuple[str, str]:
    """Return the model and version that traffic goes to from this entry on.

    A rollback's subject is the version that failed, so without `serving` in its evidence nothing serves.
    """
    unstated = "" if entry.kind in {ROLLED_BACK, RESTORED} else entry.subject.version
    serving = entry.evidence.get("serving", unstated)
    return entry.subject.model, serving if isinstance(serving, str) else unstated


def _is_relevant(entry: Entry) -> bool:
    return moves_traffic(entry) or entry.kind == _TRAINED or is_merge(entry)


def moves_traffic(entry: Entry) -> bool:
    """Return whether an entry says what serves from then on; where nothing had to go back, `restored` says nothing."""
    return entry.kind in _SERVING and (entry.kind != RESTORED or "serving" in entry.evidence)


def is_rollback(opened: Entry | None) -> bool:
    """Return whether a rollout was begun by a person who asked to go back, and not by a pin."""
    return text_of(opened, "direction") == "rollback"


def is_merge(entry: Entry) -> bool:
    """Return whether an entry tells of a promotion's merge."""
    return entry.kind.startswith(_PROMOTION) and "merged_by" in entry.evidence


def _is_about(entry: Entry, span: Span) -> bool:
    return entry.subject.version == span.version and entry.subject.model == span.model


def find_training(entries: Sequence[Entry], span: Span, time: datetime) -> Entry | None:
    """Return the end of the training that a span's version came from, as far as it was recorded by then."""
    found = [entry for entry in entries if entry.kind == _TRAINED and _is_about(entry, span) and entry.time <= time]
    return found[-1] if found and span.version else None


def find_merge(entries: Sequence[Entry], span: Span, time: datetime, folders: Folders) -> Entry | None:
    """Return the merge that led to a span: the last before it, else the first that was recorded late.

    Args:
        folders: where each promotion was to, as the whole trail tells it.
    """
    merges = (entry for entry in entries if is_merge(entry) and _is_about(entry, span) and entry.time <= time)
    found = [
        entry
        for entry in merges
        if folders.is_for(entry, span) and (span.pinned_after is None or entry.time > span.pinned_after)
    ]
    before = [entry for entry in found if entry.time <= span.start]
    candidates = before[-1:] or found[:1]
    return candidates[0] if candidates and span.version else None


def _compose(span: Span, time: datetime, trained: Entry | None, merged: Entry | None) -> Answer:
    verdict = text_of(trained, "verdict")
    sha = trained.subject.sha if trained else ""
    parts = [f"{span.model} v{span.version} has served on {span.endpoint} since {span.start.isoformat()}"]
    if span.version:
        parts.append(f"trained from {sha}" if sha else "no training on record")
        parts.append(f"judged {verdict}" if verdict else "no verdict on record")
        parts.append(_say_merged(merged))
    else:
        parts = [f"nothing has served on {span.endpoint} since {span.start.isoformat()}"]
    return Answer(
        known=True,
        message=", ".join(parts),
        endpoint=span.endpoint,
        time=time,
        model=span.model,
        version=span.version,
        since=span.start,
        env=span.env,
        repo=trained.subject.repo if trained else "",
        sha=sha,
        training_id=trained.subject.training_id if trained else "",
        verdict=verdict,
        gates=_gates(trained),
        approved_by=approvers_of(merged),
        merged_by=text_of(merged, "merged_by"),
        merge_sha=text_of(merged, "merge_sha"),
    )


def _say_merged(merged: Entry | None) -> str:
    if merged is None:
        return "no merge on record"
    approved_by, merged_by = approvers_of(merged), text_of(merged, "merged_by")
    if approved_by is None:
        return f"merged by {merged_by}, no reviews on record"
    return f"approved by {', '.join(approved_by) or 'nobody'}, merged by {merged_by}"


def approvers_of(entry: Entry | None) -> tuple[str, ...] | None:
    """Return who approved what a promotion's end tells was merged; None where it says nothing of reviews."""
    told = entry.evidence.get("approved_by") if entry else None
    return tuple(map(str, told)) if isinstance(told, (list, tuple)) else None


def text_of(entry: Entry | None, name: str) -> str:
    """Return what an entry's evidence says under a name, empty when that is no text or there is no entry."""
    value = entry.evidence.get(name) if entry else None
    return value if isinstance(value, str) else ""


def _gates(entry: Entry | None) -> tuple[str, ...]:
    """Return a line for each gate, whether it was recorded as a sentence or as an object."""
    gates = entry.evidence.get("gates") if entry else None
    if not isinstance(gates, (list, tuple)):
        return ()
    return tuple(_gate_line(gate) for gate in gates)


def _gate_line(gate: object) -> str:
    if not isinstance(gate, Mapping):
        return str(gate)
    if "message" in gate:
        return str(gate["message"])
    known = (str(gate[name]) for name in ("metric", "value", "operator", "threshold", "outcome") if name in gate)
    return " ".join(known)
