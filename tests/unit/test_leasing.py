"""When the heartbeats of a lease begin: not for a short step, and in time for a long one."""

import threading
import time
from datetime import timedelta

from gitops.leasing import HeldLease, Shift
from gitops.ports import Deps
from gitops.reconcile import run_until_idle
from gitops.records import Training
from gitops.steps import Done, Outcome, Phase, Queue
from tests.support.reconcile import BUSY, QUIET, World, wait_until, world
from tests.support.store import LEASE

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
    with HeldLease(world.store, poll, times=QUIET, shift=Shift(), since=time.monotonic()):
        world.clock.advance(LEASE / 2)
        assert world.store.renew(poll, lease=10 * LEASE)
        run_until_idle(world.loop(run, times=BUSY), Queue.CONTROL)

    assert len(held) == 1
    assert beating() == []
    assert world.now.phase is Phase.SUCCEEDED
