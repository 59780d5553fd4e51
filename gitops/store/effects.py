"""Effects on the outside as rows: the intent before the call, the result after it."""

from sqlalchemy import select, update

from gitops.errors import NotFoundError
from gitops.ports import Claim
from gitops.store.jobs import check_held
from gitops.store.rows import Row, insert_new
from gitops.store.tables import effects
from gitops.store.transaction import Transaction


def intend_effect(tx: Transaction, claim: Claim, *, key: str, name: str) -> tuple[bool, str | None]:
    """Record an intent; returns whether there was one already, and its result where it was observed.

    Raises:
        StaleEpochError: when somebody else holds the job.
    """
    check_held(tx, claim)
    intent: Row = {"key": key, "job": claim.job, "name": name, "epoch": claim.epoch, "intended_at": tx.now}
    if insert_new(tx.connection, effects, intent):
        return False, None
    row = tx.connection.execute(select(effects.c.result).where(effects.c.key == key)).one()
    tx.connection.execute(update(effects).where(effects.c.key == key).values(job=claim.job, epoch=claim.epoch))
    return True, row.result


def observe_effect(tx: Transaction, claim: Claim, *, key: str, result: str) -> None:
    """Record a result.

    Raises:
        StaleEpochError: when somebody else holds the job.
        NotFoundError: there was no intent.
    """
    check_held(tx, claim)
    seen = (
        update(effects).where(effects.c.key == key).values(result=result, observed_at=tx.now).returning(effects.c.key)
    )
    if tx.connection.execute(seen).first() is None:
        raise NotFoundError("EffectMissing", f"the effect {key} has a result but no intent")
