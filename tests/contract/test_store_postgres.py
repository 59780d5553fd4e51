"""What holds on PostgreSQL alone: passwords, sessions, locks on rows, lost connections, and the server's clock."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import event, text

from gitops.errors import InputError, RetryError, UnknownOutcomeError
from gitops.ports import Exit, Received
from gitops.settings import Settings, read_secret
from gitops.steps import Done, Queue, Wait
from gitops.store import SqlStore, check_audit_joins
from gitops.store.database import Database, open_database
from gitops.store.jobs import check_held, lock_job, release_job, wake_job
from gitops.store.migrate import migrate
from gitops.store.transaction import Transaction
from gitops.writes import OpenPromotion, OpenRollout, SetHold, StartTraining
from tests.support import docs
from tests.support.postgres import Postgres, running_postgres
from tests.support.reconcile import wait_until
from tests.support.store import (
    LEASE,
    answer,
    make_command,
    make_delivery,
    make_hold,
    make_promotion,
    make_rollout,
    make_training,
    take,
    write,
)


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlStore]:
    """Give a store with the server's own clock."""
    store = SqlStore(postgres_url)
    yield store
    store.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = Database(open_database(postgres_url))
    yield database
    database.close()


@pytest.mark.parametrize("url", ["postgresql://u:secret@h/x", "postgresql+psycopg://u@h/x?password=secret"])
def test_postgresql_url_with_a_password_in_it_is_refused_by_name(url: str) -> None:
    with pytest.raises(InputError) as caught:
        SqlStore(url)
    assert caught.value.reason == "secret_in_url"
    assert "secret@" not in str(caught.value)
    assert "LAUNCHPIN_DATABASE_PASSWORD_FILE" in str(caught.value)


def test_password_of_postgresql_comes_from_its_file_and_may_change(
    postgres: Postgres, postgres_url: str, tmp_path: Path
) -> None:
    url = postgres_url.replace("launchpin@", "with_password@").removeprefix("postgresql+psycopg")
    file = tmp_path / "password"
    settings = Settings(database_url="postgresql" + url, database_password_file=file)
    with postgres.admin(url.rpartition("/")[2]) as admin:
        admin.execute("CREATE ROLE with_password LOGIN SUPERUSER PASSWORD 'first'")
        try:
            file.write_text("first\n")
            file.chmod(0o600)
            store = SqlStore(settings.database, password=lambda: read_secret(file, name="x"))
            admin.execute("ALTER ROLE with_password PASSWORD 'second'")
            file.write_text("second\n")
            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(store.save_delivery, [make_delivery() for _ in range(20)])) == [Received.NEW] * 20
            store.close()
            file.write_text("wrong\n")
            with pytest.raises(RetryError) as caught:
                SqlStore(settings.database, password=lambda: read_secret(file, name="x"))
            assert caught.value.reason == "DatabaseUnavailable"
            assert "wrong" not in str(caught.value)
            file.chmod(0o644)
            with pytest.raises(InputError, match="may be read by others"):
                SqlStore(settings.database, password=lambda: read_secret(file, name="x"))
        finally:
            admin.execute("DROP OWNED BY with_password; DROP ROLE with_password")


def test_postgresql_that_keeps_text_in_another_encoding_is_refused(postgres: Postgres) -> None:
    with postgres.admin() as admin:
        admin.execute("CREATE DATABASE latin OWNER launchpin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(InputError, match="UTF8 is needed"):
        SqlStore(postgres.url_for("latin"))
    postgres.drop(postgres.url_for("latin"))


def test_sessions_on_postgresql_wait_three_seconds_and_keep_no_lock_while_they_idle(database: Database) -> None:
    wanted = {
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "15s",
        "transaction_isolation": "read committed",
        "synchronous_commit": "on",
        "TimeZone": "UTC",
    }
    with database.write() as connection:
        assert {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in wanted} == wanted
    with database.read() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"


def test_time_on_postgresql_is_the_servers(store: SqlStore, database: Database) -> None:
    with database.read() as connection:
        before = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    now = store.now()
    delivery = make_delivery()
    store.save_delivery(delivery)
    kept = store.delivery(delivery.id)
    assert kept is not None
    assert kept.created_at is not None
    assert before <= now < kept.created_at < before + timedelta(minutes=1)
    assert now.tzinfo is UTC


def test_one_trip_to_postgresql_begins_a_transaction_and_tells_its_time(database: Database) -> None:
    told: list[str] = []

    @event.listens_for(database.kind.engine, "before_cursor_execute")
    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        told.append(statement)

    with database.write(is_quiet=True) as connection:
        assert isinstance(database.time(connection), datetime)
    begin, commit = told
    assert ("BEGIN" in begin, commit) == (True, "COMMIT")


def test_i2_writer_on_postgresql_gives_up_in_time_and_is_well_again(store: SqlStore, database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("LOCK TABLE deliveries IN EXCLUSIVE MODE")
        with pytest.raises(RetryError) as caught:
            store.save_delivery(make_delivery())
        assert caught.value.reason == "DatabaseBusy"
    assert store.recent("delivery") == []
    assert store.save_delivery(make_delivery()) is Received.NEW


def test_claim_on_postgresql_passes_over_a_job_that_is_held_and_waits_for_the_last_one(
    store: SqlStore, database: Database
) -> None:
    for name in ("first", "second"):
        store.wake("poll", name)
    with database.write() as connection:
        lock_job(_transaction(database, connection), "poll", "first")
        assert take(store).subject == "second"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(take, store)
            wait_until(lambda: _is_anybody_waiting(store))
            connection.exec_driver_sql("COMMIT")
            assert waiting.result(timeout=30).subject == "first"


def _transaction(database: Database, connection: Any, **changes: Any) -> Transaction:  # noqa: ANN401 - any field
    known: dict[str, Any] = {"log_id": "x/audit/1", "service": None} | changes
    return Transaction(connection, database.time(connection), **known)


def _is_anybody_waiting(store: SqlStore) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with store._database.read() as connection:  # noqa: SLF001 - a question that is no part of the store
        return bool(connection.exec_driver_sql(query).scalar_one())


def test_wake_of_a_ready_job_on_postgresql_is_not_lost_when_it_is_claimed_before_the_commit(
    store: SqlStore, database: Database
) -> None:
    store.wake("poll", "x")
    with ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            wake_job(_transaction(database, connection), "poll", "x", queue=Queue.CONTROL, after=None)
            claimed = pool.submit(take, store)
            wait_until(lambda: _is_anybody_waiting(store))
            assert not claimed.done()
        assert claimed.result(timeout=30).subject == "x"


def test_many_stories_at_once_on_postgresql_keep_one_open_promotion_and_rollout_and_every_entry(
    store: SqlStore, postgres_url: str
) -> None:
    """Eight writers supersede, wake and finish each other's records; whoever gives way does it again."""
    other = SqlStore(postgres_url)
    for number in range(8):
        store.wake("compare", f"{number}")

    def work(name: int) -> int:
        ours, count = (store if name % 2 else other), 0
        for round_ in range(12):
            version = f"{name * 100 + round_ + 1}"
            writes = (
                OpenPromotion(make_promotion(version=version)),
                OpenRollout(make_rollout(version=version, commit=f"{int(version):040x}")),
                SetHold(make_hold()),
                StartTraining(make_training()),
            )
            claim = ours.claim(Queue.CONTROL, owner=f"{name}", lease=LEASE)
            if claim is None:
                continue
            if claim.kind == "compare":
                ours.finish(claim, Exit(None, Wait(timedelta(), "Again", writes=writes), recurring=True))
            elif claim.kind == "report":
                ours.finish(claim, Exit(None, Done(), recurring=True))
            else:
                answer(ours, claim, Done(facts={}), step="plan", next_step="apply")
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(work, range(8)))
    other.close()
    assert done > 40
    assert check_audit_joins(store) == []
    assert len(store.open_promotions(2)) == 1
    assert len(store.active_rollouts(target="local", host="here", endpoint="iris-staging")) <= 2
    assert store.audit_root(store.audit_size())


def test_i27_store_on_postgresql_is_busy_while_all_its_connections_are_taken_and_well_again(
    store: SqlStore,
) -> None:
    engine = store._database.kind.engine  # noqa: SLF001 - the pool is what is emptied
    taken = [engine.connect() for _ in range(10)]
    with pytest.raises(RetryError) as caught:
        store.save_delivery(make_delivery())
    assert caught.value.reason == "DatabaseBusy"
    for connection in taken:
        connection.close()
    assert store.save_delivery(make_delivery()) is Received.NEW


def test_i27_one_connection_to_postgresql_is_enough_for_a_scrape(store: SqlStore) -> None:
    engine = store._database.kind.engine  # noqa: SLF001 - the pool is what is emptied
    taken = [engine.connect() for _ in range(9)]
    assert store.tallies().entries == 0
    for connection in taken:
        connection.close()


# ---- lost connections


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
    delivery = make_delivery()
    with Severed(store, postgres, after=after) as cut:
        assert store.save_delivery(delivery) is (Received.DUPLICATE if after else Received.NEW)
    assert (cut.count, len(store.recent("delivery")), len(store.jobs())) == (1, 1, 1)

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
    delivery = make_delivery()
    with postgres.admin(postgres_url.rpartition("/")[2]) as other, Severed(store, postgres, after=after) as cut:

        def lock(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("COMMIT"):
                other.execute("BEGIN")
                other.execute("LOCK TABLE deliveries")

        event.listen(cut.engine, "before_cursor_execute", lock)
        with pytest.raises(UnknownOutcomeError) as caught:
            store.save_delivery(delivery)
        event.remove(cut.engine, "before_cursor_execute", lock)
        other.execute("ROLLBACK")
    assert caught.value.reason == "DatabaseUnavailable"
    assert store.save_delivery(delivery) is (Received.DUPLICATE if after else Received.NEW)


def test_i27_outcome_is_said_to_be_unknown_when_the_server_stays_away_after_a_cut_commit() -> None:
    with running_postgres() as server:
        store = SqlStore(server.make_database())
        delivery = make_delivery()

        def stop(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("COMMIT") and server.process is not None:
                server.stop()

        event.listen(store._database.kind.engine, "before_cursor_execute", stop)  # noqa: SLF001 - the wire is cut
        with pytest.raises(UnknownOutcomeError) as caught:
            store.save_delivery(delivery)
        assert caught.value.reason == "DatabaseUnavailable"
        with pytest.raises(RetryError) as away:
            store.save_delivery(delivery)
        assert (type(away.value) is UnknownOutcomeError, away.value.reason) == (False, "DatabaseUnavailable")
        event.remove(store._database.kind.engine, "before_cursor_execute", stop)  # noqa: SLF001
        server.start()
        assert store.save_delivery(delivery) is Received.NEW
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


def test_relay_is_told_of_commits_on_postgresql_without_asking(store: SqlStore, postgres_url: str) -> None:
    assert store.has_changed()
    other = SqlStore(postgres_url)
    told: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        told.append(statement)

    event.listen(store._database.kind.engine, "before_cursor_execute", note)  # noqa: SLF001 - counts the questions
    assert not store.has_changed()
    other.wake("poll", "x")
    wait_until(store.has_changed)
    assert not store.has_changed()
    claim = take(other)
    assert other.renew(claim, lease=LEASE)
    other.jobs()
    other.finish(claim, Exit(None, Done(), recurring=True))
    wait_until(store.has_changed)
    assert told == []
    other.close()


def test_attack_87_service_role_of_the_page_works_and_can_neither_change_entries_nor_take_the_triggers_off(
    postgres: Postgres, postgres_url: str
) -> None:
    (grants,) = (
        block.text
        for block in docs.blocks(language="sql")
        if block.page.endswith("use-postgresql.md") and "launchpin_service" in block.text
    )
    name = postgres_url.rpartition("/")[2]
    with postgres.admin(name) as admin:
        admin.execute(grants)
        try:
            url = postgres.url_for(name, user="launchpin_service")
            migrate(url)
            store = SqlStore(url)
            write(store, StartTraining(make_training()))
            answer(store, take(store), Done(), step="judge")
            store.save_checkpoint(store.audit_size(), "note")
            assert store.lead("relay", "us", seconds=1)
            assert check_audit_joins(store) == []
            store.close()
            service = Database(open_database(url))
            for forbidden in ("DELETE FROM audit_entries", "ALTER TABLE audit_entries DISABLE TRIGGER ALL"):
                with pytest.raises(RetryError, match=r"permission denied|must be owner"), service.write() as connection:
                    connection.exec_driver_sql(forbidden)
            service.close()
        finally:
            admin.execute("DROP OWNED BY launchpin_service; DROP ROLE launchpin_service")
