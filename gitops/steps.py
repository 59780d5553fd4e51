"""What a step is and what it may answer. Pure: no step is run here.

A story is a list of steps. A step reads the story's record, does one thing and answers with one of the outcomes below;
an exception means "try again later". Running a step twice is harmless.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Generic, TypeVar

D = TypeVar("D")
R = TypeVar("R")

Facts = Mapping[str, object]


class Phase(StrEnum):
    """Where a story stands."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    REFUSED = "Refused"
    ERRORED = "Errored"
    SUPERSEDED = "Superseded"
    CANCELLED = "Cancelled"
    ROLLED_BACK = "RolledBack"

    @property
    def is_final(self) -> bool:
        """Whether nothing happens any more."""
        return self not in {Phase.PENDING, Phase.RUNNING}


class Queue(StrEnum):
    """Which kind of worker a job wants."""

    CONTROL = "control"
    TRAINING = "training"


@dataclass(frozen=True)
class Done:
    """The step is finished; go on with the next one, or succeed after the last.

    Args:
        facts: what was learned, merged into the record's facts.
        writes: further rows to write in the same transaction (values from `gitops.ports`).
        message: one line for people.
        is_idle: there was nothing to do here, so there is nothing to tell the audit trail.
        then: the step to go on with, where that is not the next one.
    """

    facts: Facts = field(default_factory=dict)
    writes: tuple[object, ...] = ()
    message: str = ""
    is_idle: bool = False
    then: str = ""


@dataclass(frozen=True)
class Wait:
    """Come back later; nothing is wrong.

    Args:
        after: how long until the next look, unless something wakes the job earlier.
        reason: CamelCase, shown to people.
        message: what is waited for, and on whom.
        writes: further rows to write in the same transaction.
        facts: what was learned while waiting, merged into the record's facts.
    """

    after: timedelta
    reason: str
    message: str = ""
    writes: tuple[object, ...] = ()
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A rule said no; the story ends as Refused."""

    reason: str
    message: str
    facts: Facts = field(default_factory=dict)
    writes: tuple[object, ...] = ()


@dataclass(frozen=True)
class Stalled:
    """A person must change something; the story stays Running and is looked at again when woken, and now and then."""

    reason: str
    message: str
    facts: Facts = field(default_factory=dict)
    writes: tuple[object, ...] = ()


@dataclass(frozen=True)
class Ended:
    """The story is over in a phase of its own: Errored, RolledBack, Superseded, Cancelled, or an early Succeeded."""

    phase: Phase
    reason: str
    message: str
    facts: Facts = field(default_factory=dict)
    writes: tuple[object, ...] = ()


Outcome = Done | Wait | Refused | Stalled | Ended


@dataclass(frozen=True)
class Step(Generic[D, R]):
    """One step of a story.

    Args:
        name: snake_case, shown to people.
        event: the second part of its audit entry's kind, `applied` for example; the name where it is empty.
        run: the function; gets the dependencies and the record.
        deadline: after this long heartbeats stop, and another worker may take the job.
        queue: which workers run it.
    """

    name: str
    run: Callable[[D, R], Outcome]
    event: str = ""
    deadline: timedelta = timedelta(minutes=2)
    queue: Queue = Queue.CONTROL


@dataclass(frozen=True)
class Story(Generic[D, R]):
    """A kind of record and the steps that carry it to its end.

    Args:
        kind: `training`, `promotion`, `rollout` and so on; also the job's kind.
        steps: in order.
        load: reads the record a job is about; None when it is gone.
        failed: what to do when a step failed for good (attempts used up): the outcome that ends the story.
        attempts: how often a step may raise what nobody foresaw, or lose its worker, before `failed` is asked.
        is_reported: every change of such a record is told to the forge by a job of its own, so that a forge that is
            away holds nothing up.
        cleared_by: kind of the job, by the record's id, that is woken when such a record was given up: its steps had no
            say in its end, and may have left something open.
    """

    kind: str
    steps: tuple[Step[D, R], ...]
    load: Callable[[D, str], R | None]
    failed: Callable[[D, R, Exception], Outcome] | None = None
    attempts: int = 5
    is_reported: bool = False
    cleared_by: str = ""

    def step(self, name: str) -> Step[D, R]:
        """Return the step of that name, or the first one when the name is empty.

        Raises:
            KeyError: when the story has no such step.
        """
        if not name:
            return self.steps[0]
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def after(self, name: str, *, then: str = "") -> Step[D, R] | None:
        """Return the step after one that is done: the one that it names, else the next; None after the last."""
        if then:
            return self.step(then)
        position = self.steps.index(self.step(name)) + 1
        return self.steps[position] if position < len(self.steps) else None
