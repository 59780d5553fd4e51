"""Jobs: who may work on what, and when. The row is the truth; a message on a queue is only a hint.

A job is due at one time: when it is ready, or when its lease ends. So a lost worker's job comes up by itself, and one
index answers every question of the relay.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, case, func, select, update
from sqlalchemy import Row as SqlRow
from sqlalchemy.sql import ColumnElement

from gitops.errors import StaleEpochError
from gitops.ports import Claim, JobView, QueueDepth
from gitops.ports.tallies import HeldJob
from gitops.steps import Queue
from gitops.store.failures import GaveWayError
from gitops.store.leading import doubt_leases, is_settled
from gitops.store.rows import KINDS, Row, insert_new
from gitops.store.tables import jobs
from gitops.store.transaction import Transaction

_NEVER = datetime.max.replace(tzinfo=UTC)
_HINTS = 64
MOMENT = timedelta(seconds=1)
"""How long a job that was woken while it was held may be left all the same."""


class State(StrEnum):
    """What a job is doing."""

    READY = "ready"
    LEASED = "leased"
    WAITING = "waiting"
    STALLED = "stalled"
    RETRYING = "retrying"
    IDLE = "idle"  # until somebody wakes it
    OVER = "over"


def new_job(kind: str, subject: str, *, queue: Queue, due: datetime) -> Row:
    """Return the row of a job that nobody has held yet."""
    return {
        "kind": kind,
        "subject": subject,
        "queue": queue.value,
        "state": State.READY.value,
        "due": due,
        "epoch": 0,
        "owner": "",
        "attempts": 0,
        "retries": 0,
        "lost": 0,
        "wakes": 0,
        "woken_at_claim": 0,
        "reason": "",
        "message": "",
    }


def is_known(connection: Connection, job: int) -> bool:
    """Return whether there is or was a job of that number."""
    return connection.execute(select(jobs.c.id).where(jobs.c.id == job)).first() is not None


def is_any_ready(connection: Connection, queue: Queue, *, now: datetime) -> bool:
    """Return whether a claim would find something, without taking the write lock."""
    query = select(jobs.c.id).where(jobs.c.queue == queue.value, jobs.c.due <= now).limit(1)
    return connection.execute(query).first() is not None


def claim_job(tx: Transaction, queue: Queue, *, owner: str, lease: timedelta) -> Claim | None:
    """Take the oldest job that is due; a leased one is due when its worker was lost.

    Args:
        owner: names this very claim, so that it is found again when its commit's answer was lost.
    """
    row = tx.connection.execute(select(jobs).where(jobs.c.owner == owner)).first() if tx.is_again else None
    free = _may_be_taken(tx, queue, lease=lease)
    if row is None:
        row = _take(tx, free, owner=owner, lease=lease, skip_locked=True)
    if row is None and tx.connection.execute(select(jobs.c.id).where(*free).limit(1)).first() is not None:
        # Somebody holds its row until a commit, to wake it perhaps; whoever was told of it must not go away without it.
        row = _take(tx, free, owner=owner, lease=lease, skip_locked=False)
    if row is None:
        return None
    counts = {name: getattr(row, name) for name in ("attempts", "retries", "lost")}
    return Claim(row.id, row.kind, row.subject, Queue(row.queue), row.epoch, **counts)


def _may_be_taken(tx: Transaction, queue: Queue, *, lease: timedelta) -> tuple[ColumnElement[bool], ...]:
    """Return what a job must be; after a time in which no lease could be prolonged, none counts as run out yet."""
    due = (jobs.c.queue == queue.value, jobs.c.due <= tx.now)
    if is_settled(tx.connection, now=tx.now, lease=lease):
        return due
    ran_out = select(jobs.c.id).where(*due, jobs.c.state == State.LEASED.value).limit(1)
    if tx.connection.execute(ran_out).first() is not None and doubt_leases(tx, lease=lease):
        return due
    return *due, jobs.c.state != State.LEASED.value


def _take(
    tx: Transaction, free: tuple[ColumnElement[bool], ...], *, owner: str, lease: timedelta, skip_locked: bool
) -> SqlRow[Any] | None:
    oldest = (
        select(jobs.c.id)
        .where(*free)
        .order_by(jobs.c.due, jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=skip_locked)
        .scalar_subquery()
    )
    taken = {
        "state": State.LEASED.value,
        "epoch": jobs.c.epoch + 1,
        "lost": jobs.c.lost + case((jobs.c.state == State.LEASED.value, 1), else_=0),
        "owner": owner,
        "due": tx.now + lease,
        "woken_at_claim": jobs.c.wakes,
    }
    return tx.connection.execute(update(jobs).where(jobs.c.id == oldest).values(taken).returning(jobs)).first()


def renew_lease(tx: Transaction, claim: Claim, *, lease: timedelta) -> bool:
    """Prolong a lease; False when the job is no longer ours."""
    longer = update(jobs).where(*_ours(claim)).values(due=tx.now + lease).returning(jobs.c.id)
    return tx.connection.execute(longer).first() is not None


def is_ours(connection: Connection, claim: Claim) -> bool:
    """Return whether a job is still held by this claim."""
    return connection.execute(select(jobs.c.id).where(*_ours(claim))).first() is not None


def check_held(tx: Transaction, claim: Claim) -> bool:
    """Lock the job's row and return whether somebody woke it since it was claimed.

    Raises:
        StaleEpochError: when the job is no longer ours.
    """
    ours = select(jobs.c.wakes, jobs.c.woken_at_claim).where(*_ours(claim)).with_for_update()
    row = tx.connection.execute(ours).first()
    if row is None:
        raise StaleEpochError(claim.job, claim.epoch)
    return bool(row.wakes != row.woken_at_claim)


def was_released(tx: Transaction, claim: Claim) -> bool:
    """Return whether this very claim has given its job back, as its holder alone can."""
    given_back = (jobs.c.id == claim.job, jobs.c.epoch == claim.epoch, jobs.c.state != State.LEASED.value)
    return tx.connection.execute(select(jobs.c.id).where(*given_back)).first() is not None


def read_reason(tx: Transaction, claim: Claim) -> str:
    """Return what a held job waited for before it was claimed."""
    return str(tx.connection.execute(select(jobs.c.reason).where(jobs.c.id == claim.job)).scalar_one())


def release_job(tx: Transaction, claim: Claim, changes: Row) -> None:
    """Give a job back."""
    tx.connection.execute(update(jobs).where(*_ours(claim)).values({"owner": "", **changes}))


def _ours(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return jobs.c.id == claim.job, jobs.c.epoch == claim.epoch, jobs.c.state == State.LEASED.value


def lock_job(tx: Transaction, kind: str, subject: str) -> SqlRow[int, str, datetime | None] | None:
    """Lock a job's row, and with it the record that it is about; None when there is none.

    Whoever claims, finishes or wakes a job holds its row, so what is read behind the lock stays so until the commit.
    """
    this = (jobs.c.kind == kind, jobs.c.subject == subject)
    known = select(jobs.c.id, jobs.c.state, jobs.c.due).where(*this).with_for_update()
    return tx.connection.execute(known).first()


def end_job(tx: Transaction, kind: str, subject: str) -> None:
    """End a job from outside; whoever holds it writes nothing any more."""
    over = {"state": State.OVER.value, "due": None, "owner": "", "epoch": jobs.c.epoch + 1}
    tx.connection.execute(update(jobs).where(jobs.c.kind == kind, jobs.c.subject == subject).values(over))


def wake_job(
    tx: Transaction,
    kind: str,
    subject: str,
    *,
    queue: Queue,
    after: timedelta | None,
    within: timedelta = timedelta(0),
) -> int:
    """Make a job ready now or `within` a time, or with `after` only make sure that it exists; returns its number.

    A held job is only marked: it becomes ready when it is given back. A wake that may be left for more than a moment
    does not even that, so whoever gives one gives it again while there is news. A story that is over stays over. Also a
    job that is ready already stays locked until the commit, or it might be worked on before what it was woken for can
    be seen.
    """
    known = lock_job(tx, kind, subject)
    if known is None:
        insert_new(tx.connection, jobs, new_job(kind, subject, queue=queue, due=tx.now + (after or within)))
        known = lock_job(tx, kind, subject)
    if known is None:
        raise GaveWayError("DatabaseBusy", f"the job of {kind} {subject} was removed at this moment; it is tried again")
    changes = _wake(known, kind, now=tx.now, within=within) if after is None else None
    if changes:
        tx.connection.execute(update(jobs).where(jobs.c.id == known.id).values(changes))
    return int(known.id)


def _wake(known: SqlRow[int, str, datetime | None], kind: str, *, now: datetime, within: timedelta) -> Row | None:
    if known.state == State.LEASED.value:
        # A held job would become ready as soon as it is given back. What may be left for longer comes again by itself.
        return {"wakes": jobs.c.wakes + 1} if within <= MOMENT else None
    by = now + within
    is_asleep = known.due is None or known.due > by
    stays_over = kind in KINDS and known.state == State.OVER.value
    return {"state": State.READY.value, "due": by} if is_asleep and not stays_over else None


def wake_jobs(tx: Transaction, kind: str, subjects: Select[str]) -> None:
    """Wake the jobs about these subjects, where there are any."""
    # In one order everywhere, so that two who wake the same do not wait for each other.
    for subject in sorted(tx.connection.execute(subjects).scalars()):
        wake_job(tx, kind, subject, queue=Queue.CONTROL, after=None)


def read_depth(connection: Connection, *, now: datetime) -> list[QueueDepth]:
    """Return what is ready first on each queue that has something ready."""
    found = (_read_depth(connection, queue, now=now) for queue in Queue)
    return [depth for depth in found if depth.jobs]


def _read_depth(connection: Connection, queue: Queue, *, now: datetime) -> QueueDepth:
    # No count: the relay looks while a burst comes in, and a hundred thousand rows are many to count each time.
    ready = select(jobs.c.id, jobs.c.epoch, jobs.c.due).where(jobs.c.queue == queue.value, jobs.c.due <= now)
    first = connection.execute(ready.order_by(jobs.c.due, jobs.c.id).limit(_HINTS)).all()
    age = (now - first[0].due).total_seconds() if first else 0.0
    return QueueDepth(queue, age, tuple((row.id, row.epoch) for row in first))


def read_next_due(connection: Connection, *, now: datetime) -> float | None:
    """Return the seconds until something becomes due, 0 when something is."""
    firsts = (select(func.min(jobs.c.due)).where(jobs.c.queue == queue.value) for queue in Queue)
    known = [due for first in firsts if (due := connection.execute(first).scalar_one()) is not None]
    return max(0.0, (min(known) - now).total_seconds()) if known else None


def read_held(connection: Connection, *, limit: int) -> tuple[HeldJob, ...]:
    """Return the jobs that workers have, the first to run out first."""
    query = select(jobs).where(jobs.c.state == State.LEASED.value).order_by(jobs.c.due, jobs.c.id).limit(limit)
    # What follows a worker's name is of the one claim.
    return tuple(
        HeldJob(row.kind, row.subject, row.queue, row.owner.rpartition(" ")[0], row.due)
        for row in connection.execute(query)
    )


def read_jobs(connection: Connection, *, limit: int) -> Sequence[JobView]:
    """Return the jobs that are not over, the next due first and those that wait to be woken last."""
    query = select(jobs).where(jobs.c.state != State.OVER.value)
    rows = connection.execute(query.order_by(jobs.c.due.is_(None), jobs.c.due, jobs.c.id).limit(limit))
    return [
        JobView(
            job=row.id,
            kind=row.kind,
            subject=row.subject,
            queue=row.queue,
            state=row.state,
            not_before=row.due or _NEVER,
            attempts=row.attempts,
            retries=row.retries,
            lost=row.lost,
            reason=row.reason,
            message=row.message,
        )
        for row in rows
    ]
