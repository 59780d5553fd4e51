"""A supervised stack of cheap parts: small HTTP servers in processes of their own, in this process or another.

`python -m tests.support.stack DIR` supervises one until SIGTERM, to be killed by a test.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gitops.embedded.stack.environment import part_environment
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.parts import Part
from gitops.embedded.stack.probes import http_probe
from gitops.embedded.stack.process import Event, What
from gitops.embedded.stack.record import PartState
from gitops.embedded.stack.supervisor import BuildParts, Supervisor

# Answers 200 to everything.
SERVER = """
import http.server, sys
print("a line of", sys.argv[2], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
# Starts a process in a session of its own before, as a worker starts its runner.
PARENT = 'import subprocess\nsubprocess.Popen(["sleep", "600"], start_new_session=True, env={})\n' + SERVER
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER


def server_part(layout: Layout, name: str, port: int, *, after: tuple[str, ...] = (), code: str = SERVER) -> Part:
    """Return a part that answers on a port."""
    arguments = (sys.executable, "-P", "-c", code, str(port), name)
    environment = part_environment(layout, name, home=layout.dir)
    return Part(name, arguments, environment, http_probe(port, "/"), after=after, stage=1 if after else 0, patience=1.0)


def cheap_parts(layout: Layout) -> tuple[Part, ...]:
    """Return two parts, the second of which builds on the first."""
    alpha = server_part(layout, "alpha", layout.ports.forge)
    return alpha, server_part(layout, "beta", layout.ports.web, after=("alpha",))


@dataclass
class Watched:
    """A supervisor and what it reported."""

    supervisor: Supervisor
    events: list[Event] = field(default_factory=list)

    def state(self, name: str) -> PartState:
        return next(state for state in self.supervisor.states() if state.name == name)

    def pid(self, name: str) -> int:
        process = self.state(name).process
        assert process is not None
        return process.pid

    def of(self, what: What, name: str = "") -> list[Event]:
        return [event for event in self.events if event.what is what and name in {"", event.part}]


@contextmanager
def supervised(folder: Path, parts: BuildParts = cheap_parts) -> Iterator[Watched]:
    """Supervise a stack in this process until the block ends; the caller waits for what it needs."""
    events: list[Event] = []
    supervisor = Supervisor(Layout.make(folder), report=events.append, parts=parts)
    try:
        supervisor.start()
        yield Watched(supervisor, events)
    finally:
        supervisor.stop()


def wait_until(condition: Callable[[], bool], what: str, *, within: float = 30.0) -> None:
    """Wait for a condition, and fail naming it when it does not come true."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)


def main() -> None:
    """Supervise the cheap parts until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with supervised(Path(sys.argv[1])) as watched:
        watched.supervisor.wait_ready(30, stop=stop)
        watched.supervisor.run_until(stop)


if __name__ == "__main__":
    main()
