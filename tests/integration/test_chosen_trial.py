"""`register`: a person takes another trial than the best; the gates judge it, and who and why is on record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.audit.entry import parse
from gitops.records import Command, Training
from gitops.steps import Phase
from gitops.store import SqlStore
from gitops.store.store import check_audit_joins
from gitops.writes import SaveVersion
from tests.integration.search_rig import World, searching
from tests.support.store import Clock, make_command, make_version, write

GATES = "register: {gates: [{metric: accuracy, above: 0.91}]}\n"
WHY = "half as deep"


@pytest.fixture
def world(store: SqlStore, clock: Clock, tmp_path: Path) -> Iterator[World]:
    with searching(store, clock, tmp_path) as world:
        yield world


def ask(world: World, verb: str = "register", **arguments: str) -> Command:
    """Ask, and let the workers carry it out."""
    command = world.store.save_command(make_command(verb=verb, arguments=arguments))
    world.work(lambda: over(world, command).phase.is_final)
    return over(world, command)


def over(world: World, command: Command) -> Command:
    found = world.store.command(command.id)
    assert found is not None
    return found


def choose(world: World, number: int, *, training: str = "t-1") -> Command:
    return ask(world, training=training, trial=str(number), reason=WHY)


def chosen_by(world: World, command: Command) -> Training:
    training = world.store.training(str(command.facts.result["training"]))
    assert training is not None
    return training


def test_a_chosen_trial_is_judged_as_the_best_one_was_and_nothing_is_trained_again(world: World) -> None:
    world.begin(more=GATES)
    assert world.finish().facts.trial == 3
    command = choose(world, 1)
    assert command.phase is Phase.SUCCEEDED

    training = chosen_by(world, command)
    facts = training.facts
    assert (training.phase, facts.verdict, facts.trial) == (Phase.SUCCEEDED, "pass", 1)
    assert (facts.search_of, facts.chosen) == ("t-1", WHY)
    assert (facts.candidate_run_id, facts.candidate_model) == ("t-1.1/1", "models:/t-1.1/1")
    assert facts.parameters == {"seed": "42", "depth": "2", "leaves": "4"}
    assert facts.environment_key == world.now.facts.environment_key
    assert (training.commit, training.cause.actor) == (world.training.commit, "mona")
    assert len(world.scripts.played) == 4
    assert world.now.facts.trial == 3  # the search itself stays as it was


def test_who_chose_which_trial_and_why_is_in_the_audit_log(world: World) -> None:
    world.begin(more=GATES)
    world.finish()
    training = chosen_by(world, choose(world, 4))
    entries = [parse(raw) for raw in world.store.audit_entries(0, 1000)]
    (started,) = (one for one in entries if one.kind == "training.started" and one.subject.training_id == training.id)
    assert started.actor.login == "mona"
    evidence = {name: started.evidence[name] for name in ("trial", "search_of", "chosen")}
    assert evidence == {"trial": 4, "search_of": "t-1", "chosen": WHY}
    assert check_audit_joins(world.store) == []


def test_a_gate_refuses_a_chosen_trial_whoever_chose_it(world: World) -> None:
    world.begin(more=GATES)
    world.finish()
    command = choose(world, 2)
    assert (command.phase, command.reason) == (Phase.REFUSED, "GateRefused")
    assert chosen_by(world, command).phase is Phase.REFUSED


def test_a_trial_is_chosen_once_however_often_it_is_asked_for(world: World) -> None:
    world.begin(more=GATES)
    world.finish()
    first, second = choose(world, 1), choose(world, 1)
    assert first.facts.result["training"] == second.facts.result["training"]
    assert len(world.store.recent("training")) == 2


def test_a_chosen_trial_that_was_refused_is_judged_again_by_retry_and_not_trained(world: World) -> None:
    world.begin(more=GATES)
    world.finish()
    refused = chosen_by(world, choose(world, 2))
    again = chosen_by(world, ask(world, "retry", name=refused.id))
    assert (again.facts.search_of, again.facts.trial, again.facts.chosen) == ("t-1", 2, WHY)
    assert again.reason == "GateRefused"
    assert len(world.scripts.played) == 4


def test_the_training_of_a_chosen_trial_names_the_search_that_it_comes_from(world: World) -> None:
    world.begin(more=GATES)
    world.finish()
    first = chosen_by(world, choose(world, 1))
    second = chosen_by(world, choose(world, 4, training=first.id))
    assert (second.phase, second.facts.search_of, second.facts.trial) == (Phase.SUCCEEDED, "t-1", 4)


def test_a_second_choice_of_what_was_refused_says_how_it_is_judged_once_more(world: World) -> None:
    world.begin(more=GATES)
    world.finish()
    refused = chosen_by(world, choose(world, 2))
    second = choose(world, 2)
    assert (second.phase, second.reason) == (Phase.REFUSED, "GateRefused")
    assert second.message.startswith(f"trial 2 of t-1 was chosen before, as {refused.id} (Refused): ")
    assert second.message.endswith(f"; launchpin retry {refused.id} judges it once more")
    again = chosen_by(world, ask(world, "retry", name=refused.id))
    third = choose(world, 2)
    assert third.message.endswith(f"; launchpin retry {again.id} judges it once more")
    assert third.facts.result["training"] == again.id


@pytest.mark.parametrize(
    ("number", "reason", "words"),
    [
        (5, "UnknownTrial", "training t-1 has no trial 5 of its 4: launchpin trials t-1"),
        (2, "TrialUnusable", "trial 2 of t-1 came to no model: NoModel: no run of this training logged a model"),
    ],
)
def test_a_trial_that_cannot_be_chosen_is_refused_with_the_reason(
    world: World, number: int, reason: str, words: str
) -> None:
    play = world.scripts.play
    world.scripts.play = lambda played: None if played.number == 2 else play(played)
    world.begin(more=GATES)
    world.finish()
    command = choose(world, number)
    assert (command.phase, command.reason) == (Phase.REFUSED, reason)
    assert words in command.message


def test_a_trial_is_not_chosen_while_the_search_goes_on(world: World) -> None:
    world.begin(more=GATES)
    world.work(lambda: len(world.trials) > 0)
    assert choose(world, 1).reason == "SearchUnderWay"


def test_a_training_without_a_search_has_nothing_to_choose(world: World) -> None:
    world.begin("", more=GATES)
    world.control()
    assert choose(world, 1).reason == "NoSearch"


def test_a_trial_that_is_a_version_already_is_told_how_to_be_proposed(world: World) -> None:
    world.begin(more=GATES)
    world.finish()
    write(world.store, SaveVersion(make_version(version="7", run_id="t-1.3/1")))
    command = choose(world, 3)
    assert command.reason == "AlreadyRegistered"
    assert "launchpin promote iris 7 --to ENDPOINT" in command.message


def test_a_trial_that_is_a_version_is_found_however_many_versions_came_after_it(world: World) -> None:
    world.begin(more=GATES)
    world.finish()
    numbers = ("7", *map(str, range(1000, 2001)))
    versions = (make_version(version=number, run_id="t-1.3/1" if number == "7" else "") for number in numbers)
    write(world.store, *map(SaveVersion, versions))
    assert world.store.versions("iris", limit=1)[0].version == "2000"
    command = choose(world, 3)
    assert command.reason == "AlreadyRegistered"
    assert "launchpin promote iris 7 --to ENDPOINT" in command.message
