"""The shortest way for deliveries into the database: one statement, which is a transaction of its own.

The layers that all other writing goes through would cost more here than the database does. The statement's text is our
own and every value of a delivery is a parameter; a trigger of the schema gives each delivery its job, so that neither
is ever without the other.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Dialect

from gitops.failpoints import failpoint
from gitops.records import Delivery, DeliveryFacts
from gitops.steps import Phase
from gitops.store.columns import to_microseconds
from gitops.store.database import Database
from gitops.store.tables import deliveries

_OWN = ("id", "cause", "source", "event", "body_sha256", "body")
_TIMES = ("created_at", "updated_at")
_START = {
    "phase": f"'{Phase.PENDING.value}'",
    "step": "''",
    "reason": "''",
    "message": "''",
    "revision": "0",
    "facts": f"'{to_json(DeliveryFacts()).decode()}'",
}
"""What every new delivery has alike, in SQL."""

_COLUMNS = ", ".join((*_OWN, *_TIMES, *_START))
_ALIKE = ", ".join(_START.values())
_Convert = Callable[[Any], Any]


def insert_deliveries(database: Database, batch: Sequence[Delivery]) -> None:
    """Store deliveries that are all new, as nearly all are, each with its job; sorted, so that writers meet in order.

    Args:
        batch: at least one; SQLite takes about 4,000 in a statement, a door sends 256 at most.

    Raises:
        ConflictError: one is known already, or came twice; nothing of the batch is kept.
        RetryError: as `Database.run_alone`.
    """
    kind = database.kind
    converters = _converters(kind.engine.dialect)
    ordered = sorted(batch, key=lambda delivery: delivery.id)
    rows = [[convert(getattr(one, name)) for name, convert in converters] for one in ordered]
    moment = database.own_time()
    time = None if moment is None else to_microseconds(moment)
    if kind.engine.dialect.name == "sqlite":
        text, parameters = _one_by_one(rows, time)
    else:
        text, parameters = _by_columns(rows, time)
    failpoint("commit.before")
    database.run_alone(text, parameters)
    failpoint("commit.after")


def _one_by_one(rows: Sequence[Sequence[object]], time: int | None) -> tuple[str, Sequence[object]]:
    return _values_of(len(rows)), [value for row in rows for value in (*row, time, time)]


@lru_cache(maxsize=512)
def _values_of(count: int) -> str:
    # Names and constants of our own; every value of a delivery is a parameter.
    row = f"({', '.join('?' * (len(_OWN) + len(_TIMES)))}, {_ALIKE})"
    return f"INSERT INTO deliveries ({_COLUMNS}) VALUES {', '.join([row] * count)}"  # noqa: S608 - as above


def _by_columns(rows: Sequence[Sequence[object]], time: int | None) -> tuple[str, Sequence[object]]:
    """Hand over columns, not rows: the text is the same for any number of them, so that it is prepared once."""
    return _UNNEST, [list(column) for column in zip(*rows, strict=True)] + [time]


def _write_unnest() -> str:
    arrays = ", ".join("%b::bytea[]" if name == "body" else "%b::text[]" for name in _OWN)
    names = ", ".join(_OWN)
    fresh = f"unnest({arrays}) AS fresh ({names})"
    # The server's clock, unless another one is given.
    clock = "(SELECT coalesce(%b::bigint, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint)) AS at (time)"
    values = f"{names}, at.time, at.time, {_ALIKE}"
    return f"INSERT INTO deliveries ({_COLUMNS}) SELECT {values} FROM {fresh} CROSS JOIN {clock}"  # noqa: S608 - as above


_UNNEST = _write_unnest()


def _as_it_is(value: object) -> object:
    return value


@lru_cache
def _converters(dialect: Dialect) -> Sequence[tuple[str, _Convert]]:
    """Return for each column what makes of a value what the driver takes."""
    types = ((name, deliveries.c[name].type.dialect_impl(dialect)) for name in _OWN)
    return tuple((name, kind.bind_processor(dialect) or _as_it_is) for name, kind in types)
