"""Patterns over branches and paths: `*` within a segment, `**` across them, `!` takes back. Pure.

A pattern matches the whole text. Matching is a simulation of states held in one integer, so its time is linear in the
text whatever the pattern; nothing backtracks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

MAX_PATTERN = 200  # characters


class _Token(Enum):
    STAR = auto()  # anything but "/"
    ANY = auto()  # anything
    FOLDERS = auto()  # nothing, or whole folders with their "/"


@dataclass(frozen=True, slots=True)
class _Machine:
    """One bit a state; the last one accepts.

    Args:
        literals: the states that leave by a character.
        stays: the states that stay on any character but `/`; `stays_on_slash` those that stay on it.
        skips: the states that may be skipped without reading; `double_skips` those that skip the next one too.
        folders: the states that leave on `/` only, after anything.
        accept: the last state.
        prefix: the characters before the first wildcard; the whole pattern when it `is_exact`.
    """

    literals: dict[str, int]
    stays: int
    stays_on_slash: int
    skips: int
    double_skips: int
    folders: int
    accept: int
    prefix: str
    is_exact: bool


def matches_any(path: str, patterns: Sequence[str]) -> bool:
    """Return whether a branch or path is selected; as in GitHub Actions, the last pattern that matches decides."""
    for pattern in reversed(patterns):
        is_negated = pattern.startswith("!")
        if matches(path, pattern.removeprefix("!")):
            return not is_negated
    return False


def matches(text: str, pattern: str) -> bool:
    """Return whether one pattern, without `!`, matches the whole text."""
    machine = _compile(pattern)
    if machine.is_exact or not text.startswith(machine.prefix):
        return text == machine.prefix and machine.is_exact
    states = _skip(1 << len(machine.prefix), machine)
    for char in text[len(machine.prefix) :]:
        stays = machine.stays_on_slash if char == "/" else machine.stays
        leaves = states & machine.literals.get(char, 0)
        if char == "/":
            leaves |= states & machine.folders
        states = _skip((states & stays) | (leaves << 1), machine)
        if not states:
            return False
    return bool(states & machine.accept)


def explain_bad_pattern(pattern: str) -> str:
    """Return what is wrong with a pattern and what to do; empty when it is fine."""
    body = pattern.removeprefix("!")
    if not body or len(pattern) > MAX_PATTERN:
        return f"a pattern has 1 to {MAX_PATTERN} characters"
    if wrong := sorted(set("?[]{}\\") & set(body)):
        return f"`{wrong[0]}` is not read in a pattern; only `*`, `**` and a leading `!` are special"
    if body.startswith("/") or body.endswith("/") or ".." in body.split("/") or not body.isprintable():
        return "a pattern is relative, without `..` and without `/` at its ends; `docs/**` is all below docs"
    return ""


def _skip(states: int, machine: _Machine) -> int:
    while True:
        more = states | ((states & machine.skips) << 1) | ((states & machine.double_skips) << 2)
        if more == states:
            return states
        states = more


def _tokenize(pattern: str) -> list[str | _Token]:
    """Split a pattern; neighbouring wildcards become one, which keeps skipping short."""
    tokens: list[str | _Token] = []
    position = 0
    while position < len(pattern):
        end = position
        while end < len(pattern) and pattern[end] == "*":
            end += 1
        if end == position:
            tokens.append(pattern[position])
            position += 1
            continue
        is_start = position == 0 or pattern[position - 1] == "/"
        if end - position == 1:
            token = _Token.STAR
        elif is_start and pattern[end : end + 1] == "/":
            token, end = _Token.FOLDERS, end + 1
        else:
            token = _Token.ANY
        if token is not _Token.FOLDERS or tokens[-1:] != [_Token.FOLDERS]:
            tokens.append(token)
        position = end
    return tokens


@lru_cache(maxsize=512)
def _compile(pattern: str) -> _Machine:
    tokens = _tokenize(pattern)
    literals: dict[str, int] = {}
    stays = stays_on_slash = skips = double_skips = folders = 0
    bit = 1
    for token in tokens:
        match token:
            case _Token.STAR:
                stays, skips = stays | bit, skips | bit
            case _Token.ANY:
                stays, stays_on_slash, skips = stays | bit, stays_on_slash | bit, skips | bit
            case _Token.FOLDERS:  # two states: at a folder's start, which may be skipped whole, and inside folders
                skips, double_skips = skips | bit, double_skips | bit
                bit <<= 1
                stays, stays_on_slash, folders = stays | bit, stays_on_slash | bit, folders | bit
            case str():
                literals[token] = literals.get(token, 0) | bit
        bit <<= 1
    first = next((index for index, token in enumerate(tokens) if isinstance(token, _Token)), len(tokens))
    prefix = "".join(token for token in tokens[:first] if isinstance(token, str))
    return _Machine(
        literals, stays, stays_on_slash, skips, double_skips, folders, bit, prefix, is_exact=first == len(tokens)
    )
