"""What is said while everything is paused: of an endpoint, a pull request, a training, and of everything."""

from datetime import timedelta

import pytest

from gitops.explaining import (
    Fleet,
    Hint,
    Part,
    PartTrouble,
    Place,
    Proposal,
    Trained,
    Who,
    explain_endpoint,
    explain_pull,
    explain_training,
    find_concerns,
    show,
    summarize,
)
from gitops.records import Direction, Health, Sync
from gitops.steps import Phase
from tests.support.explained import EARLIER, NOW, job, open_pull, paused, reading, serving, texts
from tests.support.store import make_hold, make_rollout, make_training

PAUSED = "everything is paused by ada, a fair: launchpin resume --all"
UNTIL = "Launchpin proposes new versions, and neither merges nor rolls out until the pause is lifted."


def test_endpoint_under_a_pause_is_not_said_to_be_fine() -> None:
    explanation = explain_endpoint(Place(serving()), reading(pause=paused()))
    assert explanation.headline == "iris-staging is paused by ada, as everything is, and v7 serves."
    (waiting,) = explanation.parts[Part.WAITS]
    assert (waiting.text, waiting.reason, waiting.who) == (
        "everything is paused by ada: a fair",
        "Paused",
        Who.OPERATOR,
    )
    assert waiting.since == EARLIER
    assert texts(explanation, Part.NEXT) == UNTIL
    assert [hint.command for hint in explanation.hints] == ["launchpin resume --all"]


def test_rollout_and_pull_request_under_a_pause_wait_for_nothing_but_its_end() -> None:
    rollout, promotion = make_rollout(version="8", reason="Held", message=PAUSED), open_pull()
    place = Place(serving(), rollouts=(rollout,), promotions=(promotion,))
    explanation = explain_endpoint(place, reading(job(rollout), job(promotion), pause=paused()))
    assert f"rollout {rollout.id} to v8 waits until the pause is lifted" in texts(explanation, Part.WAITS)
    assert "pull request 12 of v8 waits until the pause is lifted" in texts(explanation, Part.WAITS)
    assert "`launchpin resume --all`, when what it was set for is settled; then it goes on" in texts(
        explanation, Part.NEXT
    )
    assert "the merge rolls it out" not in show(explanation)
    assert "the version is verified" not in show(explanation)
    assert explanation.hints == (Hint("launchpin resume --all", "lifts the pause"),)


@pytest.mark.parametrize(("reason", "state"), [("", "ready"), ("Locked", "waiting"), ("Retrying", "retrying")])
def test_nothing_beyond_the_pause_is_promised_of_what_has_not_met_it_yet(reason: str, state: str) -> None:
    rollout = make_rollout(version="8", reason=reason, message="ForgeUnavailable: 502")
    explanation = explain_endpoint(Place(serving(), rollouts=(rollout,)), reading(job(rollout, state), pause=paused()))
    assert "it waits until the pause is lifted" in texts(explanation, Part.NEXT)


def test_rollout_that_had_its_turn_and_way_back_go_on_under_a_pause() -> None:
    baking = make_rollout(version="8", phase=Phase.RUNNING, step="bake", reason="Baking")
    back = make_rollout(direction=Direction.ROLLBACK, from_version="7", version="6")
    for rollout, told in ((baking, "is rolling out v8"), (back, "goes back to v6")):
        explanation = explain_endpoint(Place(serving(), rollouts=(rollout,)), reading(job(rollout), pause=paused()))
        assert told in explanation.headline
        assert explanation.headline.endswith("; everything is paused.")
        assert "until the pause is lifted" not in explanation.parts[Part.NEXT][0].text


def test_hold_under_a_pause_is_told_beside_it_with_both_commands() -> None:
    place = Place(serving(), holds=(make_hold(author="grace", message="a wake"),))
    explanation = explain_endpoint(place, reading(pause=paused()))
    assert explanation.headline == "iris-staging is held by grace, and v7 serves; everything is paused."
    assert texts(explanation, Part.WAITS) == "everything is paused by ada: a fair\nheld by grace: a wake"
    assert "until the pause and the hold are lifted" in texts(explanation, Part.NEXT)
    commands = [hint.command for hint in explanation.hints]
    assert commands[:2] == ["launchpin resume --all", "launchpin resume iris-staging"]


def test_training_whose_pull_request_the_pause_keeps_says_so() -> None:
    training = make_training(phase=Phase.SUCCEEDED, facts={"version": "8"})
    promotion = open_pull(reason="Held", message=f"held, {PAUSED}")
    explanation = explain_training(Trained(training, (promotion,)), reading(job(promotion), pause=paused()))
    assert texts(explanation, Part.WAITS) == "pull request 12 waits until the pause is lifted"
    assert [hint.command for hint in explanation.hints] == ["launchpin resume --all"]


def test_pull_request_under_a_pause_says_who_paused_and_what_lifts_it() -> None:
    promotion = open_pull(reason="Held", message=f"held, {PAUSED}")
    for place in (Place(serving()), None):
        explanation = explain_pull(Proposal(promotion, place), reading(job(promotion), pause=paused()))
        assert explanation.headline.endswith("for staging: it waits until the pause is lifted.")
        assert texts(explanation, Part.WAITS).splitlines() == [
            "everything is paused by ada: a fair",
            "pull request 12 waits until the pause is lifted",
        ]
        assert UNTIL in texts(explanation, Part.NEXT)
        assert explanation.hints[0] == Hint("launchpin resume --all", "lifts the pause")
        assert "rolls it out" not in show(explanation)


def test_merge_under_a_pause_is_not_said_to_roll_out() -> None:
    facts = {"number": 12, "merge_sha": "9" * 40, "merged_by": "grace"}
    promotion = open_pull(phase=Phase.SUCCEEDED, reason="", facts=facts, updated_at=NOW - timedelta(seconds=5))
    fresh = explain_pull(Proposal(promotion, Place(serving())), reading(pause=paused()))
    assert "sees the merge within a minute; it rolls out once nothing holds it" in texts(fresh, Part.NEXT)
    rollout = make_rollout(version="8", reason="Held", message=PAUSED)
    seen = explain_pull(Proposal(promotion, Place(serving(), rollouts=(rollout,))), reading(pause=paused()))
    assert "it rolls out once the pause is lifted" in seen.headline
    assert seen.hints[0].command == "launchpin resume --all"


# ---------------------------------------------------------------- everything


def test_pause_is_one_concern_and_the_first_of_all() -> None:
    sick = Place(serving(endpoint="sick", health=Health.DEGRADED))
    found = find_concerns(Fleet([Place(serving()), sick]), [PartTrouble("web", "Restarting")], reading(pause=paused()))
    assert [one.name for one in found] == ["", "", "sick"]
    assert found[0].text == "everything is paused by ada for 12 min: a fair"
    assert (found[0].reason, found[0].who) == ("Paused", Who.OPERATOR)
    assert found[0].hint == Hint("launchpin resume --all", "lifts the pause")
    assert summarize(found, Fleet(), reading()) == "3 things need somebody."


def test_what_waits_for_the_end_of_the_pause_is_named_with_it_and_by_nothing_else() -> None:
    rollout, promotion = make_rollout(version="8", reason="Held", message=PAUSED), open_pull(reason="Held")
    places = [
        Place(serving(sync=Sync.OUT_OF_SYNC), rollouts=(rollout,), promotions=(promotion,)),
        Place(serving(endpoint="held"), holds=(make_hold(author="grace", message="a wake"),)),
    ]
    found = find_concerns(Fleet(places), [], reading(job(rollout), job(promotion), pause=paused()))
    assert [one.name for one in found] == ["", "held"]
    assert found[0].text.endswith(": a fair; it keeps iris-staging and acme/iris-deploy#12 waiting")


def test_long_list_of_what_the_pause_keeps_is_counted() -> None:
    proposals = [open_pull(reason="Held", facts={"number": number}) for number in range(1, 6)]
    (found,) = find_concerns(Fleet([Place(serving(), promotions=tuple(proposals))]), [], reading(pause=paused()))
    first = ", ".join(f"acme/iris-deploy#{number}" for number in range(1, 4))
    assert found.text.endswith(f"; it keeps {first} and 2 more waiting")


def test_held_proposal_of_a_place_that_nothing_holds_is_told() -> None:
    held = open_pull(reason="Held", message="held")
    (found,) = find_concerns(Fleet([Place(serving(), promotions=(held,))]), [], reading(job(held)))
    assert found.text == "v8 for iris-staging waits until the hold is lifted"
