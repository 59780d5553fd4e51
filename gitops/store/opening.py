"""Brings records into being, each with its job: at the door, by a command, by a step. And takes their place."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from gitops.errors import ConflictError
from gitops.ports import Received
from gitops.records import Cause, Command, Delivery, Record, Training
from gitops.standing import NOT_AS_SEEN, Expected
from gitops.steps import Phase, Queue
from gitops.store.deciding import hold_place
from gitops.store.entries import end_evidence, record_event
from gitops.store.jobs import end_job, lock_job, new_job, wake_job
from gitops.store.queries import read_standing
from gitops.store.rows import (
    COMMAND,
    TRAINING,
    TRIAL,
    Kind,
    insert_new,
    insert_new_rows,
    read_one,
    save_state,
    to_row,
)
from gitops.store.tables import OPEN_PHASES, commands, deliveries, jobs, trials
from gitops.store.transaction import Transaction
from gitops.store.transitions import Change, cancel, supersede
from gitops.trials import Trial

# Whoever trains notices within a second or two. A run that is ended before its script is could be ended anew by it.
_NOTICED = timedelta(seconds=5)


def insert_record(
    tx: Transaction,
    kind: Kind,
    record: Record,
    *,
    event: str,
    evidence: Mapping[str, object] | None = None,
    created: datetime | None = None,
    step: str = "",
    queue: Queue = Queue.CONTROL,
) -> bool:
    """Insert a record, its first entry and its job; nothing happens where an index knows it already.

    Args:
        event: the second part of the entry's kind.
        evidence: what the entry says beside the cause.
        created: the transaction's time by default.
        step: where it begins, the first step by default.
        queue: where that one runs.
    """
    new = _fresh(tx, record, revision=1, created=created).model_copy(update={"step": step})
    if not insert_new(tx.connection, kind.table, to_row(new)):
        return False
    cause = {"cause": new.cause.kind, "cause_id": new.cause.id or None}
    tx.record(record_event(new, event, evidence=cause | dict(evidence or {})))
    insert_new(tx.connection, jobs, new_job(kind.name, new.id, queue=queue, due=tx.now))
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
    _end_record(tx, kind, cancel(record, message=message, cause=cause), cause=cause)


def _end_record(tx: Transaction, kind: Kind, change: Change, *, cause: Cause | None = None) -> None:
    save_state(tx.connection, kind, change.record, now=tx.now)
    if change.event is not None:
        tx.record(change.event)
    end_job(tx, kind.name, change.record.id)
    tell_family(tx, change.record, cause=cause)
    _report(tx, kind, change.record)


def _report(tx: Transaction, kind: Kind, record: Record) -> None:
    """Have the forge told of an end that no step comes to; a check would stay pending for ever."""
    wake_job(tx, "report", f"{kind.name}:{record.id}", queue=Queue.CONTROL, after=None)


def tell_family(tx: Transaction, record: Record, *, cause: Cause | None = None) -> None:
    """Wake the search whose trial this is, where it is over or must wait; end the trials of a training that is over.

    Args:
        cause: of the end, where it is not what brought the record into being.
    """
    if isinstance(record, Trial) and (record.phase.is_final or record.reason):
        wake_job(tx, TRAINING.name, record.training_id, queue=Queue.CONTROL, after=None)
    if isinstance(record, Training) and record.phase.is_final:
        under_way = (trials.c.training_id == record.id, trials.c.phase.in_(OPEN_PHASES))
        names = tx.connection.execute(select(trials.c.id).where(*under_way).order_by(trials.c.number)).scalars().all()
        for name in names:
            _end_trial(tx, name, record, cause or record.cause)


def _end_trial(tx: Transaction, trial_id: str, training: Training, cause: Cause) -> None:
    """End a trial that nobody waits for any more; whoever works on it writes nothing, and its run is ended later."""
    lock_job(tx, TRIAL.name, trial_id)
    trial = read_one(tx.connection, trials, Trial, trials.c.id == trial_id)
    if trial is None or trial.phase.is_final:
        return
    message = f"its training is over ({training.phase}): {training.message or training.reason}"
    change = cancel(trial, message=message, cause=cause)
    save_state(tx.connection, TRIAL, change.record, now=tx.now)
    if change.event is not None:
        tx.record(change.event)
    end_job(tx, TRIAL.name, trial_id)
    wake_job(tx, "runs", trial_id, queue=Queue.CONTROL, after=None, within=_NOTICED)


def save_command(tx: Transaction, command: Command, *, expected: Expected | None = None) -> Command:
    """Store a command and its job, or return the one that has the same idempotency key.

    Args:
        expected: the endpoint as whoever asks has seen it. Whoever lost our answer asks again with what they knew then;
            that the endpoint has changed since is their doing.

    Raises:
        ConflictError: `IdempotencyKeyUsed` when the key was used for something else, or `NotAsSeen`.
    """
    of_key = commands.c.idempotency_key == command.idempotency_key
    if expected is not None:
        hold_place(tx.connection, expected.repository_id, path=expected.path)
        if read_one(tx.connection, commands, Command, of_key) is None:
            command = _note_seen(tx, command, expected)
    new = _fresh(tx, command)
    if insert_new(tx.connection, commands, to_row(new)):
        insert_new(tx.connection, jobs, new_job(COMMAND.name, new.id, queue=Queue.CONTROL, due=tx.now))
    kept = read_one(tx.connection, commands, Command, of_key)
    if kept is None or (kept.verb, kept.arguments) != (command.verb, command.arguments):
        raise ConflictError("IdempotencyKeyUsed", "this idempotency key was used for another command; make a new one")
    return kept


def _note_seen(tx: Transaction, command: Command, expected: Expected) -> Command:
    """Return a command with how its endpoint stands, so that it is carried out only while that is so.

    Raises:
        ConflictError: `NotAsSeen`.
    """
    now = read_standing(tx.connection, expected.repository_id, path=expected.path)
    if now is None:
        raise ConflictError(NOT_AS_SEEN, f"{expected.path} is not there any more. Look again, and decide anew.")
    if now.tag not in expected.tags:
        message = f"{now.environment.endpoint} is not as you have seen it: {now.sentence}. Look again, and decide anew."
        raise ConflictError(NOT_AS_SEEN, message)
    return command.model_copy(update={"facts": command.facts.model_copy(update={"seen": now.digest_for(command.verb)})})


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
