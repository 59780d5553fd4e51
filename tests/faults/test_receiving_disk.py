"""I2 where a disk is full: deliveries are refused, what was acknowledged stays, and it heals when there is room."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.receiving_rig import Ledger, Post, sending, wait_for_more, wait_until
from tests.faults.tally import Tally, scale
from tests.support.postgres import running_postgres
from tests.support.processes import make_home, running_web
from tests.support.small_disk import MIB, disk, fill, small_disk

__all__ = ["disk"]


@pytest.fixture
def post() -> Post:
    return Post()


def test_i2_a_full_disk_is_answered_and_healed_by_itself_when_there_is_room(
    tmp_path: Path, disk: Callable[[int], Path], post: Post, tally: Callable[[str], Tally]
) -> None:
    row = tally("I2 disk full: 503, nothing is lost, and it heals by itself")
    home = disk(24 * 1024 * 1024) / "home"
    home.mkdir()
    variables = make_home(home)
    ledger = Ledger(f"sqlite:///{variables['LAUNCHPIN_HOME']}/launchpin.sqlite3")
    for number in range(scale(5, slice_=1)):
        ballast = fill(home.parent, leave=2 * 1024 * 1024)
        with running_web(tmp_path, variables) as web, sending(web.port, post, size=40_000):
            wait_for_more(post.later, 20)
            with row.case(f"time {number}, while it is full"):
                ledger.check_new(post.acknowledged)
            ballast.unlink()
            wait_for_more(post.acknowledged, 20)
        with running_web(tmp_path, variables) as web, sending(web.port, post, size=100):
            wait_until(lambda: not post.doubtful)
        with row.case(f"time {number}, when there is room"):
            ledger.check_all(post.acknowledged)
            assert not post.wrong, post.wrong[0]
            assert post.slowest < 10, f"an answer took {post.slowest:.1f} s"
    ledger.close()
    row.figures["503"] = str(len(post.later))
    row.check()


def test_i2_a_full_disk_under_postgresql_is_answered_and_healed_when_there_is_room(
    tmp_path: Path, post: Post, tally: Callable[[str], Tally]
) -> None:
    row = tally("I2 disk full under PostgreSQL: 503, nothing is lost, and it heals")
    # Beside tests' own folders, which another user may not look into.
    room = Path("/tmp") / f"launchpin-disk-{os.getpid()}"  # noqa: S108 - made here, and an error where it is there
    with small_disk(room, size=256 * MIB, mode="0711") as full, running_postgres(inside=full) as server:
        url = server.make_database()
        variables = make_home(tmp_path, database_url=url)
        ledger = Ledger(url)
        for number in range(scale(3, slice_=1)):
            with running_web(tmp_path, variables) as web, sending(web.port, post, size=40_000):
                wait_for_more(post.acknowledged, 20)
                ballast = fill(full, leave=2 * MIB)
                wait_for_more(post.later, 20)
                ballast.unlink()
                # PostgreSQL gives up where its own log has no room; whoever runs it starts it then.
                server.revive()
                wait_for_more(post.acknowledged, 20)
            with running_web(tmp_path, variables) as web, sending(web.port, post, size=100):
                wait_until(lambda: not post.doubtful)
            with row.case(f"time {number}, when there is room"):
                ledger.check_all(post.acknowledged)
                assert not post.wrong, post.wrong[0]
                assert post.slowest < 10, f"an answer took {post.slowest:.1f} s"
        ledger.close()
    room.rmdir()
    row.figures["503"] = str(len(post.later))
    row.check()
