"""What happened around a failure, from the audit trail alone: when, what, by whom and caused by what. Pure.

An incident begins with what led to the first thing that went wrong after the endpoint was last well, and goes on to the
newest entry. The endpoint is well again when a version has rolled out with no hold left. A pause belongs to every
place; one that ended before anything else went wrong leaves the endpoint as well as it was.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gitops.audit.at import text_of
from gitops.audit.entry import Entry
from gitops.explaining.phrases import is_of_everything, phrase

_WRONG = frozenset({"rolled_back", "errored", "refused", "stalled"})


@dataclass(frozen=True)
class Scope:
    """What an incident is about: an environment, or else a training or a promotion with what came of it.

    Args:
        repository_id: the deploy repository's.
        path: the environment's directory.
    """

    name: str
    repository_id: int = 0
    path: str = ""
    training_id: str = ""
    promotion_id: str = ""


@dataclass(frozen=True)
class Moment:
    """One entry in words.

    Args:
        number: its place in the log, from 0, as in an exported bundle.
        cause: what made its story begin; empty for the story's further steps.
    """

    number: int
    time: datetime
    what: str
    who: str
    cause: str


@dataclass
class _Known:
    """The records that a scope reaches, by their ids; grows while the trail is read."""

    trainings: set[str] = field(default_factory=set)
    promotions: set[str] = field(default_factory=set)
    rollouts: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    requests: set[str] = field(default_factory=set)


def moments_of(
    entries: Collection[Entry], scope: Scope, *, may_read: Callable[[Entry], bool] = lambda _: True
) -> tuple[Moment, ...]:
    """Return what happened, in the log's order.

    Args:
        entries: the whole trail, in tree order; read more than once.
        may_read: whether an entry may be told to whoever asks; the others lead nowhere.
    """
    known = _reach(lambda: filter(may_read, entries), scope)
    ours = [(at, entry) for at, entry in enumerate(entries) if _is_ours(entry, known) and may_read(entry)]
    if scope.path:
        ours = _since_it_was_well(ours)
    return tuple(_moment(at, entry) for at, entry in ours)


def _moment(number: int, entry: Entry) -> Moment:
    who = text_of(entry, "merged_by") if entry.kind == "promotion.succeeded" else ""
    return Moment(number, entry.time, phrase(entry), who or entry.actor.login or entry.actor.type, _cause(entry))


def _cause(entry: Entry) -> str:
    """Return what made a story begin, or a hold be set."""
    kind, name = text_of(entry, "cause"), text_of(entry, "cause_id")
    if kind == "compare":
        return f"the pin at {name[:8]}"
    if kind in {"training", "rollout"}:
        return f"{kind} {name}"
    is_first = kind or entry.kind.startswith("hold.")
    if entry.cause.request_id and is_first:
        return f"command {entry.cause.request_id}"
    if entry.cause.delivery_guid and is_first:
        return f"delivery {entry.cause.delivery_guid}"
    return kind


def _reach(entries: Callable[[], Iterable[Entry]], scope: Scope) -> _Known:
    """Return the records that belong to a scope: what led to it, and what came of it."""
    known = _Known(trainings={scope.training_id} - {""}, promotions={scope.promotion_id} - {""})
    places: set[tuple[str, str, str]] = set()
    for entry in entries():
        _learn(entry, scope, known, places)
    if not scope.training_id:
        # What they were trained by was recorded before them.
        known.trainings |= {
            entry.subject.training_id
            for entry in entries()
            if entry.subject.promotion_id in known.promotions and entry.subject.promotion_id
        }
    return known


def _learn(entry: Entry, scope: Scope, known: _Known, places: set[tuple[str, str, str]]) -> None:
    subject = entry.subject
    is_here = bool(scope.path) and (subject.repo_id, text_of(entry, "path")) == (scope.repository_id, scope.path)
    if entry.kind == "promotion.opened" and (is_here or subject.training_id in known.trainings):
        known.promotions.add(subject.promotion_id)
    if subject.promotion_id in known.promotions and subject.promotion_id:
        places.add((subject.env, subject.model, subject.version))
    is_of_version = (subject.env, subject.model, subject.version) in places
    if entry.kind == "rollout.opened" and (is_here if scope.path else is_of_version):
        known.rollouts.add(subject.rollout_id)
        known.requests |= {entry.cause.request_id} - {""}
    is_here = is_here or (bool(scope.path) and is_of_everything(entry))
    if entry.kind == "hold.set" and (is_here or subject.rollout_id in known.rollouts):
        known.holds.add(subject.name)
        known.requests |= {entry.cause.request_id} - {""}
    if entry.kind == "hold.lifted" and subject.name in known.holds:
        known.requests |= {entry.cause.request_id} - {""}


def _is_ours(entry: Entry, known: _Known) -> bool:
    subject, noun = entry.subject, entry.kind.partition(".")[0]
    match noun:
        case "training":
            return subject.training_id in known.trainings
        case "promotion":
            return bool(subject.promotion_id) and subject.promotion_id in known.promotions
        case "rollout":
            return subject.rollout_id in known.rollouts
        case "hold":
            return subject.name in known.holds
        case "command":
            return subject.command_id in known.requests
        case _:
            return False


def _since_it_was_well(ours: list[tuple[int, Entry]]) -> list[tuple[int, Entry]]:
    """Return what led to the first failure since the endpoint was last well, and everything that came after."""
    first = _first_wrong([entry for _, entry in ours])
    if first is None:
        first = next((entry for _, entry in reversed(ours) if entry.kind == "rollout.opened"), None)
    if first is None:
        return ours
    begins = next(at for at, entry in ours if entry is first or _is_same_rollout(entry, first))
    begun = next((entry for _, entry in ours if _is_same_rollout(entry, first)), first)
    left = (first.subject.model, text_of(begun, "from_version") or begun.subject.version)
    led = {entry.subject.training_id for _, entry in ours if _is_of(entry, left)} - {""}
    asked = begun.cause.request_id
    return [
        (at, entry)
        for at, entry in ours
        if at >= begins
        or entry.subject.training_id in led
        or _is_of(entry, left)
        or (asked and entry.subject.command_id == asked)
    ]


def _is_same_rollout(entry: Entry, other: Entry) -> bool:
    return bool(entry.subject.rollout_id) and entry.subject.rollout_id == other.subject.rollout_id


def _is_of(entry: Entry, version: tuple[str, str]) -> bool:
    return bool(version[1]) and (entry.subject.model, entry.subject.version) == version


def _first_wrong(entries: Sequence[Entry]) -> Entry | None:
    """Return the first thing that went wrong since the endpoint was last well; None when nothing ever did."""
    began: Entry | None = None
    before: Entry | None = None
    is_well, is_only_paused, holds, back = True, False, set[str](), set[str]()
    for entry in entries:
        noun, _, verb = entry.kind.partition(".")
        if entry.kind == "rollout.opened" and text_of(entry, "direction") == "rollback":
            back.add(entry.subject.rollout_id)
        if _is_wrong(entry, back):
            before, is_only_paused = began, is_well and is_of_everything(entry)
            began = entry if is_well or began is None else began
            is_well = False
        if noun == "hold":
            holds = holds | {entry.subject.name} if verb == "set" else holds - {entry.subject.name}
        if is_only_paused and not holds:
            began, is_well, is_only_paused = before, True, False
        if entry.kind == "rollout.succeeded" and not holds and entry.subject.rollout_id not in back:
            is_well = True
    return began


def _is_wrong(entry: Entry, back: set[str]) -> bool:
    """Return whether an entry tells of a failure, a hold or a way back."""
    noun, _, verb = entry.kind.partition(".")
    if entry.kind == "rollout.opened":
        return entry.subject.rollout_id in back
    return entry.kind == "hold.set" or (noun == "rollout" and verb in _WRONG)
