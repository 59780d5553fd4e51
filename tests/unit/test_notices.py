"""Which changes are told, how loudly, and what flaps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from gitops.audit.entry import Actor, Event, Service, Subject, parse
from gitops.explaining.phrases import PHRASES
from gitops.notices import QUIET, WAKING, News, Notice, Severity, grade, is_repeated, same_as, stalled_job, tell

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
BACK = {"direction": "rollback"}


def event(kind: str, evidence: Mapping[str, str | bool] | None = None, **subject: str | int) -> Event:
    filled = {"repo_id": 2, "env": "production", "model": "iris", "version": "2", "rollout_id": "r-1", **subject}
    return Event(kind=kind, actor=Actor(type="service"), subject=Subject(**filled), evidence=evidence or {})  # type: ignore[arg-type]  # fields by name


def notice(told: Event, *, after: timedelta = timedelta(0)) -> Notice:
    made = tell(told, id="n-1", log_id="log", moment=NOW + after, service=Service(version="0"))
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("kind", "evidence", "expected"),
    [
        ("training.succeeded", {}, (News.TRAINING_SUCCEEDED, Severity.TELL)),
        ("training.refused", {}, (News.TRAINING_REFUSED, Severity.TELL)),
        ("training.errored", {}, (News.TRAINING_ERRORED, Severity.TELL)),
        ("training.stalled", {}, (News.STALLED, Severity.WAKE)),
        ("training.judged", {}, None),
        ("promotion.proposed", {}, (News.PROPOSED, Severity.TELL)),
        ("promotion.succeeded", {"merged_by": "mona"}, (News.MERGED, Severity.TELL)),
        ("promotion.succeeded", {}, None),
        ("promotion.superseded", {}, None),
        ("rollout.applied", {}, None),
        ("rollout.succeeded", {}, (News.DEPLOYED, Severity.TELL)),
        ("rollout.succeeded", {"unchanged": True}, None),
        ("rollout.succeeded", BACK, (News.ROLLED_BACK, Severity.TELL)),
        ("rollout.rolled_back", {"reason": "SmokeFailed"}, (News.ROLLED_BACK, Severity.WAKE)),
        ("rollout.rolled_back", {"reason": "RolledBack"}, (News.ROLLED_BACK, Severity.TELL)),
        ("rollout.rolled_back", {"reason": "SmokeFailed", **BACK}, (News.ROLLBACK_FAILED, Severity.WAKE)),
        ("rollout.errored", {"reason": "RollbackFailed"}, (News.ROLLBACK_FAILED, Severity.WAKE)),
        ("rollout.errored", {"reason": "GaveUp"}, (News.ROLLOUT_ERRORED, Severity.WAKE)),
        ("rollout.refused", {}, (News.ROLLOUT_REFUSED, Severity.TELL)),
        ("hook.lost", {"reason": "HookLost"}, (News.HOOK_LOST, Severity.WAKE)),
        ("hook.heard", {}, (News.HOOK_HEARD, Severity.TELL)),
        ("hold.set", {}, None),
        ("hold.lifted", {}, (News.RESUMED, Severity.TELL)),
        ("token.made", {}, None),
    ],
)
def test_change_is_told_or_not(
    kind: str, evidence: dict[str, str | bool], expected: tuple[News, Severity] | None
) -> None:
    assert grade(event(kind, evidence)) == expected


def test_hold_that_a_person_set_is_told_and_one_that_a_rollout_set_is_not() -> None:
    assert grade(event("hold.set", rollout_id="")) == (News.HELD, Severity.TELL)
    assert grade(event("hold.set")) is None


def test_pin_that_was_emptied_is_told_as_removed() -> None:
    assert grade(event("rollout.succeeded", version="")) == (News.REMOVED, Severity.TELL)


def test_every_outcome_can_come_of_a_change() -> None:
    cases = [grade(event(kind, evidence)) for kind in PHRASES for evidence in ({}, {"reason": "RollbackFailed"}, BACK)]
    cases += [grade(event("promotion.succeeded", {"merged_by": "mona"})), grade(event("hold.set", rollout_id=""))]
    cases += [grade(event("rollout.succeeded", version=""))]
    assert {found[0] for found in cases if found} == set(News)
    assert {found[0] for found in cases if found and found[1] is Severity.WAKE} == WAKING


def test_notice_keeps_the_entry_without_what_no_message_says() -> None:
    made = notice(
        event("rollout.rolled_back", {"reason": "SmokeFailed", "message": "x" * 5000, "lock_sha256": "a" * 64})
    )
    kept = parse(made.entry.encode())
    assert kept.evidence.keys() == {"reason", "message"}
    assert len(str(kept.evidence["message"])) == 1000
    assert (made.news, made.reason, made.environment, made.model) == (
        News.ROLLED_BACK,
        "SmokeFailed",
        "production",
        "iris",
    )
    assert kept.time == made.created_at == NOW


def test_stall_of_recurring_work_names_the_job() -> None:
    made = notice(stalled_job("poll", "7", reason="DiskLow", message="1 GB is free"))
    assert (made.news, made.severity, made.reason) == (News.STALLED, Severity.WAKE, "DiskLow")
    assert parse(made.entry.encode()).subject.name == "poll 7"


@dataclass(frozen=True)
class Again:
    """A second notice, and whether it says what the first one said."""

    second: Event
    is_same: bool
    after: timedelta = timedelta(minutes=9)


FIRST = event("rollout.rolled_back", {"reason": "SmokeFailed"})
AGAIN = {
    "the next version fails in the same way": Again(
        event("rollout.rolled_back", {"reason": "SmokeFailed"}, version="3", rollout_id="r-2"), is_same=True
    ),
    "later": Again(FIRST, is_same=False, after=QUIET),
    "for another reason": Again(event("rollout.rolled_back", {"reason": "ScorerDied"}), is_same=False),
    "in another environment": Again(
        event("rollout.rolled_back", {"reason": "SmokeFailed"}, env="staging"), is_same=False
    ),
    "of another model": Again(event("rollout.rolled_back", {"reason": "SmokeFailed"}, model="wine"), is_same=False),
    "something else": Again(event("rollout.errored", {"reason": "SmokeFailed"}), is_same=False),
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN.keys())
def test_what_flaps_wakes_nobody_twice(again: Again) -> None:
    first, second = notice(FIRST), notice(again.second, after=again.after)
    assert is_repeated(second, {same_as(first): first.created_at}) == again.is_same


def test_what_only_tells_is_never_left_out() -> None:
    first, second = (notice(event("rollout.succeeded", version=version)) for version in ("2", "3"))
    assert same_as(first) != same_as(second)
    assert not is_repeated(first, {same_as(first): NOW})
