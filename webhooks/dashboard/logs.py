"""The end of a training's or a trial's log, where its file is on this machine: some lines, numbered from the first."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gitops.records import Training
from gitops.telling.logs import find_log, say_missing
from gitops.trainers.redaction import show_controls
from gitops.trials import Trial

MOST_LINES = 400
"""Lines that a page shows."""

_MOST_BYTES = 256 * 1024
_MOST_COUNTED = 64 * 1024 * 1024
_LONGEST_LINE = 2_000
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Line:
    """A line; `number` counts from 1, and is 0 where nobody knows."""

    number: int
    text: str


@dataclass(frozen=True)
class Log:
    """The end of a log.

    Args:
        lines: the last ones.
        is_whole: whether nothing comes before them.
        attempt: which try wrote it, 0 where the record alone tells.
    """

    lines: tuple[Line, ...]
    is_whole: bool
    attempt: int = 0


def read_log(training: Training | Trial, home: Path) -> Log | None:
    """Return the end of the newest attempt's log, or what the record keeps of it; None where there is none.

    Args:
        home: the folder of state; a worker on another machine has its logs there.
    """
    found = find_log(training, home)
    if found is not None:
        try:
            return _read(*found)
        except OSError:
            pass  # removed at this moment
    tail = training.facts.log_tail
    return Log(tuple(Line(0, show_controls(line)[:_LONGEST_LINE]) for line in tail), is_whole=False) if tail else None


def say_none(training: Training | Trial, home: Path) -> str:
    """Return in a sentence why there is no log to show, as `launchpin logs` says it."""
    # The parts of a stack share its folder; those of a service have theirs on machines of their own.
    return say_missing(training, is_elsewhere=not (home / "stack.json").exists())


def _read(path: Path, attempt: int) -> Log | None:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size - _MOST_BYTES)
        file.seek(start)
        raw = file.read(_MOST_BYTES)
        lines = raw.split(b"\n")
        if lines and not lines[-1]:
            lines.pop()
        if start:
            lines = lines[1:]  # it began before what was read
        shown = lines[-MOST_LINES:]
        before = len(lines) - len(shown) + (_count(file, start, raw) if start else 0)
    is_counted = size <= _MOST_COUNTED
    first = before + 1 if is_counted else 0
    told = tuple(Line(first + at if first else 0, _show(line)) for at, line in enumerate(shown))
    return Log(told, is_whole=not before and not start, attempt=attempt) if told else None


def _count(file: BinaryIO, start: int, raw: bytes) -> int:
    """Return how many lines end before the first whole line of what was read."""
    file.seek(0)
    count, left = 0, min(start, _MOST_COUNTED)
    while left > 0 and (piece := file.read(min(_CHUNK, left))):
        count += piece.count(b"\n")
        left -= len(piece)
    return count + (1 if b"\n" in raw else 0)


def _show(line: bytes) -> str:
    return show_controls(line.decode("utf-8", "replace").rstrip("\r"))[:_LONGEST_LINE]
