"""Connections to PostgreSQL that are lost, commits that are cut, transactions that gave way: all once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import pytest
from sqlalchemy import event

from gitops.errors import RetryError, UnknownOutcomeError
from gitops.ports import Received
from gitops.steps import Done, Queue
from gitops.store import SqlStore, check_audit_joins
from gitops.store.jobs import check_held, release_job, wake_job
from gitops.store.transaction import Transaction
from gitops.writes import StartTraining
from tests.contract.store_postgres_rig import store
from tests.support.postgres import Postgres, running_postgres
from tests.support.store import (
    LEASE,
    answer,
    make_command,
    make_delivery,
    make_training,
    take,
)

__all__ = ["store"]


def test_i27_store_on_postgresql_goes_on_when_all_its_connections_were_ended(
    store: SqlStore, postgres_url: str, postgres: Postgres
) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store.save_delivery, [make_delivery() for _ in range(8)]))
    assert store.has_changed()
    with postgres.admin(postgres_url.rpartition("/")[2]) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    assert store.save_delivery(make_delivery()) is Received.NEW
    assert len(store.recent("delivery")) == 9


class Severed:
    """Ends a store's own connection around one of its commits.

    Args:
        after: whether the server had committed by then; the store cannot tell.
    """

    def __init__(self, store: SqlStore, postgres: Postgres, *, after: bool) -> None:
        self._postgres = postgres
        self._after = after
        self.engine = store._database.kind.engine  # noqa: SLF001 - the wire is what is cut
        self.count = 0

    def __enter__(self) -> Self:
        event.listen(self.engine, "before_cursor_execute", self._before)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self.engine, "before_cursor_execute", self._before)

    def _before(self, connection: Any, _cursor: object, statement: str, *_: object) -> None:  # noqa: ANN401 - SQLAlchemy's
        if not statement.startswith("COMMIT") or self.count:
            return
        self.count += 1
        raw = connection.connection.dbapi_connection
        if self._after:
            raw.execute("COMMIT")
        with self._postgres.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (raw.info.backend_pid,))


@pytest.mark.parametrize("after", [False, True])
def test_i27_every_write_on_postgresql_comes_to_the_same_when_its_commit_was_cut(
    store: SqlStore, postgres: Postgres, *, after: bool
) -> None:
    store.save_delivery(make_delivery())
    with Severed(store, postgres, after=after) as cut:
        claim = store.claim(Queue.CONTROL, owner="x", lease=LEASE)
    assert claim is not None
    assert (cut.count, claim.epoch, claim.lost) == (1, 1, 0)

    with Severed(store, postgres, after=after):
        assert store.intend(claim, "run:1", "start_run") == (after, None)
    with Severed(store, postgres, after=after):
        store.observe(claim, "run:1", "{}")
    assert store.intend(claim, "run:1", "start_run") == (True, "{}")
    with Severed(store, postgres, after=after):
        assert store.renew(claim, lease=LEASE)

    training = make_training()
    with Severed(store, postgres, after=after) as cut:
        answer(store, claim, Done(facts={"outcome": "woke"}, writes=(StartTraining(training),)), step="read")
    assert cut.count == 1
    assert (store.audit_size(), check_audit_joins(store)) == (1, [])
    assert [job.kind for job in store.jobs()] == ["training"]

    command = make_command()
    with Severed(store, postgres, after=after):
        assert store.save_command(command).id == command.id
    with Severed(store, postgres, after=after):
        assert store.lead("relay", "us", seconds=30)
    assert not store.lead("relay", "them", seconds=30)


@pytest.mark.parametrize("after", [False, True])
def test_i27_outcome_is_said_to_be_unknown_when_a_lock_is_not_won_after_a_cut_commit(
    store: SqlStore, postgres: Postgres, postgres_url: str, *, after: bool
) -> None:
    command = make_command()
    with postgres.admin(postgres_url.rpartition("/")[2]) as other, Severed(store, postgres, after=after) as cut:

        def lock(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("COMMIT"):
                other.execute("BEGIN")
                other.execute("LOCK TABLE commands")

        event.listen(cut.engine, "before_cursor_execute", lock)
        with pytest.raises(UnknownOutcomeError) as caught:
            store.save_command(command)
        event.remove(cut.engine, "before_cursor_execute", lock)
        other.execute("ROLLBACK")
    assert caught.value.reason == "DatabaseUnavailable"
    assert store.save_command(command).id == command.id
    assert len(store.jobs()) == 1


def test_i27_outcome_is_said_to_be_unknown_when_the_server_stays_away_after_a_cut_commit() -> None:
    with running_postgres() as server:
        store = SqlStore(server.make_database())
        command = make_command()

        def stop(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("COMMIT") and server.process is not None:
                server.stop()

        event.listen(store._database.kind.engine, "before_cursor_execute", stop)  # noqa: SLF001 - the wire is cut
        with pytest.raises(UnknownOutcomeError) as caught:
            store.save_command(command)
        assert caught.value.reason == "DatabaseUnavailable"
        with pytest.raises(RetryError) as away:
            store.save_command(command)
        assert (type(away.value) is UnknownOutcomeError, away.value.reason) == (False, "DatabaseUnavailable")
        event.remove(store._database.kind.engine, "before_cursor_execute", stop)  # noqa: SLF001
        server.start()
        assert store.save_command(command).id == command.id
        store.close()


def test_transactions_that_gave_way_on_postgresql_are_done_again_whole(
    store: SqlStore,
) -> None:
    """Two finish at once and wake each other's job: the server breaks one off, and it is done again."""
    for name in ("a", "b"):
        store.wake("poll", name)
    first, second = take(store), take(store)
    barrier = threading.Barrier(2)
    tries: list[int] = []

    def finish(mine: Any, other: str) -> None:  # noqa: ANN401 - a claim
        def do(tx: Transaction) -> None:
            tries.append(1)
            check_held(tx, mine)
            if len(tries) <= 2:
                barrier.wait(timeout=30)
            wake_job(tx, "poll", other, queue=Queue.CONTROL, after=None)
            release_job(tx, mine, {"state": "idle", "due": None})

        store._write(do)  # noqa: SLF001 - the transaction in two halves

    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(finish, first, "b"), pool.submit(finish, second, "a")]
        for end in ends:
            end.result(timeout=60)
    assert len(tries) > 2
    # Whoever finished first was given back when the other one woke it; the other one was still held.
    assert take(store).subject in {"a", "b"}
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None
