"""What the tests of low and full disks share: a model repository over loopback, and a service that finds no room."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitops.forge.mirror import GitMirror
from gitops.ports import Deps
from gitops.records import Repository, Role, Training
from gitops.rehearsal import OnlyOnce
from gitops.store import SqlStore
from gitops.trainers.local import LocalTrainer
from gitops.writes import SaveRepository
from tests.support.deps import make_deps
from tests.support.githttp import Origin, serve_git
from tests.support.store import make_training, write
from tests.support.story_ports import OneRunRegistry
from tests.support.training import HeldLease

LAUNCHPIN = b"""version: 1
model: iris
on:
  push: {branches: [main], paths: ["**"]}
train:
  project: .
"""
MLPROJECT = b"""name: iris
entry_points:
  main:
    command: python train.py
"""


@dataclass
class Model:
    """A model repository served over loopback, and what a worker needs to train its head."""

    repository: Repository
    origin: Origin
    forge_api: str
    deps: Deps
    registry: OneRunRegistry

    def training(self, commit: str, **changes: Any) -> Training:  # noqa: ANN401 - any field of the record
        return make_training(id="t-1", commit=commit, repository_id=self.repository.id, **changes)


class OurOwn:
    """Environments that are this test's own interpreter."""

    def find(self, key: str) -> object:
        from gitops.ports import BuiltEnvironment  # noqa: PLC0415 - where it is used

        return BuiltEnvironment(key, Path(sys.executable))


@pytest.fixture
def model(store: SqlStore, tmp_path: Path) -> Iterator[Model]:
    with serve_git(tmp_path / "origins") as server:
        origin = Origin.make(server.root / "acme" / "iris.git")
        repository = Repository(id=7, full_name="acme/iris", role=Role.MODEL, clone_url=server.url("acme/iris"))
        write(store, SaveRepository(repository))
        registry = OneRunRegistry()
        deps = make_deps(
            store,
            tmp_path,
            mirror=GitMirror(tmp_path / "mirrors", forge_api=server.api, token="t"),
            environments=OurOwn(),
            registry=registry,
            trainer=LocalTrainer(tmp_path / "trainings"),
            effects=OnlyOnce(),
            lease=HeldLease(),
        )
        yield Model(repository, origin, server.api, deps, registry)


def files(script: str, **more: bytes) -> dict[str, bytes | tuple[int, bytes]]:
    return {"launchpin.yaml": LAUNCHPIN, "MLproject": MLPROJECT, "train.py": script.encode(), **more}
