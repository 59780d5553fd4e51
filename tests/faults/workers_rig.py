"""Real worker processes on a real store, told by a real relay over a real Valkey, and ways to end them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from gitops.bootstrap import prepare
from gitops.records import Cause, Command, Training
from gitops.settings import Settings
from gitops.steps import Phase
from gitops.store import SqlStore
from gitops.trials import Trial
from tests.faults.tally import turn
from tests.faults.workers_outside import Outside
from tests.faults.workers_play import training_of
from tests.faults.workers_training import MARK, write_project
from tests.support.store import make_command
from tests.support.valkey import running_valkey

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

LEASE = 2.0
DATABASES = ("sqlite", "postgres")
ROOT = Path(__file__).parents[2]
_PATIENCE = 240.0
_PACE = 0.02


def wait_until(condition: Callable[[], object], *, what: str, seconds: float = _PATIENCE) -> None:
    """Wait for a condition, and fail with its name when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(_PACE)


@dataclass
class Worker:
    """A worker process."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    @property
    def is_stopped(self) -> bool:
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def kill(self) -> None:
        """End it as `kill -9` does, stopped or not; twice is harmless."""
        self.process.kill()
        self.process.wait(_PATIENCE)

    def wait(self, seconds: float = _PATIENCE) -> int:
        """Wait for its end and return its exit code."""
        wait_until(lambda: self.is_over, what="a worker ends", seconds=seconds)
        return int(self.process.returncode)


@dataclass
class Rig:
    """One installation: store, broker, relay, and whatever workers a test starts."""

    folder: Path
    variables: dict[str, str]
    store: SqlStore
    outside: Outside
    workers: list[Worker] = field(default_factory=list)
    relay: Worker | None = None
    count: int = 0

    def start(self, *, queues: str = "control", threads: int = 1, ready: bool = True, **variables: str) -> Worker:
        """Start a worker; variables are settings without their prefix, or whole names."""
        named = {
            (name if name.startswith("WORKERS_") else f"LAUNCHPIN_{name}"): value for name, value in variables.items()
        }
        arguments = (
            *(sys.executable, "-P", "-m", "tests.support.worker", "--application", "tests.faults.workers_app"),
            *("--name", f"w{self._next()}", "--queues", queues, "--threads", str(threads)),
        )
        worker = Worker(*self._spawn(arguments, {**self.variables, **named}))
        self.workers.append(worker)
        if ready:
            wait_until(lambda: " ready." in worker.said or worker.is_over, what="a worker is ready")
            assert not worker.is_over, f"a worker did not start: {worker.said[-500:]}"
        return worker

    def start_relay(self) -> None:
        """Start the relay, without which nobody tells workers anything."""
        self.relay = Worker(*self._spawn((sys.executable, "-P", "-m", "workers.relay"), self.variables))

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _spawn(self, arguments: tuple[str, ...], variables: dict[str, str]) -> tuple[subprocess.Popen[bytes], Path]:
        log = self.folder / f"log-{self._next()}"
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(arguments, cwd=empty, env=variables, stdout=output, stderr=output)
        return process, log

    def ask(self, verb: str, **arguments: str) -> Command:
        """Begin a command that behaves as its verb says."""
        command = make_command(verb=verb, arguments=arguments, cause=Cause(kind="command", id="c", actor="mona"))
        return self.store.save_command(command)

    def train(self, script: str, *, timeout: str = "10m", search: str = "") -> Training:
        """Begin a training of this script, or a search over it."""
        command = make_command(verb="train", arguments={}, cause=Cause(kind="command", id="c", actor="mona"))
        training = training_of(command)
        write_project(self.outside.folder, training.commit, script, timeout=timeout, search=search)
        self.store.save_command(command)
        return training

    def command(self, known: Command) -> Command:
        found = self.store.command(known.id)
        assert found is not None
        return found

    def training(self, known: Training) -> Training:
        """Return a training as it stands; before it was begun, as it will be."""
        return self.store.training(known.id) or known

    def end(self, known: Command, *, seconds: float = _PATIENCE) -> Command:
        """Wait for the end of a command and return it."""
        wait_until(lambda: self.command(known).phase.is_final, what=f"{known.verb} is over", seconds=seconds)
        return self.command(known)

    def end_training(self, known: Training, *, seconds: float = LEASE + 60) -> Training:
        """Wait for the end of a training and return it."""
        wait_until(lambda: self.training(known).phase.is_final, what=f"{known.id} is over", seconds=seconds)
        return self.training(known)

    def begun(self, subject: str) -> list[int]:
        """Return which processes began a subject, in order."""
        return [note.pid for note in self.outside.notes("begun", subject)]

    def await_begun(self, subject: str, times: int = 1, *, seconds: float = _PATIENCE) -> int:
        """Wait until a subject was begun so often, and return who did last."""
        wait_until(lambda: len(self.begun(subject)) >= times, what=f"{subject} begins {times} times", seconds=seconds)
        return self.begun(subject)[times - 1]

    def runner_of(self, training: Training) -> psutil.Process:
        """Return the runner of a training under way."""
        above = psutil.Process(self.begun(training.id)[-1]).parents()
        return next(process for process in above if "workers.runner" in process.cmdline())

    def stop_workers(self) -> None:
        """End every worker; the relay goes on."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()


def survivors(training: Training | Trial) -> list[int]:
    """Return the processes of a training or a trial that still live, wherever they fled."""
    return [process.pid for process in psutil.process_iter() if _carries(process, training.id)]


def _carries(process: psutil.Process, mark: str) -> bool:
    with suppress(psutil.Error, OSError):
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    return False


@contextmanager
def running_rig(folder: Path, *, database_url: str = "", relay: bool = True) -> Iterator[Rig]:
    """Run an installation until the end of the block."""
    outside = folder / "outside"
    outside.mkdir(parents=True)
    with running_valkey(folder) as valkey:
        secret = folder / "redis"
        secret.write_text(valkey.url)
        secret.chmod(0o600)
        variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "LAUNCHPIN_HOME": str(folder / "home"),
            "LAUNCHPIN_DATABASE_URL": database_url,
            "LAUNCHPIN_REDIS_URL_FILE": str(secret),
            "LAUNCHPIN_AUDIT_KEY_FILE": str(folder / "audit.key"),
            "LAUNCHPIN_LEASE": f"{LEASE * 1000:.0f}ms",
            "LAUNCHPIN_DRAIN": "3s",
            "WORKERS_OUTSIDE": str(outside),
            "WORKERS_DEADLINE": "300",
        }
        settings = Settings(home=folder / "home", database_url=database_url, audit_key_file=folder / "audit.key")
        prepare(settings)
        store = SqlStore(settings.database)
        rig = Rig(folder, variables, store, Outside(outside))
        try:
            if relay:
                rig.start_relay()
            yield rig
        finally:
            rig.stop_workers()
            if rig.relay is not None:
                rig.relay.kill()
            wrong = store.check_audit_joins()
            store.close()
        # Whatever was killed: every state change has its one entry (I25).
        assert wrong == []


@pytest.fixture(scope="module")
def rigs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Rig]]:
    """Give an installation on either database, without workers; each is set up when it is first asked for."""
    folder = tmp_path_factory.mktemp("workers")
    known: dict[str, Rig] = {}
    with ExitStack() as stack:

        def get(database: str) -> Rig:
            if database not in known:
                postgres: Postgres | None = request.getfixturevalue("postgres") if database == "postgres" else None
                url = postgres.make_database() if postgres else ""
                known[database] = stack.enter_context(running_rig(folder / database, database_url=url))
            known[database].stop_workers()
            return known[database]

        yield get


def check_done(rig: Rig, command: Command) -> Command:
    """Return a command that is over, after checking what must hold whatever happened on the way."""
    end = rig.end(command)
    assert (end.phase, end.reason) == (Phase.SUCCEEDED, "")
    assert len(rig.outside.notes("made", command.id)) == 1, "the effect was made twice"
    return end


def databases() -> tuple[str, ...]:
    """Return both databases when everything was asked for, else the one whose turn it is."""
    return tuple(turn(DATABASES))


def on_databases(*names: str) -> list[tuple[str, str]]:
    """Return every name on one of the databases, which take turns."""
    return [(DATABASES[number % len(DATABASES)], name) for number, name in enumerate(names)]
