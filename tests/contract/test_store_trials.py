"""Trials in the store: begun once, woken for, ended with their training, whoever ends it. On both databases."""

from datetime import timedelta

import pytest
from pydantic_core import from_json

from gitops.audit.entry import parse
from gitops.errors import StaleEpochError
from gitops.ports import JobView
from gitops.records import Training
from gitops.retention import Kind
from gitops.spaces import Space, SpaceAxis
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Refused, Stalled, Wait
from gitops.store import SqlStore, check_audit_joins
from gitops.store.database import Database, open_database
from gitops.trials import SeenTrial, Trial
from gitops.writes import CancelTraining, KeepSpace, SaveVersion, StartTraining, StartTrial
from tests.support.store import LEASE, Clock, answer, clock, make_training, make_trial, make_version, store, take, write

__all__ = ["clock", "store"]

HOUR = timedelta(hours=1)


def searching(store: SqlStore, *numbers: int) -> Training:
    """Begin a training that waits for these trials."""
    training = make_training(id="t-1")
    write(store, StartTraining(training))
    begun = tuple(StartTrial(make_trial(number)) for number in numbers)
    answer(store, take(store), Wait(HOUR, "Searching", "0 of 2 are over", writes=begun), step="search")
    return training


def job_of(store: SqlStore, kind: str, subject: str) -> JobView | None:
    return next((job for job in store.jobs() if (job.kind, job.subject) == (kind, subject)), None)


def is_ready(store: SqlStore, kind: str, subject: str) -> bool:
    job = job_of(store, kind, subject)
    return job is not None and job.not_before <= store.now()


def states(store: SqlStore) -> list[tuple[int, Phase]]:
    return [(trial.number, trial.phase) for trial in store.trials("t-1")]


def kinds(store: SqlStore) -> list[str]:
    return [parse(raw).kind for raw in store.audit_entries(0, 1000)]


def test_a_trial_is_begun_once_with_its_job_on_the_training_queue(store: SqlStore) -> None:
    searching(store, 1)
    write(store, StartTrial(make_trial(1, parameters={"depth": "9"})))
    (trial,) = store.trials("t-1")
    assert (trial.id, trial.number, trial.parameters, trial.phase) == ("t-1.1", 1, {"depth": "1"}, Phase.PENDING)
    kept = store.trial("t-1.1")
    assert kept is not None
    assert SeenTrial.of(kept, job="ready") == trial
    job = job_of(store, "trial", "t-1.1")
    assert job is not None
    assert (job.queue, job.state) == ("training", "ready")
    assert kinds(store).count("trial.started") == 1


def test_trials_are_told_by_number_and_those_that_a_worker_has_as_running(store: SqlStore) -> None:
    searching(store, 10, 2, 1)
    assert states(store) == [(1, Phase.PENDING), (2, Phase.PENDING), (10, Phase.PENDING)]
    claim = take(store, Queue.TRAINING)
    assert claim.subject == "t-1.10"
    assert states(store) == [(1, Phase.PENDING), (2, Phase.PENDING), (10, Phase.RUNNING)]
    assert store.trials("t-2") == []


def test_trials_are_told_with_what_their_jobs_do(store: SqlStore) -> None:
    searching(store, 1, 2, 3, 4)
    answer(store, take(store, Queue.TRAINING), Stalled("NoInterpreter", "Python 3.9 is not here"), step="train")
    answer(store, take(store, Queue.TRAINING), Done(), step="measure")
    take(store, Queue.TRAINING)
    assert [(one.job, one.reason, one.phase) for one in store.trials("t-1")] == [
        ("stalled", "NoInterpreter", Phase.PENDING),
        ("", "", Phase.SUCCEEDED),
        ("leased", "", Phase.RUNNING),
        ("ready", "", Phase.PENDING),
    ]


def test_the_lines_of_the_trials_logs_stay_in_the_database_when_a_search_is_looked_at(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching(store, 1, 2, 3)
    lines = ["\\x00 café " + "x" * 1990] * 40
    facts = {"run_id": "r", "metrics": {"accuracy": "0.9"}, "seconds": 0.25, "log_tail": lines}
    for _ in range(3):
        answer(store, take(store, Queue.TRAINING), Done(facts=facts), step="measure")
    read: list[int] = []

    def count(text: str) -> object:
        read.append(len(text))
        return from_json(text)

    monkeypatch.setattr("gitops.store.columns.from_json", count)
    trials = store.trials("t-1")
    assert 0 < sum(read) < 10_000
    assert [(one.facts.log_tail, one.facts.metrics["accuracy"], one.facts.seconds) for one in trials] == [
        ((), "0.9", 0.25)
    ] * 3
    assert all(one.created_at and one.updated_at for one in trials)
    kept = store.trial("t-1.2")
    assert kept is not None
    assert kept.facts.log_tail == tuple(lines)


@pytest.mark.parametrize(
    ("outcome", "phase"),
    [
        (Done(facts={"metrics": {"accuracy": "0.9"}}), Phase.SUCCEEDED),
        (Refused("NoModel", "no model"), Phase.REFUSED),
        (Ended(Phase.ERRORED, "TrainingFailed", "exit code 1"), Phase.ERRORED),
    ],
    ids=["succeeded", "refused", "errored"],
)
def test_the_end_of_a_trial_wakes_its_search_in_the_same_transaction(
    store: SqlStore, outcome: Outcome, phase: Phase
) -> None:
    searching(store, 1, 2)
    assert not is_ready(store, "training", "t-1")
    answer(store, take(store, Queue.TRAINING), outcome, step="measure")
    assert states(store) == [(1, phase), (2, Phase.PENDING)]
    assert is_ready(store, "training", "t-1")
    assert check_audit_joins(store) == []


def test_a_step_of_a_trial_that_is_not_its_last_wakes_nobody(store: SqlStore) -> None:
    searching(store, 1)
    answer(store, take(store, Queue.TRAINING), Done(facts={"exit_code": 0}), step="train", next_step="measure")
    assert not is_ready(store, "training", "t-1")
    assert states(store) == [(1, Phase.RUNNING)]


@pytest.mark.parametrize(
    "outcome",
    [Stalled("NoInterpreter", "Python 3.9 is not here"), Wait(HOUR, "HandedBack", "its worker was asked to stop")],
    ids=["stalled", "waiting"],
)
def test_a_trial_that_must_wait_wakes_its_search(store: SqlStore, outcome: Outcome) -> None:
    searching(store, 1, 2)
    answer(store, take(store, Queue.TRAINING), outcome, step="train")
    assert is_ready(store, "training", "t-1")


def test_a_trial_that_ends_while_its_search_is_looked_at_is_looked_at_once_more(store: SqlStore) -> None:
    searching(store, 1, 2)
    answer(store, take(store, Queue.TRAINING), Done(), step="measure")
    look = take(store)
    assert look.kind == "training"
    answer(store, take(store, Queue.TRAINING), Done(), step="measure")
    answer(store, look, Wait(HOUR, "Searching"), step="search")
    assert is_ready(store, "training", "t-1")


def test_open_trials_are_called_off_with_their_training_and_their_workers_write_nothing_more(
    store: SqlStore, clock: Clock
) -> None:
    searching(store, 1, 2, 3)
    answer(store, take(store, Queue.TRAINING), Done(), step="measure")
    held = take(store, Queue.TRAINING)
    write(store, CancelTraining("t-1", by="ada", reason="wrong data"))
    assert states(store) == [(1, Phase.SUCCEEDED), (2, Phase.CANCELLED), (3, Phase.CANCELLED)]
    assert not store.is_ours(held)
    with pytest.raises(StaleEpochError):
        answer(store, held, Done(), step="measure")
    assert store.claim(Queue.TRAINING, owner="test", lease=LEASE) is None
    assert kinds(store).count("trial.cancelled") == 2
    assert check_audit_joins(store) == []
    # What their scripts left open in MLflow is ended a moment later, when these have noticed.
    assert [job_of(store, "runs", name) is not None for name in ("t-1.1", "t-1.2", "t-1.3")] == [False, True, True]
    assert not is_ready(store, "runs", "t-1.2")
    clock.advance(timedelta(seconds=6))
    assert is_ready(store, "runs", "t-1.2")


def test_open_trials_end_with_a_training_that_ends_in_any_other_way(store: SqlStore) -> None:
    searching(store, 1)
    store.wake("training", "t-1")
    look = take(store)
    answer(store, look, Ended(Phase.ERRORED, "GaveUp", "search failed 5 times"), step="search")
    (trial,) = store.trials("t-1")
    assert (trial.phase, trial.message) == (
        Phase.CANCELLED,
        "its training is over (Errored): search failed 5 times",
    )


def test_a_lost_worker_gives_its_trial_back_and_no_other(store: SqlStore, clock: Clock) -> None:
    searching(store, 1, 2)
    lost, kept = take(store, Queue.TRAINING), take(store, Queue.TRAINING)
    clock.advance(LEASE / 2)
    assert store.renew(kept, lease=LEASE)
    clock.advance(LEASE / 2)
    again = take(store, Queue.TRAINING)
    assert (again.subject, again.lost) == (lost.subject, 1)
    assert store.is_ours(kept)


def test_what_a_trial_leaves_on_disk_is_needed_until_its_training_is_over(store: SqlStore) -> None:
    searching(store, 1)
    needed = store.needed()
    assert "t-1" in needed.trainings
    write(store, CancelTraining("t-1", by="ada"))
    assert "t-1" not in store.needed().trainings


def test_jobs_of_trials_that_are_over_go_after_their_time_and_their_rows_stay(store: SqlStore, clock: Clock) -> None:
    searching(store, 1)
    write(store, CancelTraining("t-1", by="ada"))
    clock.advance(timedelta(days=40))
    assert store.drop_spent(Kind.ROWS, age=timedelta(days=30), limit=100).count > 0
    assert isinstance(store.trial("t-1.1"), Trial)


def test_the_space_of_a_search_is_kept_as_it_was_accepted(store: SqlStore) -> None:
    words = SpaceAxis(name="criterion", values=("log_loss", "gini", "caf\u00e9 \U0001f680", ""))
    space = Space(axes=(words, SpaceAxis(name="rate", low="1E-7", high="0.1", log=True)))
    searching(store, 1)
    assert store.space_of("t-1") is None
    write(store, KeepSpace("t-1", space))
    write(store, KeepSpace("t-1", Space(axes=(words,))))
    assert store.space_of("t-1") == space
    assert store.space_of("t-2") is None


def test_store_tells_which_versions_came_from_runs_and_which_trainings_from_trials(store: SqlStore) -> None:
    write(store, SaveVersion(make_version(version="7", run_id="run-3")))
    write(store, SaveVersion(make_version(model="wine", version="8", run_id="run-2")))
    for name, cause in (("t-1", ""), ("t-2", "t-1.5"), ("t-3", "t-9.5")):
        write(store, StartTraining(make_training(id=name, nonce=cause)))
    assert store.versions_of_runs("iris", ["run-3", "run-2", ""]) == {"run-3": "7"}
    assert store.begun_from(["t-1.5", "t-1.6", ""]) == {"t-1.5": "t-2"}
    assert (store.versions_of_runs("iris", []), store.begun_from([])) == ({}, {})


def test_version_of_a_run_is_found_without_a_look_at_the_others(store: SqlStore, database_url: str) -> None:
    write(store, *(SaveVersion(make_version(version=str(at), run_id=f"run-{at}")) for at in range(1, 501)))
    database = Database(open_database(database_url))
    with database.write() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("ANALYZE")
        asked = "SELECT version FROM versions WHERE model = 'iris' AND run_id IN ('run-7')"
        plan = connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN ' if is_sqlite else ''}{asked}").all()
    database.close()
    assert "versions_by_run" in str(plan)
