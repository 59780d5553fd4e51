"""A world for searches: a real store and a real mirror, the stories as they are, and scripts that are played."""

import itertools
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from gitops.bootstrap import stories
from gitops.errors import RetryError
from gitops.forge.mirror import GitMirror
from gitops.ports import End, Environments, LoggedModel, Run, RunEnd, RunRef, TrainingEnd, TrainingSpec
from gitops.ports.store import Lease
from gitops.reconcile import Loop, run_until_idle
from gitops.records import Repository, Role, Training
from gitops.steps import Queue
from gitops.store import SqlStore
from gitops.training import TRAINING
from gitops.trials import SeenTrial
from gitops.writes import SaveRepository, StartTraining
from tests.support.deps import make_deps
from tests.support.githttp import Origin, serve_git
from tests.support.store import Clock, make_training, write
from tests.support.story_ports import AnyEnvironments

GRID = """\
search:
  objective: {metric: accuracy}
  max_parallel: 2
  space:
    depth: {min: 2, max: 3}
    leaves: {values: [4, 8]}
"""
_CONFIG = """\
version: 1
model: iris
train:
  parameters: {%s}
"""
_MLPROJECT = b"""\
name: iris
entry_points:
  main:
    parameters: {seed: float, depth: float, leaves: float}
    command: "python train.py --seed {seed} --depth {depth} --leaves {leaves}"
"""
REPOSITORY = 7


@dataclass
class PlayedRuns:
    """A tracking server in memory: what each run was begun with, what its script logged, and how it ended."""

    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    parameters: dict[str, Mapping[str, str]] = field(default_factory=dict)
    metrics: dict[str, dict[str, str]] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    ended: dict[str, RunEnd] = field(default_factory=dict)
    is_away: bool = False

    def _ask(self) -> None:
        if self.is_away:
            raise RetryError("RegistryUnavailable", "the tracking server does not answer")

    def start_run(
        self, *, experiment: str, run_key: str, name: str, tags: Mapping[str, str], parameters: Mapping[str, str]
    ) -> RunRef:
        self._ask()
        assert run_key not in self.tags, "a run was begun twice"
        self.tags[run_key], self.parameters[run_key] = {**tags, "name": name}, parameters
        return RunRef(run_id=run_key, experiment_id=experiment)

    def find_run(self, *, experiment: str, run_key: str) -> RunRef | None:
        self._ask()
        return RunRef(run_id=run_key, experiment_id=experiment) if run_key in self.tags else None

    def child_variables(self, run: RunRef, *, within: str) -> Mapping[str, str]:
        assert run.run_id == within
        return {"MLFLOW_RUN_ID": run.run_id}

    def runs_of(self, run: RunRef, *, within: str) -> Sequence[Run]:
        assert run.run_id == within
        self._ask()
        models = (LoggedModel("model", f"models:/{run.run_id}"),) if run.run_id in self.models else ()
        return [Run(run.run_id, "FINISHED", self.metrics.get(run.run_id, {}), {}, models)]

    def end_run(self, run_id: str, end: RunEnd) -> None:
        self._ask()
        self.ended.setdefault(run_id, end)

    def end_within(self, within: str, end: RunEnd) -> None:
        """End nothing: no script began a further run."""
        del within, end
        self._ask()

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self._ask()
        known = self.metrics.setdefault(run_id, {})
        known.update({name: repr(value) for name, value in metrics.items() if name not in known})

    def log_file(self, run_id: str, file: Path, *, folder: str) -> None:
        del run_id, file, folder
        self._ask()


@dataclass(frozen=True)
class Played:
    """One run of a script, as it is played.

    Args:
        number: of its trial.
        given: the parameters of its command.
    """

    spec: TrainingSpec
    number: int
    given: Mapping[str, str]
    lease: Lease


@dataclass
class PlayedScripts:
    """A trainer whose scripts do what a test says.

    Args:
        play: returns a script's accuracy, None for one that logs no model, or how it ends otherwise.
    """

    runs: PlayedRuns
    folder: Path
    play: Callable[[Played], float | TrainingEnd | None]
    played: list[Played] = field(default_factory=list)

    def run(self, spec: TrainingSpec, *, lease: Lease) -> TrainingEnd:
        words = shlex.split(spec.command)
        given = {name.removeprefix("--"): value for name, value in itertools.pairwise(words) if "--" in name}
        number = re.fullmatch(r"t-\w+\.(\d+)", spec.training_id)
        assert number is not None, "only trials run scripts here"
        self.played.append(Played(spec, int(number[1]), given, lease))
        told = self.play(self.played[-1])
        if isinstance(told, TrainingEnd):
            return told
        run_id = spec.variables["MLFLOW_RUN_ID"]
        if told is not None:
            self.runs.metrics[run_id] = {"accuracy": repr(told)}
            self.runs.models.add(run_id)
        return self.ended()

    def ended(self, end: End = End.EXITED, *, exit_code: int = 0, said: str = "the last line") -> TrainingEnd:
        log = self.folder / "played.log"
        log.write_text(said, encoding="utf-8")
        return TrainingEnd(end, exit_code, 1.5, 0, (said,), log, "a" * 64)

    def reap(self, training_id: str) -> None:
        """Find nothing left: no process was started."""


def accuracy_of(played: Played) -> float:
    """Return an accuracy that grows with the depth and falls with the leaves: trial 3 of the grid is the best."""
    return round(0.9 + 0.02 * int(played.given["depth"]) - 0.005 * int(played.given["leaves"]), 3)


@dataclass
class World:
    """A training that searches, and the workers that carry it on."""

    store: SqlStore
    clock: Clock
    loop: Loop
    runs: PlayedRuns
    scripts: PlayedScripts
    origin: Origin
    training: Training

    def begin(self, search: str = GRID, *, more: str = "", secrets: str = "", parameters: str = "seed: 42") -> None:
        """Begin the training of a commit with this search."""
        config = (_CONFIG % parameters + f"  secrets: [{secrets}]\n" + search + more).encode()
        needs = {"requirements.txt": b"launchpin_probe_base\n"}
        commit = self.origin.commit({"launchpin.yaml": config, "MLproject": _MLPROJECT, "train.py": b"", **needs})
        self.training = make_training(id="t-1", repository_id=REPOSITORY, commit=commit)
        write(self.store, StartTraining(self.training))

    @property
    def now(self) -> Training:
        training = self.store.training(self.training.id)
        assert training is not None
        return training

    @property
    def trials(self) -> Sequence[SeenTrial]:
        return self.store.trials(self.training.id)

    def trial(self, number: int) -> SeenTrial:
        return self.trials[number - 1]

    def control(self) -> None:
        """Let the workers of the control queue work until nothing is ready."""
        run_until_idle(self.loop, Queue.CONTROL)

    def work(self, is_done: Callable[[], bool]) -> None:
        """Let workers work, and time pass, until it is done: an hour at most."""
        for _ in range(12):
            while not is_done() and any(run_until_idle(self.loop, queue) for queue in Queue):
                pass
            if is_done():
                return
            self.clock.advance(timedelta(minutes=5))
        raise AssertionError(self.store.jobs())

    def finish(self) -> Training:
        """Let workers work until the training is over, and return it."""
        self.work(lambda: self.now.phase.is_final)
        return self.now

    def rest(self) -> None:
        """Let workers work until nothing is left to do."""
        self.work(lambda: all(job.state == "idle" for job in self.store.jobs() if job.kind != "poll"))


@contextmanager
def searching(
    store: SqlStore, clock: Clock, folder: Path, *, environments: Environments | None = None
) -> Iterator[World]:
    """Run a world in which the training's own steps, those of its trials, and commands are carried out.

    Args:
        environments: where scripts run; by default any project is content with what is there.
    """
    with serve_git(folder / "origins") as server:
        origin = Origin.make(server.root / "acme" / "iris.git")
        url = server.url("acme/iris")
        write(store, SaveRepository(Repository(id=REPOSITORY, full_name="acme/iris", role=Role.MODEL, clone_url=url)))
        runs = PlayedRuns()
        scripts = PlayedScripts(runs, folder, accuracy_of)
        deps = make_deps(
            store,
            folder,
            mirror=GitMirror(folder / "mirrors", forge_api=server.api, token="t"),
            environments=environments or AnyEnvironments(),
            registry=runs,
            trainer=scripts,
        )
        table = {kind: story for kind, story in stories().items() if kind in {"trial", "runs", "command"}}
        # Up to the verdict: what follows is the same as without a search.
        steps = tuple(step for step in TRAINING.steps if step.name not in {"register", "hand_over"})
        table["training"] = replace(TRAINING, steps=steps)
        world = World(store, clock, Loop(deps, table, "test"), runs, scripts, origin, make_training())
        yield world
