"""Small stories for real workers: each makes one thing outside, then behaves as its verb says."""

import hashlib
import os
import resource
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from gitops.checkouts import read_launchpin
from gitops.closing import RUNS
from gitops.commands.cancelling import cancel
from gitops.intake import DELIVERY
from gitops.ports import Deps
from gitops.reconcile import AnyStory
from gitops.records import Cause, Command, Delivery, Frozen, Training
from gitops.searching import TRIAL, search
from gitops.steps import Done, Outcome, Queue, Step, Story
from gitops.training import judge, register, train
from gitops.writes import SaveRepository, StartTraining
from tests.faults.workers_outside import Outside
from tests.support.store import make_repository

_ROOM = 256 << 20


class Made(Frozen):
    """What the effect made."""

    by: int


def play_stories(folder: Path, *, deadline: timedelta) -> Mapping[str, AnyStory]:
    """Return the stories, which write to a folder.

    Args:
        deadline: of the step that behaves.
    """
    outside = Outside(folder)
    steps: tuple[Step[Deps, Command], ...] = (
        Step("make", lambda deps, command: _make(deps, command, outside)),
        Step("act", lambda deps, command: _act(deps, command, outside), deadline=deadline),
    )
    handle: Step[Deps, Delivery] = Step("handle", lambda _, delivery: _handle(delivery, outside))
    training: list[Step[Deps, Training]] = [
        Step("begin", _begin),
        Step("search", search),
        Step("train", train, deadline=timedelta(hours=1), queue=Queue.TRAINING),
        Step("judge", judge),
    ]
    if os.environ.get("WORKERS_ARTIFACTS"):
        training.append(Step("register", register))
    table: tuple[AnyStory, ...] = (
        Story("command", steps, lambda deps, subject: deps.store.command(subject)),
        replace(DELIVERY, steps=(handle,)),
        Story("training", tuple(training), lambda deps, subject: deps.store.training(subject)),
        TRIAL,
        RUNS,
    )
    return {story.kind: story for story in table}


def _make(deps: Deps, command: Command, outside: Outside) -> Outcome:
    """Make one thing; a second one would be seen as a second note."""

    def look() -> Made | None:
        notes = outside.notes("made", command.id)
        return Made(by=notes[0].pid) if notes else None

    def act() -> Made:
        outside.tell("made", command.id)
        return Made(by=os.getpid())

    made = deps.effects.once("make", f"make:{command.id}", look=look, act=act, result=Made)
    return Done(facts={"result": {"made_by": made.by}})


def _act(deps: Deps, command: Command, outside: Outside) -> Outcome:
    if command.verb == "cancel":
        return cancel(deps, command)
    if command.verb == "train":
        return Done(writes=(SaveRepository(make_repository()), StartTraining(training_of(command))))
    is_first = not outside.notes("begun", command.id)
    outside.tell("begun", command.id)
    _VERBS[command.verb](command, outside, is_first)
    return Done(facts={"result": {**command.facts.result, "acted_by": os.getpid()}})


def _begin(deps: Deps, training: Training) -> Outcome:
    """Go on with the one script or with the trials, as the environment's step does."""
    return Done(then="search" if read_launchpin(deps, training).search else "train")


def training_of(command: Command) -> Training:
    """Return the training of the project that a command names."""
    return Training(
        id=f"t-{command.id}",
        cause=Cause(kind="command", id=command.id, actor="mona"),
        repository_id=1,
        repository="acme/iris",
        ref="refs/heads/main",
        commit=hashlib.sha256(command.id.encode()).hexdigest()[:40],
        config_path="launchpin.yaml",
        config_sha256="c" * 64,
        model="iris",
    )


def _nothing(_command: Command, _outside: Outside, _is_first: bool) -> None:
    """Be done."""


def _gate(command: Command, outside: Outside, _is_first: bool) -> None:
    outside.pass_gate(command.id)


def _hang(command: Command, outside: Outside, is_first: bool) -> None:
    """Hang the first time, until the gate opens."""
    if is_first:
        outside.pass_gate(command.id)


def _die(_command: Command, _outside: Outside, _is_first: bool) -> None:
    """End as the kernel ends a process when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def _hog(_command: Command, _outside: Outside, is_first: bool) -> None:
    """Ask for more memory than this process may have, the first time."""
    if not is_first:
        return
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + _ROOM, most))
    try:
        bytearray(4 * _ROOM)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


_VERBS: dict[str, Callable[[Command, Outside, bool], None]] = {
    "nothing": _nothing,
    "gate": _gate,
    "hang": _hang,
    "die": _die,
    "hog": _hog,
}


def _handle(delivery: Delivery, outside: Outside) -> Outcome:
    outside.tell("begun", delivery.id)
    if delivery.event == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return Done(facts={"outcome": "ignored", "reason": "ping"})
