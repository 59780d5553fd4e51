"""Forward from every earlier revision, with rows in it, on both databases."""

import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, inspect, text

from gitops.audit import merkle
from gitops.audit.entry import Actor, Event, Service, Subject, canonical, stamp
from gitops.errors import NotFoundError
from gitops.records import Frozen
from gitops.spaces import Space, SpaceAxis
from gitops.steps import Queue
from gitops.store import SqlStore, tables
from gitops.store.audit_log import append_entries, read_size
from gitops.store.database import Database, open_database
from gitops.store.jobs import new_job
from gitops.store.migrate import SCRIPTS, found, migrate, upgrade
from gitops.store.rows import Row, to_row
from gitops.writes import KeepSpace
from tests.support.audit_log import hash_nodes
from tests.support.schema import describe
from tests.support.store import (
    LEASE,
    Clock,
    make_command,
    make_delivery,
    make_environment,
    make_hold,
    make_promotion,
    make_repository,
    make_rollout,
    make_training,
    make_version,
    write,
)

NOW = Clock().time
ENTRIES = 5000
"""More than the migration of their tree takes at once."""

EARLIER = [script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()][1:]
TIMES = {"created_at": NOW, "updated_at": NOW}
SPACE = Space(axes=(SpaceAxis(name="depth", low="2", high="3"),))
RECORDS: tuple[tuple[Table, Frozen], ...] = (
    (tables.deliveries, make_delivery(b"\x00\xffbody", **TIMES)),
    (tables.trainings, make_training(**TIMES)),
    (tables.promotions, make_promotion(**TIMES)),
    (tables.rollouts, make_rollout(**TIMES)),
    (tables.commands, make_command(**TIMES)),
    (tables.repositories, make_repository(secrets=("TOKEN",))),
    (tables.environments, make_environment(serving_since=NOW, earlier=("1",))),
    (tables.versions, make_version(created_at=NOW)),
    (tables.holds, make_hold(created_at=NOW)),
)


def test_code_names_the_newest_migration() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [tables.SCHEMA]
    assert EARLIER


def fill(url: str, revision: str) -> None:
    """Make a database as an earlier Launchpin left it: every kind of row, as far as it had columns for it then."""
    database = Database(open_database(url))
    with database.write() as connection:
        upgrade(connection, revision)
        found(connection, "test.example")
        known = inspect(connection)

        def insert(table: Table, row: Row) -> None:
            columns = {column["name"] for column in known.get_columns(table.name)}
            connection.execute(table.insert().values({name: row[name] for name in row.keys() & columns}))

        for table, record in RECORDS:
            insert(table, to_row(record))
        if revision < "0004":  # since then a trigger gives a delivery its job
            insert(tables.jobs, new_job("delivery", RECORDS[0][1].id, queue=Queue.CONTROL, due=NOW))  # type: ignore[attr-defined]  # a delivery
        insert(tables.watched_refs, {"repository_id": 1, "ref": "refs/heads/main", "commit": "a" * 40, "message": ""})
        fill_log(connection)
    database.close()


def fill_log(connection: Connection) -> None:
    """Append entries as they were appended then: before 0005 each node of the tree had a row."""
    entries = [entry(number) for number in range(ENTRIES)]
    if "start" in {column["name"] for column in inspect(connection).get_columns("audit_nodes")}:
        append_entries(connection, entries)
        return
    connection.execute(tables.audit_head.update().values(size=ENTRIES))
    rows = [{"position": position, "bytes": one} for position, one in enumerate(entries)]
    connection.execute(tables.audit_entries.insert(), rows)
    nodes = [{"level": level, "at": at, "hash": digest} for (level, at), digest in hash_nodes(entries).items()]
    connection.execute(text('INSERT INTO audit_nodes (level, "index", hash) VALUES (:level, :at, :hash)'), nodes)


def entry(number: int) -> bytes:
    event = Event(kind="key.rotated", actor=Actor(type="service"), subject=Subject(name=f"{number}"))
    return canonical(stamp(event, log_id="test.example/audit/1", moment=NOW, service=Service(version="0")))


@pytest.mark.parametrize("revision", EARLIER)
def test_rows_of_every_earlier_revision_are_read_after_the_upgrade(
    empty_and_fresh: tuple[str, str], revision: str, clock: Clock
) -> None:
    empty_url, fresh_url = empty_and_fresh
    fill(empty_url, revision)
    migrate(empty_url)
    assert describe(empty_url) == describe(fresh_url)
    store = SqlStore(empty_url, clock=clock)
    read = [
        store.delivery,
        store.training,
        store.promotion,
        store.rollout,
        store.command,
    ]
    for look, (_, record) in zip(read, RECORDS, strict=False):
        assert look(record.id) == record  # type: ignore[attr-defined]  # every record has one
    assert [*store.repositories(), *store.environments(), store.version("iris", "1"), *store.holds()] == [
        record for _, record in RECORDS[5:]
    ]
    claim = store.claim(Queue.CONTROL, owner="x", lease=LEASE)
    assert claim is not None
    assert claim.kind == "delivery"
    entries = store.audit_entries(0, 2 * ENTRIES)
    assert entries == [entry(number) for number in range(ENTRIES)]
    leaves = [merkle.hash_leaf(one) for one in entries]
    for size in (1, 5, 4096, 4097, ENTRIES):
        assert store.audit_root(size) == merkle.root_of(leaves[:size])
    store.append_audit(Event(kind="key.rotated", actor=Actor(type="service")))
    leaves.append(merkle.hash_leaf(store.audit_entries(ENTRIES, 1)[0]))
    assert store.audit_root(ENTRIES + 1) == merkle.root_of(leaves)
    training = RECORDS[1][1].id  # type: ignore[attr-defined]  # a training
    assert store.space_of(training) is None
    write(store, KeepSpace(training, SPACE))
    assert store.space_of(training) == SPACE
    store.close()


def test_log_that_lost_a_node_is_not_migrated(empty_url: str) -> None:
    fill(empty_url, "0004")
    before = describe(empty_url)
    database = Database(open_database(empty_url))
    with database.write() as connection:
        connection.execute(tables.audit_head.update().values(size=ENTRIES + 1))
    with pytest.raises(NotFoundError, match=f"entries 4096 to {ENTRIES}"):
        migrate(empty_url)
    with database.read() as connection:
        assert read_size(connection) == ENTRIES + 1
    database.close()
    assert describe(empty_url).columns == before.columns


def test_failed_migration_leaves_nothing_behind(empty_url: str) -> None:
    database = Database(open_database(empty_url))

    def migrate_and_fail() -> None:
        with database.write() as connection:
            upgrade(connection)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        migrate_and_fail()
    database.close()
    assert describe(empty_url).columns == {}


def test_migrators_that_start_at_once_do_not_disturb_each_other(empty_url: str) -> None:
    code = f"from gitops.store.migrate import migrate; migrate({empty_url!r}, host='test.example')"
    migrators = [subprocess.Popen((sys.executable, "-P", "-c", code), stderr=subprocess.PIPE) for _ in range(3)]
    told = [one.communicate(timeout=60)[1].decode() for one in migrators]
    assert [one.returncode for one in migrators] == [0, 0, 0], told
    store = SqlStore(empty_url)
    assert store.audit_size() == 0
    store.close()
