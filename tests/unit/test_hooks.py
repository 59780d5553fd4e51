"""When a webhook counts as lost, and when as heard again."""

from datetime import UTC, datetime, timedelta

import pytest

from gitops.hooks import GRACE, hear, judge, miss
from gitops.records import WatchedRef
from gitops.writes import Audit, MoveRef, Write
from tests.support.store import make_repository

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
REPOSITORY = make_repository()
SECOND = timedelta(seconds=1)


class Hook:
    """A webhook's row through the time, and what was told of it."""

    def __init__(self) -> None:
        self.row: WatchedRef | None = None
        self.told: list[str] = []

    def take(self, writes: tuple[Write, ...]) -> None:
        for write in writes:
            if isinstance(write, MoveRef):
                self.row = write.ref
            elif isinstance(write, Audit):
                self.told.append(write.kind)

    def hear(self, at: timedelta, *, is_seen: bool = True) -> None:
        self.take(hear(self.row, REPOSITORY, now=NOW + at, is_seen=is_seen))

    def miss(self, at: timedelta) -> None:
        self.take(miss(self.row, REPOSITORY, now=NOW + at))

    def judge(self, at: timedelta) -> None:
        self.take(judge(self.row, REPOSITORY, now=NOW + at))


@pytest.fixture
def hook() -> Hook:
    return Hook()


def test_push_that_no_delivery_tells_of_is_a_lost_webhook_once(hook: Hook) -> None:
    hook.miss(0 * SECOND)
    hook.judge(GRACE - SECOND)
    assert hook.told == []
    hook.judge(GRACE)
    hook.miss(GRACE + SECOND)
    hook.judge(10 * GRACE)
    assert hook.told == ["hook.lost"]


def test_pushes_that_go_on_do_not_put_it_off(hook: Hook) -> None:
    for seconds in range(0, 300, 30):
        hook.miss(seconds * SECOND)
    assert hook.told == ["hook.lost"]


def test_delivery_that_was_on_its_way_settles_it(hook: Hook) -> None:
    hook.miss(0 * SECOND)
    hook.hear(20 * SECOND)
    hook.judge(2 * GRACE)
    assert hook.told == []


def test_delivery_that_came_first_settles_it(hook: Hook) -> None:
    hook.hear(0 * SECOND)
    hook.miss(30 * SECOND)
    hook.judge(2 * GRACE)
    assert hook.told == []


def test_delivery_after_a_lost_webhook_is_told(hook: Hook) -> None:
    hook.miss(0 * SECOND)
    hook.judge(GRACE)
    hook.hear(GRACE + 5 * SECOND)
    hook.hear(GRACE + 60 * SECOND)
    assert hook.told == ["hook.lost", "hook.heard"]


def test_push_that_was_told_of_and_could_not_be_looked_at_is_no_lost_webhook(hook: Hook) -> None:
    hook.hear(0 * SECOND, is_seen=False)
    hook.miss(30 * GRACE)
    hook.judge(60 * GRACE)
    assert hook.told == []


def test_busy_webhook_writes_now_and_then(hook: Hook) -> None:
    hook.hear(0 * SECOND)
    first = hook.row
    hook.hear(9 * SECOND)
    assert hook.row == first
    hook.hear(11 * SECOND)
    assert hook.row != first


def test_row_that_nobody_can_read_says_nothing(hook: Hook) -> None:
    hook.row = WatchedRef(repository_id=1, ref="hook", commit="", message="odd words")
    hook.judge(2 * GRACE)
    assert hook.told == []
    hook.miss(2 * GRACE)
    hook.judge(4 * GRACE)
    assert hook.told == ["hook.lost"]
