"""The loop over the real store, with small stories that a test can read whole."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops import failpoints
from gitops.errors import InputError, RefusedError, RetryError, StalledError
from gitops.failpoints import FailpointError
from gitops.ports import Deps, JobView
from gitops.reconcile import AnyStory, Loop, run_next, run_until_idle
from gitops.records import Frozen, LeaseTimes, Training
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Refused, Stalled, Step, Story, Wait
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


# ------------------------------------------------------------ outcomes


def test_story_succeeds_when_every_step_is_done(world: World) -> None:
    loop = world.loop(say(Done(facts={"run_id": "r1"})), say(Done(facts={"exit_code": 0}, message="trained")))

    assert run_next(loop, Queue.CONTROL)
    assert (world.now.phase, world.now.step) == (Phase.RUNNING, "second")
    assert run_until_idle(loop, Queue.CONTROL) == 1

    assert (world.now.phase, world.now.step, world.now.message) == (Phase.SUCCEEDED, "second", "trained")
    assert (world.now.facts.run_id, world.now.facts.exit_code) == ("r1", 0)
    assert world.job is None
    assert not run_next(loop, Queue.CONTROL)


def test_step_is_run_again_when_it_waits(world: World) -> None:
    outcomes: list[Outcome] = [Wait(timedelta(minutes=2), "Review", "waits for mona"), Done()]
    loop = world.loop(lambda _deps, _record: outcomes.pop(0))

    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase.is_final, world.now.reason, world.now.message) == (False, "Review", "waits for mona")
    assert world.due_in == 120
    world.wait_out()
    run_until_idle(loop, Queue.CONTROL)
    assert world.now.phase is Phase.SUCCEEDED


def test_story_ends_when_a_step_refuses(world: World) -> None:
    run_until_idle(world.loop(say(Refused("GateRefused", "too bad"))), Queue.CONTROL)

    assert (world.now.phase, world.now.reason, world.now.message) == (Phase.REFUSED, "GateRefused", "too bad")
    assert world.job is None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RefusedError("NoModel", "log one"), "log one"),
        (InputError("NoModel", "no such key", file="a.yaml", field="x.y", line=3), "a.yaml:3: x.y: no such key"),
    ],
)
def test_story_is_refused_when_a_step_raises_that_a_rule_said_no(world: World, error: Exception, message: str) -> None:
    run_until_idle(world.loop(fail(error)), Queue.CONTROL)

    assert (world.now.phase, world.now.reason, world.now.message) == (Phase.REFUSED, "NoModel", message)


@pytest.mark.parametrize("run", [say(Stalled("NoAccess", "grant it")), fail(StalledError("NoAccess", "grant it"))])
def test_story_is_looked_at_when_woken_or_after_a_while_when_it_stalled(world: World, run: Run) -> None:
    loop = world.loop(run)

    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase.is_final, world.now.reason, world.now.message) == (False, "NoAccess", "grant it")
    assert world.due_in == 600
    world.store.wake("training", world.training.id)
    assert run_until_idle(loop, Queue.CONTROL) == 1
    world.wait_out()
    assert run_until_idle(loop, Queue.CONTROL) == 1


def test_story_ends_as_the_step_says_when_it_ends_early(world: World) -> None:
    run_until_idle(world.loop(say(Ended(Phase.CANCELLED, "Cancelled", "by mona")), fail(OSError())), Queue.CONTROL)

    assert (world.now.phase, world.now.step, world.now.message) == (Phase.CANCELLED, "first", "by mona")


@pytest.mark.parametrize("is_reported", [True, False])
def test_the_forge_is_told_by_a_job_of_its_own_when_such_records_are_reported(world: World, is_reported: bool) -> None:
    told: list[str] = []

    def tell(_deps: Deps, subject: str) -> Outcome:
        told.append(subject)
        return Done()

    report: AnyStory = Story(kind="report", steps=(Step("tell", tell),), load=lambda _deps, subject: subject)
    loop = world.loop(say(Wait(timedelta(hours=1), "Review")), is_reported=is_reported)
    run_until_idle(replace(loop, stories={**loop.stories, "report": report}), Queue.CONTROL)

    assert told == ([f"training:{world.training.id}"] if is_reported else [])


# ------------------------------------------------------------ errors


def test_story_gives_up_when_a_step_raised_five_times(world: World) -> None:
    loop = world.loop(fail(ValueError("odd")))

    for attempt in range(1, 5):
        assert run_until_idle(loop, Queue.CONTROL) == 1
        assert (world.now.reason, world.now.message) == ("Retrying", "Retrying: ValueError: odd")
        assert world.job is not None
        assert (world.job.attempts, world.job.state) == (attempt, "retrying")
        assert 5 <= world.due_in <= min(300, 5 * 2**attempt)
        world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, world.now.reason) == (Phase.ERRORED, "GaveUp")
    assert world.now.message == "first failed 5 times: odd"


def test_attempts_count_from_none_when_a_step_made_progress(world: World) -> None:
    outcomes: list[Outcome | None] = [None, None, Wait(timedelta(0), "Here"), None, None, Done()]

    def run(_deps: Deps, _record: Training) -> Outcome:
        outcome = outcomes.pop(0)
        if outcome is None:
            raise ValueError("odd")
        return outcome

    loop = world.loop(run, attempts=3)
    while world.job is not None:
        world.wait_out()
        run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, outcomes) == (Phase.SUCCEEDED, [])


def test_story_ends_as_it_says_when_its_attempts_are_used_up(world: World) -> None:
    def failed(_deps: Deps, record: Training, error: Exception) -> Outcome:
        return Ended(Phase.ERRORED, "Broken", f"{record.model}: {error}")

    run_until_idle(world.loop(fail(ValueError("odd")), attempts=1, failed=failed), Queue.CONTROL)

    assert (world.now.phase, world.now.reason, world.now.message) == (Phase.ERRORED, "Broken", "iris: odd")


@pytest.mark.parametrize("another", [ValueError("odder"), RetryError("ForgeUnavailable", "odder", after=900)])
def test_story_is_ended_later_when_its_end_raises_too(world: World, another: Exception) -> None:
    errors = [another]

    def failed(_deps: Deps, _record: Training, error: Exception) -> Outcome:
        if errors:
            raise errors.pop()
        return Ended(Phase.ERRORED, "Broken", str(error))

    loop = world.loop(fail(ValueError("odd")), attempts=1, failed=failed)
    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert not world.now.phase.is_final
    assert "odder" in world.now.message
    assert world.due_in >= (900 if isinstance(another, RetryError) else 5)
    world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, world.now.message) == (Phase.ERRORED, "odd")


def test_story_never_ends_when_the_outside_is_away_for_long(world: World) -> None:
    loop = world.loop(fail(RetryError("ForgeUnavailable", "no route")))

    for _ in range(20):
        assert run_until_idle(loop, Queue.CONTROL) == 1
        assert 5 <= world.due_in <= 300
        world.wait_out()

    assert not world.now.phase.is_final
    assert (world.now.reason, world.now.message) == ("Retrying", "ForgeUnavailable: no route")


def test_next_try_waits_as_long_as_the_outside_asked_when_it_did(world: World) -> None:
    run_until_idle(world.loop(fail(RetryError("RateLimited", "later", after=1234))), Queue.CONTROL)

    assert world.due_in == 1234


def test_error_is_shown_and_tried_again_when_an_answer_cannot_be_written(world: World) -> None:
    outcomes = [Done(facts={"no_such_fact": 1}), Done()]
    loop = world.loop(lambda _deps, _record: outcomes.pop(0), say(Done()))

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (world.now.step, world.now.phase) == ("", Phase.PENDING)
    assert "no_such_fact" in world.now.message
    world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert world.now.phase is Phase.SUCCEEDED


# ------------------------------------------------------------ jobs


def test_step_moves_to_its_queue_when_it_wants_another_kind_of_worker(world: World) -> None:
    ran: list[str] = []

    def run(name: str) -> Run:
        def note(_deps: Deps, _record: Training) -> Outcome:
            ran.append(name)
            return Done()

        return note

    loop = world.loop(
        Step("plan", run("plan")), Step("train", run("train"), queue=Queue.TRAINING), Step("judge", run("judge"))
    )

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (ran, world.now.step) == (["plan"], "train")
    assert run_until_idle(loop, Queue.TRAINING) == 1
    assert (ran, world.now.step) == (["plan", "train"], "judge")
    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (ran, world.now.phase) == (["plan", "train", "judge"], Phase.SUCCEEDED)


def test_job_moves_without_running_when_it_was_claimed_from_the_wrong_queue(world: World) -> None:
    loop = world.loop(Step("train", say(Done()), queue=Queue.TRAINING))

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (world.now.phase, world.now.step) == (Phase.PENDING, "")
    assert run_until_idle(loop, Queue.TRAINING) == 1
    assert world.now.phase is Phase.SUCCEEDED


def test_job_is_over_when_its_record_is_gone_or_final_or_nobody_knows_its_story(world: World) -> None:
    loop = world.loop(say(Done()))
    run_until_idle(loop, Queue.CONTROL)
    for kind, subject in (("training", world.training.id), ("training", "t-gone"), ("nonsense", "x")):
        world.store.wake(kind, subject)
        run_until_idle(loop, Queue.CONTROL)

    assert {job.kind for job in world.store.jobs()} <= {"poll"}


def test_recurring_job_never_ends_whatever_its_step_answers(world: World) -> None:
    answers: list[Outcome | Exception] = [
        *[ValueError("odd")] * 7,
        Wait(timedelta(minutes=3), "Poll"),
        Stalled("NoAccess", "grant it"),
        Refused("NoModel", "none"),
        Done(),
        Wait(timedelta(minutes=3), "Poll"),
    ]

    def run(_deps: Deps, subject: str) -> Outcome:
        assert subject == "acme/iris"
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    story: AnyStory = Story(kind="sweep", steps=(Step("look", run),), load=lambda _deps, subject: subject)
    loop = Loop(make_deps(world.store, world.folder), {"sweep": story}, "test", QUIET)
    while answers:
        world.store.wake("sweep", "acme/iris")
        run_until_idle(loop, Queue.CONTROL)

    job = next(job for job in world.store.jobs() if job.kind == "sweep")
    assert (job.state, job.reason) == ("waiting", "Poll")


def test_no_more_is_claimed_when_the_worker_is_stopping(world: World) -> None:
    loop = world.loop(say(Done()), say(Done()))

    assert run_until_idle(loop, Queue.CONTROL, is_stopping=lambda: True) == 0
    assert run_until_idle(loop, Queue.CONTROL, is_stopping=lambda: world.now.step == "second") == 1


# ------------------------------------------------------------ effects


def test_effect_is_made_when_nothing_was_intended_before(world: World) -> None:
    run_until_idle(world.loop(world.make), Queue.CONTROL)

    assert (world.outside, world.looks, world.now.facts.run_id) == (["thing 1"], 0, "thing 1")


@pytest.mark.parametrize("place", ["make.before", "make.after"])
def test_effect_is_made_once_when_the_worker_fails_around_it(
    world: World, arm: Callable[[str], None], place: str
) -> None:
    loop = world.loop(world.make)
    arm(f"{place}=raise")
    run_until_idle(loop, Queue.CONTROL)
    assert world.now.message == f"Retrying: FailpointError: {place}"
    assert world.outside == ([] if place == "make.before" else ["thing 1"])

    arm("")
    world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert (world.outside, world.looks, world.now.facts.run_id) == (["thing 1"], 1, "thing 1")


@pytest.mark.parametrize("place", ["claim.after", "finish.before"])
def test_effect_is_made_once_when_the_worker_is_lost_before_it_wrote_its_answer(
    world: World, arm: Callable[[str], None], place: str
) -> None:
    loop = world.loop(world.make)
    arm(f"{place}=raise")
    with pytest.raises(FailpointError):
        run_next(loop, Queue.CONTROL)
    arm("")
    assert not run_next(loop, Queue.CONTROL)

    world.clock.advance(LEASE)
    run_until_idle(loop, Queue.CONTROL)

    # What was observed is not looked for again.
    assert (world.outside, world.looks, world.now.phase) == (["thing 1"], 0, Phase.SUCCEEDED)


def test_effect_is_read_from_its_row_when_the_step_runs_again(world: World) -> None:
    def make_then_wait(deps: Deps, record: Training) -> Outcome:
        done = world.make(deps, record)
        return done if record.reason == "Later" else Wait(timedelta(0), "Later")

    run_until_idle(world.loop(make_then_wait), Queue.CONTROL)

    assert (world.outside, world.looks, world.now.facts.run_id) == (["thing 1"], 0, "thing 1")


# ------------------------------------------------------------ leases


def test_nothing_is_written_when_the_lease_was_lost_to_another_worker(world: World) -> None:
    def run(deps: Deps, _record: Training) -> Outcome:
        world.clock.advance(LEASE + timedelta(seconds=1))
        claim = deps.store.claim(Queue.CONTROL, owner="another", lease=LEASE)
        assert claim is not None
        assert (claim.subject, claim.lost) == (world.training.id, 1)
        return Done(facts={"run_id": "written too late"})

    before = world.now
    entries = len(world.store.audit_recent(100))

    assert run_next(world.loop(run), Queue.CONTROL)

    assert world.now == before
    assert len(world.store.audit_recent(100)) == entries
    assert world.job is not None
    assert world.job.state == "leased"


def test_no_effect_is_made_when_the_lease_was_lost_before_it(world: World) -> None:
    def run(deps: Deps, record: Training) -> Outcome:
        world.clock.advance(LEASE + timedelta(seconds=1))
        assert deps.store.claim(Queue.CONTROL, owner="another", lease=LEASE)
        return world.make(deps, record)

    assert run_next(world.loop(run), Queue.CONTROL)

    assert world.outside == []


def test_step_knows_that_its_lease_is_lost_when_another_worker_took_the_job(world: World) -> None:
    seen: list[bool] = []

    def run(deps: Deps, _record: Training) -> Outcome:
        seen.append(deps.lease.is_held())
        take_over(deps)
        wait_until(lambda: not deps.lease.is_held())
        return Done(facts={"run_id": "written too late"})

    def take_over(deps: Deps) -> None:
        claim = None
        while claim is None:  # a heartbeat may come between
            world.clock.advance(timedelta(seconds=2))
            claim = deps.store.claim(Queue.CONTROL, owner="another", lease=LEASE)

    assert run_next(world.loop(run, times=BUSY), Queue.CONTROL)

    assert seen == [True]
    assert world.now.facts.run_id is None


def test_lost_workers_are_counted_until_there_is_progress(world: World, arm: Callable[[str], None]) -> None:
    lost: list[int] = []

    def run(deps: Deps, _record: Training) -> Outcome:
        lost.append(deps.lease.lost)
        return Done()

    loop = world.loop(run, run)
    for _ in range(2):
        arm("claim.after=raise")
        with pytest.raises(FailpointError):
            run_next(loop, Queue.CONTROL)
        arm("")
        world.clock.advance(LEASE)
    run_until_idle(loop, Queue.CONTROL)

    assert lost == [2, 0]


def test_long_step_keeps_its_job_when_it_takes_many_leases(world: World) -> None:
    def run(deps: Deps, _record: Training) -> Outcome:
        for _ in range(6):
            world.clock.advance(timedelta(seconds=0.9))
            wait_until(lambda: (deps.store.next_due() or 0) > 0.5)
            assert deps.lease.is_held()
            assert deps.store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
        return Done()

    run_until_idle(world.loop(run, times=BUSY), Queue.CONTROL)

    assert world.now.phase is Phase.SUCCEEDED


def test_another_worker_takes_the_job_when_the_deadline_of_a_step_has_passed(world: World) -> None:
    ran: list[str] = []

    def run(deps: Deps, _record: Training) -> Outcome:
        ran.append("run")
        if len(ran) == 1:
            wait_until(lambda: not deps.lease.is_held())
            world.clock.advance(timedelta(seconds=1))
            assert run_next(loop, Queue.CONTROL)
            return Done(facts={"run_id": "late"})
        return Done(facts={"run_id": "in time"})

    loop = world.loop(Step("hang", run, deadline=timedelta(milliseconds=20)), times=BUSY)
    run_until_idle(loop, Queue.CONTROL)

    assert (len(ran), world.now.phase, world.now.facts.run_id) == (2, Phase.SUCCEEDED, "in time")


def test_no_heartbeat_is_left_when_a_step_is_over(world: World) -> None:
    run_until_idle(world.loop(say(Done()), fail(ValueError("odd")), times=BUSY), Queue.CONTROL)

    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("lease-")] == []
