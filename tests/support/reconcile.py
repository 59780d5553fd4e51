"""A world for the loop: one training in the real store, small stories, and one thing outside that may be made."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops import failpoints
from gitops.leasing import LeaseTimes
from gitops.ports import Deps, JobView
from gitops.reconcile import AnyStory, Loop
from gitops.records import Frozen, Training
from gitops.steps import Done, Outcome, Step, Story
from gitops.store import SqlStore
from gitops.writes import StartTraining
from tests.support.deps import make_deps
from tests.support.store import LEASE, Clock, make_training, write

Run = Callable[[Deps, Any], Outcome]
QUIET = LeaseTimes(lease=LEASE, heartbeat=timedelta(hours=1))
BUSY = LeaseTimes(lease=timedelta(seconds=1), heartbeat=timedelta(milliseconds=5))
NAMES = ("first", "second", "third")


class Made(Frozen):
    """What an effect made."""

    name: str


class World:
    """One training, the loop that carries it, and what lies outside."""

    def __init__(self, store: SqlStore, clock: Clock, folder: Path) -> None:
        self.store, self.clock, self.folder = store, clock, folder
        self.training = make_training()
        self.outside: list[str] = []
        self.looks = 0
        write(store, StartTraining(self.training))

    def loop(self, *runs: Run | Step[Deps, Any], times: LeaseTimes = QUIET, **changes: Any) -> Loop:  # noqa: ANN401 - any field of the story
        steps = tuple(run if isinstance(run, Step) else Step(name, run) for name, run in zip(NAMES, runs, strict=False))
        fields: dict[str, Any] = {"load": lambda deps, subject: deps.store.training(subject), **changes}
        story: AnyStory = Story(kind="training", steps=steps, **fields)
        return Loop(make_deps(self.store, self.folder), {"training": story}, "test", times)

    @property
    def now(self) -> Training:
        training = self.store.training(self.training.id)
        assert training is not None
        return training

    @property
    def job(self) -> JobView | None:
        """The training's job; None when it is over."""
        return next((job for job in self.store.jobs() if job.kind == "training"), None)

    @property
    def due_in(self) -> float:
        """Seconds until the job is tried again."""
        assert self.job is not None
        return (self.job.not_before - self.clock.time).total_seconds()

    def wait_out(self) -> None:
        """Let the time pass that the job has to wait."""
        self.clock.advance(timedelta(seconds=max(0.0, self.due_in)))

    def make(self, deps: Deps, _: Training) -> Outcome:
        """Make one thing outside, whatever happens."""
        made = deps.effects.once("make", "make:1", look=self._look, act=self._act, result=Made)
        return Done(facts={"run_id": made.name})

    def _look(self) -> Made | None:
        self.looks += 1
        return Made(name=self.outside[0]) if self.outside else None

    def _act(self) -> Made:
        self.outside.append(f"thing {len(self.outside) + 1}")
        return Made(name=self.outside[-1])


@pytest.fixture
def world(store: SqlStore, clock: Clock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


@pytest.fixture
def arm() -> Iterator[Callable[[str], None]]:
    yield failpoints.arm
    failpoints.arm("")


def say(outcome: Outcome) -> Run:
    return lambda _deps, _record: outcome


def fail(error: Exception) -> Run:
    def run(_deps: Deps, _record: Training) -> Outcome:
        raise error

    return run


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
