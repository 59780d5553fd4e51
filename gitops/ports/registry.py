"""The tracking server and model registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from gitops.manifest import Manifest
from gitops.records import Frozen


class RunEnd(StrEnum):
    """How a run ends, in MLflow's words."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class RunRef(Frozen):
    """A run in the tracking server."""

    run_id: str
    experiment_id: str


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run holds: its name or artifact path, and the URI to register it from."""

    name: str
    uri: str


@dataclass(frozen=True)
class Run:
    """A finished run as the tracking server has it; metrics are the shortest decimal strings of what was logged."""

    run_id: str
    status: str
    metrics: Mapping[str, str]
    parameters: Mapping[str, str]
    models: tuple[LoggedModel, ...]


class RegisteredVersion(Frozen):
    """A model version in the registry."""

    model: str
    version: str
    run_id: str
    status: str = "READY"


class Registry(Protocol):
    """The tracking server and model registry."""

    def start_run(
        self, *, experiment: str, run_key: str, name: str, tags: Mapping[str, str], parameters: Mapping[str, str]
    ) -> RunRef:
        """Make the run of one attempt, in an experiment made where missing, tagged `launchpin.run_key`."""
        ...

    def find_run(self, *, experiment: str, run_key: str) -> RunRef | None:
        """Return the run that carries this key."""
        ...

    def child_variables(self, run: RunRef, *, within: str) -> Mapping[str, str]:
        """Return the environment that makes a script log to this run, and mark the further runs it starts."""
        ...

    def runs_of(self, run: RunRef, *, within: str) -> Sequence[Run]:
        """Return the run and every further run that the same process started (tag `launchpin.within`)."""
        ...

    def end_run(self, run_id: str, end: RunEnd) -> None:
        """Set the run's final status where its script left it running."""
        ...

    def end_within(self, within: str, end: RunEnd) -> None:
        """Set the final status of every further run that the same process started and left running."""
        ...

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log the metrics that the run does not have yet."""
        ...

    def log_file(self, run_id: str, file: Path, *, folder: str) -> None:
        """Store a file among the run's artifacts."""
        ...

    def find_version(self, model: str, *, training_id: str, run_ids: Sequence[str]) -> RegisteredVersion | None:
        """Return the version that a training made, by our tag, or that its script registered from one of its runs."""
        ...

    def create_version(
        self, model: str, *, source: LoggedModel, run_id: str, training_id: str, description: str
    ) -> RegisteredVersion:
        """Register a version from a run's model, tagged with the training."""
        ...

    def describe_version(self, model: str, version: str, *, description: str, tags: Mapping[str, str]) -> None:
        """Write the description and tags of a version, for people and tools."""
        ...

    def version(self, model: str, version: str) -> RegisteredVersion | None:
        """Return a version as the registry has it; None when it does not exist."""
        ...

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias to a version."""
        ...

    def fetch(self, model: str, version: str, into: Path) -> Manifest:
        """Download a version's files into a new folder and return what was found.

        Raises:
            RefusedError: when a path is unsafe or a limit is passed.
        """
        ...

    def run_url(self, run: RunRef) -> str:
        """Return the page of a run."""
        ...

    def version_url(self, model: str, version: str) -> str:
        """Return the page of a version."""
        ...
