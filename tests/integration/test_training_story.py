"""How a training's run is kept: its parameters, its end whatever happens, and no second training for MLflow's sake."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gitops.cli.scaffold import Kind, Names, fill_template
from gitops.config.launchpin import LONGEST_TIMEOUT
from gitops.errors import InputError
from gitops.forge.github import GitHubForge
from gitops.forge.mirror import GitMirror
from gitops.ports import Deps, End, TrainingEnd
from gitops.records import Repository, Role, Training, TrainingFacts
from gitops.rehearsal import OnlyOnce
from gitops.steps import Done, Ended, Refused, Stalled, Wait
from gitops.store import SqlStore
from gitops.training import TRAINING, judge, train
from gitops.writes import SaveRepository
from tests.support.deps import make_deps
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.store import make_training, write
from tests.support.story_ports import BuiltEnvironments, OneRunRegistry, PlayedTrainer
from tests.support.training import HeldLease

_PARAMETERS = {"max_depth": "3", "max_leaf_nodes": "8", "seed": "42"}  # as the template's launchpin.yaml has them


def _ended(end: End = End.EXITED, exit_code: int = 0) -> TrainingEnd:
    return TrainingEnd(end, exit_code, 1.0, 0, ("the last line",), Path("/nowhere/train.log"), "a" * 64)


@dataclass
class World:
    """A commit to train, and parts that end its training as they are told."""

    deps: Deps
    training: Training
    registry: OneRunRegistry
    trainer: PlayedTrainer

    def lost(self, times: int) -> Deps:
        return replace(self.deps, lease=HeldLease(lost=times))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture(scope="module")
def commit(server: ForgeUnderTest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, str]:
    """Push the template of a model repository; returns the repository and its commit."""
    made = GitHubForge(server.api, server.bot, login="launchpin[bot]").ensure_repository(f"acme/{uuid.uuid4().hex[:8]}")
    clone = tmp_path_factory.mktemp("clone")
    for path, content in fill_template(Kind.MODEL, Names("iris", "acme/iris-deploy")).items():
        (clone / path).write_bytes(content)
    for command in (
        "init -q -b main",
        "add -A",
        "commit -q -m Begin",
        f"push -q {made.clone_url} HEAD:refs/heads/main",
    ):
        server.git(*command.split(), cwd=clone)
    repository = Repository(id=made.id, full_name=made.full_name, role=Role.MODEL, clone_url=made.clone_url)
    return repository, server.git("rev-parse", "HEAD", cwd=clone).strip()


@pytest.fixture
def world(server: ForgeUnderTest, commit: tuple[Repository, str], store: SqlStore, tmp_path: Path) -> World:
    repository, sha = commit
    write(store, SaveRepository(repository))
    registry, trainer = OneRunRegistry(), PlayedTrainer(_ended())
    deps = make_deps(
        store,
        tmp_path,
        mirror=GitMirror(tmp_path / "mirrors", forge_api=server.api, token=server.bot),
        environments=BuiltEnvironments(),
        registry=registry,
        trainer=trainer,
        effects=OnlyOnce(),
        lease=HeldLease(),
    )
    training = make_training(id="t-1", repository_id=repository.id, repository=repository.full_name, commit=sha)
    return World(deps, training, registry, trainer)


def test_a_run_begins_with_the_parameters_of_launchpin_yaml(world: World) -> None:
    assert isinstance(train(world.deps, world.training), Done)
    assert world.registry.runs == {"t-1/1": _PARAMETERS}
    (spec,) = world.trainer.specs
    assert "--max-depth" in spec.command or "3" in spec.command


def test_a_candidate_has_the_parameters_that_its_script_did_not_log(world: World) -> None:
    world.registry.metrics = {"accuracy": "0.95", "f1": "0.95"}
    facts = TrainingFacts(run_id="t-1/1", experiment_id="iris", attempt=1)
    outcome = judge(world.deps, world.training.model_copy(update={"facts": facts}))
    assert isinstance(outcome, Done)
    assert outcome.facts["parameters"] == {**_PARAMETERS, "extra": "1"}
    assert world.registry.ended == {"t-1/1": True}


@pytest.mark.parametrize(
    ("accuracy", "tier", "told"),
    [
        ("0.97", "gold", "tier gold"),
        ("0.95", "silver", "tier silver: gold is not reached, accuracy 0.95 is not at least 0.96"),
        ("0.91", "", "no tier: silver is not reached, accuracy 0.91 is not at least 0.93"),
    ],
)
def test_a_candidate_has_the_tier_that_it_reached(world: World, accuracy: str, tier: str, told: str) -> None:
    world.registry.metrics = {"accuracy": accuracy, "f1": "0.95"}
    facts = TrainingFacts(run_id="t-1/1", experiment_id="iris", attempt=1)
    outcome = judge(world.deps, world.training.model_copy(update={"facts": facts}))
    assert isinstance(outcome, Done)
    learned = TrainingFacts.model_validate(outcome.facts)
    assert (learned.tier, [one.name for one in learned.tiers]) == (tier, ["gold", "silver"])
    assert learned.tiers[0].gates[0].value == accuracy
    assert outcome.message.endswith(told)


def test_the_run_is_ended_when_the_gates_refuse(world: World) -> None:
    world.registry.metrics = {"accuracy": "0.1", "f1": "0.1"}
    facts = TrainingFacts(run_id="t-1/1", experiment_id="iris", attempt=1)
    assert isinstance(judge(world.deps, world.training.model_copy(update={"facts": facts})), Refused)
    assert world.registry.ended == {"t-1/1": True}


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (_ended(exit_code=1), "TrainingFailed"),
        (_ended(End.TIMED_OUT, -9), "TrainingTimedOut"),
        (_ended(End.OUT_OF_MEMORY, -9), "OutOfMemory"),
        (_ended(End.TOO_MANY_TASKS, -9), "TooManyProcesses"),
        (_ended(End.CANCELLED, -15), "Cancelled"),
    ],
)
def test_the_run_is_ended_when_the_training_failed(world: World, end: TrainingEnd, reason: str) -> None:
    world.trainer.end = end
    outcome = train(world.deps, world.training)
    assert isinstance(outcome, Ended)
    assert outcome.reason == reason
    assert world.registry.ended == {"t-1/1": False}


def test_a_failed_script_is_not_trained_again_when_mlflow_goes_away_meanwhile(world: World) -> None:
    world.trainer.end = _ended(exit_code=1)

    def go_away() -> None:
        world.registry.is_away = True

    world.trainer.meanwhile = go_away
    outcome = train(world.deps, world.training)
    assert isinstance(outcome, Ended)
    assert outcome.reason == "TrainingFailed"
    assert "its run is not ended yet: the tracking server does not answer" in outcome.message


def test_the_run_is_ended_when_the_command_cannot_be_made(world: World) -> None:
    def refuse() -> None:
        raise InputError("parameter_invalid", "the entry point takes no such parameter")

    world.trainer.meanwhile = refuse
    outcome = train(world.deps, world.training)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "parameter_invalid"
    assert world.registry.ended == {"t-1/1": False}


def test_the_run_of_a_lost_worker_is_ended_by_the_next_one(world: World) -> None:
    world.registry.runs["t-1/1"] = {}
    assert isinstance(train(world.lost(1), world.training), Done)
    assert world.registry.ended == {"t-1/1": False}
    assert set(world.registry.runs) == {"t-1/1", "t-1/2"}


@pytest.mark.parametrize("is_away", [False, True])
def test_a_training_whose_worker_was_lost_twice_is_over(world: World, is_away: bool) -> None:
    world.registry.runs["t-1/2"] = {}
    world.registry.is_away = is_away
    outcome = train(world.lost(2), world.training)
    assert isinstance(outcome, Ended)
    assert outcome.reason == "WorkerLost"
    assert world.registry.ended == ({} if is_away else {"t-1/2": False})
    assert world.trainer.specs == []


def test_the_longest_timeout_ends_before_the_step_does() -> None:
    assert TRAINING.step("train").deadline > LONGEST_TIMEOUT


def test_i9_a_training_whose_runner_was_lost_is_trained_anew_in_a_run_of_its_own(world: World) -> None:
    world.trainer.end = _ended(End.LOST, -9)
    outcome = train(world.deps, world.training)
    assert isinstance(outcome, Wait)
    assert (outcome.reason, outcome.facts) == ("WorkerLost", {"attempt": 1, "losses": 1})

    again = world.training.model_copy(update={"facts": TrainingFacts(attempt=1, losses=1)})
    over = train(world.deps, again)
    assert isinstance(over, Ended)
    assert over.reason == "WorkerLost"
    assert set(world.registry.runs) == {"t-1/1", "t-1/2"}
    assert world.registry.ended == {"t-1/1": False, "t-1/2": False}


def test_i31_a_training_that_was_handed_back_has_lost_none_of_its_attempts(world: World) -> None:
    world.trainer.end = _ended(End.LOST, -9)
    stopping = replace(world.deps, lease=HeldLease(lost=1, stops=True))
    outcome = train(stopping, world.training)
    assert isinstance(outcome, Wait)
    assert (outcome.reason, outcome.facts) == ("HandedBack", {"attempt": 2, "losses": 1})

    world.trainer.end = _ended()
    again = world.training.model_copy(update={"facts": TrainingFacts(attempt=2, losses=1)})
    assert isinstance(train(world.deps, again), Done)
    assert set(world.registry.runs) == {"t-1/2", "t-1/3"}


def test_i9_a_training_that_stalls_keeps_the_count_of_its_lost_workers(world: World) -> None:
    nobody = world.training.model_copy(update={"repository_id": 10**9})
    outcome = train(world.lost(1), nobody)
    assert isinstance(outcome, Stalled)
    assert (outcome.reason, outcome.facts) == ("RepositoryMissing", {"attempt": 1, "losses": 1})
