"""What an outcome makes of a record and of its job. Values in, values out; `finish` writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

from gitops.audit.entry import Event
from gitops.ports import Claim, Exit
from gitops.records import Cause, Record
from gitops.steps import Done, Ended, Phase, Refused, Stalled, Wait
from gitops.store.entries import end_evidence, record_event
from gitops.store.jobs import MOMENT, State
from gitops.store.rows import Row

STALLED_LOOK = timedelta(minutes=10)
"""How often a stalled story is looked at although nobody woke it."""

_OVER: Row = {"state": State.OVER, "due": None, "reason": "", "message": ""}
# A step that answered, whatever it said, ends the count of tries in vain.
_ANSWERED: Row = {"attempts": 0, "retries": 0, "lost": 0}


@dataclass(frozen=True)
class Change:
    """A record after an outcome, and the event where the change is one that the trail must tell."""

    record: Record
    event: Event | None = None


def change_record(record: Record, end: Exit, *, is_audited: bool) -> Change:
    """Return what an outcome makes of a record.

    Args:
        record: as it is in the database.
        end: how the claim ended.
        is_audited: whether this kind of record has entries; its revision counts them.
    """
    match end.outcome:
        case None:
            changes = {"reason": "Retrying", "message": end.error} if end.error else {}
            return Change(record.model_copy(update=changes))
        case Done():
            return _done(record, end, end.outcome, is_audited=is_audited)
        case Wait(reason=reason, message=message, facts=facts):
            return Change(_learn(record, facts, reason=reason, message=message))
        case Stalled():
            return _stall(record, end.outcome, is_audited=is_audited)
        case Refused(reason=reason, message=message, facts=facts):
            return _final(record, end, Phase.REFUSED, reason=reason, message=message, facts=facts, audit=is_audited)
        case Ended(phase=phase, reason=reason, message=message, facts=facts):
            return _final(record, end, phase, reason=reason, message=message, facts=facts, audit=is_audited)
        case _:
            assert_never(end.outcome)


def supersede(record: Record, *, message: str) -> Change:
    """Return a record that a newer one took the place of."""
    end = Exit(record, None, step=record.step)
    return _final(record, end, Phase.SUPERSEDED, reason="Superseded", message=message, facts={}, audit=True)


def cancel(record: Record, *, message: str, cause: Cause) -> Change:
    """Return a record that a person called off.

    Args:
        cause: who did, and how; what brought the record into being stays its own cause.
    """
    change = _final(
        record,
        Exit(record, None, step=record.step),
        Phase.CANCELLED,
        reason="Cancelled",
        message=message,
        facts={},
        audit=False,
    )
    after = change.record.model_copy(update={"revision": record.revision + 1})
    evidence = end_evidence(after, {})
    return Change(after, record_event(after, "cancelled", before=record, evidence=evidence, cause=cause))


def _done(record: Record, end: Exit, outcome: Done, *, is_audited: bool) -> Change:
    if not end.next_step:
        return _final(
            record, end, Phase.SUCCEEDED, reason="", message=outcome.message, facts=outcome.facts, audit=is_audited
        )
    is_audited = is_audited and not outcome.is_idle
    where = {"phase": Phase.RUNNING, "step": end.next_step, "revision": record.revision + is_audited}
    after = _learn(record, outcome.facts, reason="", message=outcome.message, **where)
    if not is_audited:
        return Change(after)
    return Change(after, record_event(after, end.event or end.step, before=record, evidence=outcome.facts))


def _stall(record: Record, outcome: Stalled, *, is_audited: bool) -> Change:
    """Tell once what a person must change, not again at every look."""
    note = {"reason": outcome.reason, "message": outcome.message}
    is_news = is_audited and outcome.reason != record.reason
    after = _learn(record, outcome.facts, **note, revision=record.revision + is_news)
    evidence = {**outcome.facts, **note}
    return Change(after, record_event(after, "stalled", before=record, evidence=evidence) if is_news else None)


def _final(
    record: Record, end: Exit, phase: Phase, *, reason: str, message: str, facts: Mapping[str, Any], audit: bool
) -> Change:
    """End a story; its last step stays on the record, so that people see where it ended."""
    where = {"phase": phase, "step": end.step, "revision": record.revision + audit}
    after = _learn(record, facts, reason=reason, message=message, **where)
    if not audit:
        return Change(after)
    name = phase.name.lower()
    return Change(after, record_event(after, name, before=record, evidence=end_evidence(after, facts)))


def _learn(record: Record, facts: Mapping[str, Any], **changes: object) -> Record:
    """Merge facts by name, checked against what this kind of record may know.

    Raises:
        ValidationError: a fact that the record has no field for, or of another type.
    """
    known: Any = record.model_dump().get("facts", {})
    merged = type(record).model_validate(record.model_dump() | {"facts": {**known, **facts}})
    return merged.model_copy(update=changes)


def change_job(claim: Claim, end: Exit, *, now: datetime, is_woken: bool) -> Row:
    """Return what an outcome makes of a job.

    Args:
        claim: how the job was held.
        end: how the claim ended.
        now: the database's clock.
        is_woken: somebody woke the job while it was held; it is looked at again at once, unless it is ready anyway.
    """
    change: dict[str, Any] = _plan(claim, end, now=now)
    if is_woken and change["state"] is not State.READY and change["state"] is not State.OVER:
        change = change | {"state": State.READY, "due": _soonest(change["due"], now)}
    return change | {"state": str(change["state"])}


def _soonest(due: datetime | None, now: datetime) -> datetime:
    """Return when a job is due that was woken while it was held: a moment that it asked for itself is left to it."""
    return due if due is not None and due - now <= MOMENT else now


def _plan(claim: Claim, end: Exit, *, now: datetime) -> Row:
    match end.outcome:
        case None:
            return _plan_without_outcome(claim, end, now=now)
        case Done() if end.recurring:
            return _OVER | _ANSWERED | {"state": State.IDLE}
        case Done() if end.next_step:
            return _OVER | _ANSWERED | {"state": State.READY, "due": now, "queue": end.queue.value}
        case Done():
            return _OVER
        case Wait(after=after, reason=reason, message=message):
            note: Row = {"reason": reason, "message": message}
            return _ANSWERED | note | {"state": State.WAITING, "due": now + after}
        case Stalled() | Refused() | Ended() as outcome:
            note = _ANSWERED | {"reason": outcome.reason, "message": outcome.message}
            is_over = not end.recurring and not isinstance(outcome, Stalled)
            return _OVER | note if is_over else note | {"state": State.STALLED, "due": now + STALLED_LOOK}
        case _:
            assert_never(end.outcome)


def _plan_without_outcome(claim: Claim, end: Exit, *, now: datetime) -> Row:
    later = now + timedelta(seconds=end.retry_after)
    if end.error:
        counted = {"attempts": claim.attempts + 1} if end.is_unforeseen else {"retries": claim.retries + 1}
        return {"state": State.RETRYING, "due": later, "reason": "Retrying", "message": end.error, **counted}
    if end.record is None and not end.recurring:
        return _OVER
    return {"state": State.READY, "due": later, "queue": end.queue.value}
