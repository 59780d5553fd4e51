"""What a training needs around the real trainer: a project in a folder, runs as files, and this test's interpreter."""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops.manifest import Manifest
from gitops.ports import BuiltEnvironment, Deps, LoggedModel, RegisteredVersion, Run, RunEnd, RunRef
from gitops.records import Repository
from gitops.registry.artifacts import Limits, ProxiedArtifacts
from gitops.settings import Settings
from gitops.store import SqlStore
from gitops.trainers.local import LocalTrainer
from tests.faults.workers_outside import Outside
from tests.support.deps import make_deps, make_service

MARK = "WORKERS_MARK"
_YAML = """\
version: 1
model: iris
on: {push: {branches: [main]}}
train: {project: ., timeout: %s}
register: {gates: [{metric: accuracy, above: 0.9}]}
"""
_PROJECT = "name: iris\nentry_points: {main: {command: python train.py}}\n"
# Every attempt begins clean: a folder of results that is there already ends it.
_BEGIN = """\
import os, signal, sys, time
def tell(word):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{word} {os.environ['WORKERS_MARK']} {os.getpid()}\\n")
os.mkdir(os.environ["RESULTS"])
tell("begun")
def finish(accuracy="0.95"):
    with open(os.environ["RESULTS"] + "/model", "w") as model:
        model.write(accuracy)
def is_first():
    return os.environ["ATTEMPT"].endswith("/1")
def hang():
    time.sleep(600)
"""


def write_project(folder: Path, commit: str, script: str, *, timeout: str = "10m", search: str = "") -> None:
    """Write a repository's files as they are at a commit.

    Args:
        search: that part of launchpin.yaml, empty for none.
    """
    project = folder / "repository" / commit
    project.mkdir(parents=True)
    (project / "launchpin.yaml").write_text(_YAML % timeout + search)
    (project / "MLproject").write_text(_PROJECT)
    (project / "train.py").write_text(_BEGIN + script)


def play_deps(store: SqlStore, settings: Settings, folder: Path) -> Deps:
    """Return deps with the real store and trainer."""
    home = settings.home.absolute()
    trainer = LocalTrainer(home / "trainings", poll=0.1, silence=settings.lease.total_seconds())
    service = make_service(home, memory=settings.training_memory or 0, tasks=settings.training_tasks)
    registry = FileRegistry(folder, os.environ.get("WORKERS_ARTIFACTS", ""))
    parts = {"mirror": FolderMirror(folder), "environments": ThisEnvironment(), "registry": registry}
    return make_deps(store, home, trainer=trainer, service=service, **parts)


@dataclass(frozen=True)
class FolderMirror:
    """Repositories as folders, one for each commit."""

    folder: Path

    def _commit(self, commit: str) -> Path:
        return self.folder / "repository" / commit

    def read(self, repository: Repository, commit: str, path: str) -> bytes | None:
        """Return a file at a commit."""
        del repository
        file = self._commit(commit) / path
        return file.read_bytes() if file.is_file() else None

    def checkout(self, repository: Repository, commit: str, into: Path) -> None:
        """Write a commit's files."""
        del repository
        shutil.copytree(self._commit(commit), into)


class ThisEnvironment:
    """The environment that this test runs in."""

    def find(self, key: str) -> BuiltEnvironment:
        """Return it, whatever is asked for."""
        return BuiltEnvironment(key, Path(sys.executable))


@dataclass(frozen=True)
class FileRegistry:
    """A registry of runs and versions, each a file that is made once.

    Args:
        artifacts: address of the server that has the models' files.
    """

    folder: Path
    artifacts: str = ""

    def _file(self, run_key: str) -> Path:
        return self.folder / "runs" / run_key.replace("/", ".")

    def start_run(
        self, *, experiment: str, run_key: str, name: str, tags: Mapping[str, str], parameters: Mapping[str, str]
    ) -> RunRef:
        """Make a run; a second one of the same key is a second note."""
        del name, tags
        Outside(self.folder).tell("run", run_key)
        self._file(run_key).parent.mkdir(exist_ok=True)
        self._file(run_key).write_text(json.dumps(dict(parameters)))
        return RunRef(run_id=run_key, experiment_id=experiment)

    def find_run(self, *, experiment: str, run_key: str) -> RunRef | None:
        """Return the run of a key."""
        return RunRef(run_id=run_key, experiment_id=experiment) if self._file(run_key).exists() else None

    def child_variables(self, run: RunRef, *, within: str) -> Mapping[str, str]:
        """Return what tells a script where its results go, and marks its processes."""
        (self.folder / "results").mkdir(exist_ok=True)
        return {
            "NOTES": str(self.folder / "notes"),
            "RESULTS": str(self.folder / "results" / run.run_id.replace("/", ".")),
            "ATTEMPT": within,
            MARK: within.partition("/")[0],
        }

    def runs_of(self, run: RunRef, *, within: str) -> Sequence[Run]:
        """Return the run, with a model where its script finished one."""
        del within
        file = self.folder / "results" / run.run_id.replace("/", ".") / "model"
        if not file.exists():
            return [Run(run.run_id, "FINISHED", {}, {}, ())]
        models = (LoggedModel("model", "models:/m-1"),)
        return [Run(run.run_id, "FINISHED", {"accuracy": file.read_text()}, {}, models)]

    def end_run(self, run_id: str, end: RunEnd) -> None:
        """Note that a run is over, and how."""
        Outside(self.folder).tell("succeeded" if end is RunEnd.FINISHED else end.lower(), run_id)

    def end_within(self, within: str, end: RunEnd) -> None:
        """Do nothing: these scripts begin no further runs."""

    def find_version(self, model: str, *, training_id: str, run_ids: Sequence[str]) -> RegisteredVersion | None:
        """Return the version of a training."""
        del run_ids
        file = self.folder / "versions" / training_id
        return RegisteredVersion(model=model, version=file.read_text(), run_id="") if file.exists() else None

    def create_version(
        self, model: str, *, source: LoggedModel, run_id: str, training_id: str, description: str
    ) -> RegisteredVersion:
        """Make a version; a second one of the same training is a second note."""
        del source, description
        Outside(self.folder).tell("version", training_id)
        file = self.folder / "versions" / training_id
        file.parent.mkdir(exist_ok=True)
        number = str(len(list(file.parent.iterdir())) + 1)
        file.write_text(number)
        return RegisteredVersion(model=model, version=number, run_id=run_id)

    def fetch(self, model: str, version: str, into: Path) -> Manifest:
        """Download a version's files with Launchpin's own client."""
        from gitops.registry.calls import Caller  # noqa: PLC0415 - imports mlflow, which few cases need

        del version
        return ProxiedArtifacts(self.artifacts, Caller(self.artifacts, silence=20), limits=Limits()).download(
            model, into
        )

    def describe_version(self, model: str, version: str, *, description: str, tags: Mapping[str, str]) -> None:
        """Describe nothing."""

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Name nothing."""

    def log_file(self, run_id: str, file: Path, *, folder: str) -> None:
        """Keep a file with a run."""
        del folder
        shutil.copyfile(file, self.folder / "runs" / f"{run_id.replace('/', '.')}.{os.getpid()}.log")
