"""A training before anybody pushed: the story's own steps up to the verdict, on the files of one person's clone.

No record is written and no later step is run, so that nothing can be registered, proposed or pinned from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar

from gitops.disk.space import disk_low, is_disk_full
from gitops.errors import RefusedError, StalledError
from gitops.ports import Deps
from gitops.records import Frozen, Repository, Training, TrainingFacts, Version
from gitops.steps import Done, Outcome, Refused, Stalled, Step
from gitops.training import TRAINING

E = TypeVar("E", bound=Frozen)
Before = Callable[[str, Training], None]

STEPS = tuple(takewhile(lambda step: step.name != "register", TRAINING.steps))
"""What is rehearsed."""


@dataclass(frozen=True)
class Rehearsed:
    """How far a rehearsal came.

    Args:
        training: with all that was learned.
        step: the step that was last.
        outcome: its answer; `Done` when it came to a verdict, and that is a pass.
    """

    training: Training
    step: str
    outcome: Outcome


def rehearse(deps: Deps, training: Training, *, before: Before) -> Rehearsed:
    """Run the steps up to the verdict.

    Args:
        before: called with the name of each step and what was learned so far; what it raises is the step's answer.

    Raises:
        InputError: a file is wrong, with its line.
        RetryError: somebody who must be asked is away.
    """
    rehearsed = Rehearsed(training, "", Done())
    for step in STEPS:
        if isinstance(rehearsed.outcome, Done):
            outcome = _answer(deps, step, rehearsed.training, before)
            rehearsed = Rehearsed(_learn(rehearsed.training, outcome), step.name, outcome)
    return rehearsed


def _answer(deps: Deps, step: Step[Deps, Training], training: Training, before: Before) -> Outcome:
    """Run one step; the errors that are answers become answers, as in the loop."""
    try:
        before(step.name, training)
        return step.run(deps, training)
    except RefusedError as error:
        return Refused(error.reason, str(error))
    except StalledError as error:
        return Stalled(error.reason, error.message)
    except OSError as error:
        if not is_disk_full(error):
            raise
        return Stalled(disk_low(str(error)).reason, disk_low(str(error)).message)


def _learn(training: Training, outcome: Outcome) -> Training:
    facts = TrainingFacts.model_validate(training.facts.model_dump() | dict(outcome.facts))
    return training.model_copy(update={"facts": facts})


@dataclass(frozen=True)
class KnownRows:
    """What the steps up to a verdict read in the store: whose files these are, and the version to beat.

    Args:
        clone: the person's clone as a repository, granted all that its files ask for.
        to_beat: returns a model's champion where one is known.
    """

    clone: Repository
    to_beat: Callable[[str], Version | None]

    def repository(self, repository_id: int) -> Repository:
        """Return the clone."""
        del repository_id
        return self.clone

    def champion(self, model: str) -> Version | None:
        """Return the version to beat."""
        return self.to_beat(model)


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
