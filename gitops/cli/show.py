"""How verbs talk to people: lines, tables and one moving line; colours and movement only on a terminal.

Foreign text never reaches a terminal raw: a name with an escape sequence is shown, not obeyed.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TextIO

import click

from gitops.trainers.redaction import show_controls

_CLEAR = "\r\x1b[2K"
_FRAMES = "|/-\\"
_TICK = 0.1


def print_json(document: object) -> None:
    """Print one JSON document on one line of standard output."""
    click.echo(json.dumps(document, ensure_ascii=False, default=str))
    sys.stdout.flush()


def duration(seconds: float) -> str:
    """Return a length of time as people write it: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:  # noqa: PLR2004 - one digit before the point leaves room for one behind it
        return f"{seconds:.1f} s"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return aligned columns under a head, each cell on one line."""
    cells = [[show_controls(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


class Console:
    """One stream that may end in a moving line. Any thread may use it.

    Args:
        stream: standard output when not given; give standard error where standard output carries JSON.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._is_terminal = self._stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self._has_colour = self._is_terminal and not os.environ.get("NO_COLOR")
        self._moving = ""
        self._since = 0.0
        self._shown_at = 0.0

    @property
    def is_terminal(self) -> bool:
        """Whether a person seems to look at it."""
        return self._is_terminal

    def paint(self, text: str, colour: str, *, bold: bool = False) -> str:
        """Return the text in a colour of click's, plain where colours are not shown."""
        return click.style(text, fg=colour or None, bold=bold or None) if self._has_colour else text

    def say(self, text: str = "") -> None:
        """Print a line, above the moving one."""
        with self._lock:
            self._write((_CLEAR if self._moving and self._is_terminal else "") + text + "\n")
            self._shown_at = 0.0

    def move(self, text: str) -> None:
        """Show what is waited for and how long already; call it several times a second. Nothing without a terminal."""
        now = time.monotonic()
        with self._lock:
            if not self._moving:
                self._since = now
            self._moving = text
            if self._is_terminal and now - self._shown_at >= _TICK:
                self._shown_at = now
                frame = _FRAMES[int(now / _TICK) % len(_FRAMES)]
                line = f"{frame} {text}  {duration(now - self._since)}"
                self._write(_CLEAR + line[: _width() - 1])

    def rest(self) -> None:
        """Take the moving line away; its clock starts anew."""
        with self._lock:
            if self._moving and self._is_terminal:
                self._write(_CLEAR)
            self._moving = ""

    def _write(self, text: str) -> None:
        # A terminal that is gone must not stop what is being shown.
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


def _width() -> int:
    try:
        return os.get_terminal_size().columns or 80
    except OSError:
        return 80
