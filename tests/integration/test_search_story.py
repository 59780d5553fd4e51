"""A search from a commit to a verdict: its trials, how many run at once, what fails, what is lost or called off."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic_core import from_json

from gitops.audit.entry import parse
from gitops.ports import End, RunEnd, TrainingEnd
from gitops.reconcile import run_next, run_until_idle
from gitops.steps import Phase, Queue
from gitops.store import SqlStore
from gitops.store.store import check_audit_joins
from tests.integration.search_rig import GRID, Played, World, accuracy_of, searching
from tests.support.store import Clock, make_command

GATES = "register: {gates: [{metric: accuracy, above: 0.9}]}\n"


@pytest.fixture
def world(store: SqlStore, clock: Clock, tmp_path: Path) -> Iterator[World]:
    with searching(store, clock, tmp_path) as world:
        yield world


def kinds_of(world: World) -> list[str]:
    return [parse(raw).kind for raw in world.store.audit_entries(0, 1000)]


def failing(world: World, *numbers: int) -> None:
    """Have these trials end with exit code 1, and the others well."""

    def play(played: Played) -> float | TrainingEnd:
        if played.number in numbers:
            return world.scripts.ended(exit_code=1, said="ValueError: too deep")
        return accuracy_of(played)

    world.scripts.play = play


def test_the_best_trial_of_a_grid_is_judged_and_every_trial_is_kept(world: World) -> None:
    world.begin(more=GATES)
    training = world.finish()

    assert (training.phase, training.facts.verdict) == (Phase.SUCCEEDED, "pass")
    assert (training.facts.trial, training.facts.trials) == (3, 4)
    assert training.facts.candidate_run_id == "t-1.3/1"
    assert training.facts.candidate_model == "models:/t-1.3/1"
    assert training.facts.metrics == {"accuracy": "0.94"}
    assert training.facts.parameters == {"seed": "42", "depth": "3", "leaves": "4"}
    assert [(trial.phase, trial.parameters, trial.facts.metrics, trial.facts.run_id) for trial in world.trials] == [
        (Phase.SUCCEEDED, {"depth": "2", "leaves": "4"}, {"accuracy": "0.92"}, "t-1.1/1"),
        (Phase.SUCCEEDED, {"depth": "2", "leaves": "8"}, {"accuracy": "0.9"}, "t-1.2/1"),
        (Phase.SUCCEEDED, {"depth": "3", "leaves": "4"}, {"accuracy": "0.94"}, "t-1.3/1"),
        (Phase.SUCCEEDED, {"depth": "3", "leaves": "8"}, {"accuracy": "0.92"}, "t-1.4/1"),
    ]
    assert check_audit_joins(world.store) == []


def test_each_script_gets_the_trials_parameters_beside_the_fixed_ones(world: World) -> None:
    world.begin()
    world.finish()
    assert [played.given for played in world.scripts.played] == [
        {"seed": "42", "depth": "2", "leaves": "4"},
        {"seed": "42", "depth": "2", "leaves": "8"},
        {"seed": "42", "depth": "3", "leaves": "4"},
        {"seed": "42", "depth": "3", "leaves": "8"},
    ]


def test_trials_are_runs_below_the_trainings_own(world: World) -> None:
    world.begin()
    world.finish()
    parent = world.runs.tags["t-1/1"]
    assert "mlflow.parentRunId" not in parent
    for number in (1, 2, 3, 4):
        tags = world.runs.tags[f"t-1.{number}/1"]
        assert tags["mlflow.parentRunId"] == "t-1/1"
        assert (tags["launchpin.training"], tags["launchpin.trial"]) == ("t-1", str(number))
        assert tags["mlflow.source.git.commit"] == world.training.commit
    assert world.runs.tags["t-1.2/1"]["name"].endswith("t-1.2: depth 2, leaves 8")
    assert set(world.runs.ended.items()) == {(run, RunEnd.FINISHED) for run in world.runs.tags}


def test_the_first_of_equals_is_chosen(world: World) -> None:
    world.scripts.play = lambda _: 0.95
    world.begin()
    assert world.finish().facts.trial == 1


def test_the_least_is_chosen_when_the_goal_is_to_minimize(world: World) -> None:
    world.begin(GRID.replace("{metric: accuracy}", "{metric: accuracy, goal: minimize}"))
    assert world.finish().facts.trial == 2


def test_no_more_trials_run_at_one_time_than_max_parallel_however_many_workers_there_are(world: World) -> None:
    seen: list[int] = []

    def play(played: Played) -> float:
        while run_next(world.loop, Queue.TRAINING):  # as other workers would, meanwhile
            pass
        world.control()
        seen.append(sum(not trial.phase.is_final for trial in world.trials))
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    assert world.finish().phase is Phase.SUCCEEDED
    assert len(seen) == 4
    assert max(seen) == 2


def test_a_search_waits_without_a_worker_and_is_woken_by_each_trials_end(world: World, clock: Clock) -> None:
    before = clock.time
    world.begin()
    while any(run_until_idle(world.loop, queue) for queue in Queue):
        pass
    assert world.now.phase is Phase.SUCCEEDED
    assert clock.time == before  # nothing waited for a time


def test_people_see_how_far_a_search_is_while_it_runs(world: World) -> None:
    told: list[tuple[str, str, str]] = []

    def play(played: Played) -> float:
        world.control()
        told.append((world.now.step, world.now.reason, world.now.message))
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    world.finish()
    assert told[0] == ("search", "Searching", "0 of 4 trials are over, 2 wait for a worker")
    assert told[3] == (
        "search",
        "Searching",
        "3 of 4 trials are over, 1 under way; best accuracy 0.94 so far (trial 3)",
    )


def test_the_sentence_is_written_anew_when_a_worker_has_taken_a_trial(world: World, clock: Clock) -> None:
    told: list[str] = []

    def play(played: Played) -> float:
        clock.advance(timedelta(seconds=31))
        world.control()
        told.append(world.now.message)
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    world.finish()
    assert told[0] == "0 of 4 trials are over, 1 under way, 1 waits for a worker"


def test_a_search_whose_trials_are_stalled_says_so_and_goes_on_when_that_is_mended(world: World) -> None:
    world.begin()
    world.work(lambda: bool(world.trials))
    deps = world.loop.deps
    world.loop = replace(world.loop, deps=replace(deps, service=replace(deps.service, least_free=1 << 60)))
    run_until_idle(world.loop, Queue.TRAINING)
    world.control()
    assert [(trial.reason, trial.job) for trial in world.store.trials("t-1")] == [("DiskLow", "stalled")] * 2
    assert (world.now.reason, world.now.message) == ("Searching", "0 of 4 trials are over, 2 stalled (DiskLow)")
    world.loop = replace(world.loop, deps=deps)
    assert world.finish().facts.trial == 3


def test_a_look_at_a_search_reads_no_lines_of_its_trials_logs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def count(text: str) -> object:
        read.append(len(text))
        return from_json(text)

    def play(played: Played) -> float | TrainingEnd:
        if played.number < 4:
            return replace(world.scripts.ended(exit_code=1), tail=("x" * 2000,) * 40)
        with monkeypatch.context() as patched:
            patched.setattr("gitops.store.columns.from_json", count)
            world.store.wake("training", "t-1")
            world.control()
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    assert world.finish().facts.trial == 4
    assert 0 < sum(read) < 20_000


def test_a_trial_is_running_for_people_while_a_worker_has_it(world: World) -> None:
    seen: list[list[Phase]] = []

    def play(played: Played) -> float:
        seen.append([trial.phase for trial in world.trials])
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    world.finish()
    assert seen[0] == [Phase.RUNNING, Phase.PENDING]


def test_a_trial_that_fails_is_kept_and_does_not_fail_the_training(world: World) -> None:
    failing(world, 3)
    world.begin()
    training = world.finish()
    assert (training.phase, training.facts.trial) == (Phase.SUCCEEDED, 1)
    failed = world.trial(3)
    assert (failed.phase, failed.reason) == (Phase.ERRORED, "TrainingFailed")
    assert failed.message.endswith("ended with exit code 1: ValueError: too deep")
    assert world.runs.ended["t-1.3/1"] is RunEnd.FAILED
    assert len(world.scripts.played) == 4  # user errors are not tried again
    assert "trial.errored" in kinds_of(world)


def test_a_trial_without_a_model_or_its_metric_is_kept_and_never_chosen(world: World) -> None:
    def play(played: Played) -> float | None:
        if played.number == 2:
            return None
        return float("nan") if played.number == 3 else accuracy_of(played)

    world.scripts.play = play
    world.begin()
    training = world.finish()
    assert training.facts.trial == 1
    assert [trial.reason for trial in world.trials] == ["", "NoModel", "ObjectiveMissing", ""]
    assert world.trial(3).facts.metrics == {"accuracy": "nan"}


def test_a_training_is_errored_when_no_trial_came_to_a_model(world: World) -> None:
    failing(world, 1, 2, 3, 4)
    world.begin()
    training = world.finish()
    assert (training.phase, training.reason) == (Phase.ERRORED, "NoTrialSucceeded")
    assert "trial 1 ended as TrainingFailed: main ended with exit code 1: ValueError: too deep" in training.message
    assert set(world.runs.ended.values()) == {RunEnd.FAILED}
    assert len(world.runs.ended) == 5
    assert check_audit_joins(world.store) == []


def test_the_gates_judge_the_best_trial_and_may_refuse_it(world: World) -> None:
    world.begin(more="register: {gates: [{metric: accuracy, above: 0.99}]}\n")
    training = world.finish()
    assert (training.phase, training.reason, training.facts.trial) == (Phase.REFUSED, "GateRefused", 3)


def test_a_lost_worker_costs_one_trial_which_is_tried_again(world: World, clock: Clock) -> None:
    """A worker that dies answers nothing: its lease runs out, and another one takes the trial."""

    class DiedError(BaseException):
        """The end of a worker's process."""

    def play(played: Played) -> float:
        if played.spec.training_id == "t-1.2" and played.spec.attempt == 1:
            raise DiedError
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    with pytest.raises(DiedError):
        world.finish()
    clock.advance(timedelta(minutes=2))
    training = world.finish()

    assert (training.phase, training.facts.trial) == (Phase.SUCCEEDED, 3)
    assert [(played.number, played.spec.attempt) for played in world.scripts.played].count((2, 2)) == 1
    assert len(world.scripts.played) == 5
    assert world.runs.ended["t-1.2/1"] is RunEnd.FAILED
    assert [trial.facts.attempt for trial in world.trials] == [1, 2, 1, 1]


def test_a_trial_that_loses_its_worker_twice_is_over_and_the_others_are_not(world: World) -> None:
    def play(played: Played) -> float | TrainingEnd:
        if played.number == 3:
            return world.scripts.ended(End.LOST, exit_code=-9)
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    training = world.finish()
    assert (training.phase, training.facts.trial) == (Phase.SUCCEEDED, 1)
    assert (world.trial(3).phase, world.trial(3).reason) == (Phase.ERRORED, "WorkerLost")
    assert [played.number for played in world.scripts.played].count(3) == 2


def test_a_trial_that_raises_what_nobody_foresaw_is_given_up_and_its_run_is_ended(world: World) -> None:
    def play(played: Played) -> float:
        if played.number == 1:
            raise ValueError("nobody foresaw this")
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    assert world.finish().phase is Phase.SUCCEEDED
    assert (world.trial(1).phase, world.trial(1).reason) == (Phase.ERRORED, "GaveUp")
    world.rest()
    assert world.runs.ended["t-1.1/1"] is RunEnd.FAILED


def call_off(world: World) -> None:
    world.store.save_command(make_command(verb="cancel", arguments={"training": "t-1", "reason": "too slow"}))
    world.control()


def test_the_trials_are_called_off_with_their_training_and_their_runs_are_killed(world: World) -> None:
    held: list[bool] = []

    def play(played: Played) -> float | TrainingEnd:
        if played.number < 3:
            return accuracy_of(played)
        call_off(world)
        held.append(world.store.is_ours(played.lease.claim))  # type: ignore[attr-defined]  # the loop's own lease
        return world.scripts.ended(End.LOST, exit_code=-15)

    world.scripts.play = play
    world.begin()
    training = world.finish()
    assert (training.phase, training.message) == (Phase.CANCELLED, "mona called it off: too slow")
    assert held == [False]  # its worker finds its job taken away
    world.rest()
    assert [trial.phase for trial in world.trials] == [
        Phase.SUCCEEDED,
        Phase.SUCCEEDED,
        Phase.CANCELLED,
        Phase.CANCELLED,
    ]
    assert world.trial(4).message == "its training is over (Cancelled): mona called it off: too slow"
    ended = {run: world.runs.ended.get(run) for run in ("t-1/1", "t-1.1/1", "t-1.3/1")}
    assert ended == {"t-1/1": RunEnd.KILLED, "t-1.1/1": RunEnd.FINISHED, "t-1.3/1": RunEnd.KILLED}
    assert "t-1.4/1" not in world.runs.tags  # what was never begun is not begun any more
    assert kinds_of(world).count("trial.cancelled") == 2
    assert check_audit_joins(world.store) == []


def test_a_search_that_cannot_be_is_refused_before_any_trial(world: World) -> None:
    world.begin(GRID.replace("leaves:", "leafs:"))
    training = world.finish()
    assert (training.phase, training.reason) == (Phase.REFUSED, "parameter_unknown")
    assert 'did you mean "leaves"?' in training.message
    assert world.trials == []


def test_a_secret_that_was_not_granted_refuses_the_training_and_begins_no_trial(world: World) -> None:
    world.begin(secrets="TOKEN")
    training = world.finish()
    assert (training.phase, training.reason) == (Phase.REFUSED, "SecretNotGranted")
    assert world.trials == []


def test_a_search_goes_on_when_mlflow_was_away(world: World) -> None:
    def play(played: Played) -> float:
        world.runs.is_away = len(world.scripts.played) == 2
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    for _ in range(2):
        world.control()
        run_until_idle(world.loop, Queue.TRAINING)
    world.control()
    assert not world.now.phase.is_final
    assert world.trial(2).reason == "Retrying"
    world.runs.is_away = False
    training = world.finish()
    assert training.facts.trial == 3
    assert len(world.scripts.played) == 4  # what was trained is not trained again


def test_a_random_search_draws_as_many_trials_as_it_is_given(world: World) -> None:
    world.begin("""\
search:
  strategy: random
  seed: 3
  max_trials: 5
  objective: {metric: accuracy}
  space:
    depth: {min: 1, max: 50}
    leaves: {min: 2, max: 64, log: true}
""")
    training = world.finish()
    assert training.facts.trials == 5
    points = [tuple(trial.parameters.values()) for trial in world.trials]
    assert len(set(points)) == 5
    assert points[0] == tuple(world.scripts.played[0].given[name] for name in ("depth", "leaves"))


def test_every_trial_has_its_beginning_and_its_end_in_the_audit_log(world: World) -> None:
    failing(world, 4)
    world.begin()
    world.finish()
    entries = [parse(raw) for raw in world.store.audit_entries(0, 1000)]
    of_trials = [entry for entry in entries if entry.kind.startswith("trial.")]
    assert [entry.kind for entry in of_trials if entry.subject.name == "t-1.3"] == [
        "trial.started",
        "trial.trained",
        "trial.succeeded",
    ]
    begun = next(entry for entry in of_trials if entry.kind == "trial.started")
    assert begun.evidence["parameters"] == {"depth": "2", "leaves": "4"}
    assert (begun.subject.training_id, begun.subject.repo) == ("t-1", world.training.repository)
    good = next(entry for entry in of_trials if entry.kind == "trial.succeeded")
    assert good.evidence["metrics"] == {"accuracy": "0.92"}
    searched = next(entry for entry in entries if entry.kind == "training.searched")
    assert (searched.evidence["trial"], searched.evidence["trials"]) == (3, 4)


def test_the_log_of_a_stopped_workers_trial_is_handed_back_and_costs_no_attempt(world: World) -> None:
    def play(played: Played) -> float | TrainingEnd:
        if len(world.scripts.played) == 1:
            world.loop.shift.end(0)
            return world.scripts.ended(End.LOST, exit_code=-15)
        return accuracy_of(played)

    world.scripts.play = play
    world.begin()
    for queue in (Queue.CONTROL, Queue.TRAINING, Queue.CONTROL, Queue.TRAINING):
        run_until_idle(world.loop, queue)
    assert world.trial(1).facts.losses == 0
    world.loop = replace(world.loop, shift=type(world.loop.shift)())
    assert world.finish().phase is Phase.SUCCEEDED
    assert world.trial(1).facts.losses == 0
