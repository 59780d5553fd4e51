"""A promotion from its plan to its merge: whose place it is, what is wrong there, and what the commit is told."""

from datetime import timedelta

import pytest

from gitops.errors import StalledError
from gitops.ports import Check, CheckState
from gitops.records import Training, TrainingFacts
from gitops.steps import Done, Phase
from gitops.training import hand_over
from gitops.writes import SaveEnvironment
from tests.integration.promotion_rig import World, server, world
from tests.support.store import (
    make_command,
    make_environment,
    make_training,
    write,
)

__all__ = ["server", "world"]

_ALL = ("name", "model", "is_champion")


# ---------------------------------------------------------------- whose place it is


def _handed(world: World) -> Training:
    return world.training.model_copy(update={"facts": TrainingFacts(version="1")})


def test_a_launchpin_yaml_that_names_the_place_of_another_model_changes_nothing_there(world: World) -> None:
    path = "production"
    theirs = make_environment(repository_id=world.deploy.id, path=path, name="live", model="wine", is_champion=True)
    write(world.store, SaveEnvironment(theirs, _ALL))
    with pytest.raises(
        StalledError, match=rf"launchpin.yaml: {path} of .*the model wine, not of iris: give iris a"
    ) as no:
        hand_over(world.loop.deps, _handed(world))
    assert no.value.reason == "OtherModel"
    assert world.store.environment(world.deploy.id, path) == theirs


def test_a_launchpin_yaml_names_its_own_places_and_those_of_nobody(world: World) -> None:
    for path, model in (("staging", ""), ("production", "iris")):
        known = make_environment(repository_id=world.deploy.id, path=path, name=path, model=model)
        write(world.store, SaveEnvironment(known, _ALL))
    outcome = hand_over(world.loop.deps, _handed(world))
    assert isinstance(outcome, Done)
    saved = {one.environment.path: one.environment for one in outcome.writes if isinstance(one, SaveEnvironment)}
    assert {path: (one.model, one.is_champion) for path, one in saved.items()} == {
        "staging": ("iris", False),
        "production": ("iris", True),
    }


def test_a_pin_of_another_model_stalls_even_when_it_names_the_same_number(world: World) -> None:
    text = (world.clone / "staging/buildspec.yml").read_text().replace('"iris"', '"wine"')
    world.push({"staging/buildspec.yml": text.replace('MODEL_VERSION=""', 'MODEL_VERSION="1"').encode()})
    now = world.now(world.promote("1"))
    assert (now.phase.is_final, now.reason) == (False, "OtherModel")


# ---------------------------------------------------------------- a wrong path


def test_a_path_that_the_deploy_repository_lacks_is_told_and_goes_on_once_it_is_pushed(world: World) -> None:
    promotion = world.promote(path="stage")
    now = world.now(promotion)
    assert (now.phase.is_final, now.reason) == (False, "EnvironmentMissing")
    for word in ("stage has no buildspec.yml", "deploy.environments.staging.path", "launchpin.yaml"):
        assert word in now.message
    assert world.said() is CheckState.FAILURE
    (job,) = (job for job in world.store.jobs() if (job.kind, job.subject) == ("promotion", promotion))
    assert job.not_before - world.clock.time <= timedelta(minutes=10)
    staging = {path.name: path.read_bytes() for path in (world.clone / "staging").iterdir()}
    world.tell(world.push({f"stage/{name}": content for name, content in staging.items()}))
    world.handle()
    after = world.store.promotion(promotion)
    assert after is not None
    assert (after.reason, after.facts.number) == ("AwaitingMerge", 1)
    assert world.said() is CheckState.PENDING


def test_a_buildspec_that_cannot_be_read_is_told_with_its_line(world: World) -> None:
    good = (world.clone / "staging/buildspec.yml").read_bytes()
    world.push({"staging/buildspec.yml": b"version: 0.2\nphases: [\n"})
    promotion = world.promote()
    now = world.now(promotion)
    assert (now.phase.is_final, now.reason) == (False, "ConfigInvalid")
    assert "staging/buildspec.yml:" in now.message
    assert world.said() is CheckState.FAILURE
    world.push({"staging/buildspec.yml": good})
    assert world.now(promotion).reason == "AwaitingMerge"


def test_what_waits_at_an_endpoint_is_looked_at_at_once_when_a_person_asks(world: World) -> None:
    here = {"repository_id": world.deploy.id, "repository": world.deploy.full_name}
    write(world.store, SaveEnvironment(make_environment(**here), ()))
    good = (world.clone / "staging/buildspec.yml").read_bytes()
    world.push({"staging/buildspec.yml": b"version: 0.2\nphases: [\n"})
    promotion = world.promote()
    assert world.now(promotion).reason == "ConfigInvalid"
    world.push({"staging/buildspec.yml": good})

    asked = make_command(verb="retry", arguments={"name": "iris-staging"})
    world.store.save_command(asked)
    world.handle()

    ended, after = world.store.command(asked.id), world.store.promotion(promotion)
    assert ended is not None
    assert after is not None
    assert (ended.phase, ended.facts.result) == (Phase.SUCCEEDED, {"woken": [promotion]})
    assert "it waited: ConfigInvalid" in ended.message
    assert after.reason == "AwaitingMerge"


def test_how_the_checks_stand_is_known_while_a_person_is_waited_for(world: World) -> None:
    promotion = world.promote()
    head = world.now(promotion).facts.head_sha or ""
    world.forge.report_check(world.deploy.full_name, head, Check("tests", CheckState.FAILURE, "3 failed"))
    now = world.now(promotion)
    assert now.reason == "AwaitingMerge"
    assert now.facts.checks == {"launchpin/plan (staging)": "success", "tests": "failure"}


# ---------------------------------------------------------------- what the commit is told


def test_an_open_pull_request_announces_another_plan_when_the_base_asks_for_something_else(world: World) -> None:
    promotion = world.promote()
    first = world.now(promotion)
    endpoint = (world.clone / "staging" / "endpoint.yaml").read_bytes()
    head = world.push({"staging/endpoint.yaml": endpoint.replace(b"bake: 10s", b"bake: 25s")})
    again = world.now(promotion)
    assert again.facts.plan_digest != first.facts.plan_digest
    assert (again.facts.base_sha, again.facts.number) == (head, first.facts.number)
    body = world.forge.pull(world.deploy.full_name, first.facts.number or 0).body
    assert again.facts.plan_digest is not None
    assert again.facts.plan_digest in body
    # Another push that asks for nothing else changes no word.
    world.push({"README.md": b"words\n"})
    assert world.now(promotion).facts.plan_digest == again.facts.plan_digest


def test_the_commit_is_told_when_its_version_is_merged(world: World) -> None:
    promotion = world.promote()
    now = world.now(promotion)
    assert world.said() is CheckState.PENDING
    world.person.merge_pull(
        world.deploy.full_name, now.facts.number or 0, head_sha=now.facts.head_sha or "", title="Merge"
    )
    assert world.now(promotion).phase is Phase.SUCCEEDED
    assert world.said() is CheckState.SUCCESS


def test_the_commit_is_told_when_a_newer_version_takes_the_place(world: World) -> None:
    world.now(world.promote("1", training_id=world.training.id))
    newer = make_training(repository_id=world.model.id, repository=world.model.full_name)
    world.promote("2", training_id=newer.id)
    world.handle()
    assert world.said() is CheckState.NEUTRAL


def test_a_pull_request_that_a_person_closed_is_no_failure(world: World) -> None:
    promotion = world.promote()
    number = world.now(promotion).facts.number or 0
    world.person.close_pull(world.deploy.full_name, number)
    assert world.now(promotion).phase is Phase.REFUSED
    assert world.said() is CheckState.NEUTRAL
