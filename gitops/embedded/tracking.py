"""An MLflow server for one try on this machine: on loopback, with a folder of its own, gone with whoever started it.

`python -P -m gitops.embedded.tracking FOLDER PORT` keeps the server until standard input ends: that end comes when
whoever holds the other one ends in whatever way.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gitops.embedded.stack.environment import plain_environment
from gitops.embedded.stack.layout import LOOPBACK, choose_port
from gitops.embedded.stack.parts import MLFLOW_VARIABLES, mlflow_arguments
from gitops.embedded.stack.probes import http_probe
from gitops.embedded.stack.process import read_tail
from gitops.errors import RetryError
from gitops.trainers import processes

_PACE = 0.1
# Seconds. A first start makes the tables, which takes ten or more on a machine that is busy.
_READY_WITHIN = 300.0
_END_WITHIN = 30.0
_UMASK = 0o077
_INPUT = 0


class TrackingServer:
    """A server that is starting, or runs.

    Args:
        process: keeps it, until its standard input is closed.
        begin: the place in the log where it began to write.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path, *, begin: int) -> None:
        self._process = process
        self._log = log
        self._begin = begin
        self._is_ready = http_probe(port, "/health")
        self.uri = f"http://{LOOPBACK}:{port}"

    def wait_ready(self) -> None:
        """Wait until it answers.

        Raises:
            RetryError: `NotReady`, with its last words and its log.
        """
        deadline = time.monotonic() + _READY_WITHIN
        while not self._is_ready(self._log, self._begin):
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = "; ".join(read_tail(self._log, begin=self._begin)[-2:])
                raise RetryError("NotReady", f"the MLflow server of this try did not start: {words}; see {self._log}")
            time.sleep(_PACE)


@contextmanager
def tracking_server(home: Path) -> Iterator[TrackingServer]:
    """Start a server, and end it with the block.

    Args:
        home: its folder; its records and artifacts stay.
    """
    for folder in (home, home / "empty"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, log = choose_port(set()), home / "server.log"
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(  # noqa: S603 - a command of ours
            [sys.executable, "-P", "-m", "gitops.embedded.tracking", str(home.absolute()), str(port)],
            cwd=home / "empty",
            env=plain_environment() | MLFLOW_VARIABLES | {"HOME": str(home.absolute())},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=_UMASK,
        )
    try:
        yield TrackingServer(process, port, log, begin=begin)
    finally:
        _dismiss(process)


def _dismiss(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def keep(arguments: tuple[str, ...], *, until: Callable[[], bool]) -> int:
    """Run a server with all that it starts, until it ends or must, and leave nothing of it.

    Args:
        until: waits a moment, and says whether it must end.

    Returns:
        its exit code.
    """
    server = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)  # noqa: S603 - a command of ours
    while server.poll() is None and not until():
        time.sleep(_PACE)

    def tree() -> list[processes.Process]:
        return processes.descendants(os.getpid(), processes.snapshot())

    processes.end_all(tree, reap=server.poll, patience=_END_WITHIN)
    return server.wait()


def main(home: Path, port: int) -> int:
    """Keep MLflow's server until standard input ends."""
    os.set_blocking(_INPUT, False)

    def is_alone() -> bool:
        with suppress(BlockingIOError):
            return not os.read(_INPUT, 1)
        return False

    return keep(mlflow_arguments(home, port), until=is_alone)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
