"""Which process leads, and up to where somebody wants the audit log signed: two small facts kept in `meta`."""

import json
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from gitops.store.rows import insert_new
from gitops.store.tables import meta
from gitops.store.transaction import Transaction

_WANTED = "wanted_checkpoint"


def take_lead(tx: Transaction, role: str, owner: str, *, seconds: float) -> bool:
    """Become or stay the leader of a role; a lead that ran out may be taken by anybody."""
    name = f"leader:{role}"
    known = _read(tx.connection, name)
    if known:
        holder = json.loads(known)
        if holder["owner"] != owner and datetime.fromisoformat(holder["until"]) > tx.now:
            return False
    until = tx.now + timedelta(seconds=seconds)
    _write(tx, name, json.dumps({"owner": owner, "until": until.isoformat()}))
    return True


def want_checkpoint(tx: Transaction, size: int) -> None:
    """Ask the signer for a head that covers at least this many entries."""
    if size > read_wanted(tx.connection):
        _write(tx, _WANTED, str(size))


def read_wanted(connection: Connection) -> int:
    """Return the largest size that a signed head was asked for."""
    return int(_read(connection, _WANTED) or "0")


def _read(connection: Connection, name: str) -> str | None:
    value: str | None = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar_one_or_none()
    return value


def _write(tx: Transaction, name: str, value: str) -> None:
    if not insert_new(tx.connection, meta, {"name": name, "value": value}):
        tx.connection.execute(update(meta).where(meta.c.name == name).values(value=value))
