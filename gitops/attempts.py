"""A training's tries on the infrastructure: their numbers, which of them count as lost, and how they are closed."""

from dataclasses import dataclass, replace
from datetime import timedelta

from gitops.errors import LaunchpinError
from gitops.ports import Deps, RunRef
from gitops.records import Training
from gitops.steps import Ended, Facts, Outcome, Phase, Wait

ATTEMPTS = 2
"""How often a training may be lost with its worker, or with the process that watches it."""


@dataclass(frozen=True)
class Attempt:
    """Which try on the infrastructure a training is at.

    Args:
        number: from 1; names the run in MLflow, so no two tries share one.
        losses: how many of the earlier ones were lost with their worker or their runner. One that was handed back,
            because its worker was asked to stop, is none of them.
        unended: the first of the earlier ones whose run may still be open.
    """

    number: int
    losses: int
    unended: int

    @staticmethod
    def of(deps: Deps, training: Training) -> "Attempt":
        """Return the try that comes now."""
        over = training.facts.attempt or 0
        lost = deps.lease.lost
        return Attempt(over + lost + 1, (training.facts.losses or 0) + lost, max(over, 1))

    def facts(self, *, over: int, lost: int = 0) -> Facts:
        """Return what the record keeps when a try is over, or before one was begun."""
        return {"attempt": over, "losses": self.losses + lost}


def lost_attempt(deps: Deps, run: RunRef, attempt: Attempt) -> Outcome:
    """Return what follows when the process that trained is gone; nobody hears it where another worker has the job."""
    if deps.lease.is_stopping():
        facts = attempt.facts(over=attempt.number)
        return Wait(timedelta(0), "HandedBack", "its worker was asked to stop; it is trained anew", facts=facts)
    after = replace(attempt, losses=attempt.losses + 1)
    if after.losses >= ATTEMPTS:
        return given_up(after, end_run(deps, run.run_id))
    facts = attempt.facts(over=attempt.number, lost=1)
    return Wait(timedelta(0), "WorkerLost", "the process that trained it was lost; it is trained anew", facts=facts)


def given_up(attempt: Attempt, note: str) -> Outcome:
    """End a training that lost its worker too often."""
    facts = {"losses": attempt.losses}
    message = f"the worker was lost {attempt.losses} times while it trained{note}"
    return Ended(Phase.ERRORED, "WorkerLost", message, facts=facts)


def end_lost_runs(deps: Deps, training: Training, attempt: Attempt, *, experiment: str) -> str:
    """Close the runs of earlier attempts, so that none runs for ever."""
    for number in range(attempt.unended, attempt.number):
        key = f"{training.id}/{number}"
        try:
            run = deps.effects.recover(
                "start_run",
                f"run:{key}",
                look=lambda key=key: deps.registry.find_run(experiment=experiment, run_key=key),  # type: ignore[misc]
                result=RunRef,
            )
        except LaunchpinError as error:
            return f" (its run was not ended: {error})"
        if run is not None and (note := end_run(deps, run.run_id)):
            return note
    return ""


def end_run(deps: Deps, run_id: str) -> str:
    """End a run that came to nothing; a registry that is away costs the run's status, never another training."""
    try:
        deps.registry.end_run(run_id, succeeded=False)
    except LaunchpinError as error:
        return f" (its run was not ended: {error})"
    return ""
