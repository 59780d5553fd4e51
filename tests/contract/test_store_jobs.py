from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gitops.ports import Exit
from gitops.steps import Done, Ended, Phase, Queue, Refused, Stalled, Wait
from gitops.store import SqlStore
from gitops.writes import Wake
from tests.support.store import (
    LEASE,
    Clock,
    answer,
    clock,
    make_delivery,
    start_training,
    store,
    take,
    write,
)

__all__ = ["clock", "store"]


def test_claim_gives_the_oldest_job_when_several_are_ready(store: SqlStore, clock: Clock) -> None:
    for name in ("b", "a", "c"):
        store.wake("poll", name)
        clock.advance(timedelta(seconds=1))
    assert [take(store).subject for _ in range(3)] == ["b", "a", "c"]
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None


def test_claim_leaves_jobs_of_another_queue(store: SqlStore) -> None:
    store.wake("train", "x", queue=Queue.TRAINING)
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None
    assert take(store, Queue.TRAINING).subject == "x"


def test_job_is_not_ready_before_its_time(store: SqlStore, clock: Clock) -> None:
    store.wake("poll", "a", after=timedelta(seconds=30))
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None
    assert store.next_due() == 30
    clock.advance(timedelta(seconds=30))
    assert store.next_due() == 0
    assert take(store).subject == "a"


def test_wake_with_after_changes_nothing_when_the_job_exists(store: SqlStore) -> None:
    first = store.wake("poll", "a", after=timedelta(seconds=30))
    assert store.wake("poll", "a", after=timedelta(seconds=1)) == first
    assert store.next_due() == 30


def test_i7_each_job_is_claimed_once_when_eight_workers_compete(
    store: SqlStore, database_url: str, clock: Clock
) -> None:
    for number in range(200):
        store.wake("poll", f"{number}")
    other = SqlStore(database_url, clock=clock)

    def work(name: int) -> list[int]:
        mine: list[int] = []
        ours = store if name % 2 else other
        while claim := ours.claim(Queue.CONTROL, owner=f"{name}", lease=LEASE):
            mine.append(claim.job)
            ours.finish(claim, Exit(None, Done(), recurring=True))
        return mine

    with ThreadPoolExecutor(8) as pool:
        counts = Counter(job for jobs in pool.map(work, range(8)) for job in jobs)
    other.close()
    assert len(counts) == 200
    assert set(counts.values()) == {1}


def test_wake_during_a_lease_is_not_lost(store: SqlStore) -> None:
    claim = start_training(store)
    store.wake("training", claim.subject)
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None
    answer(store, claim, Wait(timedelta(hours=1), "AwaitMerge"))
    again = take(store)
    assert again.subject == claim.subject
    answer(store, again, Wait(timedelta(hours=1), "AwaitMerge"))
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None


def test_story_stays_over_when_it_is_woken(store: SqlStore) -> None:
    claim = start_training(store)
    store.wake("training", claim.subject)
    answer(store, claim, Refused("GateRefused", "accuracy 0.8 is not above 0.9"), step="judge")
    store.wake("training", claim.subject)
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None
    assert all(job.subject != claim.subject for job in store.jobs())


def test_waiting_job_is_ready_when_it_is_woken(store: SqlStore) -> None:
    claim = start_training(store)
    answer(store, claim, Wait(timedelta(hours=1), "AwaitMerge", "waits for a person"))
    (view,) = (job for job in store.jobs() if job.subject == claim.subject)
    assert (view.state, view.reason, view.message) == ("waiting", "AwaitMerge", "waits for a person")
    store.wake("training", claim.subject)
    assert take(store).subject == claim.subject


def test_wakes_that_may_be_left_for_a_while_are_one_and_hold_up_no_other(store: SqlStore, clock: Clock) -> None:
    for _ in range(3):
        write(store, Wake("report", "x", timedelta(seconds=30)))
        clock.advance(timedelta(seconds=1))
    assert store.next_due() == 27
    write(store, Wake("report", "x", timedelta(seconds=5)))
    assert store.next_due() == 5
    write(store, Wake("report", "x"))
    claim = take(store)
    assert claim.subject == "x"
    write(store, Wake("report", "x", timedelta(seconds=30)))
    store.finish(claim, Exit(None, Done(), step="tell", recurring=True))
    assert store.next_due() is None


def test_job_that_was_woken_while_it_was_held_keeps_a_moment_that_it_asked_for_and_no_longer_one(
    store: SqlStore, clock: Clock
) -> None:
    claim = start_training(store)
    store.wake("training", claim.subject)
    answer(store, claim, Wait(timedelta(seconds=1), "Comparing"))
    assert store.next_due() == 1
    clock.advance(timedelta(seconds=1))
    claim = take(store)
    store.wake("training", claim.subject)
    answer(store, claim, Wait(timedelta(seconds=2), "Comparing"))
    assert store.next_due() == 0


@pytest.mark.parametrize("is_unforeseen", [False, True])
@pytest.mark.parametrize("said", [Done(), Wait(timedelta(0), "Here"), Stalled("NoAccess", "grant access")])
def test_tries_in_vain_are_counted_by_their_cause_until_a_step_answers(
    store: SqlStore, clock: Clock, is_unforeseen: bool, said: Done | Wait | Stalled
) -> None:
    claim = start_training(store)
    for tries in range(1, 4):
        record = store.training(claim.subject)
        error = Exit(
            record, None, step="train", error="It: broke", retry_after=7, is_unforeseen=is_unforeseen, next_step="train"
        )
        store.finish(claim, error)
        (view,) = (job for job in store.jobs() if job.subject == claim.subject)
        assert (view.state, view.reason, view.message, view.tries) == ("retrying", "Retrying", "It: broke", tries)
        assert (view.not_before - store.now()).total_seconds() == 7
        clock.advance(timedelta(seconds=7))
        claim = take(store)
        assert (claim.attempts, claim.retries) == ((tries, 0) if is_unforeseen else (0, tries))
    clock.advance(LEASE)
    claim = take(store)
    assert claim.lost == 1
    answer(store, claim, said, step="train", next_step="judge")
    store.wake("training", claim.subject)
    claim = take(store)
    assert (claim.attempts, claim.retries, claim.lost) == (0, 0, 0)


def test_job_that_is_handed_back_is_ready_after_a_while_and_counts_nothing(store: SqlStore, clock: Clock) -> None:
    claim = start_training(store)
    before = store.training(claim.subject)
    store.wake("training", claim.subject)
    store.finish(claim, Exit(None, None, queue=claim.queue, retry_after=10, recurring=True))
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None
    clock.advance(timedelta(seconds=10))
    again = take(store)
    assert (again.job, again.attempts, again.retries, again.lost) == (claim.job, 0, 0, 0)
    assert store.training(claim.subject) == before


def test_next_step_runs_on_its_own_queue(store: SqlStore) -> None:
    claim = start_training(store)
    answer(store, claim, Done(), step="checkout", next_step="train", queue=Queue.TRAINING)
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None
    assert take(store, Queue.TRAINING).subject == claim.subject


def test_job_only_moves_when_the_exit_has_no_outcome(store: SqlStore) -> None:
    claim = start_training(store)
    before = store.training(claim.subject)
    store.finish(claim, Exit(before, None, queue=Queue.TRAINING))
    after = store.training(claim.subject)
    assert before is not None
    assert after == before
    assert take(store, Queue.TRAINING).job == claim.job


def test_job_is_over_when_its_record_is_gone(store: SqlStore) -> None:
    store.wake("training", "gone")
    store.finish(take(store), Exit(None, None))
    store.wake("training", "gone")
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None


def test_recurring_job_begins_again_when_it_was_over_and_is_woken(store: SqlStore) -> None:
    store.wake("poll", "1")
    store.finish(take(store), Exit(None, None))
    store.wake("poll", "1")
    assert take(store).subject == "1"


@pytest.mark.parametrize(
    ("outcome", "state", "due"),
    [
        (Done(), "idle", None),
        (Wait(timedelta(seconds=180), "Polling"), "waiting", 180),
        (Refused("RepoTooLarge", "too large"), "stalled", 600),
        (Stalled("NoAccess", "grant access"), "stalled", 600),
        (Ended(Phase.ERRORED, "GaveUp", "gave up"), "stalled", 600),
    ],
)
def test_recurring_job_is_never_over(
    store: SqlStore, outcome: Done | Wait | Refused | Stalled | Ended, state: str, due: float | None
) -> None:
    store.wake("poll", "1")
    store.finish(take(store), Exit(None, outcome, recurring=True))
    (view,) = store.jobs()
    assert view.state == state
    assert store.next_due() == due
    store.wake("poll", "1")
    assert take(store).subject == "1"


def test_stalled_story_is_looked_at_again_when_ten_minutes_passed(store: SqlStore, clock: Clock) -> None:
    claim = start_training(store)
    answer(store, claim, Stalled("NoInterpreter", "install Python 3.12"))
    training = store.training(claim.subject)
    assert training is not None
    assert (training.phase, training.reason) == (Phase.PENDING, "NoInterpreter")
    clock.advance(timedelta(minutes=10))
    assert take(store).subject == claim.subject


def test_effect_is_found_again_with_its_result_when_a_worker_was_lost(store: SqlStore, clock: Clock) -> None:
    first = start_training(store)
    assert store.intend(first, "run:1", "start_run") == (False, None)
    clock.advance(LEASE)
    second = take(store)
    assert store.intend(second, "run:1", "start_run") == (True, None)
    store.observe(second, "run:1", '{"run_id":"x"}')
    assert store.intend(second, "run:1", "start_run") == (True, '{"run_id":"x"}')


def test_delivery_job_carries_its_guid(store: SqlStore) -> None:
    delivery = make_delivery()
    store.save_delivery(delivery)
    claim = take(store)
    assert (claim.kind, claim.subject, claim.queue) == ("delivery", delivery.id, Queue.CONTROL)
