"""What is written to the audit log about a change: the event of a record, a hold, a version. Values in, events out.

An event must never keep a story from going on, so whatever a step learned is brought into a form that an entry can
hold: floats become their shortest decimal text, raw logs stay out (their digest is a fact), too much becomes a digest.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic_core import to_json, to_jsonable_python

from gitops.audit.entry import MAX_ENTRY_BYTES, Actor, Event, Evidence, Subject
from gitops.audit.entry import Cause as AuditCause
from gitops.records import Cause, Command, Direction, Promotion, Record, Rollout, Training
from gitops.steps import Phase
from gitops.store.storable import to_text
from gitops.trials import Trial

SERVICE_ACTOR = "launchpin"

_LARGEST = 2**53 - 1
_DEEPEST = 3
_LONGEST_EVIDENCE = MAX_ENTRY_BYTES // 4
_RAW_LOGS = "log_tail"
_SUMMARY = {
    "training": ("verdict", "tier", "gates", "manifest_sha256"),
    "trial": ("run_id", "metrics", "log_sha256"),
    "promotion": ("merged_by", "merge_sha", "reviews", "approved_by"),
    "rollout": ("serving", "unchanged"),
}
"""Facts that the entry of a story's end repeats, so that it says by itself what came out."""


def record_event(
    record: Record,
    event: str,
    *,
    before: Record | None = None,
    evidence: Mapping[str, object] | None = None,
    cause: Cause | None = None,
) -> Event:
    """Return the event of a record's change.

    Args:
        record: as it is after the change; its revision joins it to the entry.
        event: the second part of the entry's kind, `started` for example.
        before: as it was; None when it comes into being.
        evidence: what was learned.
        cause: of this change, where it is not what brought the record into being.
    """
    behind = cause or record.cause
    return Event(
        kind=f"{kind_of(record)}.{event}",
        actor=actor_of(behind),
        cause=cause_of(behind),
        subject=subject_of(record),
        from_=state_of(before) if before else "",
        to=state_of(record),
        evidence=to_evidence(evidence or {}),
    )


def end_evidence(record: Record, facts: Mapping[str, object]) -> dict[str, object]:
    """Return the evidence of a story's end: the outcome's facts, why it ended, and what came out."""
    known = record.facts.model_dump() if hasattr(record, "facts") else {}
    summary = {name: known[name] for name in _SUMMARY.get(kind_of(record), ()) if known.get(name)}
    if isinstance(record, Promotion):
        summary["path"] = record.path
    if isinstance(record, Rollout) and record.direction is Direction.ROLLBACK:
        summary["direction"] = record.direction.value
    return summary | dict(facts) | {"reason": record.reason or None, "message": record.message or None}


def kind_of(record: Record) -> str:
    """Return the record's kind, as jobs and entries call it."""
    return type(record).__name__.lower()


def state_of(record: Record) -> str:
    """Return where a record stands in one word, or two while it runs: `Running judge`."""
    return f"{record.phase} {record.step}" if record.phase is Phase.RUNNING else str(record.phase)


def actor_of(cause: Cause) -> Actor:
    """Return who is behind a cause."""
    method = "webhook" if cause.kind == "delivery" else cause.method
    return named_actor(cause.actor, auth_method=method, token_id=cause.token)


def named_actor(login: str, *, auth_method: str = "", token_id: str = "") -> Actor:
    """Return the person of this login, or the service itself."""
    # Somebody who asked us may be called as we are; how we knew them tells them from us.
    if not login or (login == SERVICE_ACTOR and auth_method in {"", "webhook"}):
        return Actor(type="service", login=SERVICE_ACTOR)
    return Actor(type="user", login=login, auth_method=auth_method, token_id=token_id)


def cause_of(cause: Cause) -> AuditCause:
    """Return the delivery or request behind a change; a story started by another one is in its first evidence."""
    return AuditCause(
        delivery_guid=cause.id if cause.kind == "delivery" else "",
        body_sha256=cause.body_sha256,
        request_id=cause.id if cause.kind == "command" else "",
    )


def subject_of(record: Record) -> Subject:
    """Return what a record is about."""
    match record:
        case Training():
            return Subject(
                repo_id=record.repository_id,
                repo=record.repository,
                ref=record.ref,
                sha=record.commit,
                config_sha256=record.config_sha256,
                training_id=record.id,
                attempt=record.facts.attempt or record.attempt,
                model=record.model,
                version=record.facts.version or "",
                revision=record.revision,
            )
        case Trial():
            return _trial_subject(record)
        case Promotion():
            return _promotion_subject(record)
        case Rollout():
            return _rollout_subject(record)
        case Command():
            return Subject(command_id=record.id, name=record.verb, revision=record.revision)
        case _:
            return Subject(name=record.id)


def _trial_subject(record: Trial) -> Subject:
    return Subject(
        repo_id=record.repository_id,
        repo=record.repository,
        sha=record.commit,
        training_id=record.training_id,
        attempt=record.facts.attempt or 1,
        model=record.model,
        revision=record.revision,
        name=record.id,
    )


def _promotion_subject(record: Promotion) -> Subject:
    return Subject(
        repo_id=record.repository_id,
        repo=record.repository,
        training_id=record.training_id,
        promotion_id=record.id,
        model=record.model,
        version=record.version,
        env=record.environment,
        pr=record.facts.number or 0,
        revision=record.revision,
    )


def _rollout_subject(record: Rollout) -> Subject:
    return Subject(
        repo_id=record.repository_id,
        repo=record.repository,
        sha=record.commit,
        rollout_id=record.id,
        model=record.model,
        version=record.version,
        env=record.environment,
        endpoint=record.endpoint,
        revision=record.revision,
    )


def to_evidence(facts: Mapping[str, object]) -> Evidence:
    """Return facts in the form that an entry can hold; more than 64 KiB are recorded by their digest."""
    known = {key: value for key, value in facts.items() if value is not None and key != _RAW_LOGS}
    evidence = {to_text(key): _to_value(value, depth=0) for key, value in known.items()}
    raw = to_json(evidence)
    if len(raw) > _LONGEST_EVIDENCE:
        evidence = {"evidence_sha256": hashlib.sha256(raw).hexdigest(), "evidence_bytes": len(raw)}
    return cast("Evidence", evidence)


def _to_value(value: object, *, depth: int) -> object:
    plain = value if isinstance(value, (str, int, float, Mapping, list, tuple)) else to_jsonable_python(value)
    if isinstance(plain, (Mapping, list, tuple)):
        return _to_container(plain, depth=depth)
    match plain:
        case str():
            return to_text(plain)
        case bool():
            return plain
        case int() if abs(plain) <= _LARGEST:
            return plain
        case _:
            return repr(plain)


def _to_container(value: Mapping[object, object] | Sequence[object], *, depth: int) -> object:
    """Return a container of values that an entry can hold; what lies too deep becomes its JSON text."""
    if depth >= _DEEPEST:
        return to_text(to_json(value).decode())
    if isinstance(value, Mapping):
        known = {to_text(str(key)): inner for key, inner in value.items() if inner is not None}
        return {key: _to_value(inner, depth=depth + 1) for key, inner in known.items()}
    return [_to_value(inner, depth=depth + 1) for inner in value if inner is not None]
