"""What the database knows of a service whose parts somebody else started: who leads, what is in hand, what waits.

Nobody here sees a process of it, nor can a command that only `launchpin up` makes possible be typed: neither by whoever
reads it on the command line, nor by whoever does in an answer of the API or on a page.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from gitops.explaining import Concern, Explanation, Hint, Part, PartTrouble, Statement, Who
from gitops.explaining.explanation import choose_hints
from gitops.explaining.findings import SLOW, WORKERS, Grade, count_due, grade_relay, grade_workers
from gitops.ports.tallies import Hands, Pulse

RELAY = "relay"
_STACK = "stack.json"  # what `launchpin up` writes into the folder of state that its parts share
_NEEDED = frozenset({RELAY, *WORKERS})
_LEASED = "leased"
_TAKES_LONG = "training"  # what waits there while a worker has another job waits for its turn
_WAITING = frozenset({"waiting", "stalled", "retrying"})
_DOCTOR = "launchpin doctor"
_LOG_OF_PART = re.compile(r"launchpin logs (?:valkey|relay|control|training|web|forge|mlflow|endpoints)")
_PULL = re.compile(r"launchpin pr (show|merge) ([0-9]+) --repo (\S+)")


class PartWord(StrEnum):
    """How a part is, by what the database knows of it."""

    LEADS = "Leads"
    GONE = "Gone"  # its lead ran out
    MISSING = "Missing"  # none was ever here
    WORKING = "Working"
    FREE = "Free"  # nothing is in hand
    LATE = "Late"  # what is due is not taken


@dataclass(frozen=True)
class PartView:
    """A part.

    Args:
        ready: how many jobs a worker could take now.
        oldest: seconds since the first of them became due.
        held: how many are in hand.
    """

    name: str
    state: PartWord
    ready: int = 0
    oldest: float = 0.0
    held: int = 0


@dataclass(frozen=True)
class Waiting:
    """Jobs that wait, or are tried again, for the same reason."""

    state: str
    kind: str
    reason: str
    count: int


@dataclass(frozen=True)
class Service:
    """What is known of all parts."""

    parts: tuple[PartView, ...]
    hands: Hands
    waiting: tuple[Waiting, ...]


_SERVICE = TypeAdapter(Service)


class Counted(Protocol):
    """What is asked of the store."""

    def pulse(self) -> Pulse:
        """Return what tells whether the parts are at work."""
        ...

    def hands(self) -> Hands:
        """Return who leads, and who holds which job."""
        ...


def read_service(store: Counted) -> Service:
    """Return what is known of all parts."""
    pulse, hands = store.pulse(), store.hands()
    workers = (_workers(queue, pulse, hands) for queue in WORKERS)
    return Service((PartView(RELAY, _relay(pulse)), *workers), hands, tuple(_waits(pulse)))


def tell_service(service: Service) -> dict[str, object]:
    """Return the same as programs read it."""
    told: dict[str, object] = _SERVICE.dump_python(service, mode="json")
    return told


def _relay(pulse: Pulse) -> PartWord:
    if pulse.lead is None:
        return PartWord.MISSING
    return PartWord.LEADS if pulse.lead > 0 else PartWord.GONE


def _workers(queue: str, pulse: Pulse, hands: Hands) -> PartView:
    due = count_due(pulse, queue)
    held = sum(1 for one in hands.held if one.queue == queue and one.until > hands.now)
    state = PartWord.LATE if due.age > SLOW else PartWord.WORKING if held else PartWord.FREE
    return PartView(queue, state, due.count, due.age, held)


def _waits(pulse: Pulse) -> list[Waiting]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for job in pulse.jobs:
        if job.state in _WAITING and job.reason:
            counts[job.state, job.kind, job.reason] += job.count
    return [Waiting(*words, count) for words, count in sorted(counts.items())]


def find_troubles(pulse: Pulse) -> Sequence[PartTrouble]:
    """Return what is wrong with the parts, as far as the database knows."""
    words = (_relay(pulse), *(PartWord.LATE for _ in WORKERS))
    findings = (grade_relay(pulse.lead), *grade_workers(pulse))
    return [
        PartTrouble(name, word, f"{finding.what.lower()}: {finding.text}", _DOCTOR)
        for name, word, finding in zip((RELAY, *WORKERS), words, findings, strict=True)
        if finding.grade is not Grade.OK and not (name == _TAKES_LONG and name in _busy(pulse))
    ]


def is_at_work(pulse: Pulse) -> bool:
    """Return whether anything carries work out: a relay that leads, or a worker whose lease lasts."""
    return (pulse.lead is not None and pulse.lead > 0) or bool(_busy(pulse))


def _busy(pulse: Pulse) -> set[str]:
    """Return the queues whose workers have a job, and a lease on it that lasts."""
    return {job.queue for job in pulse.jobs if job.state == _LEASED and not job.is_due}


def add_troubles(explanation: Explanation, wrong: Sequence[PartTrouble]) -> Explanation:
    """Return an explanation with what is wrong with the parts without which nothing of it goes on.

    Args:
        wrong: what is wrong with any part.
    """
    found = [one for one in wrong if one.name in _NEEDED]
    if not found:
        return explanation
    troubles = (Statement(one.sentence, reason=one.state, who=Who.OPERATOR) for one in found)
    waits = (*explanation.parts.get(Part.WAITS, ()), *troubles)
    # Also where nothing was waited for so far, the parts stand in the screen's order.
    parts = {part: waits if part is Part.WAITS else explanation.parts.get(part, ()) for part in Part}
    shown = {part: said for part, said in parts.items() if said}
    return replace(explanation, parts=shown, hints=choose_hints(found[0].hint, *explanation.hints))


# ---------------------------------------------------------------- what may be typed


def is_service(home: Path) -> bool:
    """Return whether somebody else than `launchpin up` started the process whose folder of state this is."""
    return not (home / _STACK).exists()


def fit_explanation(explanation: Explanation, wrong: Sequence[PartTrouble]) -> Explanation:
    """Return an explanation as somebody can follow it where no stack is.

    Args:
        wrong: what is wrong with the parts, without which nothing of it goes on.
    """
    itself = f"launchpin explain {explanation.name}"
    hints = (fit for hint in explanation.hints if (fit := fit_hint(hint)) is not None and fit.command != itself)
    return add_troubles(replace(explanation, hints=choose_hints(*hints)), wrong)


def fit_concern(concern: Concern) -> Concern:
    """Return a concern with a command that can be typed where no stack is."""
    return replace(concern, hint=fit_hint(concern.hint) if concern.hint is not None else None)


def fit_hint(hint: Hint) -> Hint | None:
    """Return what can be typed where no stack is, None for nothing.

    Doctor asks the parts that have no log here. A pull request is looked at and merged at its address; where the record
    has none, its explanation tells what is known.
    """
    pull = _PULL.fullmatch(hint.command)
    if pull is not None and hint.page:
        return Hint(hint.page, "what it changes, and where it is merged", hint.page)
    if pull is not None:
        return Hint(f"launchpin explain {pull[3]}#{pull[2]}", "what it changes") if pull[1] == "show" else None
    return Hint(_DOCTOR, hint.purpose) if _LOG_OF_PART.fullmatch(hint.command) else hint
