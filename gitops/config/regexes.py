"""Regular expressions that people write to find numbers in a log: what is read, and how long it can take. Pure.

Python's engine backtracks, so an expression is taken only where the ways that it could go through a line can be counted
beforehand, and are few. What repeats is a single character, and lines are cut.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from gitops.config.names import BadNameError

# The tree that `re` itself compiles: another reading could differ. The stubs do not know it.
_parser: Any = importlib.import_module("re._parser")

MAX_REGEX = 200
"""Characters of an expression."""
MAX_LINE = 300
"""Characters of a line of the log that are looked at."""

# Two repetitions without a limit, and two choices of two beside them.
_MOST_WAYS = 4 * (MAX_LINE + 1) ** 2
_Node = tuple[Any, Any]


@lru_cache(256)
def compile_regex(text: str) -> re.Pattern[str]:
    """Return an expression that finds one number, in a time that is bounded whatever the line.

    Raises:
        BadNameError: `pattern_invalid` when it cannot be read, or could take long.
    """
    if not 1 <= len(text) <= MAX_REGEX:
        raise BadNameError("pattern_invalid", f"a regular expression has 1 to {MAX_REGEX} characters")
    try:
        with warnings.catch_warnings():  # of what another release may read otherwise
            warnings.simplefilter("error")
            found = re.compile(text)
            tree = _parser.parse(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise BadNameError("pattern_invalid", f"it is no regular expression: {error}") from None
    if found.groups != 1:
        raise BadNameError(
            "pattern_invalid", f"it has {found.groups} groups; put (...) around the number, and (?:...) else"
        )
    if found.flags & ~(re.UNICODE | re.IGNORECASE):
        raise BadNameError("pattern_invalid", "of flags only (?i) is read; remove the others")
    if _count(tree) > _MOST_WAYS:
        message = "it could take long: use *, + and {n,} twice at most in all, and few ? and | beside them"
        raise BadNameError("pattern_invalid", message)
    return found


def _count(nodes: Iterable[_Node]) -> int:
    """Return in how many ways a sequence could go through a line from one place, at most."""
    ways = 1
    for kind, value in nodes:
        ways *= _WAYS.get(str(kind), _refuse)(value)
    return ways


def _refuse(value: object) -> int:
    del value
    message = "look-around, back references and atomic groups are not read; write plain text around one group"
    raise BadNameError("pattern_invalid", message)


def _one(value: object) -> int:
    del value
    return 1


def _branches(value: tuple[None, list[Iterable[_Node]]]) -> int:
    return sum(_count(branch) for branch in value[1])


def _group(value: tuple[Any, int, int, Iterable[_Node]]) -> int:
    _, added, removed, inner = value
    if added or removed:
        raise BadNameError("pattern_invalid", "flags within a group are not read; write (?i) at the beginning")
    return _count(inner)


def _repeat(value: tuple[int, Any, Iterable[_Node]]) -> int:
    least, most, inner = value
    if [str(kind) in _SINGLE for kind, _ in inner] == [True]:
        return max(min(int(most), MAX_LINE) - least, 0) + 1
    if int(most) > 1:
        raise BadNameError(
            "pattern_invalid", "a group may not repeat, since that could take long; repeat one character only"
        )
    return 1 + _count(inner)


_SINGLE = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}
_WAYS: Mapping[str, Callable[[Any], int]] = {
    **dict.fromkeys(("LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"), _one),
    "BRANCH": _branches,
    "SUBPATTERN": _group,
    "MAX_REPEAT": _repeat,
    "MIN_REPEAT": _repeat,
}
