"""What a relay looks at: the ready jobs, when the next one is due, and whether anybody wrote."""

from datetime import timedelta

from gitops.steps import Queue
from gitops.store import SqlStore
from tests.support.store import (
    Clock,
    clock,
    store,
    take,
)
from tests.support.training import wait_until

__all__ = ["clock", "store"]


def test_depth_names_the_ready_jobs_oldest_first(store: SqlStore, clock: Clock) -> None:
    assert store.depth() == []
    first = store.wake("poll", "a")
    clock.advance(timedelta(seconds=5))
    second = store.wake("poll", "b")
    store.wake("poll", "later", after=timedelta(hours=1))
    (control,) = store.depth()
    assert (control.queue, control.ready, control.oldest, control.jobs) == (
        Queue.CONTROL,
        2,
        5.0,
        ((first, 0), (second, 0)),
    )


def test_next_due_is_the_end_of_a_lease_when_nothing_else_comes(store: SqlStore) -> None:
    assert store.next_due() is None
    store.wake("poll", "a")
    take(store)
    assert store.next_due() == 60


def test_has_changed_tells_of_writes_by_us_and_by_others(store: SqlStore) -> None:
    assert store.has_changed()
    assert not store.has_changed()
    store.wake("poll", "a")
    # A server tells of a commit in its own time.
    wait_until(store.has_changed)
    assert not store.has_changed()
    store.depth()
    assert not store.has_changed()
