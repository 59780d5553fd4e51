"""Answers from the trail: what served on an endpoint when, trained from which commit, judged how, approved by whom.

It reads `rollout.applied`, `rollout.restored`, `rollout.succeeded` and `rollout.rolled_back` (traffic moves at the
first two; `serving` in their evidence names the version that serves from then on), `training.succeeded`, and every
`promotion.*` entry whose evidence names `merged_by`. `rollout.opened` says which folder of which deploy repository
a rollout was for, so that a place may be named as REPOSITORY:PATH, too.
"""

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
    """

    endpoint: str
    model: str
    version: str
    env: str
    start: datetime
    end: datetime | None
    kind: str
    rollout_id: str = ""


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
        approved_by: the login that merged it.
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
    approved_by: str = ""
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
    """Which folder each rollout was for, and what repositories are called."""

    def __init__(self) -> None:
        self._of: dict[str, Folder] = {}
        self._ids: dict[str, int] = {}

    def read(self, entry: Entry) -> None:
        """Learn what an entry says of it."""
        if entry.subject.repo:
            # A name that went from one repository to another is the newer one's.
            self._ids[entry.subject.repo] = entry.subject.repo_id
        path = text_of(entry, "path")
        if entry.kind == OPENED and path:
            self._of[entry.subject.rollout_id] = (entry.subject.repo_id, path)

    def of(self, rollout_id: str) -> Folder | None:
        """Return the folder that a rollout was for; None where its beginning is not on record."""
        return self._of.get(rollout_id)

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
        spans = serving_spans(relevant, endpoint)
    else:
        spans = _spans([one for one in relevant if moves_traffic(one) and folders.of(one.subject.rollout_id) == meant])
    if not spans:
        return Answer(known=False, message=f"not known: no record of endpoint {endpoint}", endpoint=endpoint, time=time)
    if time < spans[0].start:
        first = spans[0].start.isoformat()
        return Answer(known=False, message=f"not known before {first}", endpoint=endpoint, time=time)
    span = next(span for span in reversed(spans) if span.start <= time)
    trained = find_training(relevant, span, time)
    merged = find_merge(relevant, span, time)
    return _compose(span, time, trained, merged)


def serving_spans(entries: Iterable[Entry], endpoint: str) -> tuple[Span, ...]:
    """Return what served on an endpoint, oldest first, each span ending where the next begins.

    Args:
        entries: the trail in tree order.
        endpoint: the endpoint's name.
    """
    return _spans([entry for entry in entries if moves_traffic(entry) and entry.subject.endpoint == endpoint])


def _spans(moves: Sequence[Entry]) -> tuple[Span, ...]:
    begun: list[Entry] = []
    for entry in sorted(moves, key=lambda entry: entry.ts):
        if not begun or _served_on(entry) != _served_on(begun[-1]):
            begun.append(entry)
    ends: list[datetime | None] = [*(entry.time for entry in begun[1:]), None]
    return tuple(_span(entry, end) for entry, end in zip(begun, ends, strict=False))


def _span(entry: Entry, end: datetime | None) -> Span:
    model, version = served_by(entry)
    return Span(
        entry.subject.endpoint, model, version, entry.subject.env, entry.time, end, entry.kind, entry.subject.rollout_id
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
    return moves_traffic(entry) or entry.kind == _TRAINED or _is_merge(entry)


def moves_traffic(entry: Entry) -> bool:
    """Return whether an entry says what serves from then on; where nothing had to go back, `restored` says nothing."""
    return entry.kind in _SERVING and (entry.kind != RESTORED or "serving" in entry.evidence)


def is_rollback(opened: Entry | None) -> bool:
    """Return whether a rollout was begun by a person who asked to go back, and not by a pin."""
    return text_of(opened, "direction") == "rollback"


def _is_merge(entry: Entry) -> bool:
    return entry.kind.startswith(_PROMOTION) and "merged_by" in entry.evidence


def _is_about(entry: Entry, span: Span) -> bool:
    return entry.subject.version == span.version and entry.subject.model == span.model


def find_training(entries: Sequence[Entry], span: Span, time: datetime) -> Entry | None:
    """Return the end of the training that a span's version came from, as far as it was recorded by then."""
    found = [entry for entry in entries if entry.kind == _TRAINED and _is_about(entry, span) and entry.time <= time]
    return found[-1] if found and span.version else None


def find_merge(entries: Sequence[Entry], span: Span, time: datetime) -> Entry | None:
    """Return the merge that led to a span: the last before it, else the first that was recorded late."""
    found = [
        entry
        for entry in entries
        if _is_merge(entry) and _is_about(entry, span) and entry.subject.env == span.env and entry.time <= time
    ]
    before = [entry for entry in found if entry.time <= span.start]
    candidates = before[-1:] or found[:1]
    return candidates[0] if candidates and span.version else None


def _compose(span: Span, time: datetime, trained: Entry | None, merged: Entry | None) -> Answer:
    verdict = text_of(trained, "verdict")
    sha = trained.subject.sha if trained else ""
    approved_by = text_of(merged, "merged_by")
    parts = [f"{span.model} v{span.version} has served on {span.endpoint} since {span.start.isoformat()}"]
    if span.version:
        parts.append(f"trained from {sha}" if sha else "no training on record")
        parts.append(f"judged {verdict}" if verdict else "no verdict on record")
        parts.append(f"approved by {approved_by}" if approved_by else "no approval on record")
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
        approved_by=approved_by,
        merge_sha=text_of(merged, "merge_sha"),
    )


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
