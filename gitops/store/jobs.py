"""Jobs: who may work on what, and when. The row is the truth; a message on a queue is only a hint.

A job is due at one time: when it is ready, or when its lease ends. So a lost worker's job comes up by itself, and one
index answers every question of the relay.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Select, case, func, or_, select, update
from sqlalchemy.sql import ColumnElement

from gitops.errors import StaleEpochError
from gitops.ports import Claim, JobView, QueueDepth
from gitops.steps import Queue
from gitops.store.rows import KINDS, Row, insert_new
from gitops.store.tables import jobs
from gitops.store.transaction import Transaction

_NEVER = datetime.max.replace(tzinfo=UTC)
_HINTS = 64


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
        "lost": 0,
        "wakes": 0,
        "woken_at_claim": 0,
        "reason": "",
        "message": "",
    }


def is_any_ready(connection: Connection, queue: Queue, *, now: datetime) -> bool:
    """Return whether a claim would find something, without taking the write lock."""
    query = select(jobs.c.id).where(jobs.c.queue == queue.value, jobs.c.due <= now).limit(1)
    return connection.execute(query).first() is not None


def claim_job(tx: Transaction, queue: Queue, *, owner: str, lease: timedelta) -> Claim | None:
    """Take the oldest job that is due; a leased one is due when its worker was lost."""
    oldest = (
        select(jobs.c.id)
        .where(jobs.c.queue == queue.value, jobs.c.due <= tx.now)
        .order_by(jobs.c.due, jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
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
    row = tx.connection.execute(update(jobs).where(jobs.c.id == oldest).values(taken).returning(jobs)).first()
    if row is None:
        return None
    return Claim(row.id, row.kind, row.subject, Queue(row.queue), row.epoch, attempts=row.attempts, lost=row.lost)


def renew_lease(tx: Transaction, claim: Claim, *, lease: timedelta) -> bool:
    """Prolong a lease; False when the job is no longer ours."""
    longer = update(jobs).where(*_ours(claim)).values(due=tx.now + lease).returning(jobs.c.id)
    return tx.connection.execute(longer).first() is not None


def check_held(tx: Transaction, claim: Claim) -> bool:
    """Lock the job's row and return whether somebody woke it since it was claimed.

    Raises:
        StaleEpochError: when the job is no longer ours.
    """
    woken = update(jobs).where(*_ours(claim)).values(epoch=jobs.c.epoch).returning(jobs.c.wakes, jobs.c.woken_at_claim)
    row = tx.connection.execute(woken).first()
    if row is None:
        raise StaleEpochError(claim.job, claim.epoch)
    return bool(row.wakes != row.woken_at_claim)


def release_job(tx: Transaction, claim: Claim, changes: Row) -> None:
    """Give a job back."""
    tx.connection.execute(update(jobs).where(*_ours(claim)).values({"owner": "", **changes}))


def _ours(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return jobs.c.id == claim.job, jobs.c.epoch == claim.epoch, jobs.c.state == State.LEASED.value


def end_job(tx: Transaction, kind: str, subject: str) -> None:
    """End a job from outside; whoever holds it writes nothing any more."""
    over = {"state": State.OVER.value, "due": None, "owner": "", "epoch": jobs.c.epoch + 1}
    tx.connection.execute(update(jobs).where(jobs.c.kind == kind, jobs.c.subject == subject).values(over))


def wake_job(tx: Transaction, kind: str, subject: str, *, queue: Queue, after: timedelta | None) -> int:
    """Make a job ready now, or with `after` only make sure that it exists; returns its number.

    A held job is only marked: it becomes ready when it is given back. A story that is over stays over.
    """
    is_new = insert_new(tx.connection, jobs, new_job(kind, subject, queue=queue, due=tx.now + (after or timedelta())))
    this = (jobs.c.kind == kind, jobs.c.subject == subject)
    if not is_new and after is None:
        tx.connection.execute(
            update(jobs).where(*this, jobs.c.state == State.LEASED.value).values(wakes=jobs.c.wakes + 1)
        )
        asleep = [jobs.c.state != State.LEASED.value, or_(jobs.c.due > tx.now, jobs.c.due.is_(None))]
        if kind in KINDS:
            asleep.append(jobs.c.state != State.OVER.value)
        tx.connection.execute(update(jobs).where(*this, *asleep).values(state=State.READY.value, due=tx.now))
    return int(tx.connection.execute(select(jobs.c.id).where(*this)).scalar_one())


def wake_jobs(tx: Transaction, kind: str, subjects: Select[str]) -> None:
    """Wake the jobs about these subjects, where there are any."""
    for subject in tx.connection.execute(subjects).scalars().all():
        wake_job(tx, kind, subject, queue=Queue.CONTROL, after=None)


def read_depth(connection: Connection, *, now: datetime) -> list[QueueDepth]:
    """Return what is ready on each queue that has something ready."""
    found = (_read_depth(connection, queue, now=now) for queue in Queue)
    return [depth for depth in found if depth.ready]


def _read_depth(connection: Connection, queue: Queue, *, now: datetime) -> QueueDepth:
    ready = (jobs.c.queue == queue.value, jobs.c.due <= now)
    count, oldest = connection.execute(select(func.count(), func.min(jobs.c.due)).where(*ready)).one()
    first = select(jobs.c.id, jobs.c.epoch).where(*ready).order_by(jobs.c.due, jobs.c.id).limit(_HINTS)
    age = (now - oldest).total_seconds() if oldest else 0.0
    return QueueDepth(queue, count, age, tuple((row.id, row.epoch) for row in connection.execute(first)))


def read_next_due(connection: Connection, *, now: datetime) -> float | None:
    """Return the seconds until something becomes due, 0 when something is."""
    firsts = (select(func.min(jobs.c.due)).where(jobs.c.queue == queue.value) for queue in Queue)
    known = [due for first in firsts if (due := connection.execute(first).scalar_one()) is not None]
    return max(0.0, (min(known) - now).total_seconds()) if known else None


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
            reason=row.reason,
            message=row.message,
        )
        for row in rows
    ]
