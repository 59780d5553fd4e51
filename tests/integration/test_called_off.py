"""`cancel`: a training that waits or runs is over at once, with who and why; a training that is over stays as it is."""

import pytest

from gitops.audit.entry import parse
from gitops.commands.cancelling import await_cancelled, cancel
from gitops.ports import Exit
from gitops.records import Command, CommandFacts, Training
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Refused, Stalled
from gitops.store import check_audit_joins
from tests.integration.intake_rig import Model, forge, model
from tests.support.store import LEASE, make_command

__all__ = ["forge", "model"]


@pytest.fixture
def training(model: Model) -> Training:
    """Give a training that a push began, and that waits for a worker."""
    model.outcome(model.deliver(model.commit("train.py", "# one\n")))
    (training,) = model.trainings()
    return training


def ask(model: Model, training: str, **arguments: str) -> Command:
    """Have a person call a training off."""
    asked = make_command(verb="cancel", arguments={"training": training, **arguments})
    model.store.save_command(asked)
    model.handle()
    found = model.store.command(asked.id)
    assert found is not None
    return found


def end(model: Model, training: Training, outcome: Outcome) -> None:
    claim = model.store.claim(Queue.TRAINING, owner="test", lease=LEASE)
    assert claim is not None
    assert claim.subject == training.id
    model.store.finish(claim, Exit(training, outcome, step="train", next_step="train", queue=Queue.TRAINING))


def after(model: Model, training: Training) -> Training:
    found = model.store.training(training.id)
    assert found is not None
    return found


def test_a_training_that_waits_is_called_off_with_who_and_why(model: Model, training: Training) -> None:
    asked = ask(model, training.id, reason="wrong data")

    over = after(model, training)
    assert (asked.phase, over.phase, over.reason) == (Phase.SUCCEEDED, Phase.CANCELLED, "Cancelled")
    assert over.message == "mona called it off: wrong data"
    assert asked.message == f"training {training.id} is cancelled: mona called it off: wrong data"
    assert model.store.claim(Queue.TRAINING, owner="test", lease=LEASE) is None
    told = [parse(raw) for raw in model.store.audit_entries(0, 100)]
    (entry,) = [entry for entry in told if entry.kind == "training.cancelled"]
    assert (entry.actor.login, entry.cause.request_id) == ("mona", asked.id)
    assert check_audit_joins(model.store) == []


def test_a_training_that_waits_for_a_person_is_called_off(model: Model, training: Training) -> None:
    end(model, training, Stalled("NoInterpreter", "Python 3.99 is not installed"))
    assert ask(model, training.id).phase is Phase.SUCCEEDED
    assert after(model, training).message == "mona called it off"


@pytest.mark.parametrize(
    "outcome", [Ended(Phase.SUCCEEDED, "", "iris 1 goes to staging"), Refused("GateRefused", "accuracy is too low")]
)
def test_a_training_that_is_over_is_not_called_off(model: Model, training: Training, outcome: Outcome) -> None:
    end(model, training, outcome)
    over = after(model, training)
    asked = ask(model, training.id)
    assert (asked.phase, asked.reason) == (Phase.REFUSED, "AlreadyOver")
    assert f"training {training.id} is over already ({over.phase}): {over.message}" in asked.message
    assert after(model, training) == over


def test_calling_off_twice_changes_nothing_more(model: Model, training: Training) -> None:
    ask(model, training.id, reason="wrong data")
    over = after(model, training)
    assert ask(model, training.id, reason="other words").reason == "AlreadyOver"
    assert after(model, training) == over


def test_a_training_that_ends_at_that_very_moment_is_not_said_to_be_called_off(
    model: Model, training: Training
) -> None:
    command = make_command(verb="cancel", arguments={"training": training.id})
    begun = cancel(model.loop.deps, command)
    assert isinstance(begun, Done)
    end(model, training, Ended(Phase.SUCCEEDED, "", "iris 1 goes to staging"))

    told = await_cancelled(
        model.loop.deps, command.model_copy(update={"facts": CommandFacts.model_validate(begun.facts)})
    )

    assert isinstance(told, Refused)
    assert told.reason == "AlreadyOver"
    assert "was over first (Succeeded)" in told.message


def test_a_training_that_nobody_knows_is_not_called_off(model: Model) -> None:
    asked = ask(model, "t-nothing")
    assert (asked.phase, asked.reason) == (Phase.REFUSED, "UnknownTraining")
