import dataclasses
from datetime import timedelta

import pytest
from pydantic import JsonValue, ValidationError

from gitops.audit.entry import Entry
from gitops.ports import Exit
from gitops.records import Training
from gitops.steps import Done, Ended, Facts, Phase, Queue, Refused, Stalled, Wait
from gitops.store import SqlStore, check_audit_joins
from gitops.writes import OpenPromotion, OpenRollout, StartTraining
from tests.support.store import (
    Clock,
    answer,
    clock,
    make_promotion,
    make_rollout,
    make_training,
    store,
    take,
    write,
)

__all__ = ["clock", "store"]


def start(store: SqlStore) -> Training:
    training = make_training()
    write(store, StartTraining(training))
    return read(store, training.id)


def read(store: SqlStore, training_id: str) -> Training:
    training = store.training(training_id)
    assert training is not None
    return training


def entries(store: SqlStore) -> list[Entry]:
    return [row.entry for row in reversed(store.audit_recent(1000))]


def test_done_merges_facts_and_goes_to_the_next_step(store: SqlStore, clock: Clock) -> None:
    training = start(store)
    clock.advance(timedelta(seconds=3))
    answer(store, take(store), Done(facts={"run_id": "r1"}, message="running"), step="make_run", next_step="train")
    answer(store, take(store), Done(facts={"exit_code": 0}), step="train", next_step="judge")
    after = read(store, training.id)
    assert (after.phase, after.step, after.revision) == (Phase.RUNNING, "judge", 3)
    assert (after.facts.run_id, after.facts.exit_code) == ("r1", 0)
    assert after.updated_at == clock.time
    assert after.created_at == training.created_at


def test_i25_each_step_has_one_entry_that_says_who_what_and_why(store: SqlStore) -> None:
    training = start(store)
    facts: Facts = {"metrics": {"accuracy": "0.95"}, "verdict": "pass", "exit_code": 0, "log_tail": ["secret line"]}
    answer(store, take(store), Done(facts=facts), step="judge", event="judged", next_step="register")
    started, judged = entries(store)
    assert (started.kind, started.from_, started.to) == ("training.started", "", "Pending")
    assert (judged.kind, judged.from_, judged.to) == ("training.judged", "Pending", "Running register")
    assert judged.evidence == {"metrics": {"accuracy": "0.95"}, "verdict": "pass", "exit_code": 0}
    assert (judged.actor.type, judged.actor.login, judged.actor.auth_method) == ("user", "mona", "webhook")
    assert (judged.cause.delivery_guid, judged.cause.body_sha256) == ("guid-1", "b" * 64)
    assert (judged.subject.training_id, judged.subject.sha) == (training.id, training.commit)
    assert (judged.subject.revision, judged.subject.repo, judged.subject.attempt) == (2, "acme/iris", 1)


def test_i25_last_step_has_one_entry_with_the_end_as_its_kind(store: SqlStore) -> None:
    start(store)
    gate: JsonValue = {
        "metric": "accuracy",
        "operator": "above",
        "threshold": "0.9",
        "outcome": "pass",
        "message": "0.95 > 0.9",
    }
    judged: Facts = {"verdict": "pass", "gates": [gate], "version": "7"}
    answer(store, take(store), Done(facts=judged), step="judge", next_step="hand_over")
    answer(store, take(store), Done(facts={"promotions": ["p-1"]}), step="hand_over")
    *_, last = entries(store)
    assert (last.kind, last.from_, last.to) == ("training.succeeded", "Running hand_over", "Succeeded")
    assert last.evidence["promotions"] == ["p-1"]
    assert last.evidence["verdict"] == "pass"
    assert last.subject.version == "7"
    assert len(entries(store)) == 3
    assert all(job.kind != "training" for job in store.jobs())
    assert check_audit_joins(store) == []


@pytest.mark.parametrize(
    ("outcome", "phase", "kind"),
    [
        (Refused("GateRefused", "too bad", facts={"verdict": "fail"}), Phase.REFUSED, "training.refused"),
        (Ended(Phase.ERRORED, "TimedOut", "30 m", facts={"verdict": "fail"}), Phase.ERRORED, "training.errored"),
        (Ended(Phase.CANCELLED, "Cancelled", "", facts={"verdict": "fail"}), Phase.CANCELLED, "training.cancelled"),
    ],
)
def test_story_ends_in_the_phase_of_its_outcome(
    store: SqlStore, outcome: Refused | Ended, phase: Phase, kind: str
) -> None:
    training = start(store)
    answer(store, take(store), outcome, step="judge")
    after = read(store, training.id)
    assert (after.phase, after.step, after.reason, after.revision) == (phase, "judge", outcome.reason, 2)
    assert after.facts.verdict == "fail"
    last = entries(store)[-1]
    assert (last.kind, last.to, last.evidence["reason"]) == (kind, str(phase), outcome.reason)
    assert check_audit_joins(store) == []


def test_rolled_back_is_written_in_snake_case(store: SqlStore) -> None:
    rollout = make_rollout()
    write(store, OpenRollout(rollout))
    answer(store, take(store), Ended(Phase.ROLLED_BACK, "Unhealthy", "500", facts={"serving": "0"}), step="bake")
    last = entries(store)[-1]
    assert last.kind == "rollout.rolled_back"
    assert last.evidence["serving"] == "0"
    assert (last.subject.rollout_id, last.subject.endpoint) == (rollout.id, "iris-staging")


def test_wait_is_no_state_change(store: SqlStore) -> None:
    training = start(store)
    answer(store, take(store), Wait(timedelta(seconds=5), "AwaitMerge", "waits", facts={"run_id": "r1"}), step="x")
    after = read(store, training.id)
    assert (after.reason, after.message, after.revision, after.facts.run_id) == ("AwaitMerge", "waits", 1, "r1")
    assert len(entries(store)) == 1


def test_stalled_is_told_once_until_its_reason_changes(store: SqlStore) -> None:
    training = start(store)
    for reason in ("NoInterpreter", "NoInterpreter", "NoAccess"):
        answer(store, take(store), Stalled(reason, "do something"), step="lock")
        store.wake("training", training.id)
    told = [(entry.kind, entry.evidence["reason"]) for entry in entries(store)[1:]]
    assert told == [("training.stalled", "NoInterpreter"), ("training.stalled", "NoAccess")]
    assert check_audit_joins(store) == []


def test_error_shows_its_cause_on_the_record_and_is_no_state_change(store: SqlStore) -> None:
    training = start(store)
    store.finish(take(store), Exit(training, None, step="x", error="ForgeUnavailable: 502", retry_after=5))
    after = read(store, training.id)
    assert (after.reason, after.message, after.revision) == ("Retrying", "ForgeUnavailable: 502", 1)


def test_i27_nothing_is_written_when_a_fact_is_unknown(store: SqlStore) -> None:
    training = start(store)
    claim = take(store)
    with pytest.raises(ValidationError):
        answer(store, claim, Done(facts={"invented": "x"}), step="x", next_step="y")
    with pytest.raises(TypeError):
        answer(store, claim, Done(facts={"run_id": "r"}, writes=("no write",)), step="x", next_step="y")
    assert read(store, training.id) == training
    assert len(entries(store)) == 1
    answer(store, claim, Done(), step="x", next_step="y")


def test_evidence_is_brought_into_the_form_of_an_entry(store: SqlStore) -> None:
    write(store, OpenRollout(make_rollout()))
    facts: Facts = {"bake_seconds": 0.1, "smoke": "fine", "failure": None, "applied": True}
    answer(store, take(store), Done(facts=facts), step="bake", next_step="x")
    evidence = entries(store)[-1].evidence
    assert evidence == {"bake_seconds": "0.1", "smoke": "fine", "applied": True}


def test_too_much_evidence_is_recorded_by_its_digest(store: SqlStore) -> None:
    start(store)
    answer(store, take(store), Done(facts={"sentence": "x" * 300_000}), step="judge", next_step="y")
    evidence = entries(store)[-1].evidence
    assert set(evidence) == {"evidence_sha256", "evidence_bytes"}


def test_training_starts_once_when_it_is_asked_for_many_times(store: SqlStore) -> None:
    first = start(store)
    again = first.model_copy(update={"id": "again"})
    forced = first.model_copy(update={"id": "forced", "nonce": "n1"})
    write(store, StartTraining(again), StartTraining(forced))
    assert store.training("again") is None
    assert store.training("forced") is not None
    assert [entry.subject.training_id for entry in entries(store)] == [first.id, "forced"]
    assert sum(job.kind == "training" for job in store.jobs()) == 2
    assert check_audit_joins(store) == []


def test_i17_newer_version_supersedes_an_open_promotion(store: SqlStore) -> None:
    old, new = make_promotion(version="1"), make_promotion(version="2")
    write(store, OpenPromotion(old))
    write(store, OpenPromotion(new))
    superseded = store.promotion(old.id)
    assert superseded is not None
    assert (superseded.phase, superseded.reason) == (Phase.SUPERSEDED, "Superseded")
    assert [promotion.id for promotion in store.open_promotions(2)] == [new.id]
    assert [entry.kind for entry in entries(store)] == [
        "promotion.opened",
        "promotion.superseded",
        "promotion.opened",
    ]
    assert entries(store)[-1].evidence["superseded"] == old.id
    assert [job.subject for job in store.jobs() if job.kind == "promotion"] == [new.id]
    assert check_audit_joins(store) == []


def test_i17_promotion_of_the_same_version_stays_open(store: SqlStore) -> None:
    old = make_promotion()
    write(store, OpenPromotion(old))
    write(store, OpenPromotion(make_promotion()))
    assert [promotion.id for promotion in store.open_promotions(2)] == [old.id]
    assert len(entries(store)) == 1


def test_promotions_of_other_places_stay_open(store: SqlStore) -> None:
    promotions = [make_promotion(), make_promotion(environment="production"), make_promotion(model="other")]
    write(store, *map(OpenPromotion, promotions))
    assert len(store.open_promotions(2)) == 3
    assert len(store.open_promotions(2, environment="staging")) == 2


def test_i7_worker_writes_nothing_when_its_promotion_was_superseded(store: SqlStore) -> None:
    old, new = make_promotion(version="1"), make_promotion(version="2")
    write(store, OpenPromotion(old))
    held = take(store)
    write(store, OpenPromotion(new))
    with pytest.raises(Exception, match="no longer held"):
        answer(store, held, Done(facts={"number": 7}), step="open", next_step="await_merge")
    superseded = store.promotion(old.id)
    assert superseded is not None
    assert (superseded.phase, superseded.facts.number) == (Phase.SUPERSEDED, None)
    assert check_audit_joins(store) == []


def test_i19_newer_pin_supersedes_a_pending_rollout_and_waits_for_a_running_one(store: SqlStore) -> None:
    running, pending, newest = (make_rollout(version=f"{n}", commit=f"{n}" * 40) for n in (1, 2, 3))
    write(store, OpenRollout(running))
    answer(store, take(store), Done(), step="read_pin", next_step="apply")
    held = take(store)
    write(store, OpenRollout(pending))
    write(store, OpenRollout(newest))
    where = {"target": "local", "host": "here", "endpoint": "iris-staging"}
    assert [(rollout.id, rollout.phase) for rollout in store.active_rollouts(**where)] == [
        (running.id, Phase.RUNNING),
        (newest.id, Phase.PENDING),
    ]
    report = take(store)
    assert (report.kind, report.subject) == ("report", f"rollout:{pending.id}")
    waiting = take(store)
    assert waiting.subject == newest.id
    answer(store, waiting, Done(facts={"smoke": "ok"}), step="read_pin", next_step="apply")
    waits = store.rollout(newest.id)
    assert waits is not None
    assert (waits.phase, waits.reason) == (Phase.PENDING, "Locked")
    assert running.id in waits.message
    answer(store, held, Done(), step="finish")
    again = take(store)
    assert again.subject == newest.id
    answer(store, again, Done(), step="read_pin", next_step="apply")
    begun = store.rollout(newest.id)
    assert begun is not None
    assert begun.phase is Phase.RUNNING
    assert check_audit_joins(store) == []


def test_rollout_that_is_asked_for_twice_is_one(store: SqlStore) -> None:
    first = make_rollout()
    write(store, OpenRollout(first), OpenRollout(first.model_copy(update={"id": "again"})))
    assert store.rollout("again") is None
    newest = store.newest_rollout(2, "staging")
    assert newest is not None
    assert newest.id == first.id


def test_i25_check_names_a_record_whose_entries_are_missing(store: SqlStore) -> None:
    training = start(store)
    store._write(  # noqa: SLF001 - breaks the database as no method would
        lambda tx: tx.connection.exec_driver_sql("UPDATE trainings SET revision = 2")
    )
    (problem,) = check_audit_joins(store)
    assert training.id in problem


def test_step_moves_between_queues_and_keeps_its_record(store: SqlStore) -> None:
    training = start(store)
    claim = take(store)
    store.finish(claim, Exit(training, None, step="train", next_step="train", queue=Queue.TRAINING))
    assert dataclasses.replace(take(store, Queue.TRAINING), queue=Queue.CONTROL, epoch=claim.epoch) == claim
    assert read(store, training.id).revision == 1


def test_odd_text_of_a_log_keeps_no_story_from_going_on(store: SqlStore) -> None:
    training = start(store)
    odd = Done(facts={"sentence": "a \ud800 b \0 c", "parameters": {"\udcff": "\ud800"}}, message="\ud800")
    answer(store, take(store), odd, step="judge", next_step="register")
    after = read(store, training.id)
    assert (after.facts.sentence, after.message) == ("a \\ud800 b \\x00 c", "\\ud800")
    assert entries(store)[-1].evidence["parameters"] == {"\\udcff": "\\ud800"}
    record = read(store, training.id)
    store.finish(take(store), Exit(record, None, step="register", error="bad name \udc80"))
    assert read(store, training.id).message == "bad name \\udc80"


def test_i25_a_step_that_had_nothing_to_do_leaves_no_entry_and_no_revision(store: SqlStore) -> None:
    rollout = make_rollout()
    write(store, OpenRollout(rollout))
    before = store.audit_size()
    answer(store, take(store), Done(is_idle=True), step="read_pin", next_step="apply")
    moved = store.rollout(rollout.id)
    assert moved is not None
    assert (moved.step, moved.revision, store.audit_size()) == ("apply", 1, before)
    answer(store, take(store), Done(is_idle=True), step="apply", next_step="")
    assert store.audit_size() == before + 1
    assert check_audit_joins(store) == []
