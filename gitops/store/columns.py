"""Column types that read the same from SQLite and PostgreSQL: instants as integers, structures as JSON text."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python
from sqlalchemy import TEXT, BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from gitops.store.storable import to_storable, to_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SORTED = TEXT(collation="C")
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Return the whole microseconds since 1970 in UTC of an instant that knows its offset."""
    return (moment - _EPOCH) // _MICROSECOND


class Instant(TypeDecorator[datetime]):
    """A point in time as whole microseconds since 1970 in UTC, so that comparing and sorting is exact everywhere."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the microseconds of an instant that knows its offset."""
        del dialect
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        del dialect
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Word(TypeDecorator[str]):
    """Text that sorts by code points, and in which nothing stands that one of the databases refuses.

    PostgreSQL's own orders change when its host's C library does, and an index that was sorted by another order finds
    nothing, or lets the same key in twice.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Return the database's own type."""
        return _SORTED if dialect.name == "postgresql" else self.impl_instance

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text with NUL and lone surrogates written out."""
        del dialect
        return value if value is None or (value.isascii() and "\0" not in value) else to_text(value)


class Json(TypeDecorator[object]):
    """Anything that pydantic can write, as JSON text; no query but `rows.without` looks inside."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the database's own type, one for all text."""
        return _SORTED if dialect.name == "postgresql" else self.impl_instance

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """Return the text, with lone surrogates written out."""
        del dialect
        try:
            return None if value is None else to_json(value).decode()
        except PydanticSerializationError:
            return to_json(to_storable(to_jsonable_python(to_storable(value)))).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        """Return plain lists, dicts, text and numbers."""
        del dialect
        return None if value is None else from_json(value)
