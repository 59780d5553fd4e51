"""One real `mlflow server` over loopback: its exact command and environment, and its life."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass(frozen=True)
class ServerCommand:
    """How a part is started: the arguments and its whole environment."""

    arguments: tuple[str, ...]
    environment: dict[str, str]


def mlflow_server_command(python: Path, folder: Path, *, port: int) -> ServerCommand:
    """Return how MLflow's server is started on this machine alone, with its database and artifacts in a folder.

    Args:
        python: the interpreter of an environment that has `mlflow`.
        folder: holds `mlflow.db` and `artifacts`; absolute.
    """
    address = f"127.0.0.1:{port}"
    arguments = (
        *(str(python), "-P", "-m", "mlflow", "server"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
        *("--allowed-hosts", f"{address},localhost:{port}"),
        *("--cors-allowed-origins", f"http://{address},http://localhost:{port}"),
    )
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",  # the server starts a `uvicorn` of its own
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return ServerCommand(arguments, environment)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_mlflow(folder: Path, *, within: float = 120.0) -> Iterator[str]:
    """Run a server until the block ends, and give its tracking URI once it is healthy.

    Args:
        within: seconds until it must answer; it takes 10 to 30.
    """
    port = free_port()
    command = mlflow_server_command(Path(sys.executable), folder, port=port)
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command.arguments,
            env=command.environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        uri = f"http://127.0.0.1:{port}"
        _wait_until_healthy(uri, process, log, within=within)
        yield uri
    finally:
        _end_group(process)


def _wait_until_healthy(uri: str, process: subprocess.Popen[bytes], log: Path, *, within: float) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            if httpx.get(f"{uri}/health", timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace"))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the server and the uvicorn it started; the group is the process's own, so nobody else is in it."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
