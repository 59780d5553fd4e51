"""Trees of processes: who is in one, what it uses, and how to end it so that nothing is left.

Hard on Linux (one reading of /proc shows everybody); best effort on macOS, where a process that was orphaned is
recognised by its environment only.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").is_file()
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PAUSE = 0.01
# A tree that forks without end is stopped pass by pass; it is smaller than this many passes or it has won.
_STOP_PASSES = 500


@dataclass(frozen=True)
class Process:
    """A living process, or a thread group of which threads live.

    Args:
        started: when it began, in a form that is compared, never calculated with; with the pid it is unique.
        threads: how many tasks it is.
        memory: resident bytes.
    """

    pid: int
    parent: int
    started: str
    threads: int
    memory: int


def snapshot() -> dict[int, Process]:
    """Return every living process that we may see, by pid."""
    found = map(_read_proc, _proc_pids()) if _HAS_PROC else map(_read_psutil, psutil.process_iter())
    return {process.pid: process for process in found if process}


def find(pid: int) -> Process | None:
    """Return a living process."""
    if _HAS_PROC:
        return _read_proc(pid)
    with suppress(psutil.Error):
        return _read_psutil(psutil.Process(pid))
    return None


def descendants(root: int, processes: dict[int, Process]) -> list[Process]:
    """Return the children of a process, their children and so on, without the process itself."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    seen, queue = {root}, [root]
    while queue:
        for child in children.get(queue.pop(), []):
            if child.pid not in seen:
                seen.add(child.pid)
                found.append(child)
                queue.append(child.pid)
    return found


def carriers(mark: str, processes: dict[int, Process]) -> list[Process]:
    """Return the processes whose environment was started with this text in it, our own excepted.

    Finds what left its tree: the orphans of a runner that was killed.
    """
    return [process for process in processes.values() if process.pid != os.getpid() and _carries(process.pid, mark)]


def end_all(members: Callable[[], Sequence[Process]], *, reap: Callable[[], object], patience: float) -> bool:
    """End every process that `members` names, again and again until it names none.

    All are stopped before the first is killed: a stopped process cannot fork, so a fork bomb cannot outrun this.

    Args:
        reap: collects dead children where they are ours.
        patience: seconds; a process that sleeps in the kernel may live longer.

    Returns:
        whether none is left.
    """
    stopped: set[Process] = set()
    for _ in range(_STOP_PASSES):
        fresh = [process for process in members() if _identity(process) not in stopped]
        if not fresh:
            break
        send(signal.SIGSTOP, fresh)
        stopped.update(map(_identity, fresh))
    deadline = time.monotonic() + patience
    while left := members():
        if time.monotonic() > deadline:
            return False
        send(signal.SIGKILL, left)
        reap()
        time.sleep(_PAUSE)
    return True


def send(number: signal.Signals, processes: Iterable[Process]) -> None:
    """Send a signal to each process that is still there."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


def _identity(process: Process) -> Process:
    return Process(process.pid, 0, process.started, 0, 0)


def _proc_pids() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 - names only, many times a second


def _read_proc(pid: int) -> Process | None:
    """Read proc(5)'s `stat`; the fields are counted from after the command's name, which may hold anything."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    fields = text.rpartition(b")")[2].split()
    threads = int(fields[17])
    if fields[0] in {b"Z", b"X"} and threads <= 1:
        return None
    return Process(pid, int(fields[1]), f"{_boot_id()}:{int(fields[19])}", threads, int(fields[21]) * _PAGE)


def _read_psutil(process: psutil.Process) -> Process | None:
    try:
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            memory = process.memory_info().rss
            return Process(process.pid, process.ppid(), repr(process.create_time()), process.num_threads(), memory)
    except psutil.Error:
        return None


def _carries(pid: int, mark: str) -> bool:
    if _HAS_PROC:
        with suppress(OSError):
            return mark.encode() in (_PROC / str(pid) / "environ").read_bytes()
        return False
    with suppress(psutil.Error, OSError):
        return any(mark in value for value in psutil.Process(pid).environ().values())
    return False


@cache
def _boot_id() -> str:
    """Return what tells this boot from the last: ticks since boot say nothing after another one."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
