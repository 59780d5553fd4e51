from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Table, text

from gitops.errors import InputError, StalledError
from gitops.records import Environment, Hold, Repository, Version, WatchedRef
from gitops.store import SqlStore, tables
from gitops.store.database import Database, open_database
from gitops.store.migrate import migrate
from gitops.store.rows import KINDS
from tests.support.schema import describe
from tests.support.store import Clock, clock, make_delivery, make_environment, make_version, store, write

if TYPE_CHECKING:
    from gitops.ports import AuditLog, Store

from gitops.writes import SaveEnvironment, SaveVersion

__all__ = ["clock", "store"]


def test_migrations_make_the_schema_of_the_tables(database_url: str) -> None:
    kind = open_database(database_url)
    with kind.engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    kind.close()


def test_migrations_make_the_indexes_of_the_tables(empty_and_fresh: tuple[str, str]) -> None:
    empty_url, fresh_url = empty_and_fresh
    database = Database(open_database(empty_url))
    with database.write() as connection:
        tables.metadata.create_all(connection)
    database.close()
    migrated, made = describe(fresh_url), describe(empty_url)
    assert migrated.columns == made.columns | {"alembic_version": migrated.columns["alembic_version"]}
    assert migrated.indexes - made.indexes == {one for one in migrated.indexes if "alembic_version" in one}


def test_migrating_twice_changes_nothing(empty_url: str) -> None:
    migrate(empty_url, host="first.example")
    before = describe(empty_url)
    first = SqlStore(empty_url)
    migrate(empty_url, host="second.example")
    second = SqlStore(empty_url)
    assert describe(empty_url) == before
    assert second.log_id == first.log_id
    first.close()
    second.close()


def test_i30_store_refuses_a_database_that_was_not_migrated(empty_url: str) -> None:
    with pytest.raises(StalledError, match="missing"):
        SqlStore(empty_url)


def test_i30_store_refuses_a_database_of_another_version(database_url: str) -> None:
    database = Database(open_database(database_url))
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StalledError, match="9999"):
        SqlStore(database_url)


def test_store_is_what_its_ports_ask_for(store: SqlStore) -> None:
    port: Store = store
    log: AuditLog = store
    assert port.now() == store.now()
    assert log.audit_size() == 0


@pytest.mark.parametrize("url", ["mysql://localhost/x", "postgresql+asyncpg://localhost/x", "sqlite://", "nonsense"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(InputError) as caught:
        SqlStore(url)
    assert caught.value.reason == "database_unsupported"


def test_reader_sees_one_snapshot_while_another_writes(store: SqlStore, database_url: str) -> None:
    database = Database(open_database(database_url))
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


def test_time_comes_back_with_microseconds(store: SqlStore, clock: Clock) -> None:
    delivery = make_delivery()
    store.save_delivery(delivery)
    kept = store.delivery(delivery.id)
    assert kept is not None
    assert kept.created_at == clock.time
    assert clock.time.microsecond == 250


@pytest.mark.parametrize(("odd", "kept"), [("a\0b", "a\\x00b"), ("a\ud800b", "a\\ud800b"), ("a\u00e9\U0001f680", None)])
def test_text_that_a_database_refuses_is_written_out(store: SqlStore, odd: str, kept: str | None) -> None:
    write(store, SaveEnvironment(make_environment(path=odd, message=odd), ()))
    write(store, SaveVersion(make_version(metrics={"accuracy": odd})))
    known = store.environment(2, odd)
    assert known is not None
    assert (known.path, known.message) == (kept or odd, kept or odd)
    version = store.version("iris", "1")
    assert version is not None


def test_words_sort_by_code_points_on_both(store: SqlStore) -> None:
    names = ["b", "a-b", "ab", "B", "a_b", "\u00e4", "A"]
    write(store, *(SaveEnvironment(make_environment(path=name), ()) for name in names))
    assert [environment.path for environment in store.environments()] == sorted(names)


def test_number_that_no_column_holds_is_an_error_that_is_not_tried_again(store: SqlStore) -> None:
    with pytest.raises(InputError) as caught:
        write(store, SaveEnvironment(make_environment(repository_id=2**63), ()))
    assert caught.value.reason == "unstorable"
