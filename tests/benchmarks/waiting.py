"""Waiting for processes, and what they cost."""

import socket
import time
from collections.abc import Callable
from subprocess import Popen

import psutil


def await_port(port: int, process: Popen[bytes], *, seconds: float = 60.0) -> None:
    """Wait until a process listens."""

    def is_open() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert process.poll() is None, f"it ended with {process.returncode} before it listened"
            return False
        return True

    await_that(is_open, what=f"port {port}", seconds=seconds)


def await_that(is_done: Callable[[], bool], *, what: str, seconds: float = 60.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)  # the pace of looking


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
