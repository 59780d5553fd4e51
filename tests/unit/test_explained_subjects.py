"""What is said of an endpoint, a training and a pull request, by their records."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gitops.explaining import (
    Hint,
    Part,
    Place,
    Proposal,
    Trained,
    Who,
    explain_endpoint,
    explain_pull,
    explain_training,
    show,
)
from gitops.records import Direction, Health, MergeMode, RolloutFacts, Sync, TrainingFacts
from gitops.steps import Phase
from gitops.trials import SeenTrial, progress_of
from tests.support.explained import EARLIER, NOW, failed_rollout, job, open_pull, reading, serving, texts
from tests.support.store import make_hold, make_rollout, make_training, make_trial

# ---------------------------------------------------------------- endpoints


def test_endpoint_at_rest_is_fine_and_asks_for_nothing() -> None:
    explanation = explain_endpoint(Place(serving()), reading())
    assert explanation.headline == "iris-staging is fine: v7 serves, as Git pins."
    assert "v7 of iris, Healthy, for 3 h (2026-01-31 09:00:00 UTC)" in texts(explanation, Part.SERVING)
    assert texts(explanation, Part.GIT) == "acme/iris-deploy:staging pins v7 at dddddddd: Synced"
    assert explanation.parts.keys() == {Part.SERVING, Part.GIT}
    assert explanation.hints == ()


def test_pull_request_that_waits_names_who_must_merge_and_what_the_merge_does() -> None:
    promotion = open_pull()
    explanation = explain_endpoint(Place(serving(), promotions=(promotion,)), reading(job(promotion)))
    assert explanation.headline.endswith("; v8 waits for a merge.")
    assert "pull request 12 proposes v8" in texts(explanation, Part.GIT)
    assert "by whoever may merge in acme/iris-deploy" in texts(explanation, Part.WAITS)
    assert "the merge rolls it out. Next look: in 20 s" in texts(explanation, Part.NEXT)
    assert explanation.hints[1].command == "launchpin pr merge 12 --repo acme/iris-deploy"
    assert explanation.hints[1].page == "http://127.0.0.1:1/acme/iris-deploy/pull/12"


def test_pull_request_that_launchpin_merges_waits_for_nobody() -> None:
    promotion = open_pull(merge=MergeMode.AUTO, reason="ChecksPending", message="waits for ci/test")
    explanation = explain_endpoint(Place(serving(), promotions=(promotion,)), reading(job(promotion)))
    (waiting,) = explanation.parts[Part.WAITS]
    assert (waiting.who, waiting.text) == (Who.ITSELF, "pull request 12 of v8: ChecksPending: waits for ci/test")
    assert "Launchpin merges it when its checks have passed" in texts(explanation, Part.NEXT)
    assert explanation.hints == ()


def test_failed_rollout_is_told_with_its_last_lines_and_the_hold_by_whom_and_since_when() -> None:
    hold = make_hold(rollout_id="r-8", created_at=EARLIER, message="version 8 failed: SmokeFailed: 500 for example 1")
    place = Place(serving(), holds=(hold,), rollouts=(failed_rollout(),))
    explanation = explain_endpoint(place, reading())
    (failed,) = explanation.parts[Part.FAILED]
    assert explanation.headline == "iris-staging is held: v8 failed, and v7 serves."
    assert failed.text == "rollout r-8 of v8: SmokeFailed: 500 for example 1"
    assert failed.tail == ("a", "KeyError: 'x'")
    assert texts(explanation, Part.WAITS) == "held by launchpin after rollout r-8 failed"
    assert "neither merges nor rolls out until the hold is lifted" in texts(explanation, Part.NEXT)
    assert "v8: not tried again by itself" in texts(explanation, Part.NEXT)
    assert explanation.hints[0].command == "launchpin resume iris-staging"


def test_hold_of_a_person_is_told_with_the_persons_words() -> None:
    place = Place(serving(), holds=(make_hold(author="grace", message="a fair", created_at=EARLIER),))
    shown = show(explain_endpoint(place, reading()))
    assert "is held by grace, and v7 serves." in shown
    assert "for 12 min, held by grace: a fair" in shown


def test_failure_is_still_told_when_a_later_rollout_waits_for_the_hold() -> None:
    waiting = make_rollout(id="r-9", version="9", reason="Held", message="held: launchpin resume iris-staging")
    place = Place(serving(), holds=(make_hold(),), rollouts=(waiting, failed_rollout()))
    explanation = explain_endpoint(place, reading(job(waiting)))
    assert "rollout r-8 of v8" in texts(explanation, Part.FAILED)
    assert "rollout r-9 to v9 waits until the hold is lifted" in texts(explanation, Part.WAITS)


def test_failure_is_over_when_a_later_rollout_came_out_well() -> None:
    good = make_rollout(id="r-9", version="9", phase=Phase.SUCCEEDED)
    explanation = explain_endpoint(Place(serving(), rollouts=(good, failed_rollout())), reading())
    assert Part.FAILED not in explanation.parts


def test_version_that_bakes_is_what_serves_whatever_the_environments_record_says() -> None:
    facts = RolloutFacts(applied=True, serving="8", previous_version="7")
    baking = make_rollout(version="8", phase=Phase.RUNNING, step="bake", reason="Baking", facts=facts)
    explanation = explain_endpoint(Place(serving(), rollouts=(baking,)), reading(job(baking)))
    assert "the version is watched, and v8 serves" in explanation.headline
    assert texts(explanation, Part.SERVING).startswith("v8 of iris has the traffic (v7 before)")
    assert "goes back by itself if it fails" in texts(explanation, Part.NEXT)


@pytest.mark.parametrize(
    ("failure", "is_up", "health"),
    [(None, True, "Progressing"), ("SmokeFailed", True, "Degraded"), (None, False, "Unknown")],
)
def test_version_that_was_given_the_traffic_is_told_with_its_own_health_and_since_when(
    failure: str | None, is_up: bool, health: str
) -> None:
    facts = RolloutFacts(applied=True, serving="8", previous_version="7", failure=failure)
    baking = make_rollout(version="8", phase=Phase.RUNNING, step="bake", reason="Baking", facts=facts)
    place = Place(serving(), rollouts=(baking,), moved_at=EARLIER)
    assert place.environment.health == "Healthy"
    explanation = explain_endpoint(place, replace(reading(job(baking)), is_up=is_up))
    statement = explanation.parts[Part.SERVING][0]
    assert statement.text.startswith(f"v8 of iris has the traffic (v7 before), {health}, for 12 min (")
    assert statement.since == EARLIER


def test_endpoint_that_is_being_emptied_says_that_nothing_has_the_traffic() -> None:
    facts = RolloutFacts(applied=True, serving="", previous_version="7")
    emptied = make_rollout(version="", phase=Phase.RUNNING, step="bake", facts=facts)
    explanation = explain_endpoint(Place(serving(), rollouts=(emptied,)), reading(job(emptied)))
    assert texts(explanation, Part.SERVING).startswith("nothing has the traffic (v7 before), Progressing")


def test_rollout_that_failed_and_is_on_its_way_back_says_that_git_and_a_hold_follow() -> None:
    going = failed_rollout(phase=Phase.RUNNING, step="restore", reason="RollingBack", message="try 2")
    explanation = explain_endpoint(Place(serving(), rollouts=(going,)), reading(job(going)))
    assert "SmokeFailed" in texts(explanation, Part.FAILED)
    assert "Git is made to say so, with a hold" in texts(explanation, Part.NEXT)


def test_rollout_that_failed_before_it_had_traffic_is_never_said_to_get_it() -> None:
    facts = RolloutFacts(failure="ScorerExited", failure_message="exit code 1")
    going = make_rollout(version="8", phase=Phase.RUNNING, step="apply", facts=facts)
    explanation = explain_endpoint(Place(serving(), rollouts=(going,)), reading(job(going, "ready")))
    assert "the version before gets the traffic" in explanation.headline
    assert "v7 serves" in explanation.headline


def test_step_that_only_a_way_back_needs_is_passed_over_on_the_way_forward() -> None:
    forward = make_rollout(phase=Phase.RUNNING, step="write_back")
    explanation = explain_endpoint(Place(serving(), rollouts=(forward,)), reading(job(forward, "ready")))
    assert "hold" not in texts(explanation, Part.NEXT)
    assert "what serves is recorded" in explanation.headline


def test_rollback_by_hand_says_what_it_does() -> None:
    back = make_rollout(direction=Direction.ROLLBACK, from_version="7", version="6", phase=Phase.RUNNING, step="apply")
    explanation = explain_endpoint(Place(serving(), rollouts=(back,)), reading(job(back, "leased")))
    assert explanation.headline.startswith("iris-staging goes back to v6: the earlier version gets the traffic")
    assert "at this moment; then Git is made to say so, with a hold" in texts(explanation, Part.NEXT)


def test_pull_request_that_sets_the_pin_back_is_what_is_waited_for() -> None:
    place = serving(sync=Sync.OUT_OF_SYNC, sync_reason="RollbackPending", pinned="8", message="merge it")
    url = "http://127.0.0.1:1/acme/iris-deploy/pull/31"
    rollout = failed_rollout(facts=RolloutFacts(failure="SmokeFailed", serving="7", write_back_url=url))
    explanation = explain_endpoint(Place(place, rollouts=(rollout,)), reading())
    assert "pull request 31 sets the pin back to what serves" in texts(explanation, Part.GIT)
    assert "on whoever may push to acme/iris-deploy" in texts(explanation, Part.WAITS)
    assert ("launchpin pr merge 31 --repo acme/iris-deploy", url) in [
        (one.command, one.page) for one in explanation.hints
    ]


def test_file_that_cannot_be_read_is_told_with_what_to_do() -> None:
    message = "staging/endpoint.yaml:3: strategy: unknown key"
    place = serving(sync=Sync.OUT_OF_SYNC, sync_reason="ConfigInvalid", message=message)
    explanation = explain_endpoint(Place(place), reading())
    assert "cannot be used; the last pin read there is v7" in texts(explanation, Part.GIT)
    assert f"OutOfSync (ConfigInvalid: {message})" in texts(explanation, Part.GIT)
    assert "what Git says cannot be used (ConfigInvalid), and v7 serves" in explanation.headline
    assert "mend the file at the place that the message names" in texts(explanation, Part.NEXT)


def test_degraded_endpoint_proposes_the_way_back_first() -> None:
    place = serving(health=Health.DEGRADED, earlier=("6",), message="the scorer dies")
    explanation = explain_endpoint(Place(place), reading())
    assert explanation.headline == "iris-staging is degraded: v7 serves."
    assert "the scorer dies" in texts(explanation, Part.SERVING)
    assert explanation.hints[0].command == "launchpin rollback iris-staging"


def test_closed_pull_request_is_said_to_be_final_for_its_version() -> None:
    closed = open_pull(
        phase=Phase.REFUSED, reason="PullRequestClosed", message="mona closed pull request 12: never again"
    )
    explanation = explain_endpoint(Place(serving(), promotions=(closed,)), reading())
    assert "mona closed pull request 12" in texts(explanation, Part.GIT)
    assert Part.WAITS not in explanation.parts


def test_nothing_is_promised_and_no_health_is_claimed_while_the_stack_is_down() -> None:
    promotion = open_pull()
    explanation = explain_endpoint(Place(serving(), promotions=(promotion,)), reading(job(promotion), is_up=False))
    assert "as last seen: the stack is down" in explanation.headline
    assert "Healthy" not in show(explanation)
    assert "Nothing happens by itself" in texts(explanation, Part.NEXT)
    assert [hint.command for hint in explanation.hints] == ["launchpin up"]


def test_environment_without_an_endpoint_is_called_by_its_place() -> None:
    place = Place(serving(endpoint="", serving="", pinned="", sync=Sync.UNPINNED, health=Health.UNKNOWN))
    explanation = explain_endpoint(place, reading())
    assert explanation.name == "acme/iris-deploy:staging"
    assert "serves nothing: no version is pinned" in explanation.headline


# ---------------------------------------------------------------- trainings


def test_training_that_searches_is_told_with_how_far_it_is_and_how_to_see_its_trials() -> None:
    said = "3 of 12 trials are over, 4 under way; best accuracy 0.96 so far (trial 3)"
    facts = TrainingFacts(trials=12)
    training = make_training(phase=Phase.RUNNING, step="search", reason="Searching", message=said, facts=facts)
    explanation = explain_training(Trained(training), reading(job(training, "waiting")))
    assert explanation.headline == f"training {training.id} of iris is under way: its trials are tried."
    assert said in texts(explanation, Part.WAITS)
    assert "the best of its trials is judged once all of them are over" in texts(explanation, Part.NEXT)
    assert Hint(f"launchpin trials {training.id}", "each trial of its search") in explanation.hints


def searching(*begun: SeenTrial) -> Trained:
    facts = TrainingFacts(trials=4, objective={"metric": "accuracy", "goal": "maximize"})
    training = make_training(phase=Phase.RUNNING, step="search", reason="Searching", message="2 run", facts=facts)
    return Trained(training, progress=progress_of(training, begun))


def begun(number: int, job: str, **changes: Any) -> SeenTrial:  # noqa: ANN401 - any field of the record
    return SeenTrial.of(make_trial(number, **changes), job=job)


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([begun(1, "leased"), begun(2, "stalled", reason="DiskLow")], "is under way: its trials run."),
        ([begun(1, "ready")], "waits for a worker to take its trials."),
        ([begun(1, "retrying", reason="Retrying", message="IndexUnavailable: 503")], "waits: IndexUnavailable."),
        ([begun(1, "ready"), begun(2, "stalled", reason="DiskLow")], "waits: DiskLow."),
    ],
    ids=["running", "queued", "waiting", "stalled"],
)
def test_training_that_searches_is_told_with_what_its_trials_do_at_this_moment(
    trials: list[SeenTrial], said: str
) -> None:
    explanation = explain_training(searching(*trials), reading())
    assert explanation.headline.endswith(said)


def test_stalled_trials_are_told_by_their_reasons_with_who_mends_what() -> None:
    stalled = [begun(number, "stalled", reason="NoInterpreter", message="no 3.9 here") for number in (1, 2, 3)]
    trained = searching(*stalled, begun(4, "stalled", reason="ForgeUnavailable", message="away"))
    explanation = explain_training(trained, reading(job(trained.training)))
    told = explanation.parts[Part.WAITS][1:]
    assert [(one.text, one.who) for one in told] == [
        ("trial 1 and 2 more are stalled: NoInterpreter: no 3.9 here, on whoever runs this stack", Who.OPERATOR),
        ("trial 4 is stalled: ForgeUnavailable: away, on whoever runs this stack", Who.OPERATOR),
    ]
    assert "for its stalled trials, install the Python version that it names" in texts(explanation, Part.NEXT)
    assert explanation.hints[0] == Hint("launchpin doctor", "why")
    assert max(map(len, show(explanation).splitlines())) <= 80


def test_failed_training_is_told_with_its_last_lines_and_who_mends_it() -> None:
    tail = [f"line {number}" for number in range(9)]
    training = make_training(
        phase=Phase.ERRORED, reason="TrainingFailed", message="exit code 1: ValueError", facts={"log_tail": tail}
    )
    explanation = explain_training(Trained(training), reading())
    (failed,) = explanation.parts[Part.FAILED]
    assert failed.tail == ("line 4", "line 5", "line 6", "line 7", "line 8")
    assert failed.who is Who.AUTHOR
    assert "not tried again by itself. To go on, mend the script, and push" in texts(explanation, Part.NEXT)
    assert explanation.hints == (Hint(f"launchpin logs {training.id}", "the whole log"),)


def test_training_that_a_gate_refused_shows_the_verdict_and_no_log() -> None:
    facts = {"log_tail": ["saved"], "sentence": "accuracy 0.8 is not above 0.9", "verdict": "fail"}
    training = make_training(phase=Phase.REFUSED, reason="GateRefused", message="no", facts=facts)
    explanation = explain_training(Trained(training), reading())
    (failed,) = explanation.parts[Part.FAILED]
    assert failed.text.endswith("GateRefused: accuracy 0.8 is not above 0.9")
    assert failed.tail == ()


def test_training_that_is_tried_again_names_the_cause_the_tries_and_the_next_one() -> None:
    error = "RegistryUnavailable: MLflow does not answer"
    training = make_training(phase=Phase.RUNNING, step="register", reason="Retrying", message=error)
    explanation = explain_training(Trained(training), reading(job(training, "retrying", retries=3)))
    assert explanation.headline.endswith("waits: RegistryUnavailable.")
    assert "RegistryUnavailable: MLflow does not answer (tried 3 times)" in texts(explanation, Part.WAITS)
    assert "tried again by itself, in 20 s; then it is proposed" in texts(explanation, Part.NEXT)
    assert explanation.parts[Part.NEXT][0].who is Who.ITSELF
    assert explanation.hints == (Hint("launchpin logs mlflow", "why"),)


def test_training_that_a_person_must_help_names_that_person() -> None:
    training = make_training(phase=Phase.RUNNING, reason="NoInterpreter", message="there are 3.11, 3.12")
    explanation = explain_training(Trained(training), reading(job(training, "stalled")))
    assert "on whoever runs this stack" in texts(explanation, Part.WAITS)
    assert "install the Python version that it names" in texts(explanation, Part.NEXT)


def test_stalled_training_waits_for_a_person_whatever_its_reason_says() -> None:
    training = make_training(phase=Phase.RUNNING, reason="ForgeUnavailable", message="502")
    explanation = explain_training(Trained(training), reading(job(training, "stalled")))
    (waiting,) = explanation.parts[Part.WAITS]
    assert waiting.who is Who.OPERATOR


def test_training_that_is_queued_says_that_it_waits_for_a_worker() -> None:
    training = make_training()
    explanation = explain_training(Trained(training), reading(job(training, "ready", queue="training")))
    assert "as soon as a training worker is free" in texts(explanation, Part.NEXT)


def test_training_that_is_over_says_where_its_version_serves() -> None:
    training = make_training(phase=Phase.SUCCEEDED, facts={"version": "7"}, message="iris 7 goes to staging")
    other = serving(path="production", endpoint="iris-production", serving="6")
    explanation = explain_training(Trained(training, environments=(serving(), other)), reading())
    assert explanation.headline.endswith("is over: v7 serves on iris-staging.")
    assert "iris-production: v6, of another training" in texts(explanation, Part.SERVING)


def test_training_that_was_called_off_says_by_whom_and_how_to_train_it_after_all() -> None:
    training = make_training(phase=Phase.CANCELLED, reason="Cancelled", message="ada called it off: wrong data")
    explanation = explain_training(Trained(training), reading())
    assert explanation.headline == f"training {training.id} of iris was called off by ada: wrong data."
    assert "nothing" not in show(explanation)
    assert [hint.command for hint in explanation.hints] == [f"launchpin retry {training.id}"]


@pytest.mark.parametrize(
    ("phase", "message", "told"),
    [
        (Phase.CANCELLED, "ada called it off", "was called off by ada."),
        (Phase.CANCELLED, "in other words.", "was called off: in other words."),
        (Phase.CANCELLED, "", "was called off."),
        (Phase.SUPERSEDED, "", "gave way to a newer one."),
        (Phase.SUPERSEDED, "t-2 takes its place", "gave way to a newer one: t-2 takes its place."),
        (Phase.SUCCEEDED, "nothing to register", "is over (Succeeded): nothing to register."),
        (Phase.SUCCEEDED, "", "is over (Succeeded)."),
    ],
)
def test_training_without_a_version_says_how_it_ended(phase: Phase, message: str, told: str) -> None:
    training = make_training(phase=phase, message=message)
    explanation = explain_training(Trained(training), reading())
    assert explanation.headline == f"training {training.id} of iris {told}"
    is_cancelled = phase is Phase.CANCELLED
    assert bool(explanation.hints) is is_cancelled


# ---------------------------------------------------------------- pull requests


def test_open_pull_request_says_what_it_changes_and_on_whom_it_waits() -> None:
    promotion = open_pull(facts={"number": 12, "previous_version": "7"})
    explanation = explain_pull(Proposal(promotion, Place(serving()), commit="abcdef012345"), reading(job(promotion)))
    assert explanation.name == "acme/iris-deploy#12"
    assert "v7 -> v8" in texts(explanation, Part.GIT)
    assert "trained from abcdef01" in texts(explanation, Part.GIT)
    assert "waits for a merge" in texts(explanation, Part.WAITS)


def test_pull_request_on_a_held_environment_says_how_to_lift_the_hold() -> None:
    promotion = open_pull(reason="Held", message="held, a fair: launchpin resume iris-staging")
    place = Place(serving(), holds=(make_hold(author="grace", message="a fair"),))
    explanation = explain_pull(Proposal(promotion, place), reading(job(promotion)))
    assert "held by grace: a fair" in texts(explanation, Part.WAITS)
    assert explanation.hints[0].command == "launchpin resume iris-staging"


def test_merged_pull_request_says_what_became_of_its_rollout() -> None:
    facts = {"number": 12, "merge_sha": "9" * 40, "merged_by": "grace"}
    promotion = open_pull(phase=Phase.SUCCEEDED, reason="", facts=facts, created_at=EARLIER)
    rollout = failed_rollout(created_at=EARLIER + timedelta(minutes=1))
    explanation = explain_pull(Proposal(promotion, Place(serving(), rollouts=(rollout,))), reading())
    assert "merged by grace; its rollout ended: SmokeFailed" in explanation.headline
    assert "rollout r-8 of v8" in texts(explanation, Part.FAILED)


def test_pull_request_that_was_merged_a_moment_ago_says_that_the_rollout_is_to_come() -> None:
    facts = {"number": 12, "merge_sha": "9" * 40, "merged_by": "grace"}
    promotion = open_pull(phase=Phase.SUCCEEDED, reason="", facts=facts, updated_at=NOW - timedelta(seconds=5))
    explanation = explain_pull(Proposal(promotion, Place(serving())), reading())
    assert "sees the merge within a minute" in texts(explanation, Part.NEXT)
    later = replace(reading(), now=NOW + timedelta(minutes=3))
    assert "within a minute" not in texts(explain_pull(Proposal(promotion, Place(serving())), later), Part.NEXT)
