"""The loop over the real store: effects are made once and a lost worker writes nothing."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from gitops.failpoints import FailpointError
from gitops.ports import Deps
from gitops.reconcile import run_next, run_until_idle
from gitops.records import Training
from gitops.steps import Done, Outcome, Phase, Queue, Step, Wait
from tests.support.reconcile import BUSY, World, arm, fail, say, wait_until, world
from tests.support.store import LEASE

__all__ = ["arm", "world"]

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
