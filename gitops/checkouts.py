"""A commit to train: its record, its files on disk while one step needs them, and those that say how to train."""

import contextlib
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gitops.config.launchpin import LaunchpinFile, parse_launchpin
from gitops.config.mlproject import MLproject, parse_mlproject
from gitops.errors import InputError, RefusedError, StalledError
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Cause, Repository, Training

_LONGEST_FILE = 256 * 1024


@dataclass(frozen=True)
class Project:
    """An MLflow project on disk.

    Args:
        folder: where it is on disk.
        path: where it is in the repository.
        environment_file: the environment that MLproject names, empty when it names none.
    """

    folder: Path
    path: str
    mlproject: MLproject
    environment_file: str


def new_training(
    repository: Repository, ref: str, head: str, *, content: bytes, file: LaunchpinFile, cause: Cause
) -> Training:
    """Return the training of a ref's head.

    Args:
        ref: `refs/heads/...`.
        head: its commit.
        content: the bytes of the launchpin.yaml that the training follows.
        file: what they say.
    """
    return Training(
        id=new_id("t"),
        cause=cause,
        repository_id=repository.id,
        repository=repository.full_name,
        ref=ref,
        commit=head,
        config_path=file.file,
        config_sha256=hashlib.sha256(content).hexdigest(),
        model=file.model,
    )


def read_launchpin(deps: Deps, training: Training) -> LaunchpinFile:
    """Return the launchpin.yaml a training follows, at its commit."""
    content = deps.mirror.read(repository_of(deps, training), training.commit, training.config_path)
    if content is None:
        raise RefusedError("ConfigMissing", f"{training.config_path} is not in {training.commit}")
    return parse_launchpin(content, file=training.config_path)


def repository_of(deps: Deps, training: Training) -> Repository:
    """Return a training's repository.

    Raises:
        StalledError: `RepositoryMissing` when it is no longer connected.
    """
    repository = deps.store.repository(training.repository_id)
    if repository is None:
        raise StalledError("RepositoryMissing", f"{training.repository} is not connected any more: launchpin add it")
    return repository


@contextlib.contextmanager
def checked_out(deps: Deps, training: Training, *, owner: str = "") -> Iterator[Project]:
    """Write exactly the training's commit into a fresh folder, and remove it afterwards.

    What a killed worker left of an earlier try is removed first and never used again.

    Args:
        owner: whose folder it is, where it is not the training's: that of one of its trials, by its id.
    """
    home = deps.service.workspace / (owner or training.id)
    shutil.rmtree(home, ignore_errors=True)
    folder = home / uuid.uuid4().hex[:8]
    file = read_launchpin(deps, training)
    try:
        home.mkdir(parents=True)
        deps.mirror.checkout(repository_of(deps, training), training.commit, folder)
        yield _find_project(folder, training.config_path, file)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _find_project(folder: Path, config_path: str, file: LaunchpinFile) -> Project:
    path = PurePosixPath(config_path).parent / file.train.project
    inside = folder / path
    project_file = inside / "MLproject"
    if project_file.is_symlink() or not project_file.is_file():
        raise RefusedError(
            "NoMLproject", f"there is no MLproject in {path}: write one, or let `launchpin init model .` write it"
        )
    if project_file.stat().st_size > _LONGEST_FILE:
        raise InputError("yaml_too_large", "an MLproject may have 256 KiB", file=f"{path}/MLproject")
    mlproject = parse_mlproject(project_file.read_bytes(), file=str(path / "MLproject"))
    return Project(inside, str(path), mlproject, mlproject.python_env or mlproject.conda_env)
