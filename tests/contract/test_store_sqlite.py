"""What holds on SQLite alone: a file, its mode, its one lock."""

import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest

from gitops.errors import InputError, RetryError
from gitops.store import SqlStore
from gitops.store.database import Database, open_database
from tests.support.store import make_delivery, make_url


@pytest.mark.usefixtures("sqlite_url")
def test_attack_83_sqlite_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "launchpin.sqlite3"
    file.chmod(0o644)
    with pytest.raises(InputError) as caught:
        SqlStore(make_url(tmp_path))
    assert caught.value.reason == "insecure_mode"


def test_i27_damaged_sqlite_file_is_an_error_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "launchpin.sqlite3"
    file.write_bytes(b"no database" * 100)
    file.chmod(0o600)
    with pytest.raises(RetryError) as caught:
        SqlStore(make_url(tmp_path))
    assert caught.value.reason == "DatabaseUnavailable"


def test_sqlite_files_belong_to_their_owner_alone(sqlite_url: str, tmp_path: Path) -> None:
    store = SqlStore(sqlite_url)
    store.save_delivery(make_delivery())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("launchpin.sqlite3*")}
    store.close()
    assert set(modes.values()) == {0o600}
    assert "launchpin.sqlite3-wal" in modes


def test_every_commit_is_durable_and_every_reader_undisturbed_on_sqlite(sqlite_url: str) -> None:
    kind = open_database(sqlite_url)
    with kind.engine.begin() as connection:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 3000}
        known = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
    kind.close()
    assert known == wanted


def test_i2_writer_gives_up_in_time_when_sqlite_is_locked(sqlite_url: str, tmp_path: Path) -> None:
    store = SqlStore(sqlite_url)
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
    store.close()


def test_i2_threads_give_up_in_time_when_another_thread_writes_to_sqlite_too_long(sqlite_url: str) -> None:
    database = Database(open_database(sqlite_url))
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
