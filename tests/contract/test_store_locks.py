"""Locks in the store: kept with the facts that name them or not at all, each text once, and never removed."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from gitops.errors import StaleEpochError
from gitops.lockfile import LARGEST, Lock
from gitops.retention import Kind
from gitops.steps import Done
from gitops.store import SqlStore, tables
from gitops.store.database import Database, open_database
from gitops.writes import KeepLock
from tests.support.store import LEASE, Clock, answer, clock, start_training, store, take, write

__all__ = ["clock", "store"]

TEXT = "a==1.0 \\\n    --hash=sha256:00\n# \u00e9\n"
LOCK = Lock(
    text=TEXT,
    digest=hashlib.sha256(TEXT.encode()).hexdigest(),
    python="3.11",
    key="1" * 32,
    interpreter="cpython 3.11 linux-x86_64 cpython-311-x86_64-linux-gnu",
)
FACTS = {"environment_key": LOCK.key, "lock_sha256": LOCK.digest, "python_version": LOCK.python}


def test_lock_is_kept_with_the_facts_that_name_it(store: SqlStore) -> None:
    assert store.lock_of(LOCK.key) is None
    claim = start_training(store)
    answer(store, claim, Done(facts=FACTS, writes=(KeepLock(LOCK),)), step="environment", next_step="train")
    training = store.training(claim.subject)
    assert training is not None
    assert training.facts.environment_key == LOCK.key
    assert store.lock_of(LOCK.key) == LOCK


def test_lock_is_not_kept_when_somebody_else_has_the_training(store: SqlStore, clock: Clock) -> None:
    claim = start_training(store)
    clock.advance(2 * LEASE)
    assert take(store).subject == claim.subject
    with pytest.raises(StaleEpochError):
        answer(store, claim, Done(facts=FACTS, writes=(KeepLock(LOCK),)), step="environment", next_step="train")
    assert store.lock_of(LOCK.key) is None


def test_lock_is_not_kept_when_the_facts_are_not(store: SqlStore) -> None:
    claim = start_training(store)
    learned = Done(facts={**FACTS, "nobody_knows": 1}, writes=(KeepLock(LOCK),))
    with pytest.raises(ValidationError):
        answer(store, claim, learned, step="environment", next_step="train")
    assert store.lock_of(LOCK.key) is None


def test_text_is_kept_once_for_every_interpreter_that_it_was_locked_for(store: SqlStore, database_url: str) -> None:
    other = replace(LOCK, key="2" * 32, python="3.12", interpreter="cpython 3.12 macosx-14.0-arm64")
    write(store, KeepLock(LOCK), KeepLock(other), KeepLock(LOCK))
    assert (store.lock_of(LOCK.key), store.lock_of(other.key)) == (LOCK, other)
    database = Database(open_database(database_url))
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.locks)).scalar_one() == 1
    database.close()


def test_kept_lock_stays_as_it_is_whatever_is_written_under_its_names(store: SqlStore) -> None:
    write(store, KeepLock(LOCK))
    write(store, KeepLock(replace(LOCK, text="b==2.0\n", python="3.13", interpreter="another")))
    assert store.lock_of(LOCK.key) == LOCK


def test_largest_lock_comes_back_as_it_was(store: SqlStore) -> None:
    text = "x" * LARGEST
    large = replace(LOCK, text=text, digest=hashlib.sha256(text.encode()).hexdigest())
    write(store, KeepLock(large))
    assert store.lock_of(large.key) == large


def test_collection_of_rows_leaves_locks(store: SqlStore, clock: Clock) -> None:
    write(store, KeepLock(LOCK))
    clock.advance(timedelta(days=4000))
    for kind in (Kind.ROWS, Kind.BODIES):
        store.drop_spent(kind, age=timedelta(), limit=1000)
    assert store.lock_of(LOCK.key) == LOCK
