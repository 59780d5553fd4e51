import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from gitops.errors import InputError, RetryError, StalledError
from gitops.records import Environment, Hold, Repository, Version, WatchedRef
from gitops.store import SqlStore, tables
from gitops.store.database import Database, open_engine
from gitops.store.migrate import SCRIPTS, migrate, upgrade
from gitops.store.rows import KINDS
from tests.support.store import Clock, clock, make_delivery, make_url, store

if TYPE_CHECKING:
    from gitops.ports import AuditLog, Store

__all__ = ["clock", "store"]


def schema_of(file: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(file)
    try:
        return sorted(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    finally:
        connection.close()


def test_migrations_make_the_schema_of_the_tables(tmp_path: Path) -> None:
    migrate(make_url(tmp_path))
    engine = open_engine(make_url(tmp_path))
    with engine.begin() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
        made = {row.name: row.sql for row in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")}
        for table in tables.metadata.sorted_tables:
            for index in table.indexes:
                assert made[str(index.name)] == str(CreateIndex(index).compile(dialect=connection.dialect))
    engine.dispose()
    assert differences == []


def test_code_names_the_newest_migration() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [tables.SCHEMA]


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    migrate(make_url(tmp_path), host="first.example")
    before = schema_of(tmp_path / "launchpin.sqlite3")
    first = SqlStore(make_url(tmp_path))
    migrate(make_url(tmp_path), host="second.example")
    second = SqlStore(make_url(tmp_path))
    assert schema_of(tmp_path / "launchpin.sqlite3") == before
    assert second.log_id == first.log_id
    first.close()
    second.close()


def test_failed_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    database = Database(open_engine(make_url(tmp_path)))

    def migrate_and_fail() -> None:
        with database.write() as connection:
            upgrade(connection)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        migrate_and_fail()
    database.close()
    assert schema_of(tmp_path / "launchpin.sqlite3") == []


def test_i30_store_refuses_a_database_that_was_not_migrated(tmp_path: Path) -> None:
    with pytest.raises(StalledError, match="missing"):
        SqlStore(make_url(tmp_path))


@pytest.mark.usefixtures("store")
def test_i30_store_refuses_a_database_of_another_version(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "launchpin.sqlite3")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StalledError, match="9999"):
        SqlStore(make_url(tmp_path))


@pytest.mark.usefixtures("store")
def test_attack_83_database_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "launchpin.sqlite3"
    file.chmod(0o644)
    with pytest.raises(InputError) as caught:
        SqlStore(make_url(tmp_path))
    assert caught.value.reason == "insecure_mode"


def test_i27_damaged_file_is_an_error_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "launchpin.sqlite3"
    file.write_bytes(b"no database" * 100)
    file.chmod(0o600)
    with pytest.raises(RetryError) as caught:
        SqlStore(make_url(tmp_path))
    assert caught.value.reason == "DatabaseUnavailable"


def test_store_is_what_its_ports_ask_for(store: SqlStore) -> None:
    port: Store = store
    log: AuditLog = store
    assert port.now() == store.now()
    assert log.audit_size() == 0


def test_database_files_belong_to_their_owner_alone(store: SqlStore, tmp_path: Path) -> None:
    store.save_delivery(make_delivery())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("launchpin.sqlite3*")}
    assert set(modes.values()) == {0o600}
    assert "launchpin.sqlite3-wal" in modes


@pytest.mark.parametrize("url", ["postgresql://localhost/x", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(InputError, match="not in this release"):
        SqlStore(url)


@pytest.mark.usefixtures("store")
def test_every_commit_is_durable_and_every_reader_undisturbed(tmp_path: Path) -> None:
    engine = open_engine(make_url(tmp_path))
    with engine.begin() as connection:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 3000}
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
    engine.dispose()
    assert found == wanted


def test_i2_writer_gives_up_in_time_when_the_database_is_locked(store: SqlStore, tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "launchpin.sqlite3", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    with pytest.raises(RetryError) as caught:
        store.save_delivery(make_delivery())
    assert caught.value.reason == "DatabaseBusy"
    assert time.monotonic() - started < 6
    assert store.recent("delivery") == []
    holder.execute("ROLLBACK")
    holder.close()
    store.save_delivery(make_delivery())


@pytest.mark.usefixtures("store")
def test_i2_threads_give_up_in_time_when_another_thread_writes_too_long(tmp_path: Path) -> None:
    database = Database(open_engine(make_url(tmp_path)))
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with database.write():
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(30)
    with pytest.raises(RetryError, match="locked"), database.write():
        pytest.fail("two writers at once")
    leave.set()
    holder.join()
    database.close()


def test_reader_sees_one_snapshot_while_another_writes(store: SqlStore, tmp_path: Path) -> None:
    database = Database(open_engine(make_url(tmp_path)))
    count = tables.deliveries.select()
    with database.read() as connection:
        before = len(connection.execute(count).all())
        store.save_delivery(make_delivery())
        assert len(connection.execute(count).all()) == before
    database.close()


@pytest.mark.parametrize(
    ("table", "model"),
    [
        *((kind.table, kind.model) for kind in KINDS.values()),
        (tables.repositories, Repository),
        (tables.watched_refs, WatchedRef),
        (tables.environments, Environment),
        (tables.versions, Version),
        (tables.holds, Hold),
    ],
)
def test_columns_are_the_fields_of_the_record(table: Table, model: type[Repository]) -> None:
    assert {column.name for column in table.c} == set(model.model_fields)


def test_schema_can_be_written_for_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in tables.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            where = index.dialect_options["postgresql"]["where"]
            statement = str(CreateIndex(index).compile(dialect=dialect))
            assert (" WHERE " in statement) == (where is not None)


def test_time_comes_back_with_microseconds(store: SqlStore, clock: Clock) -> None:
    delivery = make_delivery()
    store.save_delivery(delivery)
    kept = store.delivery(delivery.id)
    assert kept is not None
    assert kept.created_at == clock.time
    assert clock.time.microsecond == 250
