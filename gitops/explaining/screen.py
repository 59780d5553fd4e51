"""An explanation as text for a terminal: a headline, a part after the other, and what may be typed. Pure."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from gitops.explaining.explanation import Explanation, Hint, Part, Statement
from gitops.words import age

_TYPE = "Type"
_TAIL_LINE = 300
_GAP = 2

Spell = Callable[[str], str]


def show(explanation: Explanation, *, width: int = 80, spell: Spell = str) -> str:
    """Return the whole screen.

    Args:
        width: columns; only what has no space in it is longer, an address say.
        spell: makes foreign text safe to print.
    """
    margin = max(len(part) for part in (*Part, _TYPE)) + _GAP
    lines = [*_wrap(spell(explanation.headline), width), ""]
    for part, statements in explanation.parts.items():
        told = [line for one in statements for line in _show(part, one, explanation.now, width - margin, spell)]
        lines += _beside(part, told, margin)
    return "\n".join([*lines, *_beside(_TYPE, _show_hints(explanation.hints, width - margin, spell), margin)])


def _beside(title: str, lines: Sequence[str], margin: int) -> Iterator[str]:
    for at, line in enumerate(lines):
        yield f"{title if at == 0 else '':<{margin}}{line}".rstrip()


def _show(part: Part, statement: Statement, now: datetime, width: int, spell: Spell) -> Iterator[str]:
    yield from _wrap(spell(" ".join(f"{_since(part, statement, now)}{statement.text}".split())), width)
    for said in statement.tail:
        cut = spell(said.rstrip())[:_TAIL_LINE]
        yield from (f"  | {line}" for line in _wrap(cut, width - len("  | ")))


def _since(part: Part, statement: Statement, now: datetime) -> str:
    """Return since when something failed or is waited for; what serves says so itself."""
    if statement.since is None or part not in {Part.FAILED, Part.WAITS}:
        return ""
    length = age(statement.since, now)
    return f"{length} ago, " if part is Part.FAILED else f"for {length}, "


def _show_hints(hints: Sequence[Hint], width: int, spell: Spell) -> list[str]:
    """Return the commands with what they are good for, as far as that fits beside every one of them."""
    commands = [spell(hint.command) for hint in hints]
    longest = max(map(len, commands), default=0)
    beside = [f"{command:<{longest}}  # {hint.purpose}" for command, hint in zip(commands, hints, strict=True)]
    return beside if all(len(line) <= width for line in beside) else commands


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
