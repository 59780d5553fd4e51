"""No run stays open in MLflow when its training is over: however it ended, and whoever was away then. A real server."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.bootstrap import stories
from gitops.forge.mirror import GitMirror
from gitops.ports import End, TrainingEnd, TrainingSpec
from gitops.reconcile import Loop, run_until_idle
from gitops.records import Repository, Role, Training
from gitops.registry.mlflow import MlflowRegistry
from gitops.steps import Phase, Queue
from gitops.store import SqlStore
from gitops.writes import SaveRepository, StartTraining
from tests.support.deps import make_deps
from tests.support.githttp import Origin, serve_git
from tests.support.mlflow import free_port
from tests.support.store import Clock, make_command, make_training, write
from tests.support.story_ports import AnyEnvironments, PlayedTrainer

_FILES: dict[str, bytes | tuple[int, bytes]] = {
    "launchpin.yaml": b"version: 1\nmodel: iris\non:\n  push: {branches: [main]}\ntrain:\n  project: .\n",
    "MLproject": b"name: iris\nentry_points:\n  main:\n    command: python train.py\n",
    "train.py": b"",
}
_FAILED = TrainingEnd(End.EXITED, 1, 1.0, 0, ("ValueError: no",), Path("/nowhere/train.log"), "a" * 64)


@dataclass
class Tracking:
    """A registry that leads to a real server, or to a port where nobody is."""

    uri: str
    is_away: bool = False
    _nobody: MlflowRegistry = field(default_factory=lambda: MlflowRegistry(f"http://127.0.0.1:{free_port()}"))

    def __getattr__(self, verb: str) -> Any:  # noqa: ANN401 - any verb of the port
        return getattr(self._nobody if self.is_away else MlflowRegistry(self.uri), verb)

    def go_away(self) -> None:
        self.is_away = True

    def status(self, training: Training, *, attempt: int) -> str:
        """Return the status of an attempt's run, as the server itself tells it."""
        return self._status("run_key", training, attempt)

    def status_within(self, training: Training, *, attempt: int) -> str:
        """Return the status of the one run that an attempt's script began below its own."""
        return self._status("within", training, attempt)

    def begin_within(self, spec: TrainingSpec) -> None:
        """Begin a run below an attempt's own as its script would, and leave it running."""
        context = json.loads(spec.variables["MLFLOW_RUN_CONTEXT"])
        tags = [{"key": key, "value": value} for key, value in context.items()]
        body = {"experiment_id": spec.variables["MLFLOW_EXPERIMENT_ID"], "tags": tags}
        httpx.post(f"{self.uri}/api/2.0/mlflow/runs/create", json=body, timeout=30).raise_for_status()

    def _status(self, tag: str, training: Training, attempt: int) -> str:
        body = {
            "experiment_ids": self._experiments(),
            "filter": f"tags.`launchpin.{tag}` = '{training.id}/{attempt}'",
        }
        (run,) = httpx.post(f"{self.uri}/api/2.0/mlflow/runs/search", json=body, timeout=30).json()["runs"]
        return str(run["info"]["status"])

    def _experiments(self) -> list[str]:
        found = httpx.post(f"{self.uri}/api/2.0/mlflow/experiments/search", json={"max_results": 1000}, timeout=30)
        return [each["experiment_id"] for each in found.json()["experiments"]]


@dataclass
class World:
    """A training that stands before its script, and the workers that carry it on."""

    store: SqlStore
    clock: Clock
    loop: Loop
    training: Training
    tracking: Tracking
    trainer: PlayedTrainer

    @property
    def now(self) -> Training:
        training = self.store.training(self.training.id)
        assert training is not None
        return training

    def work(self, is_done: Callable[[], bool]) -> None:
        """Let workers work, and time pass, until it is done: an hour at most."""
        for _ in range(12):
            while any(run_until_idle(self.loop, queue) for queue in Queue):
                pass
            if is_done():
                return
            self.clock.advance(timedelta(minutes=5))
        raise AssertionError(self.store.jobs())

    def is_idle(self) -> bool:
        """Return whether nothing is left to do."""
        return all(job.state in {"idle", "over"} for job in self.store.jobs() if job.kind != "poll")


@pytest.fixture
def world(store: SqlStore, clock: Clock, tmp_path: Path, tracking_uri: str) -> Iterator[World]:
    with serve_git(tmp_path / "origins") as server:
        commit = Origin.make(server.root / "acme" / "iris.git").commit(_FILES)
        url = server.url("acme/iris")
        write(store, SaveRepository(Repository(id=7, full_name="acme/iris", role=Role.MODEL, clone_url=url)))
        tracking, trainer = Tracking(tracking_uri), PlayedTrainer(_FAILED)
        deps = make_deps(
            store,
            tmp_path,
            mirror=GitMirror(tmp_path / "mirrors", forge_api=server.api, token="t"),
            environments=AnyEnvironments(),
            registry=tracking,
            trainer=trainer,
        )
        table = {kind: story for kind, story in stories().items() if kind in {"training", "runs", "command"}}
        # A name that no other test's runs have: the server is everybody's.
        training = make_training(id=f"t-{uuid.uuid4().hex}", repository_id=7, commit=commit)
        write(store, StartTraining(training))
        yield World(store, clock, Loop(deps, table, "test"), training, tracking, trainer)


def break_down() -> None:
    raise ValueError("nobody foresaw this")


def test_the_run_is_ended_when_its_training_is_given_up(world: World) -> None:
    world.trainer.meanwhile = break_down
    world.work(lambda: world.now.phase.is_final)
    assert (world.now.phase, world.now.reason) == (Phase.ERRORED, "GaveUp")
    world.work(world.is_idle)
    assert world.tracking.status(world.training, attempt=1) == "FAILED"


def test_a_training_ends_while_mlflow_is_away_and_its_run_is_ended_when_it_is_back(world: World) -> None:
    world.trainer.meanwhile = world.tracking.go_away
    world.work(lambda: world.now.phase.is_final)
    assert (world.now.phase, world.now.reason) == (Phase.ERRORED, "TrainingFailed")
    assert world.tracking.status(world.training, attempt=1) == "RUNNING"
    assert not world.is_idle()

    world.tracking.is_away = False
    world.work(world.is_idle)
    assert world.tracking.status(world.training, attempt=1) == "FAILED"


def test_the_run_of_a_training_that_goes_on_is_left_alone_while_earlier_ones_are_ended(world: World) -> None:
    statuses: list[str] = []

    def meanwhile() -> None:
        if len(world.trainer.specs) == 1:
            return
        # The second attempt is under way, and somebody wakes the job although the training is not over.
        world.store.wake("runs", world.training.id)
        run_until_idle(world.loop, Queue.CONTROL)
        statuses.extend(world.tracking.status(world.training, attempt=attempt) for attempt in (1, 2))
        world.trainer.end = _FAILED

    world.trainer.end = replace(_FAILED, end=End.LOST)
    world.trainer.meanwhile = meanwhile
    world.work(lambda: world.now.phase.is_final)
    world.work(world.is_idle)
    assert statuses == ["FAILED", "RUNNING"]
    assert world.tracking.status(world.training, attempt=2) == "FAILED"


def test_the_run_is_killed_when_its_training_is_called_off(world: World) -> None:
    def call_off() -> None:
        command = make_command(verb="cancel", arguments={"training": world.training.id})
        world.store.save_command(command)
        run_until_idle(world.loop, Queue.CONTROL)
        world.trainer.end = replace(_FAILED, end=End.LOST, exit_code=-15)

    world.trainer.meanwhile = call_off
    world.work(lambda: world.now.phase.is_final)
    assert (world.now.phase, world.now.reason) == (Phase.CANCELLED, "Cancelled")
    # Not before its script had time to end: that could end the run in its own way.
    assert world.tracking.status(world.training, attempt=1) == "RUNNING"
    world.work(world.is_idle)
    assert world.tracking.status(world.training, attempt=1) == "KILLED"


def test_what_a_killed_script_began_below_its_run_is_ended_with_it(world: World) -> None:
    statuses: list[str] = []

    def meanwhile() -> None:
        world.tracking.begin_within(world.trainer.specs[-1])
        statuses.append(world.tracking.status_within(world.training, attempt=1))
        if len(world.trainer.specs) == 2:
            world.trainer.end = replace(_FAILED, end=End.TIMED_OUT, exit_code=-9)

    world.trainer.end = replace(_FAILED, end=End.LOST)
    world.trainer.meanwhile = meanwhile
    world.work(lambda: world.now.phase.is_final)
    assert world.now.reason == "TrainingTimedOut"
    # The first attempt's when the second begins, the last one's at its end.
    assert statuses == ["RUNNING", "FAILED"]
    assert world.tracking.status_within(world.training, attempt=2) == "FAILED"
