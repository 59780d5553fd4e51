"""`logs`: what a script of a training or a trial printed, what was recorded of a rollout, and how either goes on.

A training's log is a file of the machine that trains; where it is another one, the record has its last lines.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import BinaryIO, Protocol

from gitops.audit.entry import Entry, parse
from gitops.errors import NotFoundError, UnknownNameError
from gitops.explaining.phrases import phrase
from gitops.records import Rollout, Training
from gitops.steps import Phase
from gitops.telemetry.lines import show_line
from gitops.telling import answers
from gitops.telling.library import Library, Reader
from gitops.telling.runs import sentence_of
from gitops.telling.subjects import find_place, find_training
from gitops.trainers.redaction import show_controls
from gitops.trials import Trial

NOT_YET = "it has no log yet"
"""What is said of a log that comes by itself, and to this machine."""

_LONGEST_LINE = 64 * 1024
_MOST_BYTES = 8 * 1024 * 1024
_AT_ONCE = 500  # lines, or entries, of one look
_PAGE = 1000
_PLACE = re.compile(r"(?:([0-9]{1,9})\.)?([0-9]{1,15})")  # of an attempt's file, or of the audit log

Logged = Training | Trial | Rollout
"""What has a log."""


def find_logged(library: Library, typed: str) -> Logged:
    """Return whose log a person means.

    Args:
        typed: a training's id or the beginning of it, with a point and a number for a trial of its search, a rollout's
            id, an endpoint for its newest rollout, or empty for the newest training. Of a training that judges a trial
            which a person chose, it is that trial's.

    Raises:
        InputError: several could be meant.
        NotFoundError: `NoTraining`, or `NoRollout` for an endpoint without one.
        UnknownNameError: nobody knows it.
    """
    rollout = library.rollout(typed) if typed else None
    if rollout is not None:
        return rollout
    try:
        place = find_place(library, typed)
    except UnknownNameError:
        return _find_trial(library, typed) if "." in typed else _trained_as(library, find_training(library, typed))
    newest = library.store.newest_rollout(place.repository_id, place.path)
    if newest is None:
        raise NotFoundError("NoRollout", f"nothing was rolled out on {typed} yet: merge a promotion's pull request")
    return newest


def _trained_as(library: Library, training: Training) -> Training | Trial:
    """Return the trial that a training judges which a person chose: that ran the script."""
    chosen = Trial.id_of(training.facts.search_of, training.facts.trial or 0) if training.facts.search_of else ""
    return (library.store.trial(chosen) if chosen else None) or training


def _find_trial(library: Library, typed: str) -> Trial:
    of, _, number = typed.rpartition(".")
    training = find_training(library, of)
    trial = library.store.trial(f"{training.id}.{number}")
    if trial is None:
        raise UnknownNameError("trial", typed, [one.id for one in library.store.trials(training.id)])
    return trial


def find_log(training: Training | Trial, home: Path) -> tuple[Path, int] | None:
    """Return the log of a training's newest attempt, and which one that is; None where there is none on this machine.

    Args:
        home: the folder of state.
    """
    numbered = {}
    for path in (home / "trainings" / "logs").glob(f"{training.id}-*.log"):
        number = path.stem.rpartition("-")[2]
        if number.isdecimal() and path.is_file() and not path.is_symlink():
            numbered[int(number)] = path
    return (numbered[max(numbered)], max(numbered)) if numbered else None


def tell_log(logged: Logged, home: Path, entries: Callable[[], Iterable[Entry]], *, limit: int | None) -> answers.Log:
    """Return the end of a log as programs read it.

    Args:
        home: the folder of state.
        entries: reads the audit log, for a rollout alone.
        limit: at most so many lines, the last ones of eight megabytes; None for all.
    """
    if isinstance(logged, Rollout):
        return _tell_rollout(logged, entries(), limit=limit)
    found = find_log(logged, home)
    attempt = found[1] if found else 0
    if found is None:
        lines, is_whole = [show_controls(line) for line in logged.facts.log_tail], False
    elif limit is None:
        lines, is_whole = list(read_lines(found[0])), True
    else:
        lines, is_whole = _read_end(found[0], limit)
    told = tuple(lines[-limit:] if limit else lines)
    kind = "training" if isinstance(logged, Training) else "trial"
    return _log(kind, logged, _sentence(logged), lines=told, attempt=attempt, is_whole=is_whole)


def say_missing(logged: Logged, *, is_elsewhere: bool) -> str:
    """Return why there is nothing to print, where neither a file here nor the record has any of it.

    Args:
        is_elsewhere: the workers that train may be on other machines than this one.
    """
    if isinstance(logged, Training) and logged.facts.trials:
        return f"each of its trials has a log of its own: launchpin logs {Trial.id_of(logged.id, 1)}"
    if logged.phase.is_final:
        return "it has no log"
    if is_elsewhere and not isinstance(logged, Rollout):
        return "it has no log here yet: while it trains, that is on its worker's machine; its end comes into the record"
    return NOT_YET


def _sentence(logged: Training | Trial) -> str:
    return sentence_of(logged) if isinstance(logged, Training) else logged.message or logged.reason


def _log(
    kind: str, logged: Logged, message: str, *, lines: tuple[str, ...], attempt: int = 0, is_whole: bool = True
) -> answers.Log:
    return answers.Log(
        kind=kind,
        id=logged.id,
        phase=logged.phase.value,
        message=message,
        attempt=attempt,
        lines=lines,
        is_whole=is_whole,
    )


def read_lines(log: Path) -> Iterator[str]:
    """Give the lines of a file, with their control characters spelled out."""
    with log.open("rb") as stream:
        while line := stream.readline(_LONGEST_LINE):
            yield _safe(line)


def _read_end(log: Path, limit: int) -> tuple[list[str], bool]:
    with log.open("rb") as stream:
        start = max(0, stream.seek(0, 2) - _MOST_BYTES)
        stream.seek(start)
        if start:
            stream.readline()  # it began before what is read
        lines = stream.read(_MOST_BYTES).splitlines()
    return [_safe(line[:_LONGEST_LINE]) for line in lines[-limit:]], not start and len(lines) <= limit


def _safe(line: bytes) -> str:
    return show_controls(line.decode("utf-8", "replace").rstrip("\r\n"))


def _tell_rollout(rollout: Rollout, entries: Iterable[Entry], *, limit: int | None) -> answers.Log:
    lines = [_line(entry) for entry in entries if entry.subject.rollout_id == rollout.id]
    lines += [f"| {show_controls(line)}" for line in rollout.facts.log_tail]
    told = tuple(lines[-limit:] if limit else lines)
    message = rollout.message or rollout.reason
    return _log("rollout", rollout, message, lines=told, is_whole=len(told) == len(lines))


def _line(entry: Entry) -> str:
    who = entry.actor.login or entry.actor.type
    return show_controls(f"{entry.time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {phrase(entry)} ({who})")


# ---------------------------------------------------------------- following


@dataclass(frozen=True)
class Piece:
    """What is new in a log.

    Args:
        lines: each with the place that follows it, from where somebody who was cut off goes on.
        attempt: which try they are of; 0 for a rollout.
        phase: of what is followed.
        message: the sentence that says why it is where it is.
        is_over: nothing follows.
    """

    lines: Sequence[tuple[str, str]]
    attempt: int
    phase: Phase
    message: str
    is_over: bool


class Follower(Protocol):
    """A log that grows."""

    def look(self) -> Piece:
        """Return what is new since the last look."""
        ...

    def close(self) -> None:
        """Forget the log."""
        ...


def follow(library: Library, logged: Logged, home: Path, *, place: str = "") -> Follower:
    """Return what follows a log.

    Args:
        place: as a piece had it: go on there; empty for the beginning.
    """
    found = _PLACE.fullmatch(place)
    attempt, offset = (int(found[1] or 0), int(found[2])) if found else (0, 0)
    if isinstance(logged, Rollout):
        return _RolloutFollower(library.store, logged, offset)
    return _TrainingFollower(library.store, logged, home, start=(attempt, offset))


class _TrainingFollower:
    """Follows the file of a training's newest attempt; a new attempt's file follows the old one's."""

    def __init__(self, store: Reader, training: Training | Trial, home: Path, *, start: tuple[int, int]) -> None:
        self._start = start
        self._store = store
        self._training = training
        self._home = home
        self._attempt = 0
        self._lines: list[tuple[str, str]] = []
        self._tail: Tail | None = None

    def look(self) -> Piece:
        # Whether it is over is asked before the rest is read: nothing is written after the end.
        now = self._read_again()
        self._turn_to(find_log(now, self._home))
        self._lines = []
        is_more = self._tail is not None and self._tail.print(is_last=now.phase.is_final, most=_AT_ONCE)
        is_over = now.phase.is_final and not is_more
        if is_over and self._tail is None and self._start == (0, 0):
            # It was trained on another machine, or its file is gone.
            self._lines = [(show_controls(line), "") for line in now.facts.log_tail]
        return Piece(self._lines, self._attempt, now.phase, _sentence(now), is_over)

    def _read_again(self) -> Training | Trial:
        if isinstance(self._training, Training):
            return self._store.training(self._training.id) or self._training
        return self._store.trial(self._training.id) or self._training

    def _turn_to(self, found: tuple[Path, int] | None) -> None:
        if found is None or found[1] == self._attempt:
            return
        self.close()
        log, self._attempt = found
        offset = self._start[1] if self._start[0] == self._attempt else 0
        self._tail = Tail(log, say=self._keep, offset=offset)

    def _keep(self, line: str) -> None:
        at = self._tail.offset if self._tail is not None else 0
        self._lines.append((line, f"{self._attempt}.{at}"))

    def close(self) -> None:
        if self._tail is not None:
            self._tail.close()


class _RolloutFollower:
    """Follows what is recorded of a rollout, from a position of the audit log on."""

    def __init__(self, store: Reader, rollout: Rollout, position: int) -> None:
        self._store = store
        self._rollout = rollout
        self._next = position

    def look(self) -> Piece:
        now = self._store.rollout(self._rollout.id) or self._rollout
        lines: list[tuple[str, str]] = []
        is_more = True
        while is_more and len(lines) < _AT_ONCE:
            page = self._store.audit_entries(self._next, _PAGE)
            is_more = len(page) == _PAGE
            for raw in page:
                self._next += 1
                entry = parse(raw)
                if entry.subject.rollout_id == now.id:
                    lines.append((_line(entry), str(self._next)))
        is_over = now.phase.is_final and not is_more
        if is_over:
            lines += [(f"| {show_controls(line)}", str(self._next)) for line in now.facts.log_tail]
        return Piece(lines, 0, now.phase, now.message or now.reason, is_over)

    def close(self) -> None:
        return


class Tail:
    """A growing file, printed line by line as its lines are completed.

    Args:
        say: prints a line.
        offset: the byte to begin at.
    """

    def __init__(self, log: Path, *, say: Callable[[str], None], offset: int = 0) -> None:
        self._say = say
        self._stream: BinaryIO = log.open("rb")
        self._stream.seek(offset)
        self._begun = b""
        self.offset = offset

    def print(self, *, is_last: bool = False, most: int = 0) -> bool:
        """Print what is new, and return whether there may be more.

        Args:
            is_last: nothing follows any more, so that a line without its end is printed too.
            most: stop after so many lines; 0 for none.
        """
        count = 0
        while piece := self._stream.readline(_LONGEST_LINE):
            self._begun += piece
            if piece.endswith(b"\n") or len(self._begun) >= _LONGEST_LINE:
                self._flush()
                count += 1
                if count == most:
                    return True
        if is_last and self._begun:
            self._flush()
        return False

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _flush(self) -> None:
        self.offset += len(self._begun)
        # What our parts write is a record a line; people read the sentence in it.
        for line in show_line(self._begun.decode("utf-8", "replace").rstrip("\r\n")):
            self._say(show_controls(line))
        self._begun = b""
