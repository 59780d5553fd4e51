"""What a relay looks at: the ready jobs, when the next one is due, and whether anybody wrote."""

from datetime import timedelta
from typing import Any

from sqlalchemy import event

from gitops.steps import Queue
from gitops.store import SqlStore
from tests.support.store import (
    Clock,
    clock,
    make_delivery,
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
    assert (control.queue, control.oldest, control.jobs) == (Queue.CONTROL, 5.0, ((first, 0), (second, 0)))


def test_depth_of_a_burst_reads_no_more_rows_than_hints_are_given(store: SqlStore, clock: Clock) -> None:
    store.save_delivery(make_delivery())
    (first,) = store.jobs()
    clock.advance(timedelta(seconds=5))
    store.save_deliveries([make_delivery() for _ in range(1000)])
    asked: list[str] = []

    @event.listens_for(store._database.kind.engine, "before_cursor_execute")  # noqa: SLF001 - no port tells what is read
    def note(*told: Any) -> None:  # noqa: ANN401 - connection, cursor, the statement and more
        asked.append(told[2])

    (control,) = store.depth()
    assert (control.oldest, len(control.jobs), control.jobs[0][0]) == (5.0, 64, first.job)
    of_jobs = [statement for statement in asked if "FROM jobs" in statement]
    assert len(of_jobs) == len(Queue)
    assert all("LIMIT" in statement and "count(" not in statement for statement in of_jobs)


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
