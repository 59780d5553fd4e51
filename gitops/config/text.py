"""Foreign text on its way into a message, and places in a file. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gitops.errors import InputError

_LONGEST_SHOWN = 60
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

Path = tuple[str | int, ...]


def show(text: str) -> str:
    """Return a foreign text in quotes, on one line, at most 60 characters, invisible characters escaped."""
    cut = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return '"' + "".join(char if char.isprintable() else _escape(char) for char in cut) + '"'


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def show_path(path: Path) -> str:
    """Return a path as people write it, `deploy.environments.staging` or `register.gates[0].above`."""
    written = ""
    for part in path:
        written += f"[{part}]" if isinstance(part, int) else f".{show(part)[1:-1]}"
    return written.removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?`, or nothing where nothing is near."""
    if len(word) > _LONGEST_SHOWN:  # difflib takes quadratic time
        return ""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    near = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {show(near[0])}?" if near else ""


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text, to tell where in it something is wrong.

    Args:
        file: the name as the person knows it.
        text: without a byte order mark.
    """

    file: str
    text: str

    def error(self, reason: str, message: str, *, at: int = 0, path: Path = ()) -> InputError:
        """Return the error for a place given as an index into the text."""
        line, column = self.place(at)
        return InputError(reason, message, file=self.file, field=show_path(path), line=line, column=column)

    def place(self, at: int) -> tuple[int, int]:
        """Return line and column, from 1, lines ended as editors end them: CR LF, LF or CR."""
        line, start = 1, 0
        for found in _LINE_BREAK.finditer(self.text, 0, at):
            line, start = line + 1, found.end()
        return line, at - start + 1
