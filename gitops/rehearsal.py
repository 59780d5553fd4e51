"""A training before anybody pushed: the story's own steps up to the verdict, on the files of one person's clone.

No record is written and no later step is run, so that nothing can be registered, proposed or pinned from here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from typing import TypeVar

from gitops.disk.space import disk_low, is_disk_full
from gitops.errors import RefusedError, StalledError
from gitops.facts import ScriptFacts
from gitops.ports import Deps
from gitops.records import Frozen, Repository, Training, TrainingFacts, Version
from gitops.searching import TRIAL
from gitops.steps import Done, Outcome, Phase, Refused, Stalled, Step
from gitops.training import TRAINING
from gitops.trials import SeenTrial, Trial
from gitops.writes import StartTrial

E = TypeVar("E", bound=Frozen)
Before = Callable[[str, Training], None]
Trying = Callable[[Trial, int], None]

STEPS = tuple(takewhile(lambda step: step.name != "register", TRAINING.steps))
"""What is rehearsed."""


@dataclass(frozen=True)
class Rehearsed:
    """How far a rehearsal came.

    Args:
        training: with all that was learned.
        step: the step that was last.
        outcome: its answer; `Done` when it came to a verdict, and that is a pass.
        trials: of its search, in their order.
    """

    training: Training
    step: str
    outcome: Outcome
    trials: Sequence[Trial] = ()


@dataclass(frozen=True)
class KnownRows:
    """What the steps up to a verdict read in the store: whose files these are, the version to beat, and the trials.

    Args:
        clone: the person's clone as a repository, granted all that its files ask for.
        to_beat: returns a model's champion where one is known.
        trained: the training that is rehearsed, by its id, with what was learned so far.
        tried: its trials by their ids, in the order in which they were begun.
    """

    clone: Repository
    to_beat: Callable[[str], Version | None]
    trained: dict[str, Training] = field(default_factory=dict)
    tried: dict[str, Trial] = field(default_factory=dict)

    def repository(self, repository_id: int) -> Repository:
        """Return the clone."""
        del repository_id
        return self.clone

    def lock_of(self, key: str) -> None:
        """Return nothing: what is rehearsed was locked on this machine a moment ago, and its lock is on this disk."""
        del key

    def champion(self, model: str) -> Version | None:
        """Return the version to beat."""
        return self.to_beat(model)

    def training(self, training_id: str) -> Training | None:
        """Return the training that searches."""
        return self.trained.get(training_id)

    def trial(self, trial_id: str) -> Trial | None:
        """Return a trial."""
        return self.tried.get(trial_id)

    def trials(self, training_id: str) -> Sequence[SeenTrial]:
        """Return how the trials stand, in their order."""
        del training_id
        return [SeenTrial.of(one) for one in self.tried.values()]


def rehearse(deps: Deps, training: Training, *, rows: KnownRows, before: Before, trying: Trying) -> Rehearsed:
    """Run the steps up to the verdict; a search's trials run one after the other.

    Args:
        rows: what the steps read in the place of a store, and where trials are kept.
        before: called with the name of each step, and what was learned so far; what it raises is the step's answer.
        trying: called with each trial before it runs, and how many there are.

    Raises:
        InputError: a file is wrong, with its line.
        RetryError: somebody who must be asked is away.
    """
    step: Step[Deps, Training] | None = STEPS[0]
    rehearsed = Rehearsed(training, "", Done())
    while step in STEPS:
        rehearsed = _rehearse_step(deps, step, rehearsed, before)
        outcome, rows.trained[training.id] = rehearsed.outcome, rehearsed.training
        begun = [write.trial for write in outcome.writes if isinstance(write, StartTrial)]
        for trial in begun:
            trying(trial, rehearsed.training.facts.trials or 0)
            rows.tried[trial.id] = _rehearse_trial(deps, trial)
        if isinstance(outcome, Done):
            step = TRAINING.after(step.name, then=outcome.then)
        elif not begun:
            break
    return replace(rehearsed, trials=list(rows.tried.values()))


def _rehearse_step(deps: Deps, step: Step[Deps, Training], known: Rehearsed, before: Before) -> Rehearsed:
    """Run one step."""

    def ask() -> Outcome:
        before(step.name, known.training)
        return step.run(deps, known.training)

    outcome = _answer(ask)
    facts = TrainingFacts.model_validate(known.training.facts.model_dump() | dict(outcome.facts))
    return Rehearsed(known.training.model_copy(update={"facts": facts}), step.name, outcome)


def _rehearse_trial(deps: Deps, trial: Trial) -> Trial:
    """Run a trial to its end; what would wait is over, since nobody comes back to it."""
    for step in TRIAL.steps:
        outcome = _answer(partial(step.run, deps, trial))
        facts = ScriptFacts.model_validate(trial.facts.model_dump() | dict(outcome.facts))
        trial = trial.model_copy(update={"facts": facts, "message": outcome.message})
        if not isinstance(outcome, Done):
            phase = Phase.REFUSED if isinstance(outcome, Refused) else Phase.ERRORED
            return trial.model_copy(update={"phase": phase, "reason": outcome.reason})
    return trial.model_copy(update={"phase": Phase.SUCCEEDED})


def _answer(ask: Callable[[], Outcome]) -> Outcome:
    """Run one step; the errors that are answers become answers, as in the loop."""
    try:
        return ask()
    except RefusedError as error:
        return Refused(error.reason, str(error))
    except StalledError as error:
        return Stalled(error.reason, error.message)
    except OSError as error:
        if not is_disk_full(error):
            raise
        return Stalled(disk_low(str(error)).reason, disk_low(str(error)).message)


class OnlyOnce:
    """Effects without rows, of something that is tried once: each is made when it is asked for."""

    def once(self, name: str, key: str, *, look: Callable[[], E | None], act: Callable[[], E], result: type[E]) -> E:
        """Make the effect."""
        del name, key, look, result
        return act()

    def renew(self, name: str, key: str, *, content: str, act: Callable[[], None], anew: bool = False) -> None:
        """Tell the outside."""
        del name, key, content, anew
        act()

    def recover(self, name: str, key: str, *, look: Callable[[], E | None], result: type[E]) -> E | None:
        """Return what is there: without rows, only a look says what an attempt before this one made."""
        del name, key, result
        return look()
