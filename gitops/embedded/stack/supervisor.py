"""Keeps a stack's parts running: in order, each as often as needed, and none left at the end.

One thread starts, probes and restarts; the caller waits, and stops it. The folder's lock makes it the only one.
"""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import IO

from gitops.embedded.stack import keys
from gitops.embedded.stack.database import remember_database
from gitops.embedded.stack.ending import Ending, end_marked, end_side_by_side
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.parts import Part, build_parts
from gitops.embedded.stack.process import Event, PartProcess, Report, What
from gitops.embedded.stack.record import Identity, PartState, Record, State, read_record
from gitops.errors import RefusedError, RetryError, StalledError

_BUSY_PACE = 0.05
_IDLE_PACE = 0.2
_WAIT_PACE = 0.1
_PATIENCE = 15.0
# A part that never was ready and died this often will not be helped by another try.
_EARLY_DEATHS = 3

BuildParts = Callable[[Layout], tuple[Part, ...]]
Progress = Callable[[tuple[PartState, ...]], None]


class Supervisor:
    """Supervises one stack.

    Args:
        layout: as `Layout.make` gave it.
        report: gets every event, mostly in the supervisor's own thread; must be quick and must not raise.
        parts: what to supervise.
    """

    def __init__(self, layout: Layout, *, report: Report, parts: BuildParts = build_parts) -> None:
        self.layout = layout
        self._report = report
        self._build_parts = parts
        self._parts: tuple[PartProcess, ...] = ()
        self._lock: IO[str] | None = None
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._failure: Exception | None = None

    def start(self) -> None:
        """Take the folder, end what a crashed supervisor left, and begin to start the parts.

        Raises:
            RefusedError: `AlreadyUp` when another supervisor has the folder.
            StalledError: `PortTaken` when somebody else listens on a port of ours.
        """
        self._lock = take_lock(self.layout)
        try:
            self._end_leftovers()
            self.layout = self.layout.with_free_ports()
            keys.make_secrets(self.layout)
            remember_database(self.layout)
            self._parts = tuple(PartProcess(part, self.layout, self._report) for part in self._build_parts(self.layout))
            self._save()
        except BaseException:
            self._lock.close()
            raise
        self._thread.start()

    def states(self) -> tuple[PartState, ...]:
        """Return what is known about every part now."""
        return tuple(process.state for process in self._parts)

    def wait_ready(
        self, timeout: float, *, stop: threading.Event | None = None, progress: Progress | None = None
    ) -> bool:
        """Wait until every part is ready, and say whether they are: False when `stop` was set before.

        Args:
            timeout: seconds.
            progress: called several times a second meanwhile.

        Raises:
            StalledError: `PartBroken` when a part dies again and again before it was ever ready.
            RetryError: `NotReady` when time is up.
        """
        stop = stop or threading.Event()
        deadline = time.monotonic() + timeout
        while not all(process.is_up for process in self._parts):
            self._raise_failure()
            if time.monotonic() > deadline:
                slow = [process.state for process in self._parts if not process.is_up]
                names = ", ".join(f"{state.name} (log: {state.log})" for state in slow)
                raise RetryError("NotReady", f"not ready after {timeout:.0f} s: {names}")
            if progress:
                progress(self.states())
            if stop.wait(_WAIT_PACE):
                return False
        return True

    def run_until(self, stop: threading.Event) -> None:
        """Supervise until the event is set.

        Raises:
            Exception: whatever ended the supervisor's own thread.
        """
        while not stop.wait(_IDLE_PACE):
            if self._failure is not None:
                raise self._failure

    def hurry(self) -> None:
        """Let `stop` wait for nothing any more; from a signal handler too."""
        self._hurry.set()

    def stop(self) -> None:
        """End every part, those that use others first, and give the folder free. No process is left."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock is None or self._lock.closed:
            return
        try:
            for stage in sorted({process.part.stage for process in self._parts}, reverse=True):
                self._stop_stage(stage)
            end_marked(self.layout.mark())
            self._save(supervised=False)
        finally:
            self._lock.close()

    def _supervise(self) -> None:
        try:
            while not self._stopping.wait(self._pace()):
                changed = [process.look(may_start=self._may_start(process.part)) for process in self._parts]
                if any(changed):
                    self._save()
        except Exception as error:  # noqa: BLE001 - given to whoever waits
            self._failure = error

    def _pace(self) -> float:
        return _IDLE_PACE if all(process.is_up for process in self._parts) else _BUSY_PACE

    def _may_start(self, part: Part) -> bool:
        up = {process.part.name for process in self._parts if process.is_up}
        return up.issuperset(part.after)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
        broken = next((one for one in self._parts if one.early_deaths >= _EARLY_DEATHS), None)
        if broken is not None:
            last = "".join(f"\n    {line}" for line in broken.tail())
            message = f"{broken.part.name} does not start (log: {broken.state.log}); its last lines:{last}"
            raise StalledError("PartBroken", message)

    def _stop_stage(self, stage: int) -> None:
        members = [one for one in self._parts if one.part.stage == stage]
        endings = tuple(
            Ending(one.part.name, one.state.process, one.part.patience)
            for one in members
            if one.state.process is not None and one.state.state is not State.DONE
        )
        killed = end_side_by_side(endings, hurry=self._hurry)
        for one in members:
            one.note_end(killed=one.part.name in killed)

    def _end_leftovers(self) -> None:
        left = end_leftovers(self.layout, hurry=self._hurry)
        if left:
            text = f"a supervisor that died had left {', '.join(left)}: ended"
            self._report(Event(What.NOTE, "", 0.0, text))

    def _save(self, *, supervised: bool = True) -> None:
        ports = dict(self.layout.ports.__dict__)
        owner = Identity.of(os.getpid()) if supervised else None
        self.layout.save(Record(self.layout.id, ports, owner, self.states()))


def part_states(layout: Layout) -> tuple[PartState, ...]:
    """Return what the supervisor knows about its parts; all stopped when there is none. For any process."""
    record = read_record(layout.stack_file)
    if record is None:
        return ()
    if record.supervisor is not None and record.supervisor.is_alive():
        return record.parts
    return tuple(replace(part, state=State.STOPPED) for part in record.parts)


def take_lock(layout: Layout) -> IO[str]:
    """Make this process the folder's only supervisor until the file is closed.

    Raises:
        RefusedError: `AlreadyUp`, naming the one that is.
    """
    lock = layout.lock_file.open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        message = f"a stack is up in {layout.dir} already, pid {owner}: `launchpin down` stops it"
        raise RefusedError("AlreadyUp", message) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def end_leftovers(layout: Layout, *, hurry: threading.Event | None = None) -> tuple[str, ...]:
    """End what a supervisor that died has left running; return the names of those parts. The caller holds the lock."""
    record = read_record(layout.stack_file)
    alive = [part for part in record.parts if part.process and part.process.is_alive()] if record else []
    endings = tuple(Ending(part.name, part.process, _PATIENCE) for part in alive if part.process)
    end_side_by_side(endings, hurry=hurry or threading.Event())
    end_marked(layout.mark())
    return tuple(part.name for part in alive)


def ask_to_stop(layout: Layout) -> bool:
    """Ask the folder's supervisor to stop and return at once; False when there is none."""
    record = read_record(layout.stack_file)
    owner = record.supervisor if record else None
    if owner is None or not owner.is_alive():
        return False
    with suppress(ProcessLookupError):
        os.kill(owner.pid, signal.SIGTERM)
    return True
