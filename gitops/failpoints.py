"""Named places where a test may make the process raise, wait or die.

A failpoint costs one dictionary look-up in an empty dictionary when nothing is armed. Arming is by the environment,
so that a test can reach into a process it started: `LAUNCHPIN_FAILPOINTS="open_pull_request.after=kill;x=sleep:2"`.
"""

import os
import signal
import time

_VARIABLE = "LAUNCHPIN_FAILPOINTS"


class FailpointError(Exception):
    """Raised where a failpoint was armed with `raise`."""


def _parse(text: str) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in text.split(";") if "=" in part)
    return {name.strip(): action.strip() for name, action in pairs}


_armed = _parse(os.environ.get(_VARIABLE, ""))


def arm(text: str) -> None:
    """Arm failpoints in this process, replacing what was armed; the empty text disarms all.

    Args:
        text: `name=action` pairs joined by `;`, an action being `raise`, `kill` or `sleep:SECONDS`.
    """
    _armed.clear()
    _armed.update(_parse(text))


def failpoint(name: str) -> None:
    """Do nothing, unless a test armed this name.

    Args:
        name: `<effect>.before`, `<effect>.after`, or another place a test must be able to reach.

    Raises:
        FailpointError: when armed with `raise`.
    """
    if not _armed:
        return
    action = _armed.get(name, "")
    if action == "raise":
        raise FailpointError(name)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
