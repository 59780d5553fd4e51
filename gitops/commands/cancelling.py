"""`cancel`: a training is called off; its processes end, its run is ended as killed, and nothing is registered."""

from datetime import timedelta

from gitops.attempts import ENDING
from gitops.commands.naming import find_training
from gitops.errors import RefusedError
from gitops.ports import Deps
from gitops.records import Command
from gitops.steps import Done, Outcome, Phase, Refused
from gitops.writes import CancelTraining, Wake

# Whoever trains notices within a second or two. A run that is ended before its script is could be ended anew by it.
_NOTICED = timedelta(seconds=5)


def cancel(deps: Deps, command: Command) -> Outcome:
    """End a training as Cancelled, whether it waits or runs; its worker finds its job taken away."""
    training = find_training(deps, command.arguments["training"])
    if training.phase.is_final:
        what = f"training {training.id} is over already ({training.phase}): {training.message}"
        raise RefusedError("AlreadyOver", what.rstrip(": "))
    calls_off = CancelTraining(training.id, by=command.cause.actor, reason=command.arguments.get("reason", ""))
    return Done(
        facts={"result": {"training": training.id, "step": training.step}},
        writes=(calls_off, Wake(ENDING, training.id, within=_NOTICED)),
        message=f"training {training.id} is called off",
    )


def await_cancelled(deps: Deps, command: Command) -> Outcome:
    """Say whether the training was called off, or ended by itself at that moment."""
    training = find_training(deps, str(command.facts.result["training"]))
    if training.phase is Phase.CANCELLED:
        return Done(message=f"training {training.id} is cancelled: {training.message}")
    return Refused("AlreadyOver", f"training {training.id} was over first ({training.phase}): {training.message}")
