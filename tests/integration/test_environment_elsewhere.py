"""Machines with a home of their own each: what lacks an environment builds it from the very lock, or runs nothing.

The package index moves on between the machines, so that a new resolution would bring other packages.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.environments import UvEnvironments
from gitops.lockfile import Lock
from gitops.ports import Deps, End, TrainingEnd
from gitops.reconcile import run_next, run_until_idle
from gitops.steps import Phase, Queue
from gitops.store import SqlStore, tables
from gitops.store.database import Database, open_database
from gitops.writes import KeepLock
from tests.integration.environments_rig import environments, wheels, write_interpreter
from tests.integration.search_rig import GRID, Played, World, accuracy_of, searching
from tests.integration.test_rollout_story import deployment, forge
from tests.support.rollouts import Deployment
from tests.support.store import Clock, write
from tests.support.story_ports import PlayedTrainer
from tests.support.wheels import make_wheel

__all__ = ["deployment", "environments", "forge", "wheels"]

LOCKED, NEWER = "2.0", "3.0"
"""Of the package that the commit asks for: what there is when it is locked, and what there is afterwards."""

ONE_POINT = "seed: 42, depth: 2, leaves: 4"


def packages(python: Path) -> str:
    """Return what a script would import."""
    code = "import launchpin_probe_base; print(launchpin_probe_base.version)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def forget_locks(database_url: str) -> None:
    """Leave the database as an earlier release would have: it kept no locks."""
    database = Database(open_database(database_url))
    with database.write() as connection:
        connection.execute(tables.locked_environments.delete())
        connection.execute(tables.locks.delete())
    database.close()


def copy_lock(key: str, *, of: Path, to: Path) -> None:
    """Do as the sentence of `LockMissing` says."""
    shutil.copy(of / "environments" / "locks" / f"{key}.txt", to / "environments" / "locks")


# ---------------------------------------------------------------- trainings and trials


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Give the home of the machine that locks."""
    return tmp_path / "first"


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Give the home of the machine that goes on."""
    return tmp_path / "second"


@pytest.fixture
def world(store: SqlStore, clock: Clock, tmp_path: Path, first: Path, environments: UvEnvironments) -> Iterator[World]:
    del environments  # sets uv up
    with searching(store, clock, tmp_path, environments=UvEnvironments(first / "environments")) as world:
        yield world


def lock_first(world: World, wheels: Path) -> str:
    """Have the first machine lock and build, and the index move on; returns the environment's key."""
    world.control()
    assert run_next(world.loop, Queue.TRAINING)
    make_wheel(wheels, "launchpin_probe_base", NEWER)
    key = world.now.facts.environment_key
    assert key is not None
    return key


def on(home: Path, world: World, *, candidates: Sequence[Path] | None = None) -> World:
    """Return the same work as another machine sees it."""
    environments = UvEnvironments(home / "environments", candidates=candidates)
    service = replace(world.loop.deps.service, workspace=home / "workspace")
    deps: Deps = replace(world.loop.deps, environments=environments, service=service)
    return replace(world, loop=replace(world.loop, deps=deps))


def scripted(world: World, folder: Path) -> tuple[World, PlayedTrainer]:
    """Return the same work where the script of a training without a search ends well."""
    log = folder / "train.log"
    log.write_text("the last line", encoding="utf-8")
    trainer = PlayedTrainer(TrainingEnd(End.EXITED, 0, 1.5, 0, ("the last line",), log, "a" * 64))
    return replace(world, loop=replace(world.loop, deps=replace(world.loop.deps, trainer=trainer))), trainer


def train_on(world: World) -> None:
    """Let the machine's training worker work until nothing is ready for it."""
    run_until_idle(world.loop, Queue.TRAINING)


def test_trials_run_in_the_packages_that_another_machine_locked(
    world: World, wheels: Path, first: Path, second: Path
) -> None:
    found: list[tuple[Path, str]] = []

    def play(played: Played) -> float:
        found.append((played.spec.python, packages(played.spec.python)))
        return accuracy_of(played)

    world.scripts.play = play
    world.begin(GRID)
    key = lock_first(world, wheels)

    training = on(second, world).finish()

    assert (training.phase, training.facts.trial) == (Phase.SUCCEEDED, 3)
    here = second / "environments" / "built" / key / "bin" / "python"
    assert found == [(here, LOCKED)] * 4
    known = world.store.lock_of(key)
    assert known is not None
    assert (known.digest, known.python) == (training.facts.lock_sha256, training.facts.python_version)
    assert known == UvEnvironments(first / "environments").lock_of(key)


def test_training_is_run_by_another_machine_in_the_packages_that_were_locked(
    world: World, wheels: Path, second: Path, tmp_path: Path
) -> None:
    world.begin("", parameters=ONE_POINT)
    key = lock_first(world, wheels)

    other, trainer = scripted(on(second, world), tmp_path)
    train_on(other)

    (spec,) = trainer.specs
    assert packages(spec.python) == LOCKED
    assert spec.python.is_relative_to(second / "environments" / "built" / key)
    assert world.now.step == "judge"


def test_training_waits_and_runs_nothing_where_its_lock_is_kept_nowhere_until_it_is_brought(
    world: World, wheels: Path, first: Path, second: Path, tmp_path: Path, database_url: str
) -> None:
    world.begin("", parameters=ONE_POINT)
    key = lock_first(world, wheels)
    forget_locks(database_url)
    other, trainer = scripted(on(second, world), tmp_path)

    train_on(other)

    waiting = world.now
    assert (waiting.phase, waiting.reason) == (Phase.RUNNING, "LockMissing")
    assert f"copy environments/locks/{key}.txt" in waiting.message
    assert (trainer.specs, world.runs.tags) == ([], {})

    copy_lock(key, of=first, to=second)
    world.clock.advance(timedelta(minutes=10))
    train_on(other)
    assert [packages(spec.python) for spec in trainer.specs] == [LOCKED]


def test_training_from_before_locks_were_kept_goes_on_where_its_environment_was_built(
    world: World, wheels: Path, first: Path, tmp_path: Path, database_url: str
) -> None:
    world.begin("", parameters=ONE_POINT)
    key = lock_first(world, wheels)
    forget_locks(database_url)
    (first / "environments" / "built" / f"{key}.complete").unlink()  # as a collection begins

    same, trainer = scripted(world, tmp_path)
    train_on(same)

    assert [packages(spec.python) for spec in trainer.specs] == [LOCKED]


def test_training_waits_and_runs_nothing_on_a_machine_that_cannot_have_its_environment(
    world: World, wheels: Path, second: Path, tmp_path: Path
) -> None:
    world.begin("", parameters=ONE_POINT)
    key = lock_first(world, wheels)
    elsewhere = [write_interpreter(tmp_path, platform="linux-m68k")]
    other, trainer = scripted(on(second, world, candidates=elsewhere), tmp_path)

    train_on(other)

    waiting = world.now
    assert (waiting.phase, waiting.reason) == (Phase.RUNNING, "EnvironmentMismatch")
    assert key[:12] in waiting.message
    assert "linux-m68k" in waiting.message
    assert (trainer.specs, world.runs.tags) == ([], {})

    same, trainer = scripted(world, tmp_path)
    world.clock.advance(timedelta(minutes=10))
    train_on(same)
    assert [packages(spec.python) for spec in trainer.specs] == [LOCKED]


# ---------------------------------------------------------------- rollouts


def trained_elsewhere(deployment: Deployment, home: Path, wheels: Path, version: str) -> Lock:
    """Register a version that was trained in an environment of another machine; returns its lock, which is not kept."""
    there = UvEnvironments(home / "environments")
    lock = there.lock_requirements("launchpin_probe_base", python="")
    there.build(lock)
    make_wheel(wheels, "launchpin_probe_base", NEWER)
    deployment.add_version(version, environment=lock.key)
    return lock


def test_version_that_was_trained_on_another_machine_rolls_out_in_the_packages_of_its_lock(
    deployment: Deployment, environments: UvEnvironments, wheels: Path, first: Path
) -> None:
    lock = trained_elsewhere(deployment, first, wheels, "4")
    write(deployment.store, KeepLock(lock))
    deployment.with_parts(environments=environments)

    deployment.serve("4")

    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.message) == ("Succeeded", "version 4 serves")
    built = environments.find(lock.key)
    assert built is not None
    assert packages(built.python) == LOCKED


def test_rollout_waits_where_the_lock_of_its_version_is_kept_nowhere_until_it_is_brought(
    deployment: Deployment, environments: UvEnvironments, wheels: Path, first: Path, tmp_path: Path
) -> None:
    lock = trained_elsewhere(deployment, first, wheels, "4")
    deployment.with_parts(environments=environments)
    deployment.pin("4")
    waiting = deployment.rollouts()[-1]
    assert (waiting.phase, waiting.reason) == ("Running", "LockMissing")
    assert f"copy environments/locks/{lock.key}.txt" in waiting.message
    assert deployment.target.asked == []

    copy_lock(lock.key, of=first, to=tmp_path)
    deployment.later(1, seconds=600)
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.live() == deployment.environment().serving == "4"


def test_rollout_waits_where_the_lock_of_its_version_comes_to_another_environment(
    deployment: Deployment, environments: UvEnvironments, wheels: Path, first: Path
) -> None:
    lock = trained_elsewhere(deployment, first, wheels, "4")
    write(deployment.store, KeepLock(replace(lock, text=lock.text.replace("==2.0", "==1.0"))))
    deployment.with_parts(environments=environments)
    deployment.pin("4")
    waiting = deployment.rollouts()[-1]
    assert (waiting.phase, waiting.reason) == ("Running", "EnvironmentMismatch")
    assert environments.find(lock.key) is None
    assert deployment.target.asked == []
