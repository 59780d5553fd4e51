"""Named places where a test may make the process raise, wait, stop or die.

A failpoint costs a look at one flag when nothing is armed. Arming is by the environment, so that a test can reach into
a process it started: `LAUNCHPIN_FAILPOINTS="open_pull_request.after=kill;commit.before=raise@7;x=sleep:2"`.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_VARIABLE = "LAUNCHPIN_FAILPOINTS"
_ACTION = re.compile(r"(raise|kill|stop|sleep:[0-9]+(?:\.[0-9]+)?)(?:@([1-9][0-9]*))?")


class FailpointError(Exception):
    """Raised where a failpoint was armed with `raise`."""


@dataclass
class _Trap:
    """What happens at one name.

    Args:
        action: `raise`, `kill`, `stop` or `sleep:SECONDS`.
        place: at which hit, counted from 1; 0 for every one.
        hits: how often this process came by.
    """

    action: str
    place: int = 0
    hits: int = 0


def _parse(text: str) -> dict[str, _Trap]:
    return dict(_parse_one(part) for part in text.split(";") if part.strip())


def _parse_one(part: str) -> tuple[str, _Trap]:
    name, _, wanted = (piece.strip() for piece in part.partition("="))
    action = _ACTION.fullmatch(wanted)
    if not name or action is None:
        raise ValueError(f"{part.strip()!r} is no NAME=ACTION of {_VARIABLE}: raise, kill, stop or sleep:SECONDS, @N")
    return name, _Trap(action[1], int(action[2] or 0))


_traps = _parse(os.environ.get(_VARIABLE, ""))
_hear: Callable[[str], object] | None = None
_is_on = bool(_traps)
_lock = threading.Lock()


def arm(text: str) -> None:
    """Arm failpoints in this process, replacing what was armed; the empty text disarms all. Hits count from now on.

    Args:
        text: `name=action` pairs joined by `;`, an action being `raise`, `kill` (SIGKILL), `stop` (SIGSTOP, until
            somebody sends SIGCONT) or `sleep:SECONDS`; followed by `@N`, it happens at the Nth hit alone.

    Raises:
        ValueError: when a pair is none.
    """
    global _traps, _is_on  # noqa: PLW0603 - one flag for one process keeps a disarmed failpoint free
    _traps = _parse(text)
    _is_on = bool(_traps) or _hear is not None


def watch(hear: Callable[[str], object] | None) -> None:
    """Have somebody told of every failpoint this process comes by, armed or not; None ends that.

    Args:
        hear: called with the name before anything else happens there, on the thread that came by.
    """
    global _hear, _is_on  # noqa: PLW0603 - as in `arm`
    _hear = hear
    _is_on = bool(_traps) or _hear is not None


def failpoint(name: str) -> None:
    """Do nothing, unless a test armed this name.

    Args:
        name: `<effect>.before`, `<effect>.after`, or another place a test must be able to reach.

    Raises:
        FailpointError: when armed with `raise`.
    """
    if not _is_on:
        return
    if _hear is not None:
        _hear(name)
    _do(name, _due(name))


def _due(name: str) -> str:
    """Count a hit and return the action it calls for, empty for none."""
    trap = _traps.get(name)
    if trap is None:
        return ""
    with _lock:
        trap.hits += 1
        is_due = trap.place in {0, trap.hits}
    return trap.action if is_due else ""


def _do(name: str, action: str) -> None:
    if action == "raise":
        raise FailpointError(name)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        # To this very thread: one that is sent to the process stops another thread first, and this one runs on a while.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    elif action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
