"""`launchpin trials`, `register` and `logs TRAINING.NUMBER`, from a real database."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.steps import Done, Ended, Phase, Queue, Stalled, Wait
from gitops.writes import StartTraining, StartTrial
from tests.support.cli import Stack, make_stack
from tests.support.store import answer, make_training, make_trial, take, write

SEARCHED = "t-1searched"
PLAIN = "t-2plain"
NOW = "2 of 4 trials are over, 1 waits for a worker, 1 failed; best accuracy 0.96 so far (trial 1)"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack with a training of one run, and a newer one whose search has three of its four trials."""
    with make_stack(tmp_path) as stack:
        store = stack.store
        for name in (PLAIN, SEARCHED):
            write(store, StartTraining(make_training(id=name)))
        facts = {"trials": 4, "objective": {"metric": "accuracy", "goal": "maximize"}, "run_id": "r0"}
        trials = tuple(StartTrial(make_trial(number, training_id=SEARCHED)) for number in (1, 2, 3))
        claim = take(store)
        while claim.subject != SEARCHED:
            claim = take(store)
        said = "2 of 4 trials are over; best accuracy 0.96 so far (trial 1)"
        answer(store, claim, Wait(timedelta(hours=1), "Searching", said, trials, facts), step="search")
        good = {"run_id": "r1", "metrics": {"accuracy": "0.96", "f1": "0.5"}, "seconds": 3.0}
        answer(store, take(store, Queue.TRAINING), Done(facts=good), step="measure")
        failed = Ended(Phase.ERRORED, "TrainingFailed", "main ended with exit code 1: \x1b[2Jtoo deep")
        answer(store, take(store, Queue.TRAINING), failed, step="train")
        yield stack


def test_trials_of_the_newest_search_are_listed_with_the_best_marked(stack: Stack) -> None:
    result = stack.launchpin("trials")
    assert result.code == 0, result.both
    head, *rows = result.out.splitlines()
    assert head.split() == ["TRIAL", "depth", "accuracy", "STATE", "TOOK"]
    assert rows[0].split() == ["1", "*", "1", "0.96", "Succeeded", "3.0", "s"]
    assert rows[1].split()[:4] == ["2", "2", "-", "Errored"]
    assert "TrainingFailed: main ended with exit code 1: \\x1b[2Jtoo deep" in rows[1]
    assert rows[2].split() == ["3", "3", "-", "Pending", "-"]
    assert rows[3] == f"{SEARCHED}: Pending: {NOW}"


def test_trials_are_sorted_by_a_metric_or_a_parameter_the_highest_first(stack: Stack) -> None:
    rows = stack.launchpin("trials", SEARCHED, "--sort", "depth").out.splitlines()[1:4]
    assert [row.split()[0] for row in rows] == ["3", "2", "1"]
    rows = stack.launchpin("trials", SEARCHED, "--sort", "f1").out.splitlines()
    assert rows[0].split() == ["TRIAL", "depth", "accuracy", "f1", "STATE", "TOOK"]
    assert rows[1].split()[0] == "1"


def test_the_lowest_comes_first_where_that_is_asked_for_and_what_has_no_number_last(stack: Stack) -> None:
    rows = stack.launchpin("trials", SEARCHED, "--sort", "depth", "--lowest").out.splitlines()[1:4]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    rows = stack.launchpin("trials", SEARCHED, "--sort", "f1", "--lowest").out.splitlines()[1:4]
    assert rows[0].split()[0] == "1"
    alone = stack.launchpin("trials", SEARCHED, "--lowest")
    assert alone.code == 2
    assert "name it with --sort NAME" in alone.err


def test_a_name_to_sort_by_that_no_trial_has_is_told_with_those_there_are(stack: Stack) -> None:
    result = stack.launchpin("trials", SEARCHED, "--sort", "accurracy")
    assert result.code == 2
    assert "did you mean accuracy?" in result.err


def test_json_has_every_metric_and_which_is_the_best(stack: Stack) -> None:
    found = stack.launchpin("trials", SEARCHED, "--json").json
    assert (found["training"], found["total"], found["ok"]) == (SEARCHED, 4, True)
    first = found["trials"][0]
    assert first == {
        "id": f"{SEARCHED}.1",
        "number": 1,
        "parameters": {"depth": "1"},
        "metrics": {"accuracy": 0.96, "f1": 0.5},
        "state": "Succeeded",
        "reason": "",
        "message": "",
        "run_id": "r1",
        "is_best": True,
        "seconds": 3.0,
    }


def test_a_training_without_a_search_says_so(stack: Stack) -> None:
    result = stack.launchpin("trials", PLAIN)
    assert (result.code, result.out) == (0, f"Training {PLAIN} makes no search: it has one run, and no trials.\n")


def test_a_trials_log_is_shown_by_its_number(stack: Stack) -> None:
    logs = stack.layout.dir / "trainings" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / f"{SEARCHED}.2-1.log").write_text("   0.001 too deep\n")
    result = stack.launchpin("logs", f"{SEARCHED}.2")
    assert (result.code, result.out) == (0, "   0.001 too deep\n")
    assert f"{SEARCHED}.2: Errored" in result.err
    of_all = stack.launchpin("logs", SEARCHED)
    assert of_all.code == 3
    assert f"each of its trials has a log of its own: launchpin logs {SEARCHED}.1" in of_all.err
    missing = stack.launchpin("logs", f"{SEARCHED}.9")
    assert missing.code == 2
    assert "no such trial" in missing.err


def test_explain_says_how_far_a_search_is(stack: Stack) -> None:
    result = stack.launchpin("explain", SEARCHED)
    assert result.code == 0, result.both
    assert NOW in " ".join(result.out.split())
    assert "waits for a worker to take its trials" in result.out.splitlines()[0]


def test_a_stalled_trial_is_seen_at_its_training(stack: Stack) -> None:
    stalled = Stalled("NoInterpreter", "Python 3.9 is not among 3.11, 3.12")
    answer(stack.store, take(stack.store, Queue.TRAINING), stalled, step="train")
    rows = stack.launchpin("trials", SEARCHED).out.splitlines()
    assert rows[3].split()[:6] == ["3", "3", "-", "Pending", "-", "NoInterpreter:"]
    assert "2 of 4 trials are over, 1 stalled (NoInterpreter), 1 failed" in rows[4]
    explained = " ".join(stack.launchpin("explain", SEARCHED).out.split())
    assert f"training {SEARCHED} of iris waits: NoInterpreter." in explained
    assert "trial 3 is stalled: NoInterpreter: Python 3.9 is not among 3.11, 3.12, on whoever runs this" in explained
    assert "for its stalled trials, install the Python version that it names" in explained
    assert "launchpin doctor" in explained
    found = stack.launchpin("trials", SEARCHED, "--json").json
    assert "1 stalled (NoInterpreter)" in found["message"]


def test_nothing_is_asked_for_while_the_stack_is_down(stack: Stack) -> None:
    stack.set_down()
    result = stack.launchpin("register", SEARCHED, "--trial", "1", "--reason", "simpler")
    assert result.code == 3
    assert "is not up" in result.err
