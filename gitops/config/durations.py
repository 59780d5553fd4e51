"""Durations as people write them: `500ms`, `30s`, `2m`, `1h`, `7d`. Pure."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(0|[1-9][0-9]{0,8})(ms|s|m|h|d)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
LONGEST = timedelta(days=366)


def parse_duration(text: str) -> timedelta:
    """Return the length of time that a text such as `30s` names.

    Raises:
        ValueError: when it is none, or longer than 366 days.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("write a duration as a whole number and a unit: 500ms, 30s, 2m, 1h or 7d")
    amount, unit = int(found[1]), _UNITS[found[2]]
    if amount > LONGEST // unit:
        raise ValueError("a duration may be at most 366d")
    return amount * unit


def format_duration(duration: timedelta) -> str:
    """Return the shortest spelling, in the largest unit that holds it exactly; less than a millisecond is dropped."""
    for name in ("d", "h", "m", "s"):
        if duration and duration % _UNITS[name] == timedelta(0):
            return f"{duration // _UNITS[name]}{name}"
    return f"{duration // _UNITS['ms']}ms" if duration else "0s"
