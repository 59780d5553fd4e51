"""Python environments and the place where training code runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from gitops.ends import End
from gitops.lockfile import Lock
from gitops.ports.store import Lease


@dataclass(frozen=True)
class BuiltEnvironment:
    """An environment that is complete and read-only."""

    key: str
    python: Path


class Environments(Protocol):
    """Python environments, built once and used by trainers and the endpoint host."""

    def lock(self, project: Path, *, declared: str = "") -> Lock:
        """Resolve what a project folder asks for.

        Args:
            declared: the environment file that its MLproject names, relative to it; empty when it names none.

        Raises:
            StalledError: `NoInterpreter` when the asked minor version is not installed.
            RefusedError: `EnvironmentUnresolvable` with the resolver's last lines, `NoEnvironment`, or
                `lock_too_large`.
        """
        ...

    def lock_requirements(self, requirements: str, *, python: str) -> Lock:
        """Resolve the text of a requirements file, of a model that was not trained here for example."""
        ...

    def build(self, lock: Lock) -> BuiltEnvironment:
        """Return the environment of a lock, built when it is not there yet: that one, or none.

        Raises:
            StalledError: `NoInterpreter`, or `EnvironmentMismatch` when the lock comes to another environment with
                what is installed here.
            RefusedError: `EnvironmentUnresolvable` when a package of the lock cannot be had.
        """
        ...

    def find(self, key: str) -> BuiltEnvironment | None:
        """Return an environment that was built already."""
        ...

    def lock_of(self, key: str) -> Lock | None:
        """Return the lock an environment was built from on this machine, also when it was removed since."""
        ...


@dataclass(frozen=True)
class TrainingSpec:
    """What the trainer runs.

    Args:
        checkout: the folder the command starts in.
        command: a shell command line, as MLflow would run it.
        python: the environment's interpreter; its folder comes first on PATH.
        variables: the whole environment of the child besides PATH, HOME, TMPDIR and the locale.
        secrets: granted secrets by name; added to the environment, and redacted in the log.
        timeout: wall time.
        memory: bytes, summed over the tree of processes; 0 for no limit.
        tasks: processes and threads in the tree; 0 for no limit.
    """

    training_id: str
    attempt: int
    checkout: Path
    command: str
    python: Path
    variables: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    timeout: timedelta
    memory: int = 0
    tasks: int = 0


LOG_PREFIX = re.compile(r"^ *\d+\.\d{3} ")
"""What stands before each line of a training's log: the seconds since its start."""


@dataclass(frozen=True)
class TrainingEnd:
    """How a training's process ended.

    Args:
        exit_code: the command's, or minus the signal's number.
        tail: the log's last lines, redacted, control characters shown.
        log: the whole log file.
    """

    end: End
    exit_code: int
    seconds: float
    peak_memory: int
    tail: tuple[str, ...]
    log: Path
    log_sha256: str


class Trainer(Protocol):
    """Where training code runs."""

    def run(self, spec: TrainingSpec, *, lease: Lease) -> TrainingEnd:
        """Run to the end; no process of the tree is alive when it returns. Ends the tree when the lease is lost."""
        ...

    def reap(self, training_id: str) -> None:
        """End whatever an earlier attempt on this machine may have left running."""
        ...

    def log_path(self, training_id: str, attempt: int) -> Path:
        """Return where the log of an attempt is written while it runs."""
        ...
