"""One part's life: started, ready, dead, started again. Reports what happens; decides nothing about other parts."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import IO

from gitops.embedded.stack.ending import end_marked
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.parts import Part
from gitops.embedded.stack.record import Identity, PartState, State
from gitops.telemetry.lines import show_line
from gitops.trainers.redaction import show_controls

# Nothing that a part writes is for other users of this machine.
_UMASK = 0o077
_LOG_LIMIT = 16 * 1024 * 1024
_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 8
_LINE_LIMIT = 300
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
# After this many seconds alive, a death is no continuation of the last one.
_STEADY = 30.0


class What(StrEnum):
    """What can happen to a part."""

    STARTED = "started"
    READY = "ready"
    DIED = "died"
    STOPPED = "stopped"
    KILLED = "killed"
    NOTE = "note"


@dataclass(frozen=True)
class Event:
    """Something that happened to a part, for a person to read.

    Args:
        seconds: how long it took, or until it is started again.
        text: one line.
        lines: the log's last ones, where the part died.
    """

    what: What
    part: str
    seconds: float
    text: str
    lines: tuple[str, ...] = ()


Report = Callable[[Event], None]


class PartProcess:
    """Keeps one part running. All methods but `state` are called by one thread.

    Args:
        report: called in the supervisor's thread; must be quick and must not raise.
    """

    def __init__(self, part: Part, layout: Layout, report: Report) -> None:
        self.part = part
        self.state = PartState(part.name, State.WAITING, log=str(layout.log(part.name)), url=part.url)
        self.early_deaths = 0
        self._layout = layout
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._begin = 0
        self._started = 0.0
        self._due = 0.0
        self._pause = _FIRST_PAUSE
        self._told: tuple[str, ...] = ()

    @property
    def is_up(self) -> bool:
        """Whether others may build on it."""
        return self.state.state in {State.READY, State.DONE}

    def look(self, *, may_start: bool) -> bool:
        """Start, probe or restart, whichever is due; say whether the state changed."""
        before = self.state
        match self.state.state:
            case State.WAITING if may_start:
                self._start()
            case State.RESTARTING if time.monotonic() >= self._due:
                self._start()
            case State.STARTING | State.READY:
                self._watch()
            case _:
                pass
        return self.state != before

    def tail(self) -> tuple[str, ...]:
        """Return the last lines of what its last process wrote."""
        return read_tail(self._layout.log(self.part.name), begin=self._begin)

    def note_end(self, *, killed: bool) -> None:
        """Take note that it was ended on purpose."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            self.state = replace(self.state, exit_code=self._process.returncode)
        self.state = replace(self.state, state=State.STOPPED)
        what, text = (What.KILLED, "did not end when asked: killed") if killed else (What.STOPPED, "stopped")
        self._report(Event(what, self.part.name, 0.0, text))

    def _start(self) -> None:
        log = self._layout.log(self.part.name)
        log.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            if log.stat().st_size > _LOG_LIMIT:
                log.replace(log.with_suffix(".log.1"))
        folder = self._layout.empty_folder(self.part.name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _open_private(log) as output:
            self._begin = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - a command of ours
                self.part.arguments,
                cwd=folder,
                env=dict(self.part.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=_UMASK,
            )
        self._started = time.monotonic()
        self.state = replace(self.state, state=State.STARTING, process=Identity.of(self._process.pid))
        self._report(Event(What.STARTED, self.part.name, 0.0, f"started, pid {self._process.pid}"))

    def _watch(self) -> None:
        code = self._process.poll() if self._process else None
        seconds = time.monotonic() - self._started
        if code is not None:
            self._take_death(code, seconds)
        elif self.state.state is State.STARTING and self._is_ready():
            self._take_ready(State.READY, seconds)

    def _is_ready(self) -> bool:
        return self.part.probe is not None and self.part.probe(self._layout.log(self.part.name), self._begin)

    def _take_ready(self, state: State, seconds: float) -> None:
        self.state = replace(self.state, state=state)
        self.early_deaths = 0
        self._report(Event(What.READY, self.part.name, seconds, "done" if state is State.DONE else "ready"))

    def _take_death(self, code: int, seconds: float) -> None:
        end_marked(self._layout.mark(self.part.name))
        self.state = replace(self.state, exit_code=code)
        if self.part.probe is None and code == 0:
            self._take_ready(State.DONE, seconds)
            return
        if self.state.state is State.STARTING:
            self.early_deaths += 1
        self._pause = _FIRST_PAUSE if seconds > _STEADY else self._pause
        self.state = replace(self.state, state=State.RESTARTING, restarts=self.state.restarts + 1)
        self._due = time.monotonic() + self._pause
        text = f"died ({_name_end(code)}), starts again in {self._pause:.1f} s"
        lines = self.tail()
        # What dies of the same cause again and again says so once.
        self._report(Event(What.DIED, self.part.name, self._pause, text, lines if lines != self._told else ()))
        self._told = lines
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


def _open_private(log: Path) -> IO[bytes]:
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def read_tail(log: Path, *, begin: int = 0) -> tuple[str, ...]:
    """Return a log's last lines, with no character that could move a cursor."""
    try:
        with log.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(min(begin, end), end - _TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ()
    # Empty lines, and those with which Python underlines its own, say nothing.
    telling = (line for told in lines for line in show_line(told) if line.strip(" ^~"))
    return tuple(show_controls(line)[:_LINE_LIMIT] for line in deque(telling, maxlen=_TAIL_LINES))


def _name_end(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
