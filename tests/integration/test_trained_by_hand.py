"""`train` and `retry`: trainings that a person starts, by the real forge, mirror and store, and no training worker."""

from datetime import timedelta

import pytest

from gitops.audit.entry import parse
from gitops.commands.trainings import await_training, train
from gitops.ports import Exit
from gitops.records import Command, CommandFacts, Role, Training
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Refused, Stalled, Wait
from gitops.store import SqlStore, check_audit_joins
from gitops.writes import SaveRepository
from tests.integration.intake_rig import Model, forge, model
from tests.support.store import LEASE, Clock, make_command, make_repository, write

__all__ = ["forge", "model"]


def ask(model: Model, verb: str, **arguments: str) -> Command:
    """Have a person ask for something, and do what is ready then."""
    asked = make_command(verb=verb, arguments=arguments)
    model.store.save_command(asked)
    return now(model, asked)


def ask_to_train(model: Model, **arguments: str) -> Command:
    return ask(model, "train", repository=model.repository.full_name, **arguments)


def now(model: Model, command: Command) -> Command:
    model.handle()
    found = model.store.command(command.id)
    assert found is not None
    return found


def end(model: Model, training: Training, outcome: Outcome) -> None:
    """End a training as its worker does, or have it wait."""
    claims = iter(lambda: model.store.claim(Queue.TRAINING, owner="test", lease=LEASE), None)
    claim = next(claim for claim in claims if claim.subject == training.id)
    found = model.store.training(training.id)
    model.store.finish(claim, Exit(found, outcome, step="train", next_step="train", queue=Queue.TRAINING))


def later(model: Model, clock: Clock, command: Command) -> Command:
    clock.advance(timedelta(seconds=2))
    return now(model, command)


def test_the_head_of_a_branch_is_trained_although_nothing_was_pushed(model: Model, clock: Clock) -> None:
    head = model.commit("train.py", "# one\n")

    asked = ask_to_train(model)

    (training,) = model.trainings()
    assert (training.commit, training.nonce, training.cause.kind, training.cause.actor) == (head, "", "command", "mona")
    assert (asked.phase, asked.reason) == (Phase.RUNNING, "Training")
    end(model, training, Ended(Phase.SUCCEEDED, "", "iris 1 goes to staging", facts={"version": "1"}))
    over = later(model, clock, asked)
    assert (over.phase, over.facts.result["version"]) == (Phase.SUCCEEDED, "1")
    # A push that comes after all finds nothing left to do.
    assert model.outcome(model.deliver(head)) == "ignored:known"
    assert check_audit_joins(model.store) == []


def test_a_training_that_ends_badly_ends_the_command_with_its_reason(model: Model, clock: Clock) -> None:
    model.commit("train.py", "# one\n")
    asked = ask_to_train(model)
    end(model, model.trainings()[0], Refused("GateRefused", "accuracy 0.8 is not above 0.9"))
    over = later(model, clock, asked)
    assert (over.phase, over.reason) == (Phase.REFUSED, "GateRefused")
    assert "accuracy 0.8 is not above 0.9" in over.message


def test_a_commit_that_was_trained_is_named_and_not_trained_again(model: Model) -> None:
    model.outcome(model.deliver(model.commit("train.py", "# one\n")))
    (training,) = model.trainings()
    end(model, training, Ended(Phase.SUCCEEDED, "", "fine"))

    for _ in range(2):
        asked = ask_to_train(model, ref="main", config="launchpin.yaml")
        assert (asked.phase, asked.facts.result["training"]) == (Phase.SUCCEEDED, training.id)
    assert [one.id for one in model.trainings()] == [training.id]


def test_a_commit_is_trained_once_more_when_that_is_forced(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    model.outcome(model.deliver(head))
    asked = ask_to_train(model, force="yes")
    forced, first = sorted(model.trainings(), key=lambda one: one.nonce, reverse=True)
    assert (forced.commit, forced.nonce, first.nonce) == (head, asked.id, "")
    assert asked.facts.result["training"] == forced.id


def test_a_force_that_no_training_asks_for_takes_the_place_of_the_push(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    ask_to_train(model, force="yes")
    assert model.outcome(model.deliver(head)) == "ignored:known"
    assert [training.nonce for training in model.trainings()] == [""]


def test_a_push_that_is_seen_at_the_same_moment_is_the_training_that_is_waited_for(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    command = make_command(verb="train", arguments={"repository": model.repository.full_name})
    begun = train(model.loop.deps, command)
    assert isinstance(begun, Done)
    model.outcome(model.deliver(head))
    write(model.store, *begun.writes)
    (training,) = model.trainings()

    facts = CommandFacts.model_validate(begun.facts)
    assert facts.result["training"] != training.id
    waits = await_training(model.loop.deps, command.model_copy(update={"facts": facts}))

    assert isinstance(waits, Wait)
    assert training.id in waits.message


@pytest.mark.parametrize(
    ("files", "arguments", "reason", "words"),
    [
        ({}, {"repository": "acme/nothing"}, "UnknownRepository", "no model repository is called 'acme/nothing'"),
        ({}, {"ref": "tyr"}, "UnknownBranch", "has no branch 'tyr': name another one with --ref; there are: main, try"),
        ({}, {"ref": "try"}, "BranchNotWatched", "launchpin.yaml trains main, and not try: add it to on.push.branches"),
        ({}, {"config": "b/launchpin.yaml"}, "ConfigMissing", "name one with --config; there are: launchpin.yaml"),
        ({"b/launchpin.yaml": "version: 1\n"}, {}, "ConfigUnclear", "--config: b/launchpin.yaml, launchpin.yaml"),
        ({"launchpin.yaml": "version: 2\n"}, {}, "key_missing", "launchpin.yaml:1:1"),
        ({}, {"speed": "9"}, "ArgumentUnknown", "it takes repository, ref, config, force"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:1].isupper() else "",
)
def test_what_cannot_be_trained_is_refused_with_the_way_out(
    model: Model, files: dict[str, str], arguments: dict[str, str], reason: str, words: str
) -> None:
    model.commit("train.py", "# one\n", branch="try")
    model.commit("train.py", "# one\n")
    for path, text in files.items():
        model.commit(path, text)
    asked = ask(model, "train", **{"repository": model.repository.full_name, **arguments})
    assert (asked.phase, asked.reason) == (Phase.REFUSED, reason), asked.message
    assert words in asked.message
    assert model.trainings() == []


# ---------------------------------------------------------------- once more


@pytest.fixture
def failed(model: Model) -> Training:
    """Give a training that broke."""
    model.outcome(model.deliver(model.commit("train.py", "# one\n")))
    (training,) = model.trainings()
    end(model, training, Ended(Phase.ERRORED, "TrainingFailed", "it printed nothing", facts={"run_id": "run-1"}))
    return training


def test_what_broke_is_trained_once_more_with_its_first_try_in_the_trail(model: Model, failed: Training) -> None:
    asked = ask(model, "retry", name=failed.id)

    again = model.store.training(str(asked.facts.result["training"]))
    assert again is not None
    assert (again.commit, again.config_sha256, again.nonce) == (failed.commit, failed.config_sha256, failed.id)
    assert (again.phase, again.facts.run_id, again.cause.id) == (Phase.PENDING, None, asked.id)
    first = model.store.training(failed.id)
    assert first is not None
    assert (first.phase, first.reason, first.facts.run_id) == (Phase.ERRORED, "TrainingFailed", "run-1")
    told = [parse(raw) for raw in model.store.audit_entries(0, 100)]
    (carried_out,) = [entry for entry in told if entry.kind == "command.carried_out"]
    result = carried_out.evidence["result"]
    assert isinstance(result, dict)
    assert (result["training"], result["nonce"]) == (again.id, failed.id)
    assert check_audit_joins(model.store) == []


def test_a_training_is_tried_once_more_once_however_often_that_is_asked_for(model: Model, failed: Training) -> None:
    first, second = ask(model, "retry", name=failed.id), ask(model, "retry", name=failed.id)
    assert first.facts.result["training"] == second.facts.result["training"]
    assert len(model.trainings()) == 2
    again = model.store.training(str(first.facts.result["training"]))
    assert again is not None
    end(model, again, Ended(Phase.ERRORED, "TrainingFailed", "again"))
    third = ask(model, "retry", name=again.id)
    assert third.facts.result["nonce"] == again.id
    assert len(model.trainings()) == 3


def test_what_went_well_is_not_tried_once_more(model: Model, failed: Training) -> None:
    again = ask(model, "retry", name=failed.id).facts.result["training"]
    end(model, next(one for one in model.trainings() if one.id == again), Ended(Phase.SUCCEEDED, "", "iris 1"))
    asked = ask(model, "retry", name=str(again))
    assert (asked.phase, asked.reason) == (Phase.REFUSED, "NothingToRetry")
    assert f"launchpin train {failed.repository} --force" in asked.message


def test_what_waits_for_a_person_is_looked_at_at_once(model: Model, store: SqlStore) -> None:
    model.outcome(model.deliver(model.commit("train.py", "# one\n")))
    (training,) = model.trainings()
    end(model, training, Stalled("NoInterpreter", "Python 3.99 is not installed"))
    assert store.claim(Queue.TRAINING, owner="x", lease=LEASE) is None

    asked = ask(model, "retry", name=training.id)

    assert (asked.phase, asked.facts.result) == (Phase.SUCCEEDED, {"woken": [training.id]})
    assert "it waited: NoInterpreter: Python 3.99 is not installed" in asked.message
    claim = store.claim(Queue.TRAINING, owner="x", lease=LEASE)
    assert claim is not None
    assert claim.subject == training.id


def test_the_tries_of_what_waits_stay_counted_when_it_is_looked_at_at_once(model: Model, store: SqlStore) -> None:
    model.outcome(model.deliver(model.commit("train.py", "# one\n")))
    (training,) = model.trainings()
    claim = store.claim(Queue.TRAINING, owner="x", lease=LEASE)
    assert claim is not None
    failure = Exit(
        store.training(training.id), None, step="train", next_step="train", queue=Queue.TRAINING,
        error="RegistryUnavailable: away", is_unforeseen=True, retry_after=300,
    )  # fmt: skip
    store.finish(claim, failure)
    assert "it waited: Retrying: RegistryUnavailable: away" in ask(model, "retry", name=training.id).message
    again = store.claim(Queue.TRAINING, owner="x", lease=LEASE)
    assert again is not None
    assert again.attempts == 1


def test_nobody_is_found_by_a_name_that_is_nobodys(model: Model) -> None:
    asked = ask(model, "retry", name="t-nothing")
    assert (asked.phase, asked.reason) == (Phase.REFUSED, "UnknownTraining")
    assert "no training is called 't-nothing'" in asked.message
    assert "no endpoint is called 't-nothing'" in asked.message


@pytest.mark.parametrize("role", [Role.MODEL, Role.DEPLOY])
def test_a_name_that_two_repositories_have_is_that_of_neither(model: Model, role: Role) -> None:
    """One was renamed at the forge, and another took its name: a role on the one is none on the other."""
    model.commit("train.py", "# one\n")
    name = model.repository.full_name
    write(model.store, SaveRepository(make_repository(id=model.repository.id + 1, full_name=name, role=role)))
    asked = ask_to_train(model)
    assert (asked.phase, asked.reason) == (Phase.REFUSED, "RepositoryUnclear")
    assert "connect the one that was renamed under its new name" in asked.message
    assert model.trainings() == []
