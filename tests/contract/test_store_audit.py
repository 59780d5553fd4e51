from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from gitops.audit import merkle
from gitops.audit.entry import Actor, Event, Subject, parse
from gitops.errors import ConflictError, InputError, NotFoundError
from gitops.store import SqlStore
from gitops.store.audit_log import NodeReader, append_entries
from gitops.store.database import Database, open_database
from gitops.writes import Audit
from tests.support.store import clock, store, write

__all__ = ["clock", "store"]


def make_event(number: int = 0) -> Event:
    return Event(kind="key.rotated", actor=Actor(type="service", login="launchpin"), subject=Subject(name=f"{number}"))


def leaves(store: SqlStore) -> list[bytes]:
    return [merkle.hash_leaf(entry) for entry in store.audit_entries(0, 10_000)]


def test_entries_are_stored_as_the_bytes_that_were_hashed(store: SqlStore) -> None:
    store.append_audit(make_event())
    (raw,) = store.audit_entries(0, 10)
    entry = parse(raw)
    assert (entry.log_id, entry.kind) == (store.log_id, "key.rotated")
    assert entry.time == store.now()
    assert store.log_id.startswith("test.example/audit/")
    assert store.audit_root(1) == merkle.hash_leaf(raw)


def test_root_and_proofs_are_those_of_the_tree_at_every_size(store: SqlStore) -> None:
    assert store.audit_root(0) == merkle.EMPTY_ROOT
    for number in range(20):
        store.append_audit(make_event(number))
    assert store.audit_size() == 20
    known = leaves(store)
    for size in range(1, 21):
        root = store.audit_root(size)
        assert root == merkle.root_of(known[:size])
        proof = store.consistency_proof(size, 20)
        assert merkle.is_consistent(size, 20, old_root=root, new_root=store.audit_root(20), proof=proof)
    proof = store.inclusion_proof(7, 20)
    assert merkle.is_included(known[7], 7, size=20, root=store.audit_root(20), proof=proof)


def test_tree_is_whole_when_many_threads_append(store: SqlStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.append_audit, map(make_event, range(60))))
    assert store.audit_size() == 60
    assert store.audit_root(60) == merkle.root_of(leaves(store))


def test_several_entries_of_one_transaction_stand_together(store: SqlStore) -> None:
    writes = [Audit("key.rotated", {"name": f"{number}"}, {"digest": "00"}) for number in range(5)]
    write(store, *writes)
    assert [row.entry.subject.name for row in store.audit_recent(3)] == ["4", "3", "2"]
    assert [row.position for row in store.audit_recent(3)] == [4, 3, 2]
    assert store.audit_root(5) == merkle.root_of(leaves(store))


def test_i25_no_entry_remains_when_the_transaction_fails(store: SqlStore) -> None:
    with pytest.raises(InputError):
        write(store, Audit("key.rotated", {"name": "good"}, {}), Audit("Not A Kind", {}, {}))
    assert store.audit_size() == 0
    store.append_audit(make_event())
    assert store.audit_root(1) == merkle.root_of(leaves(store))


@pytest.mark.parametrize("size", [2, 600, 2**40 + 1])
def test_size_that_was_never_reached_is_not_found(store: SqlStore, size: int) -> None:
    store.append_audit(make_event())
    with pytest.raises(NotFoundError):
        store.audit_root(size)


def test_tree_is_whole_when_appends_are_of_any_length(store: SqlStore, database_url: str) -> None:
    database = Database(open_database(database_url))
    known: list[bytes] = []
    # A row of nodes holds those of about 256 entries, a statement at most as many rows.
    for count in (1, 2, 255, 256, 257, 3, 1200, 1):
        entries = [b"entry %d" % number for number in range(len(known), len(known) + count)]
        with database.write() as connection:
            append_entries(connection, entries)
        known += map(merkle.hash_leaf, entries)
        assert store.audit_size() == len(known)
        assert store.audit_root(len(known)) == merkle.root_of(known)
    database.close()
    assert leaves(store) == known
    with database_nodes(database_url) as read_node:
        assert [read_node(0, index) for index in range(len(known))] == known
    for index in (0, 258, 511, 512, len(known) - 1):
        root, proof = store.audit_root(len(known)), store.inclusion_proof(index, len(known))
        assert merkle.is_included(known[index], index, size=len(known), root=root, proof=proof)


@contextmanager
def database_nodes(url: str) -> Iterator[NodeReader]:
    database = Database(open_database(url))
    with database.read() as connection:
        yield NodeReader(connection)
    database.close()


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM audit_entries",
        "DELETE FROM audit_nodes",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_entries SET position = position + 100",
        "UPDATE audit_nodes SET start = start + 10000",
        "UPDATE audit_checkpoints SET size = size + 100",
    ],
)
def test_attack_87_database_refuses_to_change_audit_rows(store: SqlStore, database_url: str, change: str) -> None:
    store.append_audit(make_event())
    store.save_checkpoint(1, "note")
    forge(database_url, change)
    assert store.audit_root(1) == merkle.root_of(leaves(store))
    assert [head.size for head in store.checkpoints()] == [1]


@pytest.mark.parametrize("table", ["audit_entries", "audit_nodes", "audit_checkpoints"])
def test_attack_87_postgresql_refuses_to_empty_audit_tables(postgres_url: str, table: str) -> None:
    forge(postgres_url, f"TRUNCATE {table}")


def forge(url: str, change: str) -> None:
    database = Database(open_database(url))
    with pytest.raises(ConflictError, match="append only"), database.write() as connection:
        connection.exec_driver_sql(change)
    database.close()


def test_signed_heads_are_kept_oldest_first(store: SqlStore) -> None:
    for number in range(3):
        store.append_audit(make_event(number))
    store.save_checkpoint(1, "first")
    store.save_checkpoint(3, "second")
    store.save_checkpoint(3, "second")
    assert [(head.size, head.note) for head in store.checkpoints()] == [(1, "first"), (3, "second")]
    assert [head.size for head in store.checkpoints(since=1, limit=1)] == [1]
    assert [head.size for head in store.checkpoints(since=2)] == [3]
    assert store.checkpoints(since=4) == []


def test_attack_89_second_head_of_one_size_is_refused(store: SqlStore) -> None:
    store.append_audit(make_event())
    store.save_checkpoint(1, "first")
    with pytest.raises(ConflictError):
        store.save_checkpoint(1, "other")
    with pytest.raises(ConflictError):
        store.save_checkpoint(2, "beyond")
