"""Column types that read the same from SQLite and PostgreSQL: instants as integers, structures as JSON text."""

from datetime import UTC, datetime, timedelta

from pydantic_core import from_json, to_json
from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A point in time as whole microseconds since 1970 in UTC, so that comparing and sorting is exact everywhere."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the microseconds of an instant that knows its offset."""
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        del dialect
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Json(TypeDecorator[object]):
    """Anything that pydantic can write, as JSON text: no query looks inside, so no database's own type is needed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """Return the text."""
        del dialect
        return None if value is None else to_json(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        """Return plain lists, dicts, text and numbers."""
        del dialect
        return None if value is None else from_json(value)
