"""Ends the runs that a training left open in MLflow: given up, cancelled, or over while MLflow was away.

A job of its own, tried until MLflow is back: nothing waits for it, and doing it twice changes nothing. Each trial of a
search has one, too.
"""

from dataclasses import dataclass

from gitops.attempts import ATTEMPTS, ENDING, Tried, end_runs
from gitops.checkouts import read_launchpin
from gitops.ports import Deps, RunEnd
from gitops.records import Training
from gitops.steps import Done, Outcome, Phase, Step, Story


@dataclass(frozen=True)
class Left:
    """What a training or a trial may have left open; it is over, or goes on with a later run.

    Args:
        training: says in which experiment its runs are.
    """

    tried: Tried
    training: Training

    @property
    def attempts(self) -> range:
        """Numbers of the attempts that are over for certain."""
        known = self.tried.facts.attempt or 0
        # The record of one that was given up does not know of its last attempts; no more than these were begun.
        return range(1, known + ATTEMPTS + 1 if self.tried.phase.is_final else known)


def close(deps: Deps, left: Left) -> Outcome:
    """End every run that is open still."""
    end = RunEnd.KILLED if left.tried.phase is Phase.CANCELLED else RunEnd.FAILED
    end_runs(
        deps, left.tried, left.attempts, experiment=lambda: read_launchpin(deps, left.training).experiment, end=end
    )
    return Done()


def _load(deps: Deps, subject: str) -> Left | None:
    trial = deps.store.trial(subject)
    training = deps.store.training(trial.training_id if trial else subject)
    return Left(trial or training, training) if training is not None else None


RUNS = Story(ENDING, (Step("end_runs", close),), _load)
