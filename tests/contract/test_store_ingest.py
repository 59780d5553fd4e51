"""The shortest way in: one statement for a group of deliveries, on both databases, and what is left when it is cut."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import insert

from gitops.errors import RetryError, UnknownOutcomeError
from gitops.ports import Received
from gitops.records import Delivery
from gitops.steps import Queue
from gitops.store import SqlStore, tables
from gitops.store.database import Database, open_database
from gitops.store.rows import to_row
from tests.support.postgres import Postgres, running_postgres
from tests.support.store import LEASE, Clock, clock, make_delivery, store, take

__all__ = ["clock", "store"]


def test_i4_delivery_has_its_job_whoever_inserted_it(database_url: str, clock: Clock) -> None:
    delivery = make_delivery(created_at=clock.time, updated_at=clock.time)
    database = Database(open_database(database_url))
    with database.write() as connection:
        connection.execute(insert(tables.deliveries).values(to_row(delivery)))
    database.close()
    with closing(SqlStore(database_url, clock=clock)) as store:
        claim = take(store)
        assert (claim.kind, claim.subject, claim.epoch) == ("delivery", delivery.id, 1)
        assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None


def test_group_of_a_thousand_is_kept_by_one_statement(store: SqlStore) -> None:
    batch = [make_delivery(bytes([number % 256]) * number) for number in range(1000)]
    assert store.save_deliveries(batch) == [Received.NEW] * 1000
    assert sum(job.count for job in store.tallies().jobs if job.is_due) == 1000
    kept = store.delivery(batch[999].id)
    assert kept is not None
    assert (kept.body, kept.facts, kept.revision) == (batch[999].body, batch[999].facts, 0)


def test_groups_with_the_same_deliveries_in_another_order_never_deadlock(postgres: Postgres) -> None:
    url = postgres.make_database()
    together = Barrier(2)

    def save(store: SqlStore, group: list[Delivery]) -> list[Received]:
        together.wait(60)
        return store.save_deliveries(group)

    with closing(SqlStore(url)) as one, closing(SqlStore(url)) as other, ThreadPoolExecutor(2) as pool:
        for _ in range(30):
            batch = [make_delivery(b"x" * 3000) for _ in range(100)]
            first, second = pool.map(save, (one, other), (batch, batch[::-1]))
            assert Counter(zip(first, reversed(second), strict=True)).keys() <= {
                (Received.NEW, Received.DUPLICATE),
                (Received.DUPLICATE, Received.NEW),
            }
    with postgres.admin() as admin:
        name = url.rpartition("/")[2]
        (count,) = admin.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = %s", [name]).fetchone() or ()
    assert count == 0
    postgres.drop(url)


def test_clock_of_a_server_is_what_a_delivery_carries(database_url: str) -> None:
    with closing(SqlStore(database_url)) as store:
        before = store.now()
        delivery = make_delivery()
        store.save_delivery(delivery)
        kept = store.delivery(delivery.id)
        assert kept is not None
        assert kept.created_at is not None
        assert before <= kept.created_at <= store.now()
        assert kept.updated_at == kept.created_at


# ---- lost connections


class CutDoor:
    """Ends the connection that deliveries come by, around one statement.

    Args:
        after: whether the server had kept it by then; the store cannot tell.
    """

    def __init__(self, store: SqlStore, postgres: Postgres, *, after: bool) -> None:
        store.save_delivery(make_delivery())
        self._raw: Any = store._database.kind._door  # type: ignore[attr-defined]  # noqa: SLF001 - the wire is what is cut
        self._execute = self._raw.execute
        self._postgres = postgres
        self._after = after
        self.count = 0
        self._raw.execute = self._cut

    def _cut(self, text: str, *arguments: Any) -> Any:  # noqa: ANN401 - the driver's
        if self.count:
            return self._execute(text, *arguments)
        self.count += 1
        if self._after:
            self._execute(text, *arguments)
        with self._postgres.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (self._raw.info.backend_pid,))
        # By a connection that is gone, whatever is asked: the answer to what was kept is what is lost.
        return self._execute("SELECT 1") if self._after else self._execute(text, *arguments)


@pytest.mark.parametrize("after", [False, True])
def test_i27_delivery_on_postgresql_is_kept_once_when_its_statement_was_cut(
    postgres_url: str, postgres: Postgres, *, after: bool
) -> None:
    with closing(SqlStore(postgres_url)) as store:
        cut = CutDoor(store, postgres, after=after)
        delivery = make_delivery()
        assert store.save_delivery(delivery) is (Received.DUPLICATE if after else Received.NEW)
        assert (cut.count, len(store.recent("delivery")), len(store.jobs())) == (1, 2, 2)
        assert store.save_delivery(delivery) is Received.DUPLICATE


def test_i27_outcome_is_said_to_be_unknown_when_the_server_stays_away_after_a_cut_statement() -> None:
    with running_postgres() as server, closing(SqlStore(server.make_database())) as store:
        store.save_delivery(make_delivery())
        raw: Any = store._database.kind._door  # type: ignore[attr-defined]  # noqa: SLF001 - the wire is cut

        def stop(*arguments: Any) -> Any:  # noqa: ANN401 - the driver's
            server.stop()
            return execute(*arguments)

        execute, raw.execute = raw.execute, stop
        delivery = make_delivery()
        with pytest.raises(UnknownOutcomeError) as caught:
            store.save_delivery(delivery)
        assert caught.value.reason == "DatabaseUnavailable"
        with pytest.raises(RetryError) as away:
            store.save_delivery(delivery)
        assert (type(away.value) is UnknownOutcomeError, away.value.reason) == (False, "DatabaseUnavailable")
        server.start()
        assert store.save_delivery(delivery) is Received.NEW
