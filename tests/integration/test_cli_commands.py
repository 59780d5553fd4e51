"""`launchpin rollback`, `hold` and `resume`: one row, which a worker carries out, and how it ended."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.cli.asking import ask
from gitops.errors import ConflictError
from gitops.ports import Deps
from gitops.records import Command, Rollout
from gitops.steps import Done, Ended, Outcome, Phase, Step, Story, Wait
from gitops.writes import SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.support.cli import Stack, make_stack, working
from tests.support.store import make_environment, make_repository, make_training, make_version, serve_once, write


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack with one endpoint that serves version 2 after version 1, and a version 3; no worker runs yet."""
    with make_stack(tmp_path) as stack:
        environment = make_environment(
            repository="acme/iris-deploy", target="local", host="here", pinned="2", serving="2", earlier=("2", "1")
        )
        versions = [SaveVersion(make_version(version=version)) for version in ("1", "2", "3")]
        write(stack.store, SaveEnvironment(environment, ()), *versions)
        for version in ("1", "2"):
            serve_once(stack.store, version)
        yield stack


def rollout_story(outcome: Outcome) -> Story[Deps, Rollout]:
    """Return a rollout that comes out in one step as a test says."""
    step: Step[Deps, Rollout] = Step("apply", lambda _deps, _rollout: outcome)
    return Story("rollout", (step,), lambda deps, subject: deps.store.rollout(subject))


def newest_command(stack: Stack) -> Command:
    found = stack.store.recent("command")[0]
    assert isinstance(found, Command)
    return found


def test_hold_is_set_and_lifted_by_name_when_a_worker_runs(stack: Stack) -> None:
    with working(stack):
        held = stack.launchpin("hold", "iris-staging", "--reason", "a fair", "--json")
        (hold,) = stack.store.holds()
        resumed = stack.launchpin("resume", "iris-staging", "--reason", "it is over")

    assert (held.code, resumed.code) == (0, 0)
    assert held.json["result"]["endpoint"] == "iris-staging"
    assert hold.message == "a fair"
    assert stack.store.holds() == []
    assert "goes on" in resumed.out


def test_command_carries_who_typed_it_when_it_is_written(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")

    with working(stack):
        stack.launchpin("hold", "acme/iris-deploy:staging", "--reason", "why not")

    command = newest_command(stack)
    assert (command.cause.kind, command.cause.actor, command.cause.id) == ("command", "grace", command.id)
    assert stack.store.holds()[0].author == "grace"


def test_rollback_waits_for_its_rollout_when_it_is_asked_for(stack: Stack) -> None:
    with working(stack, rollout_story(Done(message="version 1 serves"))):
        result = stack.launchpin("rollback", "iris-staging", "--reason", "odd answers", "--json")

    assert result.code == 0, result.both
    assert result.json["result"]["version"] == "1"
    assert result.json["message"] == "version 1 serves"
    rollout = stack.store.rollout(result.json["result"]["rollout"])
    assert rollout is not None
    assert (rollout.version, rollout.from_version, rollout.message) == ("1", "2", "version 1 serves")


def test_rollback_is_refused_when_its_rollout_failed(stack: Stack) -> None:
    with working(stack, rollout_story(Ended(Phase.ERRORED, "GaveUp", "it does not start"))):
        result = stack.launchpin("rollback", "iris-staging", "--to", "1")

    assert result.code == 1
    assert "it does not start" in result.err


@pytest.mark.parametrize(
    ("version", "reason"),
    [("2", "AlreadyServing"), ("9", "VersionUnknown"), ("3", "NeverServed")],
    ids=["serving", "unknown", "never served"],
)
def test_rollback_is_refused_by_name_when_a_rule_says_no(stack: Stack, version: str, reason: str) -> None:
    with working(stack):
        result = stack.launchpin("rollback", "iris-staging", "--to", version, "--json")

    assert result.code == 1
    assert (result.json["ok"], result.json["reason"]) == (False, reason)


def test_rollback_times_out_with_where_to_look_when_it_takes_longer(stack: Stack) -> None:
    waiting = Wait(timedelta(minutes=1), "Baking", "the new version is watched")

    with working(stack, rollout_story(waiting)):
        result = stack.launchpin("rollback", "iris-staging", "--timeout", "0.5", "--json")

    command = newest_command(stack)
    assert result.code == 3
    assert result.json["error"]["reason"] == "TimedOut"
    assert command.id in result.err
    assert "launchpin status" in result.err
    assert not command.phase.is_final


@pytest.mark.parametrize("verb", [("rollback",), ("hold", "--reason", "x"), ("resume",)], ids=lambda verb: verb[0])
def test_nearest_endpoint_is_named_when_none_matches(stack: Stack, verb: tuple[str, ...]) -> None:
    result = stack.launchpin(verb[0], "iris-stagin", *verb[1:])

    assert result.code == 2
    assert "did you mean iris-staging?" in result.err
    assert stack.store.recent("command") == []


def test_nothing_is_asked_for_when_nobody_would_carry_it_out(stack: Stack) -> None:
    stack.set_down()

    result = stack.launchpin("hold", "iris-staging", "--reason", "x", "--json")

    assert (result.code, result.json["error"]["reason"]) == (3, "NotUp")
    assert stack.store.recent("command") == []


def test_reason_is_wanted_when_something_is_held(stack: Stack) -> None:
    result = stack.launchpin("hold", "iris-staging")

    assert result.code == 2
    assert "--reason" in result.err


def test_one_row_is_written_when_a_key_is_used_twice(stack: Stack) -> None:
    arguments = {"endpoint": "iris-staging", "reason": "x"}

    first = ask(stack.store, "hold", arguments, actor="ada", key="k-1")
    second = ask(stack.store, "hold", arguments, actor="ada", key="k-1")

    assert first.id == second.id
    with pytest.raises(ConflictError):
        ask(stack.store, "resume", arguments, actor="ada", key="k-1")


def test_answer_comes_soon_after_the_end_when_a_worker_is_fast(stack: Stack) -> None:
    with working(stack):
        begun = time.monotonic()
        stack.launchpin("hold", "iris-staging", "--reason", "x")

    assert time.monotonic() - begun < 5


def test_training_is_meant_by_the_beginning_of_its_id_when_it_is_tried_again(stack: Stack) -> None:
    write(
        stack.store,
        StartTraining(
            make_training(id="t-0abc1"),
        ),
    )

    with working(stack):
        result = stack.launchpin("retry", "0ab", "--json")

    assert (result.code, result.json["result"]) == (0, {"woken": ["t-0abc1"]})
    assert newest_command(stack).arguments == {"name": "t-0abc1"}


def test_endpoint_is_meant_by_its_name_when_nothing_of_it_waits(stack: Stack) -> None:
    with working(stack):
        result = stack.launchpin("retry", "iris-staging")

    assert (result.code, result.out) == (0, "nothing of iris-staging waits\n")


def test_nearest_model_repository_is_named_when_none_matches(stack: Stack) -> None:
    write(stack.store, SaveRepository(make_repository()))

    result = stack.launchpin("train", "acme/irsi")

    assert result.code == 2
    assert "did you mean acme/iris?" in result.err
    assert stack.store.recent("command") == []


def test_version_that_may_not_be_proposed_is_refused_by_name(stack: Stack) -> None:
    with working(stack):
        result = stack.launchpin("promote", "iris", "2", "--to", "iris-staging", "--json")

    assert (result.code, result.json["reason"]) == (1, "AlreadyPinned")


def test_everything_is_paused_and_goes_on_by_name(stack: Stack) -> None:
    with working(stack):
        paused = stack.launchpin("pause", "--reason", "a fair")
        (hold,) = stack.store.holds()
        resumed = stack.launchpin("resume", "--all")

    assert (paused.code, paused.out) == (0, "everything is paused: a fair\n")
    assert (hold.repository_id, hold.message) == (0, "a fair")
    assert (resumed.code, resumed.out) == (0, "everything goes on\n")


@pytest.mark.parametrize("arguments", [(), ("iris-staging", "--all")])
def test_resume_wants_one_endpoint_or_all(stack: Stack, arguments: tuple[str, ...]) -> None:
    result = stack.launchpin("resume", *arguments)

    assert result.code == 2
    assert "name one endpoint, or end the pause with --all" in result.err
    assert stack.store.recent("command") == []


def test_training_is_called_off_by_the_beginning_of_its_id(stack: Stack) -> None:
    write(stack.store, StartTraining(make_training(id="t-0abc1")))

    with working(stack):
        result = stack.launchpin("cancel", "0ab", "--reason", "wrong data")
        again = stack.launchpin("cancel", "t-0abc1", "--json")

    over = stack.store.training("t-0abc1")
    assert over is not None
    assert (result.code, over.phase) == (0, Phase.CANCELLED)
    assert "called it off: wrong data" in result.out
    assert (again.code, again.json["reason"]) == (1, "AlreadyOver")
