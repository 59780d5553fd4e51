"""Log records as lines of text for a person: how `launchpin logs` and the supervisor show what parts wrote as JSON."""

import json
from collections.abc import Iterator, Mapping

_SHOWN_FIRST = ("ts", "level", "part", "logger", "event")
_LONG = ("exception", "stack")
_BEGIN = '{"ts": '


def show_line(line: str) -> Iterator[str]:
    """Give a log's line as lines for people; one that is no record of ours is given as it is.

    Control characters are the caller's to spell out: they are not changed here.
    """
    record = _read(line)
    yield from (line,) if record is None else show_record(record)


def show_record(record: Mapping[str, object]) -> Iterator[str]:
    """Give a record's lines: when, how bad, whence, what, and every further field; then what is long."""
    when, level, _, whence, event = (str(record.get(name, "")) for name in _SHOWN_FIRST)
    further = (f"{name}={value}" for name, value in record.items() if name not in {*_SHOWN_FIRST, *_LONG})
    yield " ".join((when, f"{level.upper():<8}", f"{whence}:", event, *further))
    for name in _LONG:
        yield from str(record.get(name, "")).splitlines()


def _read(line: str) -> Mapping[str, object] | None:
    if not line.startswith(_BEGIN):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "event" in record else None
