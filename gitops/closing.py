"""Ends the runs that a training left open in MLflow: given up, cancelled, or over while MLflow was away.

A job of its own, tried until MLflow is back: nothing waits for it, and doing it twice changes nothing.
"""

from dataclasses import dataclass

from gitops.attempts import ATTEMPTS, ENDING, end_runs
from gitops.checkouts import read_launchpin
from gitops.ports import Deps, RunEnd
from gitops.records import Training
from gitops.steps import Done, Outcome, Phase, Step, Story


@dataclass(frozen=True)
class Left:
    """What a training may have left open; it is over, or goes on with a later run."""

    training: Training

    @property
    def attempts(self) -> range:
        """Numbers of the attempts that are over for certain."""
        known = self.training.facts.attempt or 0
        # The record of one that was given up does not know of its last attempts; no more than these were begun.
        return range(1, known + ATTEMPTS + 1 if self.training.phase.is_final else known)


def close(deps: Deps, left: Left) -> Outcome:
    """End every run that is open still."""
    training = left.training
    end = RunEnd.KILLED if training.phase is Phase.CANCELLED else RunEnd.FAILED
    end_runs(deps, training, left.attempts, experiment=lambda: read_launchpin(deps, training).experiment, end=end)
    return Done()


def _load(deps: Deps, subject: str) -> Left | None:
    training = deps.store.training(subject)
    return Left(training) if training is not None else None


RUNS = Story(ENDING, (Step("end_runs", close),), _load)
