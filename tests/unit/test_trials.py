"""The trials of a search side by side: the best of them, how far the search is, and what people see."""

from gitops.config.goals import Goal, Objective
from gitops.facts import ScriptFacts
from gitops.records import Cause
from gitops.steps import Phase
from gitops.trials import SeenTrial, Trial, TrialView, best_trial, count_for, in_order, progress, read_value, view

ACCURACY = Objective("accuracy")
LOSS = Objective("accuracy", Goal.MINIMIZE)


def trial(
    number: int,
    value: str | None = None,
    *,
    phase: Phase = Phase.SUCCEEDED,
    job: str = "",
    reason: str = "",
    message: str = "",
) -> SeenTrial:
    return SeenTrial(
        id=Trial.id_of("t-1", number),
        phase=phase,
        cause=Cause(kind="training", id="t-1"),
        training_id="t-1",
        number=number,
        repository_id=1,
        repository="acme/iris",
        commit="a" * 40,
        model="iris",
        parent_run_id="parent",
        parameters={"depth": str(number)},
        job=job,
        reason=reason,
        message=message,
        facts=ScriptFacts(run_id=f"run{number}", metrics={} if value is None else {"accuracy": value}),
    )


def begun(number: int, job: str, reason: str = "", message: str = "") -> SeenTrial:
    phase = Phase.RUNNING if job == "leased" else Phase.PENDING
    return trial(number, phase=phase, job=job, reason=reason, message=message)


def number_of(found: Trial | None) -> int | None:
    return found.number if found else None


def test_the_best_is_the_greatest_or_the_least_as_the_goal_says() -> None:
    trials = [trial(1, "0.9"), trial(2, "0.95"), trial(3, "0.85")]
    assert number_of(best_trial(trials, ACCURACY)) == 2
    assert number_of(best_trial(trials, LOSS)) == 3


def test_the_first_by_number_is_the_best_of_equals_in_whichever_order_they_came() -> None:
    trials = [trial(3, "0.95"), trial(2, "0.950"), trial(1, "0.9")]
    assert number_of(best_trial(trials, ACCURACY)) == 2
    assert number_of(best_trial(trials[::-1], ACCURACY)) == 2


def test_decimals_are_compared_exactly() -> None:
    trials = [trial(1, "0.1000000000000000055"), trial(2, "0.1000000000000000056")]
    assert number_of(best_trial(trials, ACCURACY)) == 2


def test_what_failed_or_has_no_finite_number_is_never_the_best() -> None:
    trials = [
        trial(1, "0.99", phase=Phase.ERRORED),
        trial(2, "nan"),
        trial(3, "Infinity"),
        trial(4),
        trial(5, "0.1"),
        trial(6, "0.98", phase=Phase.RUNNING),
    ]
    assert number_of(best_trial(trials, ACCURACY)) == 5
    assert best_trial(trials[:4], ACCURACY) is None


def test_the_sentence_tells_how_far_it_is_and_the_best_so_far() -> None:
    trials = [trial(1, "0.9"), trial(2, phase=Phase.ERRORED), trial(3, "0.96"), begun(4, "leased")]
    assert progress(trials, total=12, objective=ACCURACY).sentence == (
        "3 of 12 trials are over, 1 under way, 1 failed; best accuracy 0.96 so far (trial 3)"
    )


def test_the_sentence_of_a_search_that_is_over_says_which_was_best() -> None:
    trials = [trial(1, "0.9"), trial(2, "0.96")]
    said = progress(trials, total=2, objective=ACCURACY).sentence
    assert said == "2 of 2 trials are over; best accuracy 0.96 (trial 2)"


def test_nothing_is_best_before_a_trial_is_over() -> None:
    known = progress([begun(1, "leased")], total=2, objective=ACCURACY)
    assert known.sentence == "0 of 2 trials are over, 1 under way"
    assert known.is_all_running


def test_the_sentence_tells_those_that_run_from_those_that_wait_or_are_stalled() -> None:
    trials = [
        begun(1, "leased", "NoInterpreter", "it was stalled before"),
        begun(2, "ready"),
        begun(3, "retrying", "Retrying", "RegistryUnavailable: the tracking server does not answer"),
        begun(4, "stalled", "NoInterpreter", "Python 3.9 is not here"),
        begun(5, "stalled", "DiskLow", "the disk is full"),
        begun(6, "waiting", "HandedBack", "its worker was asked to stop"),
        begun(7, "ready"),
    ]
    known = progress(trials, total=9, objective=ACCURACY)
    assert known.sentence == (
        "0 of 9 trials are over, 1 under way, 2 wait for a worker, 2 wait (RegistryUnavailable), "
        "2 stalled (NoInterpreter)"
    )
    assert not known.is_all_running
    assert [one.number for one in known.stalled] == [4, 5]
    one_each = progress([begun(2, "ready"), begun(3, "ready", "HandedBack")], total=9, objective=ACCURACY).sentence
    assert one_each == "0 of 9 trials are over, 1 waits for a worker, 1 waits (HandedBack)"


def test_a_trial_stands_as_it_is_kept_but_for_the_lines_of_its_log() -> None:
    kept = Trial.model_validate(
        {**trial(1, "0.9").model_dump(exclude={"job"}), "facts": {"log_tail": ["a line"], "metrics": {"f1": "1"}}}
    )
    standing = SeenTrial.of(kept, job="ready")
    assert (standing.id, standing.job, standing.facts) == (kept.id, "ready", ScriptFacts(metrics={"f1": "1"}))


def test_people_see_trials_by_number_with_their_finite_metrics_and_which_is_best() -> None:
    assert view([trial(2, "0.96"), trial(1, "inf")], objective=ACCURACY) == (
        TrialView(1, {"depth": "1"}, {}, "Succeeded", "run1", is_best=False),
        TrialView(2, {"depth": "2"}, {"accuracy": 0.96}, "Succeeded", "run2", is_best=True),
    )


def test_in_order_come_numbers_then_words_then_what_has_no_value_and_equals_by_number() -> None:
    values = {1: "gini", 2: "10", 3: None, 4: "9", 5: "entropy", 6: "10.0"}
    trials = [trial(number) for number in (6, 5, 4, 3, 2, 1)]

    def value(one: SeenTrial) -> str | float | None:
        return read_value(values[one.number])

    assert [one.number for one in in_order(trials, value, is_down=False)] == [4, 2, 6, 5, 1, 3]
    assert [one.number for one in in_order(trials, value, is_down=True)] == [1, 5, 2, 6, 4, 3]


def test_a_trial_that_came_to_no_model_counts_for_nothing_whatever_it_logged() -> None:
    assert count_for("Succeeded", {"accuracy": 0.96}, "accuracy") == 0.96
    assert count_for("Refused", {"accuracy": 0.99}, "accuracy") is None
    assert count_for("Succeeded", {}, "accuracy") is None
