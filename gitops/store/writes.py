"""Carries out what steps ask for beside their own facts, each with its audit entry where it changes a state."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import delete, func, select, update
from sqlalchemy.sql import ColumnElement

from gitops.audit.entry import Actor, Event, Subject, format_time
from gitops.holding import EVERYWHERE
from gitops.records import Cause, Hold, Promotion, Record, Repository, Rollout, Training
from gitops.steps import Phase, Queue
from gitops.store.deciding import hold_endpoint, hold_place, hold_proposals
from gitops.store.entries import actor_of, cause_of, named_actor, to_evidence
from gitops.store.failures import GaveWayError
from gitops.store.jobs import lock_job, wake_job, wake_jobs
from gitops.store.locks import keep_lock
from gitops.store.opening import cancel_record, insert_record, refuse_record, supersede_record
from gitops.store.outbox import route_notice, settle_letter
from gitops.store.queries import read_training_of
from gitops.store.rows import (
    PROMOTION,
    ROLLOUT,
    TRAINING,
    TRIAL,
    Kind,
    hold_name,
    insert_new,
    read_all,
    read_one,
    to_row,
    write_row,
)
from gitops.store.tables import (
    OPEN_PHASES,
    declined,
    environments,
    holds,
    promotions,
    repositories,
    rollouts,
    searches,
    versions,
    watched_refs,
)
from gitops.store.transaction import Transaction
from gitops.writes import (
    Audit,
    CancelTraining,
    DeclineVersion,
    KeepLock,
    KeepSpace,
    LiftHold,
    MoveRef,
    OpenPromotion,
    OpenRollout,
    ReconsiderVersion,
    RefusePromotion,
    RouteNotice,
    SaveEnvironment,
    SaveRepository,
    SaveVersion,
    SetHold,
    SettleLetter,
    StartTraining,
    StartTrial,
    Wake,
)

M = TypeVar("M", bound=Record)


def apply_write(tx: Transaction, write: object, cause: Cause) -> None:
    """Carry out one write.

    Args:
        tx: the transaction that ends the step.
        write: one of `gitops.writes`.
        cause: what made the asking record come into being.

    Raises:
        TypeError: the value is no write.
    """
    carry_out = _WRITES.get(type(write))
    if carry_out is None:
        raise TypeError(f"{type(write).__name__} is not one of gitops.writes")
    carry_out(tx, write, cause)


def _start_training(tx: Transaction, write: StartTraining, _: Cause) -> None:
    new = write.training
    if new.nonce:
        # The index knows unforced ones alone; a nonce is one training all the same.
        hold_name(tx.connection, f"training:{new.nonce}")
        if read_training_of(tx.connection, new) is not None:
            return
    committed = {"committed_at": format_time(write.committed_at)} if write.committed_at else {}
    by_hand = new.facts.model_dump(include={"trial", "search_of", "chosen"})
    insert_record(tx, TRAINING, new, event="started", evidence=committed | by_hand, step=write.step)


def _keep_space(tx: Transaction, write: KeepSpace, _: Cause) -> None:
    insert_new(tx.connection, searches, {"training_id": write.training_id, "space": write.space})


def _start_trial(tx: Transaction, write: StartTrial, _: Cause) -> None:
    new = write.trial
    evidence = {"number": new.number, "parameters": new.parameters}
    insert_record(tx, TRIAL, new, event="started", evidence=evidence, queue=Queue.TRAINING)


def _cancel_training(tx: Transaction, write: CancelTraining, cause: Cause) -> None:
    # Whoever ends it at this moment holds its job: what is read behind the lock stays so.
    lock_job(tx, TRAINING.name, write.training_id)
    training = read_one(tx.connection, TRAINING.table, Training, TRAINING.table.c.id == write.training_id)
    if training is None or training.phase.is_final:
        return
    message = f"{write.by} called it off" + (f": {write.reason}" if write.reason else "")
    cancel_record(tx, TRAINING, training, message=message, cause=cause)


def _open_promotion(tx: Transaction, write: OpenPromotion, _: Cause) -> None:
    new = write.promotion
    here = (promotions.c.repository_id == new.repository_id, promotions.c.environment == new.environment)
    model = (*here, promotions.c.model == new.model)
    hold_proposals(tx.connection, new.repository_id, environment=new.environment, model=new.model)
    old = _hold_open(tx, PROMOTION, Promotion, *model, promotions.c.phase.in_(OPEN_PHASES))
    if old is not None and old.version == new.version:
        wake_job(tx, PROMOTION.name, old.id, queue=Queue.CONTROL, after=None)
        return
    if old is not None:
        supersede_record(tx, PROMOTION, old, message=f"version {new.version} takes its place")
    evidence = {"merge": new.merge.value, "path": new.path, "superseded": old.id if old else None}
    newest = (*model, promotions.c.version == new.version)
    _insert_only(tx, PROMOTION, new, newest=newest, evidence=evidence)


def _refuse_promotion(tx: Transaction, write: RefusePromotion, _: Cause) -> None:
    facts = write.promotion.facts.model_dump()
    refuse_record(tx, PROMOTION, write.promotion, reason=write.reason, message=write.message, evidence=facts)


def _open_rollout(tx: Transaction, write: OpenRollout, _: Cause) -> None:
    new = write.rollout
    here = (rollouts.c.target == new.target, rollouts.c.host == new.host, rollouts.c.endpoint == new.endpoint)
    hold_endpoint(tx.connection, target=new.target, host=new.host, endpoint=new.endpoint)
    old = _hold_open(tx, ROLLOUT, Rollout, *here, rollouts.c.phase == Phase.PENDING.value)
    if old is not None and _asks_the_same(old, new):
        wake_job(tx, ROLLOUT.name, old.id, queue=Queue.CONTROL, after=None)
        return
    if old is not None:
        supersede_record(tx, ROLLOUT, old, message=f"commit {new.commit} takes its place")
    evidence = {
        "direction": new.direction.value,
        "from_version": new.from_version or None,
        "path": new.path,
        "target": new.target,
        "host": new.host,
        "superseded": old.id if old else None,
    }
    newest = (rollouts.c.repository_id == new.repository_id, rollouts.c.path == new.path)
    _insert_only(tx, ROLLOUT, new, newest=newest, evidence=evidence)


def _hold_open(tx: Transaction, kind: Kind, model: type[M], *where: ColumnElement[bool]) -> M | None:
    """Return the open record that a new one may take the place of, held so that nobody else moves it any more."""
    seen = read_one(tx.connection, kind.table, model, *where)
    if seen is None:
        return None
    lock_job(tx, kind.name, seen.id)
    return read_one(tx.connection, kind.table, model, kind.table.c.id == seen.id, *where)


def _insert_only(
    tx: Transaction,
    kind: Kind,
    new: Record,
    *,
    newest: Sequence[ColumnElement[bool]],
    evidence: Mapping[str, object],
) -> None:
    """Insert a record that is the only open one.

    Args:
        newest: among which records it must come out as the newest, also when the clock was set back.

    Raises:
        GaveWayError: somebody else opened one since we looked; the transaction is done again.
    """
    last = tx.connection.execute(select(func.max(kind.table.c.created_at)).where(*newest)).scalar_one()
    created = max(tx.now, last + timedelta(microseconds=1)) if last else tx.now
    if insert_record(tx, kind, new, event="opened", evidence=evidence, created=created):
        return
    if read_one(tx.connection, kind.table, kind.model, kind.table.c.id == new.id) is None:
        raise GaveWayError("DatabaseBusy", f"another {kind.name} was opened at the same moment; it is tried again")


def _asks_the_same(old: Rollout, new: Rollout) -> bool:
    names = ("repository_id", "path", "commit", "model", "version", "direction")
    return all(getattr(old, name) == getattr(new, name) for name in names)


def _move_ref(tx: Transaction, write: MoveRef, _: Cause) -> None:
    write_row(tx.connection, watched_refs, to_row(write.ref))


def _save_repository(tx: Transaction, write: SaveRepository, cause: Cause) -> None:
    new = write.repository
    old = read_one(tx.connection, repositories, Repository, repositories.c.id == new.id, is_locked=True)
    if old == new:
        return
    write_row(tx.connection, repositories, to_row(new))
    subject = Subject(repo_id=new.id, repo=new.full_name)
    known = new.model_dump(exclude={"id", "full_name"})
    _record(
        tx, "repository.connected", subject=subject, cause=cause, evidence=known, before=old.full_name if old else ""
    )


def _save_version(tx: Transaction, write: SaveVersion, cause: Cause) -> None:
    new = write.version
    row = to_row(new, created_at=new.created_at or tx.now)
    if not insert_new(tx.connection, versions, row):
        return
    subject = Subject(
        repo=new.repository, sha=new.commit, training_id=new.training_id, model=new.model, version=new.version
    )
    judged = {"verdict", "metrics", "gates"} | ({"tier", "tiers", "min_tiers"} if new.tiers else set())
    evidence = new.model_dump(include={"manifest_sha256", "run_id", "environment_key", "lock_sha256"} | judged)
    _record(tx, "version.recorded", subject=subject, cause=cause, evidence=evidence, after=new.verdict)


def _save_environment(tx: Transaction, write: SaveEnvironment, _: Cause) -> None:
    write_row(tx.connection, environments, to_row(write.environment), fields=write.fields)


def _set_hold(tx: Transaction, write: SetHold, _: Cause) -> None:
    new = write.hold
    hold_place(tx.connection, new.repository_id, path=new.path)
    row = to_row(new, created_at=new.created_at or tx.now)
    if not insert_new(tx.connection, holds, row):
        return
    evidence = {"reason": new.reason, "message": new.message, "path": new.path}
    event = Event(
        kind="hold.set",
        actor=_actor(new.author, new.cause),
        cause=cause_of(new.cause),
        subject=_hold_subject(new),
        to="Held",
        evidence=to_evidence(evidence),
    )
    tx.record(event)


def _lift_hold(tx: Transaction, write: LiftHold, cause: Cause) -> None:
    here = (holds.c.repository_id == write.repository_id, holds.c.path == write.path, holds.c.lifted_at.is_(None))
    lifted = read_all(tx.connection, holds, Hold, *here, order=(holds.c.created_at, holds.c.id), is_locked=True)
    # These and no others: one that was set since has no entry of ours.
    those = holds.c.id.in_([hold.id for hold in lifted])
    tx.connection.execute(update(holds).where(those).values(lifted_at=tx.now, lifted_by=write.by))
    for hold in lifted:
        event = Event(
            kind="hold.lifted",
            actor=_actor(write.by, cause),
            cause=cause_of(cause),
            subject=_hold_subject(hold),
            from_="Held",
            to="Lifted",
            evidence=to_evidence({"reason": write.reason or None, "path": write.path}),
        )
        tx.record(event)
    for kind, table in ((PROMOTION, promotions), (ROLLOUT, rollouts)):
        there = (table.c.repository_id == write.repository_id, table.c.path == write.path)
        held = () if write.repository_id == EVERYWHERE else there
        wake_jobs(tx, kind.name, select(table.c.id).where(table.c.phase.in_(OPEN_PHASES), *held))


def _hold_subject(hold: Hold) -> Subject:
    return Subject(
        repo_id=hold.repository_id,
        env=hold.environment,
        model=hold.model,
        rollout_id=hold.rollout_id,
        name=hold.id,
    )


def _decline_version(tx: Transaction, write: DeclineVersion, cause: Cause) -> None:
    key = {
        "repository_id": write.repository_id,
        "environment": write.environment,
        "model": write.model,
        "version": write.version,
    }
    if not insert_new(tx.connection, declined, {**key, "by": write.by, "created_at": tx.now}):
        return
    subject = Subject(repo_id=write.repository_id, env=write.environment, model=write.model, version=write.version)
    event = Event(kind="promotion.declined", actor=_actor(write.by, cause), cause=cause_of(cause), subject=subject)
    tx.record(event)


def _reconsider_version(tx: Transaction, write: ReconsiderVersion, cause: Cause) -> None:
    names = ("repository_id", "environment", "model", "version")
    this = [declined.c[name] == getattr(write, name) for name in names]
    gone = tx.connection.execute(delete(declined).where(*this).returning(declined.c.by)).first()
    if gone is None:
        return
    subject = Subject(repo_id=write.repository_id, env=write.environment, model=write.model, version=write.version)
    event = Event(
        kind="promotion.reconsidered",
        actor=_actor(write.by, cause),
        cause=cause_of(cause),
        subject=subject,
        evidence=to_evidence({"declined_by": gone.by}),
    )
    tx.record(event)


def _wake(tx: Transaction, write: Wake, _: Cause) -> None:
    wake_job(tx, write.kind, write.subject, queue=Queue.CONTROL, after=None, within=write.within)


def _audit(tx: Transaction, write: Audit, cause: Cause) -> None:
    known: dict[str, Any] = dict(write.subject)
    _record(tx, write.kind, subject=Subject(**known), cause=cause, evidence=write.evidence)


def _actor(login: str, cause: Cause) -> Actor:
    """Return who did it, with how they were known where it was they who asked."""
    return actor_of(cause) if cause.kind == "command" and cause.actor == login else named_actor(login)


def _record(
    tx: Transaction,
    kind: str,
    *,
    subject: Subject,
    cause: Cause,
    evidence: Mapping[str, object],
    before: str = "",
    after: str = "",
) -> None:
    event = Event(
        kind=kind,
        actor=actor_of(cause),
        cause=cause_of(cause),
        subject=subject,
        from_=before,
        to=after,
        evidence=to_evidence(evidence),
    )
    tx.record(event)


_WRITES: Mapping[type, Callable[[Transaction, Any, Cause], None]] = {
    StartTraining: _start_training,
    KeepSpace: _keep_space,
    StartTrial: _start_trial,
    CancelTraining: _cancel_training,
    OpenPromotion: _open_promotion,
    RefusePromotion: _refuse_promotion,
    OpenRollout: _open_rollout,
    MoveRef: _move_ref,
    SaveRepository: _save_repository,
    KeepLock: lambda tx, write, _: keep_lock(tx, write),
    SaveVersion: _save_version,
    SaveEnvironment: _save_environment,
    SetHold: _set_hold,
    LiftHold: _lift_hold,
    DeclineVersion: _decline_version,
    ReconsiderVersion: _reconsider_version,
    Wake: _wake,
    Audit: _audit,
    RouteNotice: lambda tx, write, _: route_notice(tx, write),
    SettleLetter: lambda tx, write, _: settle_letter(tx, write),
}
