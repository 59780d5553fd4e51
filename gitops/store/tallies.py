"""Counts what the database holds for one scrape. Every part is bounded: open jobs, open stories, a day, 1,000 rows."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, func, select
from sqlalchemy.sql import ColumnElement

from gitops.audit.entry import parse
from gitops.ports.tallies import ANCHOR_REF, HOOK_LOST, HOOK_REF, Hands, JobTally, Pulse, Tallies, read_anchored
from gitops.records import DeliveryFacts, Role
from gitops.store.audit_log import read_entries, read_size
from gitops.store.jobs import State, read_held
from gitops.store.leading import RELAY, read_lead, read_leader
from gitops.store.rows import PROMOTION, ROLLOUT, TRAINING
from gitops.store.tables import (
    OPEN_PHASES,
    audit_checkpoints,
    deliveries,
    holds,
    is_waiting,
    jobs,
    letters,
    repositories,
    watched_refs,
)

_DAY = timedelta(days=1)
_RECENTLY = timedelta(minutes=15)
_NEWEST = 1000
_CAUSE = re.compile(r"([A-Za-z][A-Za-z0-9_]{1,39}): ")
_CAUSE_LENGTH = 42
_MOST_JOBS = 100_000
_MOST_HELD = 200


def read_tallies(connection: Connection, *, now: datetime) -> Tallies:
    """Return all counts, as they are on this snapshot."""
    signed, head_age = _read_head(connection, now)
    unanchored, unanchored_age = _read_unanchored(connection, now)
    waiting, letter_age, settled = _read_letters(connection, now)
    pulse = read_pulse(connection, now=now)
    is_open = holds.c.lifted_at.is_(None)
    return Tallies(
        jobs=pulse.jobs,
        open_stories=_read_stories(connection, lambda phase, _: phase.in_(OPEN_PHASES)),
        ended_stories=_read_ended(connection, now - _DAY),
        just_ended=_read_ended(connection, now - _RECENTLY),
        deliveries=_read_deliveries(connection),
        holds=connection.execute(select(func.count()).select_from(holds).where(is_open)).scalar_one(),
        entries=read_size(connection),
        signed=signed,
        head_age=head_age,
        unanchored=unanchored,
        unanchored_age=unanchored_age,
        hooks_lost=_read_hooks_lost(connection),
        letters_waiting=waiting,
        letter_age=letter_age,
        letters_settled=settled,
        lead=pulse.lead,
    )


def read_pulse(connection: Connection, *, now: datetime) -> Pulse:
    """Return what tells whether the parts are at work: two questions, which a page may ask every few seconds."""
    return Pulse(_read_jobs(connection, now), read_lead(connection, RELAY, now=now))


def read_hands(connection: Connection, *, now: datetime) -> Hands:
    """Return who leads, and who holds which job, as they are on this snapshot."""
    return Hands(now, read_leader(connection, RELAY), read_held(connection, limit=_MOST_HELD))


def _read_jobs(connection: Connection, now: datetime) -> tuple[JobTally, ...]:
    """Return the open jobs; one that is tried again counts under what it was told, not under "Retrying"."""
    open_jobs = select(
        jobs.c.kind,
        jobs.c.queue,
        jobs.c.state,
        case(
            (jobs.c.state == State.RETRYING.value, func.substr(jobs.c.message, 1, _CAUSE_LENGTH)),
            else_=jobs.c.reason,
        ).label("cause"),
        case((jobs.c.due <= now, 1), else_=0).label("is_due"),
        jobs.c.due,
        (jobs.c.attempts + jobs.c.retries + jobs.c.lost).label("tries"),
    ).where(jobs.c.state != State.OVER.value)
    seen = open_jobs.limit(_MOST_JOBS).subquery()
    words = (seen.c.kind, seen.c.queue, seen.c.state, seen.c.cause, seen.c.is_due)
    counts = (func.count().label("jobs"), func.min(seen.c.due).label("first"), func.max(seen.c.tries).label("tries"))
    return tuple(_tally(row, now) for row in connection.execute(select(*words, *counts).group_by(*words)))


def _tally(row: Any, now: datetime) -> JobTally:  # noqa: ANN401 - a row of the select above
    told = _CAUSE.match(row.cause) if row.state == State.RETRYING.value else None
    reason = (told[1] if told else "Retrying") if row.state == State.RETRYING.value else row.cause
    age = (now - row.first).total_seconds() if row.is_due else 0.0
    return JobTally(row.kind, row.queue, row.state, reason, bool(row.is_due), row.jobs, age, row.tries)


def _read_stories(
    connection: Connection, where: Callable[[ColumnElement[Any], ColumnElement[Any]], ColumnElement[bool]]
) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for kind in (TRAINING, PROMOTION, ROLLOUT):
        table = kind.table.c
        query = select(table.phase, func.count()).where(where(table.phase, table.created_at)).group_by(table.phase)
        counts |= {(kind.name, phase): count for phase, count in connection.execute(query)}
    return counts


def _read_ended(connection: Connection, since: datetime) -> dict[tuple[str, str], int]:
    """Return the stories that ended since then: the write of its end is the last one of a story."""
    counts: dict[tuple[str, str], int] = {}
    for kind in (TRAINING, PROMOTION, ROLLOUT):
        table = kind.table.c
        is_there = ~table.phase.in_(OPEN_PHASES) & (table.updated_at > since)
        query = select(table.phase, func.count()).where(is_there).group_by(table.phase)
        counts |= {(kind.name, phase): count for phase, count in connection.execute(query)}
    return counts


def _read_deliveries(connection: Connection) -> Mapping[str, int]:
    newest = select(deliveries.c.facts).order_by(deliveries.c.created_at.desc(), deliveries.c.id.desc()).limit(_NEWEST)
    told = (DeliveryFacts.model_validate(facts).outcome for facts in connection.execute(newest).scalars())
    return Counter(outcome or "pending" for outcome in told)


def _read_hooks_lost(connection: Connection) -> int:
    lost = (watched_refs.c.ref == HOOK_REF, func.substr(watched_refs.c.message, 1, len(HOOK_LOST)) == HOOK_LOST)
    return int(connection.execute(select(func.count()).where(*lost)).scalar_one())


def _read_letters(connection: Connection, now: datetime) -> tuple[int, float, Mapping[str, int]]:
    """Return how many letters wait, the age of the oldest in seconds, and how many ended within a day, by state."""
    waiting = select(func.count(), func.min(letters.c.created_at)).where(is_waiting)
    count, oldest = connection.execute(waiting).one()
    settled = select(letters.c.state, func.count()).where(letters.c.settled_at > now - _DAY).group_by(letters.c.state)
    return count, (now - oldest).total_seconds() if oldest else 0.0, dict(connection.execute(settled).all())


def _read_head(connection: Connection, now: datetime) -> tuple[int, float]:
    """Return how many entries the newest signed head covers, and its age in seconds; without one, the log's."""
    newest = select(audit_checkpoints.c.size, audit_checkpoints.c.created_at)
    row = connection.execute(newest.order_by(audit_checkpoints.c.size.desc()).limit(1)).first()
    if row is not None:
        return row.size, (now - row.created_at).total_seconds()
    first = read_entries(connection, 0, limit=1)
    return 0, (now - parse(first[0]).time).total_seconds() if first else 0.0


def _read_unanchored(connection: Connection, now: datetime) -> tuple[int, float]:
    """Return how many signed heads one deploy repository or another lacks, and the age of the oldest in seconds."""
    row = and_(watched_refs.c.repository_id == repositories.c.id, watched_refs.c.ref == ANCHOR_REF)
    told = select(watched_refs.c.message).select_from(repositories.outerjoin(watched_refs, row))
    messages = connection.execute(told.where(repositories.c.role == Role.DEPLOY.value)).scalars().all()
    if not messages:
        return 0, 0.0
    held = min(read_anchored(message or "").size for message in messages)
    missing = select(func.count(), func.min(audit_checkpoints.c.created_at)).where(audit_checkpoints.c.size > held)
    count, oldest = connection.execute(missing).one()
    return count, (now - oldest).total_seconds() if oldest else 0.0
