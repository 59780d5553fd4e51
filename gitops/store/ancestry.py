"""What caused a record, and what caused that, back to the first cause. Read on one snapshot."""

from sqlalchemy import Connection, Table, func, select

from gitops.records import Cause, Direction
from gitops.store.rows import KINDS, PROMOTION, ROLLOUT
from gitops.store.tables import promotions, rollouts

Thing = tuple[str, str]

# A rollback of a rollout of a promotion of a training of a delivery are five; records cannot cause themselves.
_LONGEST = 12


def read_ancestry(connection: Connection, kind: str, record_id: str) -> tuple[Thing, ...]:
    """Return a record, what caused it, and so on to the first cause, each by kind and id.

    A rollout that is the first of its version since that version's pull request was opened was caused by the promotion,
    however its merge came to be seen.
    """
    chain: list[Thing] = [(kind, record_id)]
    while len(chain) < _LONGEST and (cause := _read_cause(connection, *chain[-1])) and cause not in chain:
        chain.append(cause)
    return tuple(chain)


def _read_cause(connection: Connection, kind: str, record_id: str) -> Thing | None:
    known = KINDS.get(kind)
    promotion = _read_promotion(connection, record_id) if kind == ROLLOUT.name else None
    if promotion is not None:
        return PROMOTION.name, promotion
    found = _read_stored(connection, known.table, record_id) if known else None
    return (found.kind, found.id) if found is not None and found.kind in KINDS and found.id else None


def _read_stored(connection: Connection, table: Table, record_id: str) -> Cause | None:
    stored = connection.execute(select(table.c.cause).where(table.c.id == record_id)).scalar_one_or_none()
    return None if stored is None else Cause.model_validate(stored)


def _read_promotion(connection: Connection, rollout_id: str) -> str | None:
    """Return the promotion that a rollout carries out; it does not change while the rollout goes on."""
    mine = connection.execute(select(rollouts).where(rollouts.c.id == rollout_id)).first()
    if mine is None or mine.direction != Direction.FORWARD or not mine.version:
        return None
    of = promotions.c
    same = (of.repository_id == mine.repository_id, of.path == mine.path, of.model == mine.model)
    before = (of.version == mine.version, of.created_at <= mine.created_at)
    newest = select(of.id, of.created_at).where(*same, *before).order_by(of.created_at.desc(), of.id.desc()).limit(1)
    promotion = connection.execute(newest).first()
    if promotion is None:
        return None
    here = rollouts.c
    place = (here.repository_id == mine.repository_id, here.path == mine.path, here.version == mine.version)
    since = (here.created_at >= promotion.created_at, here.created_at < mine.created_at)
    earlier = connection.execute(select(func.count()).select_from(rollouts).where(*place, *since)).scalar_one()
    return None if earlier else str(promotion.id)
