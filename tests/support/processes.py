"""Our processes as a test starts them: with the variables it names and nothing of its own."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops.bootstrap import prepare
from gitops.settings import Settings
from tests.support.mlflow import free_port
from tests.support.web import PATH, SECRET

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-metrics"


@dataclass(frozen=True)
class Web:
    """The web process."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            return reply.status, reply.read().decode()

    def scrape(self) -> str:
        """Return the metrics."""
        status, text = self.get("/metrics", authorization=f"Bearer {TOKEN}")
        assert status == 200, text
        return text


def make_home(folder: Path, *, database_url: str = "") -> dict[str, str]:
    """Make an installation's database and secrets; returns the variables of its processes."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    for name, text in {"hook": SECRET, "token": TOKEN}.items():
        (secrets / name).touch(mode=0o600)
        (secrets / name).write_text(text)
    home = folder / "home"
    home.mkdir()
    prepare(Settings(home=home, database_url=database_url))
    return {
        "LAUNCHPIN_HOME": str(home),
        "LAUNCHPIN_DATABASE_URL": database_url,
        "LAUNCHPIN_HOOK_SECRET_FILES": f'["{secrets / "hook"}"]',
        "LAUNCHPIN_HOOK_PATH": PATH.removeprefix("/webhook/"),
        "LAUNCHPIN_METRICS_TOKEN_FILE": str(secrets / "token"),
    }


@contextlib.contextmanager
def running_web(folder: Path, variables: Mapping[str, str]) -> Iterator[Web]:
    """Run the web process until the block ends; it ends cleanly."""
    port = free_port()
    log = folder / "web.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "webhooks.serve", "--port", str(port)],
            env={
                "PATH": os.defpath,
                "PYTHONPATH": str(ROOT),
                "HOME": str(folder),
                "LAUNCHPIN_BASE_URL": f"http://127.0.0.1:{port}",
                **variables,
            },
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(process, port, log)
        yield Web(port, log, process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)  # the pace of looking
        else:
            return
