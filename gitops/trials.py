"""The trials of a search: one as it is kept, the best of several, how far a search is, and how people see it. Pure."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Protocol, Self, TypeVar

from pydantic import Field

from gitops.config.goals import Goal, Objective
from gitops.facts import ScriptFacts
from gitops.records import Record, Training, TrainingFacts
from gitops.steps import Phase


class Numbered(Protocol):
    """What has a number among trials."""

    @property
    def number(self) -> int:
        """From 1, in the order in which the search was laid out."""
        ...


T = TypeVar("T", bound=Numbered)

SEARCHING = "Searching"
"""What a training waits for whose trials are not all over."""


class Trial(Record):
    """One point of a training's search, on its way to a model.

    Args:
        training_id: whose search it is of.
        number: from 1, in the order in which the search was laid out.
        repository_id: as its training has it, and so the next three.
        parameters: what the search gives it beside `train.parameters`, variables filled in.
        parent_run_id: the training's own run, under which this one's is shown.
    """

    training_id: str
    number: int
    repository_id: int
    repository: str
    commit: str
    model: str
    parameters: dict[str, str]
    parent_run_id: str
    facts: ScriptFacts = Field(default_factory=ScriptFacts)

    @staticmethod
    def id_of(training_id: str, number: int) -> str:
        """Return the only id that a training's trial of this number has."""
        return f"{training_id}.{number}"

    def run_key(self, attempt: int) -> str:
        """Return what an attempt's run in MLflow is found by; it also marks the further runs of its script."""
        return f"{self.id}/{attempt}"


class SeenTrial(Trial):
    """A trial as its search and people look at it: all of it but the last lines of its log, and what its job does.

    Those lines are much, and every end of a trial has its search look at all of them.

    Args:
        job: `ready`, `leased`, `waiting`, `retrying` or `stalled`; empty for a trial that is over.
    """

    job: str = ""

    @property
    def why(self) -> str:
        """What it waits for, in a word; of one that is tried again the cause, which its message names first."""
        return self.message.partition(": ")[0] if self.reason == "Retrying" else self.reason

    @classmethod
    def of(cls, trial: Trial, *, job: str = "") -> Self:
        """Return how a trial stands."""
        facts = trial.facts.model_copy(update={"log_tail": ()})
        return cls.model_validate({**dict(trial), "facts": facts, "job": job})


@dataclass(frozen=True)
class TrialView:
    """A trial as people see it.

    Args:
        number: from 1, in the order in which the search was laid out.
        parameters: what the search gave it, as its script got them.
        metrics: what was logged, as far as it is a finite number.
        state: its phase.
        run_id: its run in MLflow; empty before it has one.
        is_best: the best of those that came to a model so far.
        reason: why it failed or what it waits for, empty where there is nothing to say.
        message: the same in a sentence.
        seconds: how long its script ran, None before its end.
    """

    number: int
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    state: str
    run_id: str
    is_best: bool
    reason: str = ""
    message: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Progress:
    """How far a search is.

    Args:
        total: how many trials it has.
        over: how many of them ended, well or not.
        running: how many a worker has.
        queued: how many were begun and wait for a worker.
        waiting: those that go on by themselves, when what they wait for is there.
        stalled: those for which a person must change something.
        failed: how many ended without a model.
        best: the best so far, None while there is none.
        value: its metric.
    """

    total: int
    over: int
    running: int
    queued: int
    waiting: tuple[SeenTrial, ...]
    stalled: tuple[SeenTrial, ...]
    failed: int
    best: Trial | None
    value: Decimal | None
    objective: Objective

    @property
    def sentence(self) -> str:
        """How far it is, for people."""
        said = [f"{self.over} of {self.total} trials are over"]
        if self.running:
            said.append(f"{self.running} under way")
        if self.queued:
            said.append(f"{self.queued} {'waits' if self.queued == 1 else 'wait'} for a worker")
        if self.waiting:
            said.append(f"{len(self.waiting)} {'waits' if len(self.waiting) == 1 else 'wait'} ({self.waiting[0].why})")
        if self.stalled:
            said.append(f"{len(self.stalled)} stalled ({self.stalled[0].why})")
        if self.failed:
            said.append(f"{self.failed} failed")
        so_far = "" if self.over == self.total else " so far"
        best = f"; best {self.objective.metric} {self.value}{so_far} (trial {self.best.number})" if self.best else ""
        return ", ".join(said) + best

    @property
    def is_all_running(self) -> bool:
        """Whether a worker has each of those that were begun and are not over."""
        return not (self.queued or self.waiting or self.stalled)


def objective_of(training: Training) -> Objective | None:
    """Return what a training's search looks for, None where it has not begun one."""
    known = training.facts.objective
    return Objective(known["metric"], Goal(known["goal"])) if known else None


def search_of(training: Training) -> str:
    """Return the id of the training whose search one is of: of one that judges a hand-chosen trial, the earlier one."""
    return training.facts.search_of or training.id


def chosen_facts(known: TrainingFacts) -> TrainingFacts:
    """Return what is known of a training that begins with a trial of an earlier one: how that was trained."""
    trained = {"project", "environment_key", "lock_sha256", "python_version", "experiment_id", "run_id"}
    searched = {"trials", "objective", "trial", "search_of", "chosen"}
    return TrainingFacts.model_validate(known.model_dump(include=trained | searched))


def best_trial(trials: Iterable[Trial], objective: Objective) -> Trial | None:
    """Return the best of the trials that came to a model; of equals the first by number. None where none did."""
    found = [(value, trial) for trial in trials if (value := measure(trial, objective)) is not None]
    sign = -1 if objective.goal is Goal.MAXIMIZE else 1
    return min(found, key=lambda pair: (sign * pair[0], pair[1].number))[1] if found else None


def measure(trial: Trial, objective: Objective) -> Decimal | None:
    """Return what a trial counts with; None for one that came to no model, or that has no finite number there."""
    if trial.phase is not Phase.SUCCEEDED:
        return None
    try:
        value = Decimal(trial.facts.metrics[objective.metric])
    except (KeyError, InvalidOperation):
        return None
    return value if value.is_finite() else None


def count_for(state: str, metrics: Mapping[str, float], metric: str) -> float | None:
    """Return what a trial that people see counts with; None for one that came to no model, whatever it logged."""
    return metrics.get(metric) if state == Phase.SUCCEEDED.value else None


def read_value(text: str | None) -> str | float | None:
    """Return a parameter's value as trials are put in order by it: a number where it is one."""
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        return text
    return float(value) if value.is_finite() else text


def in_order(trials: Iterable[T], value: Callable[[T], str | float | None], *, is_down: bool) -> list[T]:
    """Return trials by a value, numbers before words; those without one come last, and of equals the first by number.

    Args:
        is_down: the greatest first.
    """

    def rank(pair: tuple[str | float, T]) -> tuple[bool, float, str]:
        known = pair[0]
        return (True, 0.0, known) if isinstance(known, str) else (False, known, "")

    numbered = sorted(trials, key=lambda one: one.number)
    found = [(value(one), one) for one in numbered]
    known = sorted(((value, one) for value, one in found if value is not None), key=rank, reverse=is_down)
    return [*(one for _, one in known), *(one for value, one in found if value is None)]


def progress(trials: Sequence[SeenTrial], *, total: int, objective: Objective) -> Progress:
    """Return how far a search is.

    Args:
        trials: those that were begun.
        total: how many there are to be.
    """
    over = [trial for trial in trials if trial.phase.is_final]
    best = best_trial(over, objective)
    idle = [trial for trial in trials if not trial.phase.is_final and trial.job not in {"leased", "stalled"}]
    return Progress(
        total=total,
        over=len(over),
        running=sum(trial.job == "leased" for trial in trials),
        queued=sum(not trial.reason for trial in idle),
        waiting=tuple(trial for trial in idle if trial.reason),
        stalled=tuple(trial for trial in trials if trial.job == "stalled"),
        failed=sum(trial.phase in {Phase.ERRORED, Phase.REFUSED} for trial in over),
        best=best,
        value=measure(best, objective) if best else None,
        objective=objective,
    )


def progress_of(training: Training, trials: Sequence[SeenTrial]) -> Progress | None:
    """Return how far a training's search is; None where it is not at it."""
    objective = objective_of(training)
    if objective is None or training.phase.is_final or training.reason != SEARCHING:
        return None
    return progress(trials, total=training.facts.trials or 0, objective=objective)


def view(trials: Sequence[Trial], *, objective: Objective | None) -> tuple[TrialView, ...]:
    """Return the trials as people see them, by number."""
    best = best_trial(trials, objective) if objective else None
    return tuple(_view(trial, is_best=trial is best) for trial in sorted(trials, key=lambda one: one.number))


def _view(trial: Trial, *, is_best: bool) -> TrialView:
    read = {name: float(text) for name, text in trial.facts.metrics.items()}
    return TrialView(
        number=trial.number,
        parameters=trial.parameters,
        metrics={name: value for name, value in read.items() if math.isfinite(value)},
        state=trial.phase.value,
        run_id=trial.facts.candidate_run_id or trial.facts.run_id or "",
        is_best=is_best,
        reason=trial.reason,
        message=trial.message,
        seconds=trial.facts.seconds,
    )
