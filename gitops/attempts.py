"""Tries on the infrastructure, a training's or a trial's: their numbers, which count as lost, how they are closed."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from gitops.errors import LaunchpinError, NotFoundError
from gitops.ports import Deps, RunEnd, RunRef
from gitops.records import Training
from gitops.steps import Ended, Facts, Outcome, Phase, Wait
from gitops.trials import Trial
from gitops.writes import Wake

ATTEMPTS = 2
"""How often a training or a trial may be lost with its worker, or with the process that watches it."""

ENDING = "runs"
"""The kind of job that ends the runs of a training, or of a trial."""

Tried = Training | Trial


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
    def of(deps: Deps, tried: Tried) -> "Attempt":
        """Return the try that comes now."""
        over = tried.facts.attempt or 0
        lost = deps.lease.lost
        return Attempt(over + lost + 1, (tried.facts.losses or 0) + lost, max(over, 1))

    def facts(self, *, over: int, lost: int = 0) -> Facts:
        """Return what the record keeps when a try is over, or before one was begun."""
        return {"attempt": over, "losses": self.losses + lost}


def lost_attempt(deps: Deps, tried: Tried, run: RunRef, attempt: Attempt) -> Outcome:
    """Return what follows when the process that trained is gone; nobody hears it where another worker has the job."""
    if deps.lease.is_stopping():
        facts = attempt.facts(over=attempt.number)
        return Wait(timedelta(0), "HandedBack", "its worker was asked to stop; it is trained anew", facts=facts)
    if not deps.lease.is_held():
        # Whoever took the job, another worker or a person, ends its runs.
        return Wait(timedelta(0), "WorkerLost", "somebody else has the training")
    after = replace(attempt, losses=attempt.losses + 1)
    if after.losses >= ATTEMPTS:
        return given_up(tried, after, end_run(deps, run, tried.run_key(attempt.number)))
    facts = attempt.facts(over=attempt.number, lost=1)
    return Wait(timedelta(0), "WorkerLost", "the process that trained it was lost; it is trained anew", facts=facts)


def given_up(tried: Tried, attempt: Attempt, note: str) -> Outcome:
    """End a training that lost its worker too often."""
    facts = {"losses": attempt.losses}
    message = f"the worker was lost {attempt.losses} times while it trained{note}"
    return Ended(Phase.ERRORED, "WorkerLost", message, facts=facts, writes=end_later(tried, note))


def end_lost_runs(deps: Deps, tried: Tried, attempt: Attempt, *, experiment: str) -> str:
    """Close the runs of earlier attempts, so that none runs for ever; returns what people hear where that failed."""
    numbers = range(attempt.unended, attempt.number)
    try:
        end_runs(deps, tried, numbers, experiment=lambda: experiment)
    except LaunchpinError as error:
        return _not_ended(error)
    return ""


def end_runs(
    deps: Deps,
    tried: Tried,
    numbers: Iterable[int],
    *,
    experiment: Callable[[], str],
    end: RunEnd = RunEnd.FAILED,
) -> None:
    """Close the runs of these attempts where they are open; one that was never begun is not begun any more.

    Args:
        numbers: of attempts, from 1.
        experiment: names the experiment; asked where it is not certain whether a run was made.
        end: what is said of those that are open.

    Raises:
        LaunchpinError: somebody who must be asked is away.
    """
    failed: LaunchpinError | None = None
    for number in numbers:
        key = tried.run_key(number)
        try:
            run = deps.effects.recover(
                "start_run",
                f"run:{key}",
                look=lambda key=key: deps.registry.find_run(experiment=experiment(), run_key=key),  # type: ignore[misc]
                result=RunRef,
            )
            if run is not None:
                _end(deps, run, key, end)
        except LaunchpinError as error:  # which is no reason to leave the others open
            failed = failed or error
    if failed is not None:
        raise failed


def end_run(deps: Deps, run: RunRef, key: str) -> str:
    """End a run that came to nothing; returns what people hear where that failed, for `end_later` to be asked."""
    try:
        _end(deps, run, key, RunEnd.FAILED)
    except LaunchpinError as error:
        return _not_ended(error)
    return ""


def _end(deps: Deps, run: RunRef, key: str, end: RunEnd) -> None:
    """End a run, and those that its script began besides: a killed script ends none of them itself."""
    with suppress(NotFoundError):  # a person removed it
        deps.registry.end_run(run.run_id, end)
    with suppress(NotFoundError):
        deps.registry.end_within(key, end)


def _not_ended(error: LaunchpinError) -> str:
    return f" (its run is not ended yet: {error})"


def end_later(tried: Tried, note: str) -> tuple[Wake, ...]:
    """Have a job of its own end the runs that could not be ended now: MLflow being away holds no training up."""
    return (Wake(ENDING, tried.id),) if note else ()
