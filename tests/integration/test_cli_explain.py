"""`launchpin explain`: from a real database, in the states that somebody on call meets, and after a real rollback."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops.embedded.stack.environment import settings_for
from gitops.embedded.stack.record import PartState, State
from gitops.holding import EVERYWHERE, say_held
from gitops.records import MergeMode
from gitops.steps import Wait
from gitops.store import SqlStore
from gitops.writes import CancelTraining, LiftHold, SaveEnvironment
from tests.integration.rollout_rig import forge
from tests.support.cli import Output, Stack, call, make_stack
from tests.support.forge import ForgeUnderTest
from tests.support.rollouts import make_deployment
from tests.support.scenes import Scenes
from tests.support.store import Clock, write

__all__ = ["forge"]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with make_stack(tmp_path) as stack:
        yield stack


@pytest.fixture
def scenes(stack: Stack) -> Iterator[Scenes]:
    """Give the stack's store to play scenes on, two hours ago."""
    clock = Clock()
    clock.time = datetime.now(UTC) - timedelta(hours=2)
    store = SqlStore(settings_for(stack.layout).database, clock=clock)
    yield Scenes(store, clock)
    store.close()


def widest(output: Output) -> int:
    return max(len(line) for line in output.out.splitlines())


def unbroken(output: Output) -> str:
    """Return what was printed as one line, as it was before it was fitted to the screen."""
    return " ".join(output.out.split())


def test_endpoint_that_is_fine_is_said_to_be_fine(stack: Stack, scenes: Scenes) -> None:
    scenes.fine()
    result = stack.launchpin("explain", "iris-production")
    assert result.code == 0
    assert result.out.startswith("iris-production is fine: v7 serves, as Git pins.\n\nServing  v7 of iris, Healthy")
    assert "Type" not in result.out
    assert stack.launchpin("explain", "acme/iris-deploy:production").out == result.out


def test_pull_request_is_found_by_each_of_its_names(stack: Stack, scenes: Scenes) -> None:
    promotion = scenes.waits_for_review()
    names = (
        "12",
        "#12",
        "acme/wine-deploy#12",
        "Acme/Wine-Deploy#12",
        promotion.facts.url,
        f"{promotion.facts.url}/files",
    )
    found = [stack.launchpin("explain", name) for name in names]
    assert {result.code for result in found} == {0}
    assert len({result.out for result in found}) == 1
    assert "by whoever may merge in acme/wine-deploy" in unbroken(found[0])
    assert "launchpin pr merge 12 --repo acme/wine-deploy" in found[0].out
    assert stack.launchpin("explain", promotion.id).out == found[0].out


def test_pull_request_that_was_updated_in_place_is_that_of_its_newest_version(stack: Stack, scenes: Scenes) -> None:
    old = scenes.waits_for_review()
    newer = scenes.proposes_anew(old, "9")
    result = stack.launchpin("explain", "12")
    assert result.out.startswith("acme/wine-deploy#12 proposes v9 of wine")
    assert stack.launchpin("explain", newer.id).out == result.out


def test_pull_request_that_two_repositories_have_open_must_be_named_in_full(stack: Stack, scenes: Scenes) -> None:
    scenes.waits_for_review("wine")
    scenes.waits_for_review("figs", merge=MergeMode.AUTO)
    result = stack.launchpin("explain", "12", "--json")
    assert (result.code, result.json["error"]["reason"]) == (2, "repository_unclear")
    assert "acme/wine-deploy#12" in result.err
    named = stack.launchpin("explain", "acme/figs-deploy#12")
    assert "Launchpin merges it when its checks have passed" in unbroken(named)


def test_training_is_found_by_its_id_the_beginning_of_it_and_its_commit(stack: Stack, scenes: Scenes) -> None:
    training = scenes.fails_to_train()
    names = (training.id, training.id.removeprefix("t-"), training.commit, training.commit[:7])
    found = {stack.launchpin("explain", name).out for name in names}
    assert len(found) == 1
    (out,) = found
    assert "  | ValueError: could not convert string to float: 'n/a'" in out
    assert f"launchpin logs {training.id}" in out


def test_beginning_that_several_trainings_share_is_asked_for_in_full(stack: Stack, scenes: Scenes) -> None:
    one, other = scenes.fails_to_train("plums"), scenes.stalls("figs")
    result = stack.launchpin("explain", "t-0", "--json")
    assert (result.code, result.json["error"]["reason"]) == (2, "training_unclear")
    assert one.id in result.err
    assert other.id in result.err


def test_failed_rollout_is_explained_with_its_hold_in_eighty_columns(stack: Stack, scenes: Scenes) -> None:
    rollout = scenes.rolled_back()
    result = stack.launchpin("explain", "churn-production")
    assert result.code == 0
    assert "is held: v8 failed, and v7 serves." in result.out
    assert "  | KeyError: 'tenure_months'" in result.out
    assert f"held by launchpin after rollout {rollout.id} failed" in unbroken(result)
    assert "launchpin resume churn-production" in result.out
    assert widest(result) <= 80
    assert len(result.out.splitlines()) <= 24
    assert stack.launchpin("explain", rollout.id).out == result.out


def test_training_that_waits_for_mlflow_says_that_it_goes_on_by_itself(stack: Stack, scenes: Scenes) -> None:
    training = scenes.waits_for_mlflow()
    result = stack.launchpin("explain", training.id)
    assert "RegistryUnavailable: MLflow at http://127.0.0.1:5000 does not answer (tried 3 times)" in unbroken(result)
    assert "tried again by itself" in unbroken(result)
    assert "launchpin logs mlflow" in result.out
    assert f"training {training.id}" in stack.launchpin("explain", "quince-production").out


def test_same_facts_are_there_for_programs(stack: Stack, scenes: Scenes) -> None:
    rollout = scenes.rolled_back()
    document = stack.launchpin("explain", "churn-production", "--json").json
    (failed,) = document["failed"]
    assert (document["ok"], document["kind"], document["name"]) == (True, "endpoint", "churn-production")
    assert (failed["about"], failed["reason"], failed["who"]) == (rollout.id, "EndpointUnhealthy", "author")
    assert failed["tail"][-1] == "KeyError: 'tenure_months'"
    assert datetime.fromisoformat(failed["since"]).tzinfo is not None
    assert document["waits"][0]["who"] == "operator"
    assert document["commands"][0] == "launchpin resume churn-production"


def test_version_that_bakes_is_explained_with_when_it_got_the_traffic(stack: Stack, scenes: Scenes) -> None:
    rollout = scenes.bakes()
    rows = scenes.store.audit_recent(100)
    (moved,) = [row.entry for row in rows if row.entry.kind == "rollout.applied"]
    stack.set_up()
    result = stack.launchpin("explain", rollout.endpoint)
    assert "v8 of pears has the traffic (v7 before), Progressing, for " in unbroken(result), result.both
    (serving, *_) = stack.launchpin("explain", rollout.endpoint, "--json").json["serving"]
    assert datetime.fromisoformat(serving["since"]) == moved.time


def test_everything_is_explained_worst_first_when_nothing_is_named(stack: Stack, scenes: Scenes) -> None:
    scenes.fine()
    promotion = scenes.waits_for_review()
    failed = scenes.fails_to_train()
    scenes.bakes()
    scenes.rolled_back()
    stalled = scenes.stalls()
    result = stack.launchpin("explain")
    assert result.code == 0
    assert result.out.startswith("4 things need somebody")
    commands = [line.strip() for line in result.out.splitlines() if line.startswith("  launchpin")]
    named = ("churn-production", stalled.id, failed.id, f"{promotion.repository}#12")
    assert commands[:4] == [f"launchpin explain {name}" for name in named]
    assert widest(result) <= 80
    document = stack.launchpin("explain", "--json").json
    assert [one["rank"] for one in document["attention"]][:4] == ["held", "stuck", "failed", "asks"]


def test_each_command_that_the_overview_proposes_can_be_typed(stack: Stack, scenes: Scenes) -> None:
    scenes.waits_for_review()
    scenes.rolled_back()
    scenes.stalls()
    lines = stack.launchpin("explain").out.splitlines()
    proposed = [line.split()[1:] for line in lines if line.startswith("  launchpin explain")]
    assert len(proposed) == 3
    assert {stack.launchpin(*words).code for words in proposed} == {0}


def test_nothing_wrong_is_said_in_one_line(stack: Stack, scenes: Scenes) -> None:
    assert stack.launchpin("explain").out == "Nothing is wrong. Nothing serves yet.\n"
    scenes.fine()
    assert stack.launchpin("explain").out == "Nothing is wrong: 1 endpoint serves what Git pins.\n"


def test_part_that_dies_again_and_again_comes_first(stack: Stack, scenes: Scenes) -> None:
    scenes.rolled_back()
    stack.set_up(PartState("relay", State.RESTARTING, restarts=3), PartState("web", State.READY))
    lines = stack.launchpin("explain").out.splitlines()
    assert lines[2:4] == ["part relay is restarting", "  launchpin logs relay"]


def test_nothing_is_promised_when_the_stack_is_down(stack: Stack, scenes: Scenes) -> None:
    scenes.waits_for_review()
    stack.set_down()
    one, everything = stack.launchpin("explain", "wine-production"), stack.launchpin("explain")
    assert "Nothing happens by itself while the stack is down" in unbroken(one)
    assert "Healthy" not in one.out
    assert one.out.rstrip().endswith("launchpin up  # starts the stack")
    assert everything.out.startswith("The stack is down: nothing goes on.")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wine-prodution", "did you mean wine-production?"),
        ("xyz", "there are: wine-production, acme/wine-deploy#12, t-"),
        ("99", "open are acme/wine-deploy#12"),
        ("https://github.com/acme/wine-deploy/pull/99", "open are acme/wine-deploy#12"),
    ],
)
def test_unknown_name_is_refused_with_what_there_is(stack: Stack, scenes: Scenes, name: str, told: str) -> None:
    scenes.waits_for_review()
    result = stack.launchpin("explain", name, "--json")
    assert result.code == 2
    assert told in result.err
    assert result.json["ok"] is False


def test_endpoint_that_two_environments_ask_for_must_be_named_by_its_place(stack: Stack, scenes: Scenes) -> None:
    place = scenes.fine()
    write(stack.store, SaveEnvironment(place.model_copy(update={"path": "other"}), ()))
    result = stack.launchpin("explain", "iris-production", "--json")
    assert (result.code, result.json["error"]["reason"]) == (2, "endpoint_unclear")
    assert stack.launchpin("explain", "acme/iris-deploy:other").code == 0


def test_attack_75_foreign_text_reaches_no_terminal_raw(stack: Stack, scenes: Scenes) -> None:
    scenes.held(scenes.fine(), author="eve\x1b[2J", message="\x1b]0;owned\x07")
    for arguments in ((), ("iris-production",), ("iris-production", "--incident")):
        result = stack.launchpin("explain", *arguments)
        assert "\x1b" not in result.both
        assert "\x07" not in result.both


def test_pause_is_told_of_everything_of_an_endpoint_and_of_a_pull_request(stack: Stack, scenes: Scenes) -> None:
    scenes.fine()
    promotion = scenes.waits_for_review()
    pause = scenes.paused()
    scenes.clock.advance(timedelta(seconds=31))
    scenes.step(promotion, Wait(timedelta(seconds=1), "Held", f"held, {say_held(pause, 'wine')}"), "await_merge")
    everything = stack.launchpin("explain")
    assert everything.out.startswith("1 thing needs somebody.\n\neverything is paused by grace for")
    assert "a fair; it keeps acme/wine-deploy#12 waiting" in unbroken(everything)
    assert "  launchpin resume --all\n" in everything.out
    assert stack.launchpin("explain", "--json").json["attention"][0]["rank"] == "paused"
    for name in ("iris-production", "wine-production", "12"):
        result = stack.launchpin("explain", name)
        assert "everything is paused by grace: a fair" in unbroken(result)
        assert "neither merges nor rolls out until the pause is lifted" in unbroken(result)
        assert "launchpin resume --all" in result.out
        assert "is fine" not in result.out
    assert "everything was paused: a fair" in stack.launchpin("explain", "iris-production", "--incident").out
    write(scenes.store, LiftHold(EVERYWHERE, "", by="ada"))
    assert "the pause was lifted" in stack.launchpin("explain", "iris-production", "--incident").out
    assert "is fine" in stack.launchpin("explain", "iris-production").out


def test_training_that_was_called_off_is_told_by_whom(stack: Stack, scenes: Scenes) -> None:
    training = scenes.stalls()
    write(scenes.store, CancelTraining(training.id, by="ada", reason="wrong data"))
    result = stack.launchpin("explain", training.id)
    assert result.out.startswith(f"training {training.id} of figs was called off by ada: wrong data.\n")
    assert f"launchpin retry {training.id}" in result.out


def test_incident_wants_a_name_and_a_stack(stack: Stack, tmp_path: Path) -> None:
    assert stack.launchpin("explain", "--incident").code == 2
    assert call("explain", "--dir", tmp_path / "nowhere").code == 2


def test_incident_of_a_real_rollback_is_told_from_the_audit_log(
    stack: Stack, scenes: Scenes, forge: ForgeUnderTest, tmp_path: Path
) -> None:
    world = make_deployment(forge, scenes.store, scenes.clock, tmp_path / "stack")
    for version in ("1", "2"):
        world.add_version(version)
    world.serve("1")
    world.target.answers["2"] = 500
    world.pin("2")
    world.later(4)

    held = stack.launchpin("explain", "iris-staging")
    document = stack.launchpin("explain", "iris-staging", "--incident")

    assert "is held: v2 failed, and v1 serves." in held.out
    assert "SmokeFailed" in held.out
    timeline = [line for line in document.out.splitlines() if line.startswith("| 20")]
    assert "of v2 to iris-staging began" in timeline[0]
    assert any("v2 did not come up: SmokeFailed" in line for line in timeline)
    assert any("the environment was held: SmokeFailed" in line for line in timeline)
    assert "was rolled back: SmokeFailed" in timeline[-1]
    moments = stack.launchpin("explain", "iris-staging", "--incident", "--json").json["incident"]
    assert len(moments) == len(timeline)
    world.ask("resume")
    world.pin("1")
    assert stack.launchpin("explain").out == "Nothing is wrong: 1 endpoint serves what Git pins.\n"
