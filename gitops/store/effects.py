"""Effects on the outside as rows: the intent before the call, the result after it."""

from sqlalchemy import insert, select, update

from gitops.errors import NotFoundError
from gitops.ports import Claim
from gitops.store.jobs import check_held
from gitops.store.tables import effects
from gitops.store.transaction import Transaction


def intend_effect(tx: Transaction, claim: Claim, *, key: str, name: str) -> tuple[bool, str | None]:
    """Record an intent; returns whether there was one already, and its result where it was observed.

    Raises:
        StaleEpochError: when somebody else holds the job.
    """
    check_held(tx, claim)
    row = tx.connection.execute(select(effects.c.result).where(effects.c.key == key)).first()
    if row is None:
        intent = {"key": key, "job": claim.job, "name": name, "epoch": claim.epoch, "intended_at": tx.now}
        tx.connection.execute(insert(effects).values(intent))
        return False, None
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
