from datetime import datetime, timedelta
from typing import Any

import pytest

from gitops.audit.entry import Entry
from gitops.errors import StaleEpochError
from gitops.holding import EVERYWHERE
from gitops.ports import Mark
from gitops.records import Cause, Environment, Sync, WatchedRef
from gitops.steps import Done, Phase, Queue, Refused, Stalled, Wait
from gitops.store import SqlStore, check_audit_joins
from gitops.writes import (
    Audit,
    CancelTraining,
    DeclineVersion,
    LiftHold,
    MoveRef,
    OpenPromotion,
    OpenRollout,
    ReconsiderVersion,
    SaveEnvironment,
    SaveRepository,
    SaveVersion,
    SetHold,
    StartTraining,
    Wake,
)
from tests.support.store import (
    LEASE,
    Clock,
    answer,
    clock,
    make_command,
    make_environment,
    make_hold,
    make_promotion,
    make_repository,
    make_rollout,
    make_training,
    make_version,
    store,
    take,
    write,
)

__all__ = ["clock", "store"]


def entries(store: SqlStore) -> list[Entry]:
    return [row.entry for row in reversed(store.audit_recent(1000))]


def kinds(store: SqlStore) -> list[str]:
    return [entry.kind for entry in entries(store)]


def test_repository_is_connected_once_until_something_changes(store: SqlStore) -> None:
    write(store, SaveRepository(make_repository()))
    write(store, SaveRepository(make_repository()))
    write(store, SaveRepository(make_repository(full_name="acme/renamed", secrets=("TOKEN",))))
    assert kinds(store) == ["repository.connected"] * 2
    kept = store.repository(1)
    assert kept == make_repository(full_name="acme/renamed", secrets=("TOKEN",))
    write(store, SaveRepository(make_repository(id=2, full_name="acme/a")))
    assert [repository.id for repository in store.repositories()] == [2, 1]
    assert store.repository(9) is None
    assert check_audit_joins(store) == []


def test_i5_ref_is_moved_without_an_entry(store: SqlStore) -> None:
    ref = WatchedRef(repository_id=1, ref="refs/heads/main", commit="a" * 40)
    write(store, MoveRef(ref))
    write(store, MoveRef(ref.model_copy(update={"commit": "b" * 40})))
    kept = store.watched_ref(1, "refs/heads/main")
    assert kept is not None
    assert kept.commit == "b" * 40
    assert store.watched_ref(1, "refs/heads/other") is None
    assert kinds(store) == []


def test_version_keeps_its_first_verdict(store: SqlStore, clock: Clock) -> None:
    write(store, SaveVersion(make_version()))
    write(store, SaveVersion(make_version(verdict="fail")))
    kept = store.version("iris", "1")
    assert kept == make_version(created_at=clock.time)
    (entry,) = entries(store)
    assert (entry.kind, entry.to, entry.subject.version) == ("version.recorded", "pass", "1")
    assert entry.evidence["metrics"] == {"accuracy": "0.95"}
    assert store.version("iris", "2") is None
    assert check_audit_joins(store) == []


def test_versions_come_newest_first(store: SqlStore, clock: Clock) -> None:
    write(store, *(SaveVersion(make_version(version=f"{number}")) for number in (8, 9, 10)))
    clock.advance(timedelta(seconds=1))
    write(store, SaveVersion(make_version(version="2")), SaveVersion(make_version(model="other")))
    assert [version.version for version in store.versions("iris")] == ["2", "10", "9", "8"]
    assert len(store.versions("iris", limit=2)) == 2


def test_versions_go_on_after_any_of_them_also_of_one_moment(store: SqlStore, clock: Clock) -> None:
    write(store, *(SaveVersion(make_version(version=f"{number}")) for number in (8, 9, 10, 11)))
    clock.advance(timedelta(seconds=1))
    write(store, SaveVersion(make_version(version="2")))
    whole = list(store.versions("iris"))
    assert [one.version for one in whole] == ["2", "11", "10", "9", "8"]
    for at, one in enumerate(whole):
        assert one.created_at is not None
        assert list(store.versions("iris", after=Mark(one.created_at, one.version))) == whole[at + 1 :]
        assert list(store.versions("iris", after=Mark(one.created_at, one.version), limit=1)) == whole[at + 1 : at + 2]


def test_champion_is_what_serves_in_the_champion_environment(store: SqlStore, clock: Clock) -> None:
    assert store.champion("iris") is None
    write(store, SaveVersion(make_version(version="1")), SaveVersion(make_version(version="2")))
    write(store, SaveEnvironment(make_environment(serving="2"), ()))
    assert store.champion("iris") is None
    production = make_environment(path="production", name="production", is_champion=True, serving="1")
    write(store, SaveEnvironment(production.model_copy(update={"serving_since": clock.time}), ()))
    champion = store.champion("iris")
    assert champion is not None
    assert champion.version == "1"


def test_champion_comes_from_the_marked_environment_that_serves_since_latest(store: SqlStore, clock: Clock) -> None:
    def serve(repository: int, version: str, since: datetime | None) -> None:
        place = make_environment(repository_id=repository, is_champion=True, serving=version, serving_since=since)
        write(store, SaveEnvironment(place, tuple(Environment.model_fields)))

    def champion() -> str:
        found = store.champion("iris")
        return found.version if found is not None else ""

    write(store, *(SaveVersion(make_version(version=one)) for one in ("1", "2")))
    serve(2, "1", None)
    assert champion() == "1"
    serve(4, "2", clock.time)
    assert champion() == "2", "a moment that is not known is earlier than any"
    serve(6, "3", clock.time + timedelta(seconds=1))
    assert champion() == "", "what serves since latest has no verdict, and what came before is not taken for it"
    serve(8, "", clock.time + timedelta(seconds=2))
    write(store, SaveEnvironment(make_environment(repository_id=9, model="churn", is_champion=True, serving="1"), ()))
    found = store.crowned(["iris", "churn", "unknown"])
    assert {name: (one.repository_id, one.serving, one.champion) for name, one in found.items()} == {
        "iris": (6, "3", None),
        "churn": (9, "1", None),
    }
    assert store.crowned([]) == {}


def test_environment_changes_only_in_the_named_fields_when_it_is_known(store: SqlStore, clock: Clock) -> None:
    first = make_environment(serving="1", earlier=("1",), serving_since=clock.time)
    write(store, SaveEnvironment(first, ("pinned",)))
    assert store.environment(2, "staging") == first
    write(store, SaveEnvironment(make_environment(pinned="2", sync=Sync.OUT_OF_SYNC, serving="9"), ("pinned", "sync")))
    known = first.model_copy(update={"pinned": "2", "sync": Sync.OUT_OF_SYNC})
    assert store.environment(2, "staging") == known
    assert kinds(store) == []


def test_environments_are_found_by_repository_and_model(store: SqlStore) -> None:
    write(store, SaveEnvironment(make_environment(), ()))
    write(store, SaveEnvironment(make_environment(repository_id=3, model="other"), ()))
    assert len(store.environments()) == 2
    assert [found.model for found in store.environments(repository_id=3)] == ["other"]
    assert [found.model for found in store.environments(model="iris")] == ["iris"]


def test_hold_is_set_and_lifted_with_entries(store: SqlStore, clock: Clock) -> None:
    hold = make_hold(rollout_id="r-1")
    write(store, SetHold(hold))
    write(store, SetHold(hold))
    assert store.holds(repository_id=2, path="staging") == [hold.model_copy(update={"created_at": clock.time})]
    assert store.holds(repository_id=2, path="production") == []
    write(store, LiftHold(2, "staging", by="mona", reason="fixed"))
    write(store, LiftHold(2, "staging", by="mona"))
    assert store.holds() == []
    placed, lifted = entries(store)
    assert (placed.kind, placed.actor.type, placed.subject.name) == ("hold.set", "service", hold.id)
    assert (lifted.kind, lifted.actor.login, lifted.evidence["reason"]) == ("hold.lifted", "mona", "fixed")
    assert check_audit_joins(store) == []


def test_lifting_a_hold_wakes_what_waited_for_it(store: SqlStore) -> None:
    write(store, OpenPromotion(make_promotion()), OpenRollout(make_rollout()), SetHold(make_hold()))
    for _ in range(2):
        answer(store, take(store), Wait(timedelta(hours=1), "Held"))
    assert store.claim(Queue.CONTROL, owner="x", lease=LEASE) is None
    write(store, LiftHold(2, "staging", by="mona"))
    assert {take(store).kind, take(store).kind} == {"promotion", "rollout"}


def test_pause_holds_every_environment_and_comes_first(store: SqlStore) -> None:
    hold, pause = make_hold(), make_hold(repository_id=EVERYWHERE, path="", environment="", model="", reason="Paused")
    write(store, SetHold(hold))
    write(store, SetHold(pause))
    assert [one.id for one in store.holds()] == [pause.id, hold.id]
    assert [one.id for one in store.holds(repository_id=2, path="staging")] == [pause.id, hold.id]
    assert [one.id for one in store.holds(repository_id=9, path="new")] == [pause.id]
    write(store, LiftHold(2, "staging", by="mona"))
    assert [one.id for one in store.holds()] == [pause.id]
    assert check_audit_joins(store) == []


def test_lifting_a_pause_wakes_everything_and_lifts_no_other_hold(store: SqlStore) -> None:
    pause = make_hold(repository_id=EVERYWHERE, path="", environment="", model="")
    elsewhere = make_rollout(repository_id=3, path="live", endpoint="iris-live")
    hold = make_hold()
    write(store, OpenPromotion(make_promotion()), OpenRollout(elsewhere), SetHold(hold), SetHold(pause))
    for _ in range(2):
        answer(store, take(store), Wait(timedelta(hours=1), "Held"))
    write(store, LiftHold(EVERYWHERE, "", by="mona", reason="it is over"))
    assert {take(store).kind, take(store).kind} == {"promotion", "rollout"}
    assert [one.id for one in store.holds()] == [hold.id]
    *_, lifted = entries(store)
    assert (lifted.kind, lifted.subject.repo_id, lifted.subject.name) == ("hold.lifted", 0, pause.id)
    assert check_audit_joins(store) == []


def test_training_that_is_called_off_is_over_whoever_works_on_it(store: SqlStore) -> None:
    training = make_training()
    write(store, StartTraining(training))
    held = take(store)
    answer(store, held, Done(message="ready"), step="environment", next_step="train")
    held = take(store)
    command = make_command(cause=Cause(kind="command", id="req-1", actor="ada"))
    store.save_command(command)
    calls_off = CancelTraining(training.id, by="ada", reason="wrong data")
    answer(store, take(store), Done(writes=(calls_off, calls_off)), step="run")

    over = store.training(training.id)
    assert over is not None
    assert (over.phase, over.step, over.reason) == (Phase.CANCELLED, "train", "Cancelled")
    assert (over.message, over.cause) == ("ada called it off: wrong data", training.cause)
    assert not store.is_ours(held)
    with pytest.raises(StaleEpochError):
        answer(store, held, Done(writes=(SaveVersion(make_version()),)), step="train", next_step="judge")
    assert store.versions("iris") == []
    (entry,) = [entry for entry in entries(store) if entry.kind == "training.cancelled"]
    assert (entry.actor.login, entry.cause.request_id, entry.from_) == ("ada", "req-1", "Running train")
    assert entry.evidence["message"] == "ada called it off: wrong data"
    assert take(store).subject == f"training:{training.id}"
    assert check_audit_joins(store) == []


def test_training_that_is_over_is_not_called_off(store: SqlStore) -> None:
    training = make_training()
    write(store, StartTraining(training))
    answer(store, take(store), Refused("GateRefused", "no"), step="judge")
    write(store, CancelTraining(training.id, by="ada"))
    over = store.training(training.id)
    assert over is not None
    assert (over.phase, over.message) == (Phase.REFUSED, "no")
    assert "training.cancelled" not in kinds(store)


def test_one_training_is_begun_for_each_nonce(store: SqlStore) -> None:
    first = make_training(nonce="t-1")
    again = first.model_copy(update={"id": "t-again"})
    other = first.model_copy(update={"id": "t-other", "nonce": "t-2"})
    write(store, *(StartTraining(training) for training in (first, again, other)))
    assert [store.training(one.id) is not None for one in (first, again, other)] == [True, False, True]
    found = store.training_of(again)
    assert found is not None
    assert found.id == first.id
    assert store.training_of(first.model_copy(update={"nonce": ""})) is None


def test_declined_version_is_remembered_once(store: SqlStore) -> None:
    decline = DeclineVersion(2, "staging", "iris", "1", by="mona")
    write(store, decline, decline)
    assert store.is_declined(2, "staging", "iris", "1")
    assert not store.is_declined(2, "production", "iris", "1")
    (entry,) = entries(store)
    assert (entry.kind, entry.actor.login, entry.subject.env) == ("promotion.declined", "mona", "staging")
    assert check_audit_joins(store) == []


def test_declined_version_is_reconsidered_once_with_who_had_declined_it(store: SqlStore) -> None:
    again = ReconsiderVersion(2, "staging", "iris", "1", by="ada")
    write(store, again)
    write(store, DeclineVersion(2, "staging", "iris", "1", by="mona"))
    write(store, DeclineVersion(2, "production", "iris", "1", by="mona"))
    write(store, again)
    write(store, again)
    assert not store.is_declined(2, "staging", "iris", "1")
    assert store.is_declined(2, "production", "iris", "1")
    *_, entry = entries(store)
    assert (entry.kind, entry.actor.login, entry.subject.env) == ("promotion.reconsidered", "ada", "staging")
    assert entry.evidence == {"declined_by": "mona"}
    assert kinds(store).count("promotion.reconsidered") == 1
    assert check_audit_joins(store) == []


def test_wake_makes_the_job_where_there_is_none(store: SqlStore) -> None:
    write(store, Wake("compare", "2"))
    assert take(store).subject == "2"
    assert kinds(store) == []


def test_audit_write_is_told_as_it_is_given_with_the_causes_person(store: SqlStore) -> None:
    store.save_command(make_command(cause=Cause(kind="command", id="req-1", actor="hubot")))
    audit = Audit("environment.pinned", {"env": "staging", "pr": 7}, {"seconds": 1.5})
    answer(store, take(store), Done(writes=(audit,)), step="run")
    _, entry = sorted(entries(store), key=lambda entry: entry.kind != "command.succeeded")
    assert (entry.kind, entry.subject.pr, entry.evidence) == ("environment.pinned", 7, {"seconds": "1.5"})
    assert (entry.actor.login, entry.cause.request_id) == ("hubot", "req-1")


def test_newest_promotion_of_a_version_is_found_over_or_not(store: SqlStore, clock: Clock) -> None:
    wanted: dict[str, Any] = {"environment": "staging", "model": "iris", "version": "1"}
    assert store.promotion_of(2, **wanted) is None
    first = make_promotion()
    write(store, OpenPromotion(first))
    answer(store, take(store), Done(), step="await_merge")
    clock.advance(timedelta(seconds=1))
    second = make_promotion()
    write(store, OpenPromotion(second))
    found = store.promotion_of(2, **wanted)
    assert found is not None
    assert found.id == second.id
    assert [promotion.phase for promotion in store.recent("promotion")] == [Phase.PENDING, Phase.SUCCEEDED]


@pytest.mark.parametrize(
    "outcome",
    [
        Wait(timedelta(hours=1), "AwaitMerge", writes=(Wake("compare", "2"),), facts={"number": 7}),
        Stalled("PlanChanged", "push again", writes=(Wake("compare", "2"),), facts={"number": 7}),
    ],
)
def test_facts_and_writes_are_kept_when_a_story_only_waits(store: SqlStore, outcome: Wait | Stalled) -> None:
    promotion = make_promotion()
    write(store, OpenPromotion(promotion))
    answer(store, take(store), outcome, step="await_merge")
    assert take(store).kind == "compare"
    kept = store.promotion(promotion.id)
    assert kept is not None
    assert (kept.facts.number, kept.reason) == (7, outcome.reason)


@pytest.mark.parametrize("field", ["training", "promotion", "rollout", "command"])
def test_unknown_record_is_none(store: SqlStore, field: str) -> None:
    assert getattr(store, field)("unknown") is None
    assert store.newest_rollout(2, "staging") is None
    assert store.environment(2, "staging") is None
