"""What the tests of collections share: a home folder with something of each kind in it, and whoever collects."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops.disk.storerooms import storerooms
from gitops.ports import Deps
from gitops.retention import Kind
from gitops.store import SqlStore
from gitops.upkeep import Collection
from tests.support.deps import make_deps, make_service
from tests.support.home import DAY, write_environment, write_file, write_folder, write_model
from tests.support.target import MemoryTarget
from tests.support.training import HeldLease


def key(number: int) -> str:
    return f"{number:032x}"


def digest(number: int) -> str:
    return f"{number:064x}"


def collector(store: SqlStore, home: Path, **changes: Any) -> Deps:  # noqa: ANN401 - any part
    """Return the parts of a worker whose home folder this is."""
    service = make_service(home, models=home / "models", workspace=home / "workspace", **changes.pop("service", {}))
    parts = {
        "service": service,
        "targets": {"local": MemoryTarget()},
        "lease": HeldLease(),
        "storerooms": storerooms(home, reap=lambda _: None),
    }
    return make_deps(store, home, **(parts | changes))


def counts(collection: Collection) -> dict[Kind, int]:
    return {kind: spent.count for kind, spent in collection.spent.items()}


def fill(home: Path) -> None:
    """Write one old and one fresh thing of each kind that lies on a disk."""
    fresh = timedelta(minutes=1)
    for number, old in ((1, 400 * DAY), (2, fresh)):
        write_environment(home, key(number), size=1000, old=old)
        write_model(home, digest(number), size=2000, old=old)
        write_file(home / "trainings" / "logs" / f"t-{number}-1.log", old=old)
        write_folder(home / "workspace" / f"t-{number}", old=old)
        write_folder(home / "mirrors" / f"{number}.git", old=old)
        write_folder(home / "mirrors" / f".{number}.git.abcdef.partial", old=old)
        write_folder(home / "environments" / f"build-{number}", old=old)
        write_folder(home / "models" / f".fetch-{number}", old=old)
        write_folder(home / "trainings" / "scratch" / f"s{number}", old=old)


EVERYTHING = {
    Kind.LOGS: 1,
    Kind.WORKSPACES: 1,
    Kind.ENVIRONMENTS: 1,
    Kind.MODELS: 1,
    Kind.MIRRORS: 1,
    Kind.LEFTOVERS: 4,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    fill(folder)
    return folder
