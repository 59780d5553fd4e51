"""Comparing many pins when nothing has changed, against the bare SQL join of the same rows."""

import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert

from gitops.compare import compare_pins
from gitops.ports import Configuration, Deps, Endpoint, EndpointStatus
from gitops.records import Environment, Health, Repository, Role, Sync
from gitops.store import SqlStore
from gitops.store.migrate import migrate
from gitops.store.rows import to_row
from gitops.store.tables import environments
from tests.benchmarks.figures import Curve, Must, Reach, Result, Row, Scale, time_in_turn
from tests.support.deps import make_deps

_HEAD = "c" * 40
_JOIN = """\
SELECT e.path, e.target, e.host, e.endpoint, e.model, e.pinned, e.health, e.url FROM environments e
LEFT JOIN rollouts r ON r.repository_id = e.repository_id AND r.path = e.path AND r.phase IN ('Pending', 'Running')
WHERE e.repository_id = 1 AND e.pin_commit = ? AND r.id IS NULL
"""
_ROWS = 10_000


@dataclass(frozen=True)
class StandingMirror:
    """The mirror of a repository that nobody pushes to: its list of files is known, and no file is read."""

    paths: tuple[str, ...]

    def files(self, _repository: Repository, _commit: str) -> Sequence[str]:
        return self.paths


@dataclass(frozen=True)
class StandingTarget:
    """A target whose endpoints stay as they are."""

    known: tuple[Endpoint, ...]
    by_name: Mapping[str, Endpoint] = field(default_factory=dict)

    def host(self) -> str:
        return "here"

    def endpoints(self) -> Sequence[Endpoint]:
        return self.known

    def describe(self, endpoint: str) -> Endpoint | None:
        return self.by_name.get(endpoint)

    def configuration(self, _name: str) -> Configuration | None:
        return None


def measure(scale: Scale) -> Result:
    """Measure 10,000 pins, and how it grows from 1,000 to 100,000."""
    ours, bare, row = [], [], None
    for size in scale.steps(1_000, _ROWS, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            found = _measure(Path(folder), size, times=scale.pick(20, quick=2))
        ours.append((float(size), found.ours.median))
        bare.append((float(size), next(iter(found.beside.values())).median))
        row = found if size == _ROWS else row
    curve = Curve(
        "pins",
        "Comparing pins when nothing changed",
        "pins",
        "milliseconds",
        {"Launchpin": ours, "bare SQL join": bare},
    )
    return Result((row,) if row else (), (curve,))


def _measure(folder: Path, size: int, *, times: int) -> Row:
    deps, repository, url = _world(folder, size)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))

    def join() -> None:
        assert len(connection.execute(_JOIN, (_HEAD,)).fetchall()) == size

    def compare() -> None:
        assert compare_pins(deps, repository, head=_HEAD) == []

    compare()
    ours, bare = time_in_turn(compare, join, times=times)
    connection.close()
    return Row(
        f"reconcile of {size:,} pins, nothing changed, files and endpoints read already",
        ours,
        {"bare SQL join of the same rows": bare},
        Reach(Must.RATIO_AT_MOST, 2.0),
    )


def _world(folder: Path, size: int) -> tuple[Deps, Repository, str]:
    url = f"sqlite:///{folder / 'launchpin.sqlite3'}"
    migrate(url, host="bench.example")
    repository = Repository(id=1, full_name="acme/pins", role=Role.DEPLOY, clone_url="http://127.0.0.1/acme/pins.git")
    known = [_environment(number) for number in range(size)]
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(environments), [to_row(each) for each in known])
    engine.dispose()
    paths = tuple(f"{each.path}/{name}" for each in known for name in ("buildspec.yml", "endpoint.yaml"))
    standing = tuple(_endpoint(each) for each in known)
    target: Any = StandingTarget(standing, {one.name: one for one in standing})
    deps = make_deps(SqlStore(url), folder, mirror=StandingMirror(paths), targets={"local": target})
    return deps, repository, url


def _environment(number: int) -> Environment:
    name = f"model-{number:06d}"
    return Environment(
        repository_id=1,
        path=name,
        name=name,
        repository="acme/pins",
        endpoint=name,
        endpoint_file=f"{name}/endpoint.yaml",
        target="local",
        host="here",
        model=name,
        tracking_uri="http://127.0.0.1:2",
        pinned="7",
        pin_commit=_HEAD,
        serving="7",
        url=f"http://127.0.0.1:3/endpoints/{name}",
        sync=Sync.SYNCED,
        health=Health.HEALTHY,
    )


def _endpoint(known: Environment) -> Endpoint:
    name = known.endpoint
    return Endpoint(name, EndpointStatus.IN_SERVICE, name, name, known.url, version=known.pinned, model=known.model)
