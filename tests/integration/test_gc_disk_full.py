"""A disk that is full in the middle of something: nothing half is left, and it goes on when there is room."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from gitops.disk.space import free_bytes
from gitops.environments import UvEnvironments
from gitops.errors import StalledError
from gitops.forge.mirror import GitMirror
from gitops.ports import End, TrainingEnd
from gitops.records import TrainingFacts
from gitops.steps import Ended, Phase, Stalled
from gitops.trainers.local import LocalTrainer
from gitops.training import train
from gitops.writes import Wake
from tests.integration.disk_low_rig import Model, files, model
from tests.support.home import names
from tests.support.small_disk import MIB, disk, fill
from tests.support.story_ports import PlayedTrainer
from tests.support.training import HeldLease, make_spec, write_script
from tests.support.wheels import make_wheel

__all__ = ["disk", "model"]

_ASK_FOR_ROOM = (Wake("gc", "home"),)
FILL_UP = """
import os, tempfile
with open(os.path.join(tempfile.gettempdir(), "big"), "wb") as file:
    while True:
        file.write(b"x" * 1048576)
"""


def test_a_training_that_meets_a_full_disk_waits_and_is_trained_once_more(
    model: Model, disk: Callable[[int], Path]
) -> None:
    small = disk(8 * MIB)
    deps = replace(model.deps, trainer=LocalTrainer(small / "trainings"))
    commit = model.origin.commit(files(FILL_UP))

    first = train(deps, model.training(commit))

    assert isinstance(first, Stalled)
    assert (first.reason, first.writes) == ("DiskLow", _ASK_FOR_ROOM)
    assert "No space left on device" in first.message
    assert "launchpin gc" in first.message
    # What it wrote is gone, and its run is closed.
    assert names(small / "trainings" / "scratch") == set()
    assert names(small / "trainings" / "trainings") == set()
    assert free_bytes(small) > 7 * MIB
    assert model.registry.ended == {"t-1/1": False}

    facts = TrainingFacts.model_validate(first.facts)
    second = train(deps, model.training(commit, facts=facts))

    # There was room again, and it filled that too: it is the script.
    assert isinstance(second, Ended)
    assert (second.phase, second.reason) == (Phase.ERRORED, "DiskLow")
    assert model.registry.ended == {"t-1/1": False, "t-1/2": False}


def test_a_checkout_that_meets_a_full_disk_leaves_nothing_and_begins_no_run_twice(
    model: Model, disk: Callable[[int], Path]
) -> None:
    small = disk(4 * MIB)
    deps = replace(model.deps, service=replace(model.deps.service, workspace=small / "workspace"))
    commit = model.origin.commit(files("", **{"big.bin": os.urandom(6 * MIB)}))

    outcome = train(deps, model.training(commit))

    assert isinstance(outcome, Stalled)
    assert (outcome.reason, outcome.writes) == ("DiskLow", _ASK_FOR_ROOM)
    assert outcome.facts["attempt"] == 0
    assert names(small / "workspace") == set()
    again = train(model.deps, model.training(commit, facts=TrainingFacts.model_validate(outcome.facts)))
    assert "trained" in str(again.message)
    assert set(model.registry.runs) == {"t-1/1"}


def test_a_clone_that_meets_a_full_disk_leaves_nothing_and_is_made_when_there_is_room(
    model: Model, disk: Callable[[int], Path]
) -> None:
    small = disk(4 * MIB)
    commit = model.origin.commit({"big.bin": os.urandom(3 * MIB)})
    ballast = fill(small, leave=2 * MIB)
    mirror = GitMirror(small / "mirrors", forge_api=model.forge_api, token="t")

    with pytest.raises(StalledError) as caught:
        mirror.fetch(model.repository)

    assert caught.value.reason == "DiskLow"
    assert {name for name in names(small / "mirrors") if name != ".home"} == set()
    ballast.unlink()
    mirror.fetch(model.repository)
    assert mirror.heads(model.repository) == {"refs/heads/main": commit}


def test_a_fetch_that_meets_a_full_disk_keeps_the_mirror_as_it_was(model: Model, disk: Callable[[int], Path]) -> None:
    small = disk(8 * MIB)
    first = model.origin.commit({"small": b"1"})
    mirror = GitMirror(small / "mirrors", forge_api=model.forge_api, token="t")
    mirror.fetch(model.repository)
    ballast = fill(small, leave=MIB)
    second = model.origin.commit({"big.bin": os.urandom(3 * MIB)})

    with pytest.raises(StalledError) as caught:
        mirror.fetch(model.repository)

    assert caught.value.reason == "DiskLow"
    assert mirror.heads(model.repository) == {"refs/heads/main": first}
    assert mirror.read(model.repository, first, "small") == b"1"
    assert free_bytes(small) > MIB // 2
    ballast.unlink()
    mirror.fetch(model.repository)
    assert mirror.heads(model.repository) == {"refs/heads/main": second}


def test_an_environment_that_meets_a_full_disk_leaves_nothing_and_is_built_when_there_is_room(
    tmp_path: Path, disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "launchpin_probe_large", "1.0", body="x = '" + os.urandom(3 * MIB).hex() + "'\n")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    small = disk(32 * MIB)
    environments = UvEnvironments(small / "environments")
    lock = environments.lock_requirements("launchpin_probe_large", python="")
    ballast = fill(small, leave=4 * MIB)

    with pytest.raises(StalledError) as caught:
        environments.build(lock)

    assert caught.value.reason == "DiskLow"
    assert "No space left on device" in caught.value.message
    assert environments.find(lock.key) is None
    assert names(small / "environments" / "built") == set()
    assert names(small / "environments") == {"resolutions", "locks", "built"}
    ballast.unlink()
    assert environments.build(lock).python.is_file()


def test_a_training_whose_log_cannot_be_written_goes_on_to_its_end(tmp_path: Path, disk: Callable[[int], Path]) -> None:
    small = disk(2 * MIB)
    trainer = LocalTrainer(small / "trainings")
    command = write_script(tmp_path / "checkout", "print('x' * 100_000_0)\nfor _ in range(9): print('y' * 900_000)\n")
    end = trainer.run(make_spec(tmp_path / "checkout", command), lease=HeldLease())
    assert (end.end, end.exit_code) == (End.EXITED, 0)


def test_a_script_that_fails_for_another_reason_is_not_trained_again(model: Model) -> None:
    ended = TrainingEnd(End.EXITED, 1, 1.0, 0, ("ValueError: no",), Path("/nowhere"), "a" * 64)
    commit = model.origin.commit(files(""))
    outcome = train(replace(model.deps, trainer=cast("Any", PlayedTrainer(ended))), model.training(commit))
    assert isinstance(outcome, Ended)
    assert outcome.reason == "TrainingFailed"
