"""Searches: their space, their trials, and what became of those. A part of the store."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gitops.spaces import Space
from gitops.trials import SeenTrial, Trial


class Searches(Protocol):
    """The trials of trainings that search."""

    def space_of(self, training_id: str) -> Space | None:
        """Return the space that a training searches; None for no search, or one begun before spaces were kept."""
        ...

    def trial(self, trial_id: str) -> Trial | None:
        """Return a trial."""
        ...

    def trials(self, training_id: str) -> Sequence[SeenTrial]:
        """Return how a training's trials that were begun stand, by number; one that a worker has now is running."""
        ...

    def versions_of_runs(self, model: str, runs: Collection[str]) -> Mapping[str, str]:
        """Return the numbers of a model's versions that came from these runs, by the run's id; 500 at most."""
        ...
