"""Turn the patches of files into numbered lines for a page, within bounds."""

from collections.abc import Sequence
from dataclasses import dataclass

from gitops.embedded.forge.git import FileChange

FILES_LIMIT = 200
LINES_LIMIT = 1500
_WIDTH_LIMIT = 2000


@dataclass(frozen=True)
class Line:
    """One line of a diff; `kind` is add, del, hunk or same; numbers are empty where the side has no such line."""

    kind: str
    old: str
    new: str
    text: str


@dataclass(frozen=True)
class ShownFile:
    """One file of a diff; `left_out` counts the lines that are not shown."""

    change: FileChange
    lines: tuple[Line, ...]
    left_out: int


def shown_files(changes: Sequence[FileChange]) -> list[ShownFile]:
    """Return the first files with their first lines."""
    return [_shown(change) for change in changes[:FILES_LIMIT]]


def _shown(change: FileChange) -> ShownFile:
    raw = change.patch.split("\n") if change.patch else []
    lines, old, new = [], 0, 0
    for text in raw[:LINES_LIMIT]:
        cut = text[1:_WIDTH_LIMIT]
        match text[:1]:
            case "@":
                old, new = _starts(text)
                lines.append(Line("hunk", "", "", text[:_WIDTH_LIMIT]))
            case "+":
                lines.append(Line("add", "", str(new), cut))
                new += 1
            case "-":
                lines.append(Line("del", str(old), "", cut))
                old += 1
            case "\\":
                lines.append(Line("hunk", "", "", text[1:].strip()))
            case _:
                lines.append(Line("same", str(old), str(new), cut))
                old, new = old + 1, new + 1
    return ShownFile(change, tuple(lines), max(0, len(raw) - LINES_LIMIT))


def _starts(header: str) -> tuple[int, int]:
    """Return the first line numbers in `@@ -1,2 +3,4 @@`."""
    parts = header.split(" ")
    return int(parts[1][1:].split(",")[0]), int(parts[2][1:].split(",")[0])
