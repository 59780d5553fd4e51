"""Ending processes so that none is left: asked first, killed when they do not go, and what they leave behind too.

Works for children of ours and for those of a supervisor that died, since each is known by its pid and its start.
"""

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from gitops.embedded.stack.record import Identity
from gitops.trainers import processes

_PACE = 0.05
# Seconds that what a part started gets to notice that the part is gone: a runner ends its training in this time.
_FOLLOWERS_PATIENCE = 3.0
_KILL_PATIENCE = 10.0


@dataclass(frozen=True)
class Ending:
    """A process to end, with its group.

    Args:
        patience: seconds between asking and killing.
    """

    name: str
    process: Identity
    patience: float


def end_side_by_side(endings: tuple[Ending, ...], *, hurry: threading.Event) -> frozenset[str]:
    """Ask each process to end, kill those that do not, and end what they leave behind.

    Args:
        hurry: when set, nothing is waited for.

    Returns:
        the names of those that were killed.
    """
    followers = _followers(endings)
    for ending in endings:
        _signal_group(ending.process, signal.SIGTERM)
    begun = time.monotonic()
    killed: set[str] = set()
    while left := [ending for ending in endings if ending.process.is_alive()]:
        followers |= _followers(tuple(left))
        spent = time.monotonic() - begun
        for ending in left:
            if hurry.is_set() or spent > ending.patience:
                killed.add(ending.name)
                _signal_group(ending.process, signal.SIGKILL)
        if spent > max(ending.patience for ending in left) + _KILL_PATIENCE:
            break  # asleep in the kernel: nobody can end it
        time.sleep(_PACE)
    _end_followers(followers, hurry=hurry)
    return frozenset(killed)


def end_marked(mark: str) -> None:
    """End at once every process that was started with this mark, and wait until none is left."""
    processes.end_all(
        lambda: processes.carriers(mark, processes.snapshot()), reap=lambda: None, patience=_KILL_PATIENCE
    )


def _signal_group(process: Identity, number: signal.Signals) -> None:
    # A part leads its own group, so its number names the group as long as this very process lives.
    if process.is_alive():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _followers(endings: tuple[Ending, ...]) -> set[Identity]:
    snapshot = processes.snapshot()
    alive = [ending.process.pid for ending in endings if ending.process.is_alive()]
    return {Identity(one.pid, one.started) for pid in alive for one in processes.descendants(pid, snapshot)}


def _end_followers(followers: set[Identity], *, hurry: threading.Event) -> None:
    deadline = time.monotonic() + _FOLLOWERS_PATIENCE
    while any(one.is_alive() for one in followers) and time.monotonic() < deadline and not hurry.is_set():
        time.sleep(_PACE)
    processes.end_all(
        lambda: [found for one in followers if one.is_alive() and (found := processes.find(one.pid))],
        reap=lambda: None,
        patience=_KILL_PATIENCE,
    )
