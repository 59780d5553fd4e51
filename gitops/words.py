"""Values as people read them in eighty columns: ages, numbers, short commits, cut texts. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SHORT = 8
_TIER = 9


def cut(text: str, width: int) -> str:
    """Return a text of at most that many characters on one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def tiered(version: str, tier: str) -> str:
    """Return a version's number with its tier, where it has one: `8 gold`."""
    return f"{version} {cut(tier, _TIER)}" if tier else version


def short(commit: str) -> str:
    """Return a commit as people name it."""
    return commit[:_SHORT]


def approved(logins: Sequence[str] | None, unknown: str = "-") -> str:
    """Return who approved something: `ada, grace`, or `nobody`.

    Args:
        logins: None where nobody knows.
        unknown: what is said then.
    """
    return unknown if logins is None else ", ".join(logins) or "nobody"


def number(text: str) -> str:
    """Return a decimal with four digits that count; what is none stays as it is."""
    try:
        return f"{Decimal(text):.4g}"
    except InvalidOperation:
        return text


def age(then: datetime | None, now: datetime) -> str:
    """Return how long ago something was: `12 s`, `5 min`, `3 h`, `2 d`; empty when nobody knows."""
    return "" if then is None else _coarse(now - then)


def lasting(length: timedelta) -> str:
    """Return a length of time in its two largest units: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    seconds = max(0, round(length.total_seconds()))
    for size, name, smaller, rest in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if seconds >= size:
            parts = (seconds // size, name), (seconds % size // smaller, rest)
            return " ".join(f"{count} {unit}" for count, unit in parts if count)
    return _coarse(length)


def until(then: datetime, now: datetime) -> str:
    """Return how long it is until a moment; `now` when it is over."""
    return f"in {_coarse(then - now)}" if then > now else "now"


def _coarse(length: timedelta) -> str:
    seconds = max(0, round(length.total_seconds()))
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
