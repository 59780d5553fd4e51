"""What is told is written beside the change that it tells of, in one transaction, and never without it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from gitops.errors import RetryError
from gitops.notices import LetterState, News, Notice, Severity
from gitops.ports import Exit
from gitops.records import Direction, Rollout
from gitops.retention import Kind
from gitops.steps import Done, Ended, Phase, Refused, Stalled, Wait
from gitops.store import SqlStore, finish, outbox, transaction
from gitops.writes import Audit, OpenRollout, RouteNotice, SetHold, SettleLetter, StartTraining
from tests.support.store import Clock, answer, make_delivery, make_hold, make_rollout, make_training, take, write

FAILED = Ended(Phase.ROLLED_BACK, "SmokeFailed", "SmokeFailed: it answered 500", facts={"serving": "1"})


@pytest.fixture
def telling(database_url: str, clock: Clock) -> Iterator[SqlStore]:
    """Give an empty store of an installation where somebody is told."""
    store = SqlStore(database_url, clock=clock, is_told=True)
    yield store
    store.close()


def end(store: SqlStore, outcome: Ended | Refused | Stalled | Done, rollout: Rollout | None = None) -> Rollout:
    """Let a rollout of its own end, or stall, with this."""
    made = rollout or make_rollout()
    write(store, OpenRollout(made))
    claim = take(store)
    while claim.subject != made.id:
        claim = take(store)
    answer(store, claim, outcome, step="bake")
    return made


def told(store: SqlStore) -> list[Notice]:
    return list(store.unrouted(limit=100))


def jobs(store: SqlStore) -> list[tuple[str, str]]:
    return [(job.kind, job.subject) for job in store.jobs() if job.kind in outbox.TELLING]


def test_end_of_a_rollout_is_told_beside_its_entry(telling: SqlStore) -> None:
    end(telling, FAILED)
    (notice,) = told(telling)
    assert (notice.news, notice.severity, notice.reason) == (News.ROLLED_BACK, Severity.WAKE, "SmokeFailed")
    assert (notice.environment, notice.model) == ("staging", "iris")
    assert jobs(telling) == [("route", "home")]
    assert telling.check_audit_joins() == []


def test_nothing_is_kept_where_nobody_is_told(store: SqlStore) -> None:
    end(store, FAILED)
    assert told(store) == []
    assert jobs(store) == []


def test_change_that_is_not_made_is_not_told(telling: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout = make_rollout()
    write(telling, OpenRollout(rollout))
    claim = take(telling)

    def fail(*_: object) -> None:
        raise RetryError("DatabaseUnavailable", "cut off before the commit")

    with monkeypatch.context() as patch:
        patch.setattr(finish, "release_job", fail)
        with pytest.raises(RetryError):
            answer(telling, claim, FAILED)
    assert told(telling) == []
    answer(telling, claim, FAILED)
    assert len(told(telling)) == 1


def test_i24_change_is_made_although_its_notice_cannot_be(telling: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("a rule with a mistake")

    monkeypatch.setattr(transaction, "tell", fail)
    rollout = end(telling, FAILED)
    found = telling.rollout(rollout.id)
    assert found is not None
    assert found.phase is Phase.ROLLED_BACK
    assert told(telling) == []


def test_rollback_by_hand_wakes_nobody_and_a_failed_one_does(telling: SqlStore) -> None:
    back = make_rollout(direction=Direction.ROLLBACK, from_version="2")
    end(telling, Done(), back)
    end(telling, FAILED, back.model_copy(update={"id": "r-failed"}))
    assert [(notice.news, notice.severity) for notice in told(telling)] == [
        (News.ROLLED_BACK, Severity.TELL),
        (News.ROLLBACK_FAILED, Severity.WAKE),
    ]


def test_stall_of_a_story_is_told_once_and_again_for_another_reason(telling: SqlStore) -> None:
    training = make_training()
    write(telling, StartTraining(training))
    for reason in ("DiskLow", "DiskLow", "SecretMissing"):
        telling.wake("training", training.id)
        answer(telling, take(telling), Stalled(reason, "do something"))
    assert [(notice.news, notice.reason) for notice in told(telling)] == [
        (News.STALLED, "DiskLow"),
        (News.STALLED, "SecretMissing"),
    ]


def test_stall_of_recurring_work_is_told_once_until_it_went_on(telling: SqlStore) -> None:
    stalled = Exit(None, Stalled("repo_too_large", "make it smaller"), recurring=True)
    goes_on = Exit(None, Wait(timedelta(minutes=3), "Polling"), recurring=True)
    for step in (stalled, stalled, goes_on, stalled):
        telling.wake("poll", "1")
        telling.finish(take(telling), step)
    assert [notice.reason for notice in told(telling)] == ["repo_too_large", "repo_too_large"]


def test_stall_of_a_delivery_is_told(telling: SqlStore) -> None:
    telling.save_delivery(make_delivery())
    answer(telling, take(telling), Stalled("DiskLow", "make room"))
    assert [notice.news for notice in told(telling)] == [News.STALLED]


@pytest.mark.parametrize("kind", sorted(outbox.TELLING))
def test_nobody_is_told_that_telling_stalls(telling: SqlStore, kind: str) -> None:
    telling.wake(kind, "home")
    telling.finish(take(telling), Exit(None, Stalled("NotifyFileInvalid", "line 3"), recurring=True))
    assert told(telling) == []


def test_hold_by_a_person_and_a_webhook_are_told(telling: SqlStore) -> None:
    write(telling, SetHold(make_hold(reason="ByHand", author="mona")), SetHold(make_hold(rollout_id="r-1")))
    write(telling, Audit("hook.lost", {"repo_id": 1, "repo": "acme/iris"}, {"reason": "HookLost", "message": "x"}))
    assert [notice.news for notice in told(telling)] == [News.HELD, News.HOOK_LOST]


# ---------------------------------------------------------------- letters


def route(store: SqlStore, *channels: str, outcome: str = "") -> str:
    (notice,) = told(store)
    write(store, RouteNotice(notice.id, channels, outcome))
    return notice.id


def test_routed_notice_has_a_letter_and_a_job_for_each_channel(telling: SqlStore, clock: Clock) -> None:
    end(telling, FAILED)
    number = route(telling, "b", "a")
    assert told(telling) == []
    assert [(letter.channel, letter.state) for letter, _ in telling.letters()] == [
        ("a", LetterState.WAITING),
        ("b", LetterState.WAITING),
    ]
    assert {job for job in jobs(telling) if job[0] == "notify"} == {("notify", "a"), ("notify", "b")}
    # Another worker came to the same: nothing is written twice.
    write(telling, RouteNotice(number, ("a", "c")))
    assert len(telling.letters()) == 2
    first = telling.first_letter("a")
    assert first is not None
    assert (first.letter.due, first.after) == (clock.time, timedelta(0))
    assert telling.first_letter("c") is None


def test_letter_that_failed_waits_and_what_is_new_goes_first(telling: SqlStore, clock: Clock) -> None:
    end(telling, FAILED)
    old = route(telling, "a")
    write(telling, SettleLetter(old, "a", is_sent=False, reason="NotifyUnavailable", after=timedelta(minutes=5)))
    due = telling.first_letter("a")
    assert due is not None
    assert (due.after, due.letter.tries, due.letter.reason) == (timedelta(minutes=5), 1, "NotifyUnavailable")
    clock.advance(timedelta(minutes=1))
    end(telling, FAILED)
    new = route(telling, "a")
    first = telling.first_letter("a")
    assert first is not None
    assert first.notice.id == new


@pytest.mark.parametrize(("is_sent", "state"), [(True, LetterState.SENT), (False, LetterState.GIVEN_UP)])
def test_letter_that_is_over_stays_so(telling: SqlStore, clock: Clock, is_sent: bool, state: LetterState) -> None:
    end(telling, FAILED)
    number = route(telling, "a")
    write(telling, SettleLetter(number, "a", is_sent=is_sent, message="200 ok"))
    write(telling, SettleLetter(number, "a", is_sent=not is_sent, message="late"))
    assert telling.first_letter("a") is None
    ((letter, _),) = telling.letters()
    assert (letter.state, letter.message, letter.settled_at) == (state, "200 ok", clock.time)


def test_what_was_told_lately_is_known_and_what_nobody_was_told_is_not(telling: SqlStore, clock: Clock) -> None:
    end(telling, FAILED)
    route(telling, "a")
    told_at = clock.time
    clock.advance(timedelta(minutes=4))
    end(telling, FAILED)
    second = told(telling)
    assert list(telling.told_lately(second).values()) == [told_at]
    route(telling, outcome="Repeated")
    clock.advance(timedelta(minutes=7))
    end(telling, FAILED)
    assert telling.told_lately(told(telling)) == {}


def test_tallies_count_what_waits_and_what_ended_within_a_day(telling: SqlStore, clock: Clock) -> None:
    end(telling, FAILED)
    number = route(telling, "a", "b", "c")
    write(telling, SettleLetter(number, "a", is_sent=True), SettleLetter(number, "b", is_sent=False))
    clock.advance(timedelta(minutes=2))
    tallies = telling.tallies()
    assert (tallies.letters_waiting, tallies.letter_age) == (1, 120.0)
    assert tallies.letters_settled == {"sent": 1, "given_up": 1}
    clock.advance(timedelta(days=2))
    assert telling.tallies().letters_settled == {}


def test_old_notices_go_with_their_letters_and_what_waits_stays(telling: SqlStore, clock: Clock) -> None:
    end(telling, FAILED)
    number = route(telling, "a", "b")
    write(telling, SettleLetter(number, "a", is_sent=True))
    clock.advance(timedelta(days=31))
    month = timedelta(days=30)
    telling.drop_spent(Kind.ROWS, age=month, limit=500)
    assert len(telling.letters()) == 2
    write(telling, SettleLetter(number, "b", is_sent=False))
    counted = telling.spent(Kind.ROWS, age=month)
    assert telling.drop_spent(Kind.ROWS, age=month, limit=500) == counted
    assert telling.letters() == []
    assert telling.told_lately([]) == {}
