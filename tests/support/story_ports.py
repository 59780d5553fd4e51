"""Small parts for the tests of stories: each remembers what it was told, and can be away."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitops.errors import RetryError
from gitops.ports import (
    BuiltEnvironment,
    Endpoint,
    Lock,
    LoggedModel,
    RegisteredVersion,
    Run,
    RunEnd,
    RunRef,
    TrainingEnd,
    TrainingSpec,
)


@dataclass
class OneRunRegistry:
    """A registry of runs and versions in memory.

    Args:
        is_away: whether it answers nothing any more.
        ended: for each run that was ended, whether it succeeded.
    """

    versions: set[tuple[str, str]] = field(default_factory=set)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: dict[str, bool] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    is_away: bool = False

    def _ask(self) -> None:
        if self.is_away:
            raise RetryError("RegistryUnavailable", "the tracking server does not answer")

    def start_run(
        self, *, experiment: str, run_key: str, name: str, tags: Mapping[str, str], parameters: Mapping[str, str]
    ) -> RunRef:
        del name, tags
        self._ask()
        self.runs[run_key] = dict(parameters)
        return RunRef(run_id=run_key, experiment_id=experiment)

    def find_run(self, *, experiment: str, run_key: str) -> RunRef | None:
        self._ask()
        return RunRef(run_id=run_key, experiment_id=experiment) if run_key in self.runs else None

    def child_variables(self, run: RunRef, *, within: str) -> Mapping[str, str]:
        del run, within
        return {}

    def runs_of(self, run: RunRef, *, within: str) -> Sequence[Run]:
        """Give the run, with one model and none of the parameters that it was started with."""
        del within
        return [Run(run.run_id, "FINISHED", self.metrics, {"extra": "1"}, (LoggedModel("model", "models:/m-1"),))]

    def end_run(self, run_id: str, end: RunEnd) -> None:
        self._ask()
        self.ended[run_id] = end is RunEnd.FINISHED

    def end_within(self, within: str, end: RunEnd) -> None:
        """End nothing: no script began a further run."""
        del within, end
        self._ask()

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        del run_id
        self._ask()
        self.metrics = {name: repr(value) for name, value in metrics.items()} | self.metrics

    def log_file(self, run_id: str, file: Path, *, folder: str) -> None:
        del run_id, file, folder
        self._ask()

    def version(self, model: str, version: str) -> RegisteredVersion | None:
        is_known = (model, version) in self.versions
        return RegisteredVersion(model=model, version=version, run_id="run-1") if is_known else None

    def version_url(self, model: str, version: str) -> str:
        return f"http://127.0.0.1:2/#/models/{model}/versions/{version}"


class EmptyTarget:
    """A target that has no endpoint yet."""

    def host(self) -> str:
        return "here"

    def describe(self, endpoint: str) -> Endpoint | None:
        del endpoint
        return None


@dataclass
class PlayedTrainer:
    """A trainer whose training ends as it is told, and what it was asked to run."""

    end: TrainingEnd
    meanwhile: Callable[[], None] = lambda: None
    specs: list[TrainingSpec] = field(default_factory=list)

    def run(self, spec: TrainingSpec, *, lease: object) -> TrainingEnd:
        del lease
        self.specs.append(spec)
        self.meanwhile()
        return self.end

    def reap(self, training_id: str) -> None:
        """Find nothing left: no process was started."""

    def log_path(self, training_id: str, attempt: int) -> Path:
        """Return the log of its end, whichever training's."""
        del training_id, attempt
        return self.end.log


class BuiltEnvironments:
    """Environments that are all built already."""

    def find(self, key: str) -> BuiltEnvironment:
        return BuiltEnvironment(key, Path("/usr/bin/python3"))


class OwnEnvironment(BuiltEnvironments):
    """The environment of the tests, which has MLflow and what the templates require."""

    def find(self, key: str) -> BuiltEnvironment:
        return BuiltEnvironment(key, Path(sys.executable))


class AnyEnvironments(BuiltEnvironments):
    """Environments that any project is content with."""

    def lock(self, project: Path, *, declared: str = "") -> Lock:
        del project, declared
        return Lock(text="", digest="d" * 64, python="3.11", key="e" * 32)

    def build(self, lock: Lock) -> BuiltEnvironment:
        return self.find(lock.key)
