"""What the database says may go: which names are needed, and the removal of bodies and rows that are over.

A delivery keeps its row, digest and outcome for ever, so that the same GUID is known whenever it comes again. What an
open story may look up again is never touched. Removals are short transactions: a delivery waits for none of them.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Select, and_, delete, func, literal, or_, select, tuple_, update
from sqlalchemy.sql import ColumnElement

from gitops.audit.entry import Event
from gitops.records import Cause, Promotion, Rollout, Training
from gitops.retention import Kind, Needed, Spent
from gitops.store.entries import actor_of, cause_of, to_evidence
from gitops.store.jobs import State
from gitops.store.outbox import drop_notices, select_spent_notices
from gitops.store.rows import KINDS, TRAINING, TRIAL, read_all
from gitops.store.tables import (
    OPEN_PHASES,
    deliveries,
    effects,
    environments,
    has_body,
    jobs,
    promotions,
    repositories,
    rollouts,
    trainings,
    versions,
)
from gitops.store.transaction import Transaction

_ROLLBACKS = 3  # how many earlier versions an environment may go back to without fetching them again
_ROLLOUTS = 5  # of an environment, looked at for what has no verdict of ours
_STEP = 400  # names in one question; SQLite takes 32766 values, older ones 999
_EMPTY = b""


def read_needed(connection: Connection) -> Needed:
    """Return what the records may ask for at any time."""
    going = read_all(connection, trainings, Training, trainings.c.phase.in_(OPEN_PHASES), order=(trainings.c.id,))
    rolling = _rollouts(connection)
    versioned = _named_versions(connection, going, rolling)
    known = _environments_and_models(connection, versioned)
    facts = [training.facts for training in going] + [rollout.facts for rollout in rolling]
    return Needed(
        environments=known.environments | frozenset(fact.environment_key for fact in facts if fact.environment_key),
        models=known.models | frozenset(fact.manifest_sha256 for fact in facts if fact.manifest_sha256),
        mirrors=frozenset(str(number) for number in connection.execute(select(repositories.c.id)).scalars()),
        trainings=frozenset(training.id for training in going),
    )


def _rollouts(connection: Connection) -> list[Rollout]:
    """Return the rollouts that are not over, and the last ones of each environment."""
    newest = (rollouts.c.created_at.desc(), rollouts.c.id.desc())
    found = read_all(connection, rollouts, Rollout, rollouts.c.phase.in_(OPEN_PHASES), order=newest)
    for row in connection.execute(select(environments.c.repository_id, environments.c.path)):
        here = (rollouts.c.repository_id == row.repository_id, rollouts.c.path == row.path)
        found += read_all(connection, rollouts, Rollout, *here, order=newest, limit=_ROLLOUTS)
    return found


def _named_versions(
    connection: Connection, going: Iterable[Training], rolling: Iterable[Rollout]
) -> set[tuple[str, str]]:
    """Return every model and version that something open names, that serves, is pinned, or may be gone back to."""
    opened = read_all(connection, promotions, Promotion, promotions.c.phase.in_(OPEN_PHASES), order=(promotions.c.id,))
    found = {(training.model, training.facts.version or "") for training in going}
    found |= {(promotion.model, promotion.version) for promotion in opened}
    for rollout in rolling:
        named = (rollout.version, rollout.from_version, rollout.facts.previous_version or "")
        found |= {(rollout.model, version) for version in named}
    columns = (environments.c.model, environments.c.serving, environments.c.pinned, environments.c.earlier)
    for row in connection.execute(select(*columns)):
        found |= {(row.model, version) for version in (row.serving, row.pinned, *row.earlier[:_ROLLBACKS])}
        found |= {(row.model, version) for version in _usable(connection, row.model, row.earlier)}
    return {(model, version) for model, version in found if version}


def _usable(connection: Connection, model: str, earlier: Sequence[str]) -> list[str]:
    """Return the last versions that a rollback would choose: passed, and not in quarantine."""
    good = (versions.c.verdict == "pass", versions.c.quarantined.is_(False), versions.c.version.in_(earlier))
    found = set(connection.execute(select(versions.c.version).where(versions.c.model == model, *good)).scalars())
    return [version for version in earlier if version in found][:_ROLLBACKS]


def _environments_and_models(connection: Connection, named: set[tuple[str, str]]) -> Needed:
    keys: set[str] = set()
    digests: set[str] = set()
    wanted = sorted(named)
    for begin in range(0, len(wanted), _STEP):
        these = tuple_(versions.c.model, versions.c.version).in_(wanted[begin : begin + _STEP])
        for row in connection.execute(select(versions.c.environment_key, versions.c.manifest_sha256).where(these)):
            keys.add(row.environment_key)
            digests.add(row.manifest_sha256)
    return Needed(environments=frozenset(keys - {""}), models=frozenset(digests - {""}))


# ---- bodies and rows


def count_spent(connection: Connection, kind: Kind, *, before: datetime) -> Spent:
    """Return how many bodies or rows are over since then, and their bytes as far as they can be told."""
    if kind is Kind.BODIES:
        size = func.coalesce(func.sum(func.length(deliveries.c.body)), 0)
        count, total = connection.execute(select(func.count(), size).where(*_spent_bodies(before))).one()
        return Spent(count, int(total))
    counted = (
        select(func.count()).select_from(rows.subquery())
        for rows in (_spent_effects(before), _spent_jobs(before), select_spent_notices(before))
    )
    return Spent(sum(connection.execute(question).scalar_one() for question in counted))


def drop_spent(tx: Transaction, kind: Kind, *, before: datetime, limit: int) -> Spent:
    """Remove at most so many of them."""
    if kind is Kind.BODIES:
        return _drop_bodies(tx, before=before, limit=limit)
    keys = tx.connection.execute(_spent_effects(before).limit(limit)).scalars().all()
    # Held, so that none is woken between the look and the removal; one that somebody else holds is not spent.
    spent_jobs = _spent_jobs(before).limit(limit).with_for_update(of=jobs, skip_locked=True)
    numbers = tx.connection.execute(spent_jobs).scalars().all()
    for begin in range(0, len(keys), _STEP):
        tx.connection.execute(delete(effects).where(effects.c.key.in_(keys[begin : begin + _STEP])))
    for begin in range(0, len(numbers), _STEP):
        tx.connection.execute(delete(jobs).where(jobs.c.id.in_(numbers[begin : begin + _STEP])))
    told = tx.connection.execute(select_spent_notices(before).limit(limit)).scalars().all()
    drop_notices(tx.connection, told)
    return Spent(len(keys) + len(numbers) + len(told))


def _drop_bodies(tx: Transaction, *, before: datetime, limit: int) -> Spent:
    """Empty bodies; the entry says how many, and between which two deliveries."""
    columns = select(deliveries.c.id, func.length(deliveries.c.body).label("size")).where(*_spent_bodies(before))
    rows = tx.connection.execute(columns.order_by(deliveries.c.created_at, deliveries.c.id).limit(limit)).all()
    ids = [row.id for row in rows]
    for begin in range(0, len(ids), _STEP):
        these = deliveries.c.id.in_(ids[begin : begin + _STEP])
        tx.connection.execute(update(deliveries).where(these).values(body=_EMPTY))
    spent = Spent(len(ids), sum(row.size for row in rows))
    if ids:
        cause = Cause(kind="gc")
        evidence = {"count": spent.count, "bytes": spent.size, "first": ids[0], "last": ids[-1]}
        event = Event(
            kind="bodies.dropped", actor=actor_of(cause), cause=cause_of(cause), evidence=to_evidence(evidence)
        )
        tx.record(event)
    return spent


def _spent_bodies(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Choose old bodies of deliveries that are over.

    None was handled before it came, so its coming bounds the search too: the index has rows with a body alone, and of
    these only old ones are looked at.
    """
    old = (deliveries.c.created_at < before, deliveries.c.updated_at < before)
    return has_body, *old, deliveries.c.phase.not_in(OPEN_PHASES)


def _spent_effects(before: datetime) -> Select[str]:
    """Choose effects that nobody looks up: their job is over, or it is recurring work that has long gone on.

    An effect of a story that is open stays, whatever its age.
    """
    job = select(jobs.c.id).where(jobs.c.id == effects.c.job)
    is_open = and_(jobs.c.kind.in_(list(KINDS)), jobs.c.state != State.OVER.value)
    old = (effects.c.intended_at < before, or_(effects.c.observed_at.is_(None), effects.c.observed_at < before))
    recurring = job.where(jobs.c.kind.not_in(list(KINDS)), jobs.c.state != State.OVER.value).exists()
    unsure = and_(effects.c.result.is_(None), recurring)
    return select(effects.c.key).where(*old, ~job.where(is_open).exists(), ~unsure).order_by(effects.c.intended_at)


def _spent_jobs(before: datetime) -> Select[int]:
    """Choose jobs of stories that are over, of the reports about them, and of what was cleared up behind them.

    Should somebody wake one again, its row comes back and ends at once.
    """
    ended = []
    for kind in KINDS.values():
        old = select(kind.table.c.id).where(kind.table.c.phase.not_in(OPEN_PHASES), kind.table.c.updated_at < before)
        record = old.where(kind.table.c.id == jobs.c.subject).exists()
        reported = old.where(literal(f"{kind.name}:").concat(kind.table.c.id) == jobs.c.subject).exists()
        ended.append(and_(jobs.c.kind == kind.name, jobs.c.state == State.OVER.value, record))
        ended.append(and_(jobs.c.kind == "report", jobs.c.state == State.IDLE.value, reported))
        if kind in {TRAINING, TRIAL}:
            ended.append(and_(jobs.c.kind == "runs", jobs.c.state == State.IDLE.value, record))
    return select(jobs.c.id).where(or_(*ended)).order_by(jobs.c.id)
