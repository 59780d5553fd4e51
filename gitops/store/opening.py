"""Brings records into being, each with its job: at the door, by a command, by a step. And takes their place."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from gitops.errors import ConflictError
from gitops.ports import Received
from gitops.records import Cause, Command, Delivery, Record
from gitops.steps import Phase, Queue
from gitops.store.entries import end_evidence, record_event
from gitops.store.jobs import end_job, new_job, wake_job
from gitops.store.rows import (
    COMMAND,
    Kind,
    insert_new,
    insert_new_rows,
    read_one,
    save_state,
    to_row,
)
from gitops.store.tables import commands, deliveries, jobs
from gitops.store.transaction import Transaction
from gitops.store.transitions import Change, cancel, supersede


def insert_record(
    tx: Transaction,
    kind: Kind,
    record: Record,
    *,
    event: str,
    evidence: Mapping[str, object] | None = None,
    created: datetime | None = None,
) -> bool:
    """Insert a record, its first entry and its job; nothing happens where an index knows it already.

    Args:
        event: the second part of the entry's kind.
        evidence: what the entry says beside the cause.
        created: the transaction's time by default.
    """
    new = _fresh(tx, record, revision=1, created=created)
    if not insert_new(tx.connection, kind.table, to_row(new)):
        return False
    cause = {"cause": new.cause.kind, "cause_id": new.cause.id or None}
    tx.record(record_event(new, event, evidence=cause | dict(evidence or {})))
    insert_new(tx.connection, jobs, new_job(kind.name, new.id, queue=Queue.CONTROL, due=tx.now))
    return True


def refuse_record(
    tx: Transaction, kind: Kind, record: Record, *, reason: str, message: str, evidence: Mapping[str, object]
) -> None:
    """Insert a record that a rule said no to before it began: it has no job, and its check tells why."""
    ended = {"phase": Phase.REFUSED, "reason": reason, "message": message}
    new = _fresh(tx, record, revision=1).model_copy(update=ended)
    if not insert_new(tx.connection, kind.table, to_row(new)):
        return
    cause = {"cause": new.cause.kind, "cause_id": new.cause.id or None}
    tx.record(record_event(new, "refused", evidence=end_evidence(new, cause | dict(evidence))))
    _report(tx, kind, new)


def supersede_record(tx: Transaction, kind: Kind, record: Record, *, message: str) -> None:
    """End a record that a newer one takes the place of; whoever works on it writes nothing any more."""
    _end_record(tx, kind, supersede(record, message=message))


def cancel_record(tx: Transaction, kind: Kind, record: Record, *, message: str, cause: Cause) -> None:
    """End a record that a person calls off; whoever works on it writes nothing any more.

    Args:
        cause: who calls it off, and by which command.
    """
    _end_record(tx, kind, cancel(record, message=message, cause=cause))


def _end_record(tx: Transaction, kind: Kind, change: Change) -> None:
    save_state(tx.connection, kind, change.record, now=tx.now)
    if change.event is not None:
        tx.record(change.event)
    end_job(tx, kind.name, change.record.id)
    _report(tx, kind, change.record)


def _report(tx: Transaction, kind: Kind, record: Record) -> None:
    """Have the forge told of an end that no step comes to; a check would stay pending for ever."""
    wake_job(tx, "report", f"{kind.name}:{record.id}", queue=Queue.CONTROL, after=None)


def save_command(tx: Transaction, command: Command) -> Command:
    """Store a command and its job, or return the one that has the same idempotency key.

    Raises:
        ConflictError: `IdempotencyKeyUsed` when the key was used for something else.
    """
    new = _fresh(tx, command)
    if insert_new(tx.connection, commands, to_row(new)):
        insert_new(tx.connection, jobs, new_job(COMMAND.name, new.id, queue=Queue.CONTROL, due=tx.now))
    kept = read_one(tx.connection, commands, Command, commands.c.idempotency_key == command.idempotency_key)
    if kept is None or (kept.verb, kept.arguments) != (command.verb, command.arguments):
        raise ConflictError("IdempotencyKeyUsed", "this idempotency key was used for another command; make a new one")
    return kept


def save_deliveries(tx: Transaction, batch: Sequence[Delivery]) -> list[Received]:
    """Store deliveries, and say for each what became of it; sorted, so that writers cannot entangle.

    Their jobs are made by the database.
    """
    first: dict[str, Delivery] = {}
    for delivery in batch:
        first.setdefault(delivery.id, delivery)
    rows = [to_row(_fresh(tx, first[guid])) for guid in sorted(first)]
    new = insert_new_rows(tx.connection, deliveries, rows) if rows else set()
    digests = _stored_digests(tx, first.keys() - new) | {guid: first[guid].body_sha256 for guid in new}
    unseen = set(new)
    return [_receive(delivery, digests, unseen) for delivery in batch]


def _stored_digests(tx: Transaction, guids: set[str]) -> dict[str, str]:
    query = select(deliveries.c.id, deliveries.c.body_sha256).where(deliveries.c.id.in_(guids))
    return dict(tx.connection.execute(query).all()) if guids else {}


def _receive(delivery: Delivery, digests: Mapping[str, str], unseen: set[str]) -> Received:
    if delivery.id in unseen:
        unseen.remove(delivery.id)
        return Received.NEW
    return Received.DUPLICATE if digests[delivery.id] == delivery.body_sha256 else Received.CONFLICT


def _fresh(tx: Transaction, record: Record, *, revision: int = 0, created: datetime | None = None) -> Record:
    times = {"created_at": created or tx.now, "updated_at": tx.now}
    start = {"phase": Phase.PENDING, "step": "", "revision": revision, **times}
    return record.model_copy(update=start)
