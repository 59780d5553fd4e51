from datetime import timedelta

import pytest

from gitops.errors import StaleEpochError
from gitops.ports import Exit
from gitops.ports.tallies import Hands, HeldJob, Leader
from gitops.steps import Done, Queue, Wait
from gitops.store import SqlStore
from gitops.writes import StartTraining
from tests.support.store import (
    LEASE,
    Clock,
    answer,
    clock,
    make_training,
    start_training,
    store,
    take,
)

__all__ = ["clock", "store"]


def test_i7_lost_job_goes_to_another_worker_when_its_lease_ran_out(store: SqlStore, clock: Clock) -> None:
    first = start_training(store)
    clock.advance(LEASE)
    second = take(store)
    assert (second.job, second.epoch, second.lost) == (first.job, first.epoch + 1, 1)
    assert not store.renew(first, lease=LEASE)
    assert store.renew(second, lease=LEASE)


def test_who_leads_and_who_has_which_job_is_told(store: SqlStore, clock: Clock) -> None:
    assert store.hands() == Hands(clock(), None, ())
    assert store.lead("relay", "relay-1:/home 4f1c", seconds=12)
    began, claim = clock(), start_training(store)
    clock.advance(timedelta(seconds=20))
    told = store.hands()
    assert told.leader == Leader("relay-1:/home", began, began + timedelta(seconds=12))
    assert told.held == (HeldJob("training", claim.subject, "control", "test", began + LEASE),)
    assert told.now == clock()


def test_i29_standby_leads_at_once_when_the_clock_is_set_back_and_the_leader_is_dead(
    store: SqlStore, clock: Clock
) -> None:
    assert store.lead("relay", "dead", seconds=8)
    clock.advance(-timedelta(hours=1))
    assert store.lead("relay", "standby", seconds=8)
    assert not store.lead("relay", "another", seconds=8)
    clock.advance(timedelta(seconds=8))
    assert store.lead("relay", "another", seconds=8)


def test_i29_leader_that_lives_goes_on_when_the_clock_is_set_back(store: SqlStore, clock: Clock) -> None:
    assert store.lead("relay", "alive", seconds=8)
    clock.advance(-timedelta(hours=1))
    assert store.lead("relay", "alive", seconds=8)
    assert not store.lead("relay", "standby", seconds=8)
    leader = store.hands().leader
    assert leader is not None
    assert (leader.since, leader.until) == (clock(), clock() + timedelta(seconds=8))


@pytest.mark.parametrize("asked", [0.5, 8, 3600])
def test_i29_lead_is_held_for_as_long_as_its_leader_said_whatever_others_ask_for(
    store: SqlStore, clock: Clock, asked: float
) -> None:
    assert store.lead("relay", "alive", seconds=600)
    # One who began to ask before the leader did, and had to wait for it, asks at an earlier time.
    for moment in (timedelta(seconds=-3), timedelta(seconds=3), timedelta(seconds=599)):
        clock.advance(moment)
        assert not store.lead("relay", "standby", seconds=asked)
    clock.advance(timedelta(seconds=1))
    assert store.lead("relay", "standby", seconds=asked)


def test_i29_live_worker_keeps_its_job_when_the_clock_is_set_back_and_forth_while_no_relay_leads(
    store: SqlStore, clock: Clock
) -> None:
    assert store.lead("relay", "relay", seconds=12)
    clock.advance(timedelta(seconds=11))
    claim = start_training(store)
    clock.advance(-timedelta(hours=1))
    assert store.renew(claim, lease=LEASE)
    clock.advance(timedelta(seconds=61))  # the clock leaps again, and the relay is gone
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
    assert store.renew(claim, lease=LEASE)


def test_i7_zombie_writes_nothing_when_another_worker_holds_the_job(store: SqlStore, clock: Clock) -> None:
    zombie = start_training(store)
    clock.advance(LEASE)
    heir = take(store)
    size = store.audit_size()
    before = store.training(zombie.subject)
    write_more = StartTraining(make_training(id="never"))
    with pytest.raises(StaleEpochError):
        answer(store, zombie, Done(facts={"run_id": "zombie"}, writes=(write_more,)), step="train", next_step="judge")
    with pytest.raises(StaleEpochError):
        store.intend(zombie, "run:1", "start_run")
    with pytest.raises(StaleEpochError):
        store.observe(zombie, "run:1", "{}")
    assert store.training(zombie.subject) == before
    assert store.training("never") is None
    assert store.audit_size() == size
    answer(store, heir, Done(facts={"run_id": "heir"}), step="train", next_step="judge")


def test_i7_claim_is_over_when_it_was_finished(store: SqlStore) -> None:
    claim = start_training(store)
    answer(store, claim, Wait(timedelta(minutes=1), "Waiting"))
    with pytest.raises(StaleEpochError):
        answer(store, claim, Wait(timedelta(minutes=1), "Waiting"))
    assert not store.renew(claim, lease=LEASE)


def test_a_claim_knows_whether_its_job_is_still_its_own(store: SqlStore, clock: Clock) -> None:
    store.wake("compare", "1")
    first = take(store)
    assert store.is_ours(first)
    clock.advance(LEASE)
    assert store.is_ours(first)
    second = take(store)
    assert not store.is_ours(first)
    store.finish(second, Exit(None, None))
    assert not store.is_ours(second)


def test_lease_lasts_when_it_is_renewed(store: SqlStore, clock: Clock) -> None:
    claim = start_training(store)
    for _ in range(3):
        clock.advance(LEASE * 0.9)
        assert store.renew(claim, lease=LEASE)
        assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None


@pytest.mark.parametrize("heartbeat", [1, 11])
@pytest.mark.parametrize("leads_again", [True, False])
@pytest.mark.parametrize("away", [61, 80, 3600])
def test_i29_live_worker_keeps_its_job_when_no_lease_could_be_prolonged_for_longer_than_it_lasts(
    store: SqlStore, clock: Clock, away: int, leads_again: bool, heartbeat: int
) -> None:
    assert store.lead("relay", "relay", seconds=12)
    claim = start_training(store)
    clock.advance(timedelta(seconds=away))  # the database was away, or its clock leapt
    assert store.claim(Queue.CONTROL, owner="quicker than the relay", lease=LEASE) is None
    if leads_again:
        assert store.lead("relay", "relay", seconds=12)
    clock.advance(timedelta(seconds=heartbeat))
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
    store.wake("poll", "ready")
    assert take(store).subject == "ready"
    assert store.renew(claim, lease=LEASE)
    clock.advance(timedelta(seconds=10))
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None


@pytest.mark.parametrize("leap", [80, 3600])
def test_i29_live_worker_keeps_its_job_through_each_of_two_leaps_while_no_relay_leads(
    store: SqlStore, clock: Clock, leap: int
) -> None:
    assert store.lead("relay", "relay", seconds=12)
    claim = start_training(store)
    for _ in range(2):
        clock.advance(timedelta(seconds=leap))
        assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
        clock.advance(timedelta(seconds=10))
        assert store.renew(claim, lease=LEASE)
        clock.advance(timedelta(seconds=5))
        assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None


def test_i29_live_worker_keeps_its_job_when_the_clock_leaps_and_is_set_back(store: SqlStore, clock: Clock) -> None:
    assert store.lead("relay", "relay", seconds=12)
    claim = start_training(store)
    clock.advance(timedelta(hours=1))
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
    clock.advance(timedelta(minutes=-30))
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
    clock.advance(timedelta(seconds=11))
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
    assert store.renew(claim, lease=LEASE)


@pytest.mark.parametrize("leads_again", [True, False])
@pytest.mark.parametrize("leap", [80, 3600])
def test_i7_lost_job_goes_to_another_worker_a_moment_after_no_lease_could_be_prolonged(
    store: SqlStore, clock: Clock, leap: int, leads_again: bool
) -> None:
    assert store.lead("relay", "relay", seconds=12)
    claim = start_training(store)
    clock.advance(timedelta(seconds=leap))
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
    if leads_again:
        assert store.lead("relay", "relay", seconds=12)
        clock.advance(timedelta(seconds=6))
        assert store.lead("relay", "relay", seconds=12)
        clock.advance(timedelta(seconds=6))
    else:
        clock.advance(timedelta(seconds=12))
    assert take(store).job == claim.job


@pytest.mark.parametrize("gap", [4, 11])
def test_i7_lost_job_goes_to_another_worker_at_once_while_a_relay_leads_on(
    store: SqlStore, clock: Clock, gap: int
) -> None:
    claim = start_training(store)
    for _ in range(20):
        assert store.lead("relay", "relay", seconds=12)
        clock.advance(timedelta(seconds=gap))
    assert take(store).job == claim.job


def test_i7_lost_jobs_wait_a_few_seconds_only_for_a_relay_that_is_gone(store: SqlStore, clock: Clock) -> None:
    assert store.lead("relay", "relay", seconds=12)
    lost = [start_training(store).job for _ in range(3)]
    clock.advance(LEASE)
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
    clock.advance(timedelta(seconds=11))
    assert store.claim(Queue.CONTROL, owner="another", lease=LEASE) is None
    clock.advance(timedelta(seconds=1))
    assert sorted(take(store).job for _ in lost) == sorted(lost)


@pytest.mark.parametrize("every", [1, 5, 12, 40])
def test_i7_no_lost_job_waits_a_minute_for_a_relay_that_is_gone_while_somebody_asks(
    store: SqlStore, clock: Clock, every: int
) -> None:
    assert store.lead("relay", "relay", seconds=12)
    for _ in range(3):
        store.wake("poll", "lost")
        claim = take(store)
        clock.advance(LEASE)
        waited = 0
        while (heir := store.claim(Queue.CONTROL, owner="another", lease=LEASE)) is None:
            clock.advance(timedelta(seconds=every))
            waited += every
            assert waited < 60
        assert heir.job == claim.job
        store.finish(heir, Exit(None, Done(), recurring=True))
