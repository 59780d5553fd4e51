"""Which process leads, and up to where somebody wants the audit log signed: two small facts kept in `meta`."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from gitops.errors import ConflictError
from gitops.ports.tallies import Leader
from gitops.store.rows import insert_new
from gitops.store.tables import meta
from gitops.store.transaction import Transaction

RELAY = "relay"
"""The role of which there is one; it alone publishes signed heads."""

_WANTED = "wanted_checkpoint"
_DOUBT = "leases_doubted"
_SHORTEST_WAIT = timedelta(seconds=5)
# A transaction may have begun so long before the one that it waited for, and its time is that of its beginning.
_OVERTAKEN = timedelta(seconds=5)
_UNTOLD = 60.0  # seconds that a lead was taken for at most before the row said for how many


def take_lead(tx: Transaction, role: str, owner: str, *, seconds: float) -> bool:
    """Become or stay the leader of a role; a lead that ran out may be taken by anybody."""
    name = f"leader:{role}"
    known = _lock(tx, name)
    since = tx.now.isoformat()
    if known:
        holder = json.loads(known)
        if _lasts(holder, tx.now):
            if holder["owner"] != owner:
                return False
            since = holder.get("since", since)
    until = tx.now + timedelta(seconds=seconds)
    _write(tx, name, json.dumps({"owner": owner, "until": until.isoformat(), "since": since, "seconds": seconds}))
    return True


def _lasts(holder: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a lead has not run out.

    One that would last for longer than it was taken for is from before the clock was set back. It counts as run out:
    a leader that lives says so again at once, and nobody waits until the clock has caught up with one that died.
    """
    until, seconds = datetime.fromisoformat(holder["until"]), timedelta(seconds=holder.get("seconds", _UNTOLD))
    return now < until <= now + seconds + _OVERTAKEN


def check_lead(tx: Transaction, role: str, owner: str) -> None:
    """Hold the lead until this transaction ends.

    Raises:
        ConflictError: `NotLeading` when somebody else took it.
    """
    known = _lock(tx, f"leader:{role}")
    if known and json.loads(known)["owner"] != owner:
        raise ConflictError("NotLeading", f"another {role} leads now")


def read_leader(connection: Connection, role: str) -> Leader | None:
    """Return who leads or led last, None when nobody ever did."""
    known = _read(connection, f"leader:{role}")
    if not known:
        return None
    holder = json.loads(known)
    since, until = (datetime.fromisoformat(holder.get(name, holder["until"])) for name in ("since", "until"))
    owner = holder["owner"]
    # What follows its name tells it from another relay of the same folder.
    return Leader(owner.rpartition(" ")[0] or owner, since, until)


def read_lead(connection: Connection, role: str, *, now: datetime) -> float | None:
    """Return the seconds that a role's lead still lasts, negative when none does, None when nobody ever led."""
    known = _read(connection, f"leader:{role}")
    if not known:
        return None
    holder = json.loads(known)
    left = (datetime.fromisoformat(holder["until"]) - now).total_seconds()
    return min(left, -1.0) if left > 0 and not _lasts(holder, now) else left


def is_settled(connection: Connection, *, now: datetime, lease: timedelta) -> bool:
    """Return whether leases that ran out may be believed: somebody was able to prolong them all the while.

    The relay says every few seconds that it leads. Where it did not for a while, it was perhaps the database that was
    away, or its clock that leapt; then whoever is alive gets the time for a heartbeat. Where there never was a relay,
    nobody is held up.

    Args:
        lease: how long leases are; a sixth of it is a heartbeat.
    """
    known = _read(connection, f"leader:{RELAY}")
    if not known:
        return True
    holder = json.loads(known)
    if not _lasts(holder, now):
        return False
    return now - datetime.fromisoformat(holder.get("since", holder["until"])) >= _wait(lease)


def doubt_leases(tx: Transaction, *, lease: timedelta) -> bool:
    """Take note that leases ran out while no relay led; return whether that was seen a heartbeat ago already.

    How long the lead is over tells nothing, for the clock may have leapt by as much. What is noted now is on the clock
    as it goes now. A note counts until half a lease later: a leap since, which would make it look old, is then too
    short to end a lease that is prolonged. So a relay that is gone for good holds a lost job up for no longer than a
    heartbeat's time, while somebody asks.
    """
    known = _lock(tx, _DOUBT)
    age = tx.now - datetime.fromisoformat(known) if known else None
    if age is not None and timedelta() <= age <= _wait(lease) + lease / 2:
        return age >= _wait(lease)
    _write(tx, _DOUBT, tx.now.isoformat())
    return False


def _wait(lease: timedelta) -> timedelta:
    """Return in what time whoever is alive has surely prolonged its lease: a heartbeat, and a fifth of one more."""
    return max(_SHORTEST_WAIT, lease / 5)


def want_checkpoint(tx: Transaction, size: int) -> None:
    """Ask the signer for a head that covers at least this many entries."""
    if size > int(_lock(tx, _WANTED) or "0"):
        _write(tx, _WANTED, str(size))


def read_wanted(connection: Connection) -> int:
    """Return the largest size that a signed head was asked for."""
    return int(_read(connection, _WANTED) or "0")


def _read(connection: Connection, name: str) -> str | None:
    value: str | None = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar_one_or_none()
    return value


def _lock(tx: Transaction, name: str) -> str:
    """Return a fact that nobody else may change before we have, empty when it was not known."""
    insert_new(tx.connection, meta, {"name": name, "value": ""})
    value: str = tx.connection.execute(select(meta.c.value).where(meta.c.name == name).with_for_update()).scalar_one()
    return value


def _write(tx: Transaction, name: str, value: str) -> None:
    tx.connection.execute(update(meta).where(meta.c.name == name).values(value=value))
