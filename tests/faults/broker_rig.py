"""Real workers and relays around a real broker and a real database, each to be killed, stopped and continued."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gitops.bootstrap import prepare
from gitops.settings import Settings
from gitops.steps import Queue
from gitops.store import SqlStore
from tests.faults.broker_journal import Journal
from tests.support.valkey import Valkey, running_valkey

PROMISED = 60.0
"""Seconds after the broker's return within which a ready job starts."""

_ENOUGH = 32
KIND = "nothing"
"""Of the small jobs: each is claimed by the loop, and over, because no story is of its kind."""


@dataclass
class Part:
    """A process; `queue` is what a worker serves, None for any other part."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    queue: Queue | None = None

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        if self.is_alive():
            self.send(signal.SIGKILL)
        self.process.wait(timeout=20)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Rig:
    """One database, one broker, and the processes around them."""

    folder: Path
    broker: Valkey
    settings: Settings
    store: SqlStore
    journal: Journal
    parts: list[Part] = field(default_factory=list)

    def worker(
        self,
        name: str,
        queue: Queue = Queue.CONTROL,
        *,
        threads: int = 1,
        failpoints: str = "",
        application: str = "workers.app",
    ) -> Part:
        """Start a worker as the embedded stack does."""
        arguments = ("--application", application, "--name", name, "--queues", queue.value, "--threads", str(threads))
        part = self._start(name, ("tests.support.worker", *arguments), failpoints=failpoints)
        part.queue = queue
        return part

    def relay(self, name: str = "relay", *, failpoints: str = "", home: Path | None = None) -> Part:
        """Start a relay; with another home it shares nothing but the database and the broker."""
        return self._start(name, ("workers.relay",), failpoints=failpoints, home=home)

    def ready_worker(
        self,
        name: str,
        queue: Queue = Queue.CONTROL,
        *,
        threads: int = 1,
        failpoints: str = "",
        application: str = "workers.app",
    ) -> Part:
        """Start a worker and wait until it listens."""
        part = self.worker(name, queue, threads=threads, failpoints=failpoints, application=application)
        wait(f"{name} to be ready", lambda: f"{name}@" in part.said() and " ready." in part.said(), seconds=60)
        return part

    def _start(self, name: str, module: tuple[str, ...], *, failpoints: str, home: Path | None = None) -> Part:
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        log = self.folder / f"{name}.log"
        environment = dict(self.environment(home=home)) | ({"LAUNCHPIN_FAILPOINTS": failpoints} if failpoints else {})
        with log.open("ab") as output:
            process = subprocess.Popen(
                (sys.executable, "-P", "-m", *module), cwd=empty, env=environment, stdout=output, stderr=output
            )
        self.parts.append(Part(name, process, log))
        return self.parts[-1]

    def environment(self, *, home: Path | None = None) -> Mapping[str, str]:
        """Return what a process of this installation is told."""
        secrets = self.folder / "secrets"
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "LAUNCHPIN_HOME": str(home or self.settings.home),
            "LAUNCHPIN_DATABASE_URL": self.settings.database,
            "LAUNCHPIN_REDIS_URL_FILE": str(secrets / "broker.url"),
            "LAUNCHPIN_AUDIT_KEY_FILE": str(secrets / "audit.key"),
            "LAUNCHPIN_FORGE_API": "http://127.0.0.1:9/api/v3",
            "LAUNCHPIN_FORGE_TOKEN_FILE": str(secrets / "forge.token"),
            "LAUNCHPIN_ENDPOINT_TOKEN_FILE": str(secrets / "endpoint.token"),
            "LAUNCHPIN_HOOK_SECRET_FILES": f'["{secrets / "hook.secret"}"]',
            "LAUNCHPIN_HOOK_PATH": "f00d",
        }

    def messages(self, queue: Queue = Queue.CONTROL) -> int:
        """Return how many messages the broker holds for a queue."""
        with self.broker.client() as client:
            return int(client.llen(queue.value))

    def ready(self, queue: Queue = Queue.CONTROL) -> int:
        """Return how many jobs of a queue are ready, as far as the relay counts."""
        return next((len(depth.jobs) for depth in self.store.depth() if depth.queue == queue), 0)

    def open_jobs(self) -> int:
        """Return how many of our small jobs are not over."""
        return sum(job.kind == KIND for job in self.store.jobs(limit=1_000_000))

    def wake(self, count: int, *, prefix: str, queue: Queue = Queue.CONTROL) -> list[int]:
        """Make small jobs."""
        return [self.store.wake(KIND, f"{prefix}-{number}", queue=queue) for number in range(count)]

    def start_of(self, job: int, *, seconds: float = 60.0) -> float:
        """Wait until somebody claimed a job, and return when that was."""
        wait(f"job {job} to start", lambda: bool(self.journal.claims(job=job)), seconds=seconds)
        return self.journal.claims(job=job)[0].at

    def warm_up(self) -> None:
        """Have every worker run something: the first job of a process imports much."""
        for queue in Queue:
            if any(part.queue is queue for part in self.parts):
                self.start_of(self.wake(1, prefix=f"warm-{queue.value}-{time.time()}", queue=queue)[0])


@dataclass
class Load:
    """Small jobs that keep coming, and when each was committed."""

    rig: Rig
    every: float
    committed: dict[int, float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self._over.wait(self.every):
            if self.rig.ready() > _ENOUGH:
                continue  # load, not overload: a job must not wait behind those that no disk could keep up with
            number += 1
            (job,) = self.rig.wake(1, prefix=f"load-{self.every}-{number}")
            self.committed[job] = time.time()

    def end(self) -> None:
        self._over.set()

    def waits(self) -> list[float]:
        """Return the seconds from commit to claim of each job, shortest first; every one must be claimed."""
        at: dict[int, float] = {}
        for claim in self.rig.journal.claims():
            at.setdefault(claim.job, claim.at)
        return sorted(at[job] - moment for job, moment in self.committed.items())


@contextlib.contextmanager
def loading(rig: Rig, *, every: float) -> Iterator[Load]:
    """Make a small job every so many seconds until the block ends."""
    load = Load(rig, every)
    thread = threading.Thread(target=load.run, daemon=True)
    thread.start()
    try:
        yield load
    finally:
        load.end()
        thread.join(timeout=30)


@contextlib.contextmanager
def running_rig(folder: Path, broker: Valkey, url: str = "") -> Iterator[Rig]:
    """Prepare an installation, and end every process of it when the block ends.

    Args:
        url: of a migrated database; a SQLite file in the folder where it is empty.
    """
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    made_up = dict.fromkeys(("forge.token", "endpoint.token", "hook.secret"), "made-up")
    for name, text in (made_up | {"broker.url": broker.url}).items():
        (secrets / name).touch(mode=0o600)
        (secrets / name).write_text(text)
    settings = Settings(
        home=folder / "home",
        database_url=url,
        redis_url_file=secrets / "broker.url",
        audit_key_file=secrets / "audit.key",
    )
    prepare(settings)
    store = SqlStore(settings.database)
    made = Rig(folder, broker, settings, store, Journal(settings.database))
    try:
        yield made
    finally:
        for part in made.parts:
            part.kill()
            print(f"---- {part.name}\n{part.said()[-3000:]}")  # noqa: T201 - shown by pytest when the test fails
        store.close()


@contextlib.contextmanager
def rig_on(database: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Rig]:
    """Prepare an installation on `sqlite` or `postgres`, with a broker of its own."""
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    with running_valkey(folder) as broker, running_rig(folder, broker, url) as made:
        yield made


def wait(what: str, is_done: Callable[[], bool], *, seconds: float = 30.0) -> float:
    """Wait for a condition, and return how long it took."""
    start = time.monotonic()
    while not is_done():
        assert time.monotonic() - start < seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.01)  # the pace of looking
    return time.monotonic() - start
