"""Fixtures that any test may ask for; what they do stands in tests/support."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.store import postgres as store_postgres
from tests.faults.table import pytest_runtest_makereport, pytest_sessionfinish, pytest_terminal_summary, tally
from tests.faults.tally import find_mistake, is_full, is_slice
from tests.support.live import ENVIRONMENTS
from tests.support.mlflow import running_mlflow
from tests.support.postgres import Postgres, running_postgres
from tests.support.store import (
    clock,
    database_url,
    empty_and_fresh,
    empty_url,
    postgres_url,
    sqlite_template,
    sqlite_url,
    store,
)

__all__ = [
    "clock",
    "database_url",
    "empty_and_fresh",
    "empty_url",
    "postgres",
    "postgres_url",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "sqlite_template",
    "sqlite_url",
    "store",
    "tally",
    "tracking_uri",
]


# Files that take minutes, those that take most first: begun last, each would be waited for alone.
_LONG = (
    "e2e/test_demo.py",
    "faults/test_walker_rollouts.py",
    "faults/test_walker.py",
    "benchmarks/test_benchmarks.py",
    "e2e/test_loop.py",
    "faults/test_outside_away.py",
    "faults/test_workers_training.py",
    "faults/test_workers.py",
    "faults/test_broker.py",
    "faults/test_receiving.py",
    "faults/test_workers_drain.py",
    "faults/test_workers_models.py",
)
# Of the fault tests these keep a core busy, and the others mostly wait.
_BUSY = {"e2e/test_demo.py", "faults/test_walker_rollouts.py", "faults/test_walker.py", "faults/test_outside_away.py"}
# The stack of the end-to-end tests, on another database in each second run.
_ON_BOTH = "live"
# What is about the database's own limits of time.
_ON_TIME = {"faults", "benchmarks", "test_store_postgres", "test_store_postgres_lost"}
_HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _patient_postgres(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine that stands still for seconds end no transaction of a test that is about something else."""
    if not _ON_TIME & {request.path.parent.name, request.path.stem}:
        session = vars(store_postgres)["_SESSION"]
        monkeypatch.setattr(
            store_postgres, "_SESSION", session.replace("session_timeout = 5000", "session_timeout = 60000")
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have the long files begin first; where all faults run, those that wait beside those that do not."""
    others = [item for item in items if not _is_of_this_run(item)]
    items[:] = [item for item in items if item not in others]
    config.hook.pytest_deselected(items=others)
    ranks = {_HERE / name: rank for rank, name in enumerate(_LONG)}
    items.sort(key=lambda item: ranks.get(item.path, len(_LONG)))
    if is_full():
        items[:] = _interleaved(
            [item for item in items if item.path.relative_to(_HERE).as_posix() in _BUSY],
            [item for item in items if item.path.relative_to(_HERE).as_posix() not in _BUSY],
        )


def _is_of_this_run(item: pytest.Item) -> bool:
    marks = [mark.args for mark in item.iter_markers("slices")]
    if not marks:
        return True
    if mistake := find_mistake(marks, is_on_both=_ON_BOTH in getattr(item, "fixturenames", ())):
        raise pytest.UsageError(f"{item.nodeid}: {mistake}")
    return is_slice(*marks[0])


def _interleaved(*lists: list[pytest.Item]) -> list[pytest.Item]:
    """Return the items of all lists, those of each at equal distances."""
    placed = [((place + 1) / (len(items) + 1), item) for items in lists for place, item in enumerate(items)]
    return [item for _, item in sorted(placed, key=lambda pair: pair[0])]


@pytest.fixture(scope="session", autouse=True)
def _shared_environments(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have the stacks of all test processes build an environment once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "environments"
    folder.mkdir(exist_ok=True, mode=0o700)
    os.environ[ENVIRONMENTS] = str(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give one PostgreSQL for the whole session; each test makes a database of its own in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of one real MLflow server for the whole session."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri
