"""Records for tests, and a fresh store on each database in turn. Import the fixture `store` where a test wants one.

A test that is about one database alone asks for `sqlite_url` or `postgres_url`, and says so in its name.
"""

import hashlib
import itertools
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops.ports import Claim, Exit
from gitops.records import (
    Cause,
    Command,
    Delivery,
    Environment,
    Hold,
    MergeMode,
    Promotion,
    Record,
    Repository,
    Role,
    Rollout,
    Training,
    Version,
)
from gitops.steps import Done, Outcome, Queue
from gitops.store import SqlStore
from gitops.store.migrate import migrate
from gitops.trials import Trial
from gitops.writes import OpenRollout, StartTraining
from tests.support.postgres import HOST, Postgres

LEASE = timedelta(seconds=60)
DATABASES = ("sqlite", "postgres")

_numbers = itertools.count(1)


class Clock:
    """The database's clock in a test's hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, 12, 0, 0, 250, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time

    def advance(self, delta: timedelta) -> None:
        """Let time pass."""
        self.time += delta


def make_url(folder: Path) -> str:
    """Return the URL of a database file in a folder."""
    return f"sqlite:///{folder / 'launchpin.sqlite3'}"


@pytest.fixture
def clock() -> Clock:
    """Give the clock of the fixture `store`."""
    return Clock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated SQLite file to copy."""
    folder = tmp_path_factory.mktemp("template")
    migrate(make_url(folder), host=HOST)
    return folder / "launchpin.sqlite3"


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """Give a migrated SQLite file in the test's folder."""
    shutil.copy(sqlite_template, tmp_path)
    return make_url(tmp_path)


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """Give a migrated database on PostgreSQL."""
    url = postgres.make_database()
    yield url
    postgres.drop(url)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """Give a migrated database of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=DATABASES)
def empty_and_fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Give two databases of one kind, of each kind in turn: one that nobody has migrated, and one that is."""
    if request.param == "sqlite":
        folder = tmp_path / "empty"
        folder.mkdir()
        yield make_url(folder), request.getfixturevalue("sqlite_url")
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.make_empty()
    yield url, request.getfixturevalue("postgres_url")
    postgres.drop(url)


@pytest.fixture
def empty_url(empty_and_fresh: tuple[str, str]) -> str:
    """Give a database of each kind in turn that nobody has migrated."""
    return empty_and_fresh[0]


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[SqlStore]:
    """Give an empty store with the clock in the test's hand, on each database in turn."""
    store = SqlStore(database_url, clock=clock)
    yield store
    store.close()


def make_id(prefix: str) -> str:
    """Return an id that no other record of this process has."""
    return f"{prefix}-{next(_numbers):06d}"


def make_cause(**changes: Any) -> Cause:  # noqa: ANN401 - any field of the record
    """Return a delivery by a person as a cause."""
    fields = {"kind": "delivery", "id": "guid-1", "body_sha256": "b" * 64, "actor": "mona"}
    return Cause(**{**fields, **changes})


def make_delivery(body: bytes = b"{}", **changes: Any) -> Delivery:  # noqa: ANN401 - any field of the record
    """Return a delivery whose digest is that of its body."""
    guid = changes.pop("id", make_id("guid"))
    digest = hashlib.sha256(body).hexdigest()
    cause = Cause(kind="delivery", id=guid, body_sha256=digest)
    return Delivery(**{"id": guid, "event": "push", "body": body, "body_sha256": digest, "cause": cause, **changes})


def make_training(**changes: Any) -> Training:  # noqa: ANN401 - any field of the record
    """Return a training of a commit that no other one has."""
    training_id = changes.pop("id", make_id("t"))
    fields = {
        "id": training_id,
        "cause": make_cause(),
        "repository_id": 1,
        "repository": "acme/iris",
        "ref": "refs/heads/main",
        "commit": hashlib.sha256(training_id.encode()).hexdigest()[:40],
        "config_path": "launchpin.yaml",
        "config_sha256": "c" * 64,
        "model": "iris",
    }
    return Training(**{**fields, **changes})


def make_trial(number: int = 1, **changes: Any) -> Trial:  # noqa: ANN401 - any field of the record
    """Return a trial of a training's search."""
    fields = {
        "training_id": "t-1",
        "cause": Cause(kind="training", id="t-1", actor="mona"),
        "repository_id": 1,
        "repository": "acme/iris",
        "commit": "a" * 40,
        "model": "iris",
        "parameters": {"depth": str(number)},
        "parent_run_id": "r1",
        **changes,
    }
    return Trial(id=Trial.id_of(str(fields["training_id"]), number), number=number, **fields)


def make_promotion(**changes: Any) -> Promotion:  # noqa: ANN401 - any field of the record
    """Return a promotion of version 1 to staging."""
    fields = {
        "id": make_id("p"),
        "cause": Cause(kind="training", id="t-1"),
        "training_id": "t-1",
        "repository_id": 2,
        "repository": "acme/iris-deploy",
        "environment": "staging",
        "path": "staging",
        "model": "iris",
        "version": "1",
        "merge": MergeMode.AUTO,
    }
    return Promotion(**{**fields, **changes})


def make_rollout(**changes: Any) -> Rollout:  # noqa: ANN401 - any field of the record
    """Return a rollout of version 1 to the endpoint of staging."""
    fields = {
        "id": make_id("r"),
        "cause": make_cause(),
        "repository_id": 2,
        "repository": "acme/iris-deploy",
        "environment": "staging",
        "path": "staging",
        "endpoint": "iris-staging",
        "target": "local",
        "host": "here",
        "model": "iris",
        "version": "1",
        "commit": "d" * 40,
    }
    return Rollout(**{**fields, **changes})


def make_command(**changes: Any) -> Command:  # noqa: ANN401 - any field of the record
    """Return a person's command."""
    command_id = changes.pop("id", make_id("c"))
    fields = {
        "id": command_id,
        "cause": Cause(kind="command", id=command_id, actor="mona"),
        "verb": "resume",
        "arguments": {"environment": "staging"},
        "idempotency_key": make_id("key"),
    }
    return Command(**{**fields, **changes})


def make_hold(**changes: Any) -> Hold:  # noqa: ANN401 - any field of the record
    """Return a hold on staging."""
    fields = {
        "id": make_id("h"),
        "repository_id": 2,
        "path": "staging",
        "environment": "staging",
        "model": "iris",
        "reason": "RolledBack",
        "message": "version 2 failed its smoke test",
        "author": "launchpin",
        "cause": make_cause(),
    }
    return Hold(**{**fields, **changes})


def make_repository(**changes: Any) -> Repository:  # noqa: ANN401 - any field of the record
    """Return a model repository."""
    fields = {"id": 1, "full_name": "acme/iris", "role": Role.MODEL, "clone_url": "http://127.0.0.1/acme/iris.git"}
    return Repository(**{**fields, **changes})


def make_version(**changes: Any) -> Version:  # noqa: ANN401 - any field of the record
    """Return a version that passed its gates."""
    fields = {
        "model": "iris",
        "version": "1",
        "manifest_sha256": "e" * 64,
        "manifest": "",
        "run_id": "run-1",
        "training_id": "t-1",
        "commit": "d" * 40,
        "verdict": "pass",
        "metrics": {"accuracy": "0.95"},
    }
    return Version(**{**fields, **changes})


def make_environment(**changes: Any) -> Environment:  # noqa: ANN401 - any field of the record
    """Return staging."""
    fields = {"repository_id": 2, "path": "staging", "name": "staging", "model": "iris", "endpoint": "iris-staging"}
    return Environment(**{**fields, **changes})


def take(store: SqlStore, queue: Queue = Queue.CONTROL) -> Claim:
    """Claim what must be ready."""
    claim = store.claim(queue, owner="test", lease=LEASE)
    assert claim is not None
    return claim


def start_training(store: SqlStore) -> Claim:
    """Start a training, and claim its first step."""
    write(store, StartTraining(make_training()))
    return take(store)


def write(store: SqlStore, *writes: object) -> None:
    """Carry out writes as a recurring job's step asks for them."""
    store.wake("poll", "test", after=timedelta())
    store.wake("poll", "test")
    claim = take(store)
    while claim.kind != "poll":
        claim = take(store)
    store.finish(claim, Exit(None, Done(writes=writes), recurring=True))


def serve_once(store: SqlStore, version: str, **place: Any) -> None:  # noqa: ANN401 - any field of the rollout
    """Let a version come through its bake at a place, as far as its rollout tells."""
    rollout = make_rollout(version=version, **place)
    write(store, OpenRollout(rollout))
    claim = take(store)
    while claim.subject != rollout.id:
        claim = take(store)
    answer(store, claim, Done(message=f"version {version} serves"), step="finish")


def answer(store: SqlStore, claim: Claim, outcome: Outcome, **changes: Any) -> None:  # noqa: ANN401 - any field of the record
    """Finish a claim with what a step of its record answered."""
    read: Mapping[str, Any] = {
        "training": store.training,
        "trial": store.trial,
        "promotion": store.promotion,
        "rollout": store.rollout,
        "command": store.command,
        "delivery": store.delivery,
    }
    record: Record | None = read[claim.kind](claim.subject)
    store.finish(claim, Exit(record, outcome, **changes))
