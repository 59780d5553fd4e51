"""When the heartbeats of a lease begin: not for a short step, and in time for a long one."""

import threading
import time
from datetime import timedelta

from gitops.leasing import HeldLease, Shift
from gitops.ports import Deps
from gitops.reconcile import run_until_idle
from gitops.records import Training
from gitops.steps import Done, Outcome, Phase, Queue, Step
from gitops.writes import CancelTraining
from tests.support.reconcile import BUSY, QUIET, World, wait_until, world
from tests.support.store import LEASE, write

__all__ = ["world"]


def beating() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lease-")]


def test_a_step_that_is_over_before_its_first_heartbeat_starts_no_thread(world: World) -> None:
    seen: list[list[str]] = []

    def run(_deps: Deps, _record: Training) -> Outcome:
        seen.append(beating())
        return Done()

    run_until_idle(world.loop(run, run), Queue.CONTROL)

    assert seen == [[], []]
    assert world.now.phase is Phase.SUCCEEDED


def test_a_lease_is_renewed_in_time_when_one_with_longer_heartbeats_began_before(world: World) -> None:
    job = world.store.wake("poll", "1")
    held: list[str] = []

    def run(deps: Deps, _record: Training) -> Outcome:
        world.clock.advance(timedelta(seconds=0.9))
        wait_until(lambda: (deps.store.next_due() or 0) > 0.5)
        held.extend(beating())
        return Done()

    claims = [world.store.claim(Queue.CONTROL, owner="other", lease=LEASE) for _ in range(2)]
    (poll,) = [claim for claim in claims if claim is not None and claim.job == job]
    world.clock.advance(LEASE / 2)
    with HeldLease(world.store, poll, times=QUIET, shift=Shift()):
        world.clock.advance(LEASE / 2)
        assert world.store.renew(poll, lease=10 * LEASE)
        run_until_idle(world.loop(run, times=BUSY), Queue.CONTROL)

    assert len(held) == 1
    assert beating() == []
    assert world.now.phase is Phase.SUCCEEDED


def test_a_training_that_is_taken_away_is_noticed_long_before_its_next_heartbeat(world: World) -> None:
    noticed: list[bool] = []

    def run(deps: Deps, record: Training) -> Outcome:
        write(world.store, CancelTraining(record.id, by="ada"))
        wait_until(lambda: not deps.lease.is_held())
        noticed.append(True)
        return Done()

    world.store.wake("training", world.training.id)
    step = Step("first", run, queue=Queue.TRAINING)
    run_until_idle(world.loop(step, times=QUIET), Queue.CONTROL)
    run_until_idle(world.loop(step, times=QUIET), Queue.TRAINING)

    assert noticed == [True]
    assert world.now.phase is Phase.CANCELLED
    assert beating() == []


def test_a_control_step_is_asked_for_no_more_than_its_heartbeats(world: World) -> None:
    def run(_deps: Deps, _record: Training) -> Outcome:
        time.sleep(1.2)  # longer than a training is left alone
        return Done(facts={"run_id": ",".join(beating())})

    run_until_idle(world.loop(run), Queue.CONTROL)

    assert world.now.facts.run_id == ""
