"""The real endpoint host in its own process, real scorers, and clients that count what they are answered."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import psutil
from pydantic import TypeAdapter

from gitops.embedded.endpoints.state import Process, State
from gitops.ports import Configuration, Endpoint, Readiness
from gitops.targets.local import LocalTarget
from tests.support.models import Behaviour, write_model

TOKEN = "made-up-token-of-the-tests"
BODY = b'{"inputs": [1]}'
JSON = "application/json"
PATIENCE = 240.0


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = PATIENCE) -> None:
    """Wait for a condition, looking often; fails naming what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Host:
    """An endpoint host that can be killed and started again on the same folder and port."""

    folder: Path
    port: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.token_file.write_text(TOKEN + "\n")
        self.token_file.chmod(0o600)
        self.target = LocalTarget(self.url, TOKEN)
        # A connection that is kept may be closed for being idle in the very moment in which it is used again.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=30.0, limits=limits)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def state_file(self) -> Path:
        return self.home / "state.json"

    @property
    def command(self) -> list[str]:
        command = [sys.executable, "-m", "gitops.embedded.endpoints", "--home", str(self.home)]
        command += ["--port", str(self.port), "--token-file", str(self.token_file), "--public-url", self.url]
        return [*command, *self.options]

    def start(self) -> Self:
        """Start the host and wait until it answers."""
        with (self.folder / "host.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=os.environ | dict(self.variables), start_new_session=True
            )
        wait_until(self.is_healthy, f"the endpoint host is up: {(self.folder / 'host.log').read_text()}")
        return self

    def is_healthy(self) -> bool:
        """Return whether it answers; fails when its process is over."""
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "host.log").read_text()
        try:
            return self.http.get("/healthz").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End the host as a crash would; its scorers stay."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> float:
        """End the host cleanly and return the seconds it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.terminate()
        self.process.wait(timeout=30)
        return time.monotonic() - begun

    def close(self) -> None:
        """End everything, also what a failed test left."""
        if self.process is not None and self.process.poll() is None:
            self.terminate()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.target.close()
        self.http.close()

    def scorers(self) -> dict[str, Process]:
        """Return the recorded scorers by configuration."""
        if not self.state_file.exists():
            return {}
        state = TypeAdapter(State).validate_json(self.state_file.read_bytes())
        return {name: row.process for name, row in state.configurations.items() if row.process}

    def let_bake_pass(self, endpoint: str) -> None:
        """Make it look to the next host as if this one had been down for as long as the bake."""
        state = TypeAdapter(State).validate_json(self.state_file.read_bytes())
        state.endpoints[endpoint].bake_ends = time.time()
        self.state_file.write_bytes(TypeAdapter(State).dump_json(state))

    def processes(self) -> list[int]:
        """Return every process that runs in a scorer's folder, recorded or not."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self.home in Path(process.cwd()).parents:
                    found.append(process.pid)
        return found

    # ------------------------------------------------------------ arranging

    def configuration(self, name: str, endpoint: str, *, version: str = "1", **behaviour: object) -> Configuration:
        """Write a model and return a configuration of it."""
        folder = self.folder / "models" / name
        fields = {"answer": f"v{version}"} | behaviour
        manifest = write_model(folder, TypeAdapter(Behaviour).validate_python(fields))
        return Configuration(
            name=name,
            endpoint=endpoint,
            model="tiny",
            version=version,
            model_dir=folder,
            manifest=manifest,
            python=Path(sys.executable),
            environment_key="environment-of-the-tests",
        )

    def ready(self, name: str, endpoint: str, *, version: str = "1", **behaviour: object) -> str:
        """Prepare a configuration and wait until it answers."""
        self.target.prepare(self.configuration(name, endpoint, version=version, **behaviour))
        self.wait_readiness(name, Readiness.READY)
        return name

    def wait_readiness(self, name: str, readiness: Readiness) -> None:
        """Wait until a configuration is as far as this."""

        def is_there() -> bool:
            state = self.target.configuration(name)
            assert state is not None
            assert state.readiness is readiness or state.readiness is Readiness.STARTING, state
            return state.readiness is readiness

        wait_until(is_there, f"{name} is {readiness}")

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint that must be there."""
        found = self.target.describe(name)
        assert found is not None
        return found

    def answering_version(self, endpoint: str) -> str:
        """Return the version that answers a prediction."""
        answer = self.predict(endpoint)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-launchpin-version"])

    def predict(self, endpoint: str) -> httpx.Response:
        """Ask for one prediction."""
        return self.http.post(f"/endpoints/{endpoint}/invocations", content=BODY, headers={"content-type": JSON})


@contextmanager
def running_host(
    folder: Path, *, options: tuple[str, ...] = (), variables: tuple[tuple[str, str], ...] = ()
) -> Iterator[Host]:
    """Yield a host that is up; nothing of it is left afterwards."""
    host = Host(folder, options=options, variables=variables)
    try:
        yield host.start()
    finally:
        host.close()


@contextmanager
def load(host: Host, endpoint: str, *, threads: int = 4) -> Iterator[Counter[str]]:
    """Ask for predictions from several threads until the block ends; counts `<status> <version>` or the error."""
    seen: Counter[str] = Counter()
    lock = threading.Lock()
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=30.0) as client:
            while not over.is_set():
                word = _ask_once(client, f"{host.url}/endpoints/{endpoint}/invocations")
                with lock:
                    seen[word] += 1

    workers = [threading.Thread(target=ask) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield seen
    finally:
        over.set()
        for worker in workers:
            worker.join()


def _ask_once(client: httpx.Client, url: str) -> str:
    try:
        answer = client.post(url, content=BODY, headers={"content-type": JSON})
    except httpx.TransportError as error:
        return type(error).__name__
    return f"{answer.status_code} {answer.headers.get('x-launchpin-version', '')}"
