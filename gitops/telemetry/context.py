"""What is being worked on, as fields that every log record and span inside carries: delivery, job, step and so on.

Kept in a context variable, so that threads and requests side by side do not see each other's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Field = str | int

_fields: ContextVar[Mapping[str, Field]] = ContextVar("launchpin_fields", default={})  # noqa: B039 - never changed


@contextmanager
def bound(**fields: Field) -> Iterator[None]:
    """Carry these fields until the block ends; empty ones are left out."""
    token = _fields.set(_merged(fields))
    try:
        yield
    finally:
        _fields.reset(token)


def note(**fields: Field) -> None:
    """Add fields that became known, until the innermost `bound` block ends."""
    _fields.set(_merged(fields))


def current() -> Mapping[str, Field]:
    """Return the fields in force."""
    return _fields.get()


def _merged(fields: Mapping[str, Field]) -> dict[str, Field]:
    told = {name: value for name, value in fields.items() if value != ""} if "" in fields.values() else fields
    known = _fields.get()
    return {**known, **told} if known else dict(told)
