"""The one exit: a record's new state, its audit entry, every further write and the job, in one transaction."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.sql import ColumnElement

from gitops.notices import stalled_job
from gitops.ports import Claim, Exit
from gitops.records import Cause, Record, Rollout
from gitops.steps import Done, Ended, Phase, Refused, Stalled, Wait
from gitops.store.deciding import refuse_unseen
from gitops.store.jobs import check_held, read_reason, release_job, wake_jobs, was_released
from gitops.store.opening import tell_family
from gitops.store.outbox import TELLING
from gitops.store.rows import KINDS, ROLLOUT, Kind, read_one, save_state
from gitops.store.storable import storable_exit
from gitops.store.tables import rollouts
from gitops.store.transaction import Transaction
from gitops.store.transitions import change_job, change_record
from gitops.store.writes import apply_write

_TURN = timedelta(seconds=30)


def finish_claim(tx: Transaction, claim: Claim, end: Exit) -> None:
    """Write how a claim ended and give the job back; nothing more where an earlier try did.

    Raises:
        StaleEpochError: when somebody else holds the job.
        ValidationError: a fact that the record has no field for.
    """
    if tx.is_again and was_released(tx, claim):
        return
    is_woken = check_held(tx, claim)
    end = storable_exit(end)
    kind = KINDS.get(claim.kind) if end.record is not None else None
    record = read_one(tx.connection, kind.table, kind.model, kind.table.c.id == claim.subject) if kind else None
    if record is not None and kind is not None:
        end = refuse_unseen(tx, record, _wait_for_turn(tx, record, end))
        _save(tx, kind, record, end)
    cause = record.cause if record else Cause(kind=claim.kind, id=claim.subject)
    for write in end.outcome.writes if end.outcome else ():
        apply_write(tx, write, cause)
    if kind is None or not kind.is_audited:
        _tell_stalled(tx, claim, end)
    release_job(tx, claim, change_job(claim, end, now=tx.now, is_woken=is_woken))


def _save(tx: Transaction, kind: Kind, record: Record, end: Exit) -> None:
    change = change_record(record, end, is_audited=kind.is_audited)
    save_state(tx.connection, kind, change.record, now=tx.now)
    if change.event is not None:
        tx.record(change.event)
    tell_family(tx, change.record)
    if isinstance(change.record, Rollout) and change.record.phase.is_final:
        wake_jobs(tx, ROLLOUT.name, select(rollouts.c.id).where(*_same_endpoint(change.record)))


def _tell_stalled(tx: Transaction, claim: Claim, end: Exit) -> None:
    """Have somebody told, once, of work without entries of its own that waits for a person; telling is not told of."""
    match end.outcome:
        case Stalled(reason=reason, message=message):
            pass
        case Refused(reason=reason, message=message) if end.recurring:
            pass
        case Ended(reason=reason, message=message) if end.recurring:
            pass
        case _:
            return
    if tx.is_told and claim.kind not in TELLING and read_reason(tx, claim) != reason:
        tx.tell(stalled_job(claim.kind, claim.subject, reason=reason, message=message))


def _wait_for_turn(tx: Transaction, record: Record, end: Exit) -> Exit:
    """Let a rollout begin only when none runs on its endpoint; the unique index would refuse it anyway."""
    if not isinstance(record, Rollout) or record.phase is not Phase.PENDING or not isinstance(end.outcome, Done):
        return end
    running = (*_same_endpoint(record), rollouts.c.phase == Phase.RUNNING.value)
    holder = read_one(tx.connection, rollouts, Rollout, *running)
    if holder is None or not end.next_step:
        return end
    message = f"rollout {holder.id} of version {holder.version} is under way"
    return replace(end, outcome=Wait(after=_TURN, reason="Locked", message=message))


def _same_endpoint(record: Rollout) -> tuple[ColumnElement[bool], ...]:
    return (
        rollouts.c.target == record.target,
        rollouts.c.host == record.host,
        rollouts.c.endpoint == record.endpoint,
        rollouts.c.phase.in_((Phase.PENDING.value, Phase.RUNNING.value)),
    )
