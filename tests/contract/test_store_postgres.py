"""What only PostgreSQL does: its sessions, its clock, its locks, its rights, and how it tells the relay."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import event, text

from gitops.errors import InputError, RetryError, StaleEpochError
from gitops.ports import Exit, Received
from gitops.private_files import read_secret
from gitops.settings import Settings
from gitops.steps import Done, Queue, Wait
from gitops.store import SqlStore, check_audit_joins
from gitops.store.database import Database, open_database
from gitops.store.jobs import lock_job, wake_job
from gitops.store.migrate import migrate
from gitops.store.transaction import Transaction
from gitops.writes import OpenPromotion, OpenRollout, SetHold, StartTraining
from tests.contract.store_postgres_rig import store
from tests.support import docs
from tests.support.postgres import Postgres
from tests.support.reconcile import wait_until
from tests.support.store import (
    LEASE,
    answer,
    make_delivery,
    make_hold,
    make_promotion,
    make_rollout,
    make_training,
    take,
    write,
)

__all__ = ["store"]

T = TypeVar("T")


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
        "idle_in_transaction_session_timeout": "5s",
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


def _insist(do: Callable[[], T]) -> T:
    """Do it again where a lock was not won in time and nothing was kept, as workers do."""
    until = time.monotonic() + 60
    while True:
        try:
            return do()
        except RetryError:
            if time.monotonic() > until:
                raise


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
            claim = _insist(partial(ours.claim, Queue.CONTROL, owner=f"{name}", lease=LEASE))
            if claim is None:
                continue
            if claim.kind == "compare":
                end = Exit(None, Wait(timedelta(), "Again", writes=writes), recurring=True)
                _insist(partial(ours.finish, claim, end))
            elif claim.kind == "report":
                _insist(partial(ours.finish, claim, Exit(None, Done(), recurring=True)))
            else:
                with suppress(StaleEpochError):  # another writer's version took its place meanwhile
                    _insist(partial(answer, ours, claim, Done(facts={}), step="plan", next_step="apply"))
            count += 1
        return count

    with closing(other), ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(work, range(8)))
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
