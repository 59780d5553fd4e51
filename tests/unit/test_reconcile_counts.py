"""The loop over the real store: what is tried again, how often, and what a database that is away costs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gitops import failpoints
from gitops.errors import RetryError, StaleEpochError
from gitops.failpoints import FailpointError
from gitops.leasing import LeaseTimes, Shift
from gitops.ports import Deps, Store
from gitops.reconcile import AnyStory, Loop, run_next, run_until_idle
from gitops.records import Training
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Step, Story, Wait
from tests.support.deps import make_deps
from tests.support.reconcile import QUIET, World, arm, fail, say, wait_until, world
from tests.support.store import LEASE

__all__ = ["arm", "world"]


def lose_worker(world: World, loop: Loop, arm: Callable[[str], None]) -> None:
    """Let a worker be lost with the claim in its hand."""
    arm("claim.after=raise")
    with pytest.raises(FailpointError):
        run_next(loop, Queue.CONTROL)
    arm("")
    world.clock.advance(LEASE)


# ------------------------------------------------------------ what counts


def test_an_outside_that_is_away_uses_up_no_attempt_of_an_error_that_nobody_foresaw(world: World) -> None:
    errors: list[Exception] = [RetryError("ForgeUnavailable", "no route")] * 10

    def run(_deps: Deps, _record: Training) -> Outcome:
        raise errors.pop() if errors else ValueError("odd")

    loop = world.loop(run)

    for _ in range(14):
        assert run_until_idle(loop, Queue.CONTROL) == 1
        assert not world.now.phase.is_final
        world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, world.now.reason) == (Phase.ERRORED, "GaveUp")
    assert world.now.message == "first failed 5 times: odd"


def test_waits_grow_with_the_tries_of_one_cause_alone(world: World) -> None:
    loop = world.loop(fail(RetryError("ForgeUnavailable", "no route")))
    longest = 0.0
    for _ in range(12):
        run_until_idle(loop, Queue.CONTROL)
        longest = max(longest, world.due_in)
        world.wait_out()
    assert world.job is not None
    assert (world.job.retries, world.job.attempts, world.job.tries) == (12, 0, 12)
    assert 40 < longest <= 300

    odd = world.loop(fail(ValueError("odd")))
    run_until_idle(odd, Queue.CONTROL)
    assert 5 <= world.due_in <= 10


def test_lost_workers_and_raised_errors_use_up_the_same_attempts(world: World, arm: Callable[[str], None]) -> None:
    ran: list[int] = []

    def run(deps: Deps, _record: Training) -> Outcome:
        ran.append(deps.lease.lost)
        raise ValueError("odd")

    loop = world.loop(run)
    for _ in range(3):
        lose_worker(world, loop, arm)
    run_until_idle(loop, Queue.CONTROL)
    assert not world.now.phase.is_final
    world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert ran == [3, 3]
    assert (world.now.phase, world.now.reason) == (Phase.ERRORED, "GaveUp")


def test_i9_story_ends_without_its_step_when_the_step_lost_its_worker_five_times(
    world: World, arm: Callable[[str], None]
) -> None:
    loop = world.loop(fail(AssertionError("was run")))
    for _ in range(5):
        lose_worker(world, loop, arm)
    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, world.now.reason) == (Phase.ERRORED, "WorkerLost")
    assert "first lost its worker 5 times" in world.now.message


def test_i9_story_ends_as_it_says_when_its_step_lost_its_worker_too_often(
    world: World, arm: Callable[[str], None]
) -> None:
    def failed(_deps: Deps, _record: Training, error: Exception) -> Outcome:
        return Ended(Phase.CANCELLED, "Broken", f"so it ends: {error}")

    loop = world.loop(fail(AssertionError("was run")), attempts=3, failed=failed)
    for _ in range(3):
        lose_worker(world, loop, arm)
    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, world.now.reason) == (Phase.CANCELLED, "Broken")
    assert "lost its worker 3 times" in world.now.message


def test_i9_story_ends_all_the_same_when_the_end_that_it_says_loses_workers_too(
    world: World, arm: Callable[[str], None]
) -> None:
    def failed(_deps: Deps, _record: Training, _error: Exception) -> Outcome:
        raise AssertionError("was asked")

    loop = world.loop(fail(AssertionError("was run")), attempts=3, failed=failed)
    for _ in range(6):
        lose_worker(world, loop, arm)
    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, world.now.reason) == (Phase.ERRORED, "WorkerLost")


def test_lost_workers_are_forgotten_when_a_step_waits(world: World, arm: Callable[[str], None]) -> None:
    loop = world.loop(say(Wait(timedelta(0), "Baking")))
    for _ in range(12):
        lose_worker(world, loop, arm)
        assert run_next(loop, Queue.CONTROL)
    assert not world.now.phase.is_final


def test_recurring_job_that_loses_its_worker_again_and_again_rests_for_a_while(
    world: World, arm: Callable[[str], None]
) -> None:
    story: AnyStory = Story("sweep", (Step("look", say(Done())),), lambda _deps, subject: subject)
    loop = Loop(
        make_deps(world.store, world.folder), {"sweep": story, **world.loop(say(Done())).stories}, "test", QUIET
    )
    run_until_idle(loop, Queue.CONTROL)
    world.store.wake("sweep", "acme/iris")
    for _ in range(5):
        lose_worker(world, loop, arm)
    run_until_idle(loop, Queue.CONTROL)

    (job,) = (job for job in world.store.jobs() if job.kind == "sweep")
    assert (job.state, job.reason, job.lost) == ("stalled", "WorkerLost", 0)
    world.clock.advance(timedelta(minutes=10))
    assert run_until_idle(loop, Queue.CONTROL) == 1
    (job,) = (job for job in world.store.jobs() if job.kind == "sweep")
    assert job.state == "idle"


def test_row_that_cannot_be_read_is_shown_and_tried_again(world: World) -> None:
    def load(_deps: Deps, _subject: str) -> Training:
        raise ValueError("no such field")

    assert run_until_idle(world.loop(say(Done()), load=load), Queue.CONTROL) == 1

    assert world.job is not None
    assert (world.job.state, world.job.message, world.job.attempts) == (
        "retrying",
        "Retrying: ValueError: no such field",
        1,
    )


# ------------------------------------------------------------ a database that is away


class Flaky:
    """The real store behind a connection that fails as often as it is told, before or after the database did it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fails: dict[str, int] = {}
        self.reason = "DatabaseUnavailable"

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        if self.fails.get(name, 0) > 0:
            self.fails[name] -= 1
            raise RetryError(self.reason, "the database is away")
        return getattr(self._store, name)


def flaky(loop: Loop, **fails: int) -> tuple[Loop, Flaky]:
    store = Flaky(loop.deps.store)
    store.fails = fails
    return replace(loop, deps=replace(loop.deps, store=store)), store


def test_i27_claim_is_made_when_the_database_is_back(world: World) -> None:
    loop, _ = flaky(world.loop(say(Done())), claim=3)

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert world.now.phase is Phase.SUCCEEDED


def test_i27_answer_is_written_when_the_database_is_back_and_the_step_is_not_run_again(world: World) -> None:
    ran: list[str] = []

    def run(_deps: Deps, record: Training) -> Outcome:
        ran.append(record.id)
        return Done()

    loop, _ = flaky(world.loop(run), finish=4, renew=4)

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (world.now.phase, len(ran)) == (Phase.SUCCEEDED, 1)


def test_i27_answer_that_the_database_never_takes_is_an_error_of_the_step(world: World) -> None:
    loop, store = flaky(world.loop(say(Done())), finish=3)

    assert run_until_idle(loop, Queue.CONTROL) == 1

    assert store.fails["finish"] == 0
    assert not world.now.phase.is_final
    assert world.now.message.startswith("Unwritable: RetryError: the database is away")
    assert world.job is not None
    assert world.job.attempts == 1


def test_i27_busy_database_never_turns_an_answer_into_an_error(world: World) -> None:
    loop, store = flaky(world.loop(say(Done())), finish=4)
    store.reason = "DatabaseBusy"

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert world.now.phase is Phase.SUCCEEDED


def test_i7_nothing_more_is_tried_when_the_job_went_to_another_worker_while_the_database_was_away(world: World) -> None:
    def run(_deps: Deps, _record: Training) -> Outcome:
        world.clock.advance(LEASE)
        assert world.store.claim(Queue.CONTROL, owner="another", lease=LEASE)
        return Done()

    loop, store = flaky(world.loop(run), finish=1000)

    assert run_next(loop, Queue.CONTROL)
    assert store.fails["finish"] == 999
    assert world.now.phase is Phase.PENDING


def test_i31_worker_that_must_stop_waits_no_longer_for_the_database(world: World) -> None:
    shift = Shift()

    def run(_deps: Deps, _record: Training) -> Outcome:
        shift.end(0.0)
        return Done()

    loop, store = flaky(world.loop(run), finish=1000)
    run_until_idle(replace(loop, shift=shift), Queue.CONTROL)

    assert store.fails["finish"] == 999
    assert world.job is not None
    assert world.job.state == "leased"


def test_i27_one_claim_that_goes_wrong_costs_the_others_nothing(world: World, arm: Callable[[str], None]) -> None:
    world.store.wake("training", "t-gone")
    arm("finish.before=raise@1")

    assert run_until_idle(world.loop(say(Done())), Queue.CONTROL) == 2

    states = {job.subject: job.state for job in world.store.jobs() if job.kind == "training"}
    assert list(states.values()) in (["leased"], [])
    assert len([job for job in world.store.jobs() if job.state == "leased"]) == 1


# ------------------------------------------------------------ leases


def test_i7_effect_is_made_when_nobody_took_the_job_while_the_worker_was_away(world: World) -> None:
    def make(deps: Deps, record: Training) -> Outcome:
        world.clock.advance(LEASE)
        return world.make(deps, record)

    assert run_next(world.loop(make), Queue.CONTROL)
    assert world.outside == ["thing 1"]


def test_i7_effect_is_not_made_when_the_machine_slept_with_its_clock_and_somebody_took_the_job(world: World) -> None:
    def sleep(place: str) -> None:
        if place == "make.before":
            world.clock.advance(LEASE)
            assert world.store.claim(Queue.CONTROL, owner="heir", lease=LEASE) is not None

    failpoints.watch(sleep)
    try:
        run_next(replace(world.loop(world.make), clock=lambda: 0.0), Queue.CONTROL)
    finally:
        failpoints.watch(None)
    assert world.outside == []


def test_i7_database_is_asked_again_when_its_answer_came_a_lease_later(world: World) -> None:
    lease = LEASE.total_seconds()
    readings = iter([0.0, 0.0, lease, lease, lease])
    assert run_next(replace(world.loop(world.make), clock=lambda: next(readings)), Queue.CONTROL)
    assert world.outside == ["thing 1"]
    assert next(readings, None) is None


def test_is_stopping_from_the_moment_the_worker_is_asked_to_stop(world: World) -> None:
    shift = Shift()
    seen: list[tuple[bool, bool]] = []

    def run(deps: Deps, _record: Training) -> Outcome:
        seen.append((deps.lease.is_stopping(), deps.lease.is_held()))
        shift.end(3600)
        seen.append((deps.lease.is_stopping(), deps.lease.is_held()))
        return Done()

    assert run_until_idle(replace(world.loop(run, run), shift=shift), Queue.CONTROL) == 1
    assert seen == [(False, True), (True, True)]


def test_long_work_is_no_longer_held_when_the_time_of_a_stopping_worker_is_over(world: World) -> None:
    shift = Shift()
    seen: list[bool] = []

    def run(deps: Deps, _record: Training) -> Outcome:
        shift.end(0.0)
        seen.append(deps.lease.is_held())
        return Done()

    run_until_idle(replace(world.loop(run), shift=shift), Queue.CONTROL)
    assert seen == [False]
    assert world.now.phase is Phase.SUCCEEDED


def test_i31_job_in_the_hands_of_a_step_that_does_not_end_is_handed_back(world: World) -> None:
    shift = Shift()

    def run(deps: Deps, record: Training) -> Outcome:
        assert shift.hand_back() == 1
        assert not deps.lease.is_held()
        with pytest.raises(StaleEpochError):
            world.make(deps, record)
        return Done()

    assert run_next(replace(world.loop(run), shift=shift), Queue.CONTROL)

    assert world.job is not None
    assert (world.job.state, world.job.tries) == ("ready", 0)
    assert 0 < world.due_in <= 10
    assert world.now.phase is Phase.PENDING
    assert not shift.held


def test_i31_training_is_left_to_its_lease(world: World) -> None:
    shift = Shift()

    def run(_deps: Deps, _record: Training) -> Outcome:
        assert shift.hand_back() == 0
        return Done()

    loop = replace(world.loop(Step("train", run, queue=Queue.TRAINING)), shift=shift)
    run_until_idle(loop, Queue.CONTROL)
    assert run_until_idle(loop, Queue.TRAINING) == 1
    assert world.now.phase is Phase.SUCCEEDED


def test_heartbeats_go_on_when_the_database_fails_in_a_way_that_nobody_foresaw(world: World) -> None:
    beats: list[str] = []

    class Odd:
        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
            if name == "renew":
                beats.append(name)
                if len(beats) <= 3:
                    raise ValueError("odd")
            return getattr(world.store, name)

    def run(deps: Deps, _record: Training) -> Outcome:
        wait_until(lambda: len(beats) > 3)
        assert deps.lease.is_held()
        return Done()

    times = LeaseTimes(lease=LEASE, heartbeat=timedelta(milliseconds=5))
    loop = world.loop(run, times=times)
    odd: Any = Odd()
    run_until_idle(replace(loop, deps=replace(loop.deps, store=odd)), Queue.CONTROL)

    assert world.now.phase is Phase.SUCCEEDED
