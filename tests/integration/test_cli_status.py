"""`launchpin status`, `runs` and `logs`: what is read from a real database, and from logs that grow."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.embedded.stack.record import PartState, State
from gitops.ports import Exit
from gitops.records import Health, Role, Sync, Training
from gitops.steps import Ended, Phase, Queue
from gitops.writes import SaveEnvironment, SaveRepository, SaveVersion, SetHold, StartTraining
from tests.support.cli import Output, Stack, call, make_stack
from tests.support.forge import wait_for
from tests.support.store import (
    LEASE,
    make_environment,
    make_hold,
    make_repository,
    make_training,
    make_version,
    write,
)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with make_stack(tmp_path) as stack:
        yield stack


def end_training(stack: Stack, training: Training, *, phase: Phase = Phase.SUCCEEDED, sentence: str = "fine") -> None:
    """Write how a training ended, as its last step does."""
    claim = next(
        claim
        for claim in iter(lambda: stack.store.claim(Queue.CONTROL, owner="test", lease=LEASE), None)
        if claim.subject == training.id
    )
    facts = {"sentence": sentence, "metrics": {"accuracy": "0.95", "f1": "0.9"}, "version": "7"}
    outcome = Ended(phase, "GateRefused" if phase is Phase.REFUSED else "", sentence, facts=facts)
    stack.store.finish(claim, Exit(stack.store.training(training.id), outcome, step="judge", event="judged"))


def start_training(stack: Stack, **changes: object) -> Training:
    training = make_training(**changes)
    write(stack.store, StartTraining(training))
    return training


def write_log(stack: Stack, training: Training, content: bytes, *, attempt: int = 1) -> Path:
    log = stack.layout.dir / "trainings" / "logs" / f"{training.id}-{attempt}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(content)
    return log


def widest(output: Output) -> int:
    return max(len(line) for line in output.out.splitlines() if "http://" not in line)


def fill(stack: Stack) -> None:
    """Put one of everything into the database, with names as long as people make them."""
    serving = make_environment(
        repository="acme/iris-deploy",
        endpoint="a-rather-long-endpoint-name-staging",
        pinned="3",
        serving="2",
        serving_since=stack.store.now() - timedelta(hours=3),
        sync=Sync.OUT_OF_SYNC,
        sync_reason="RollbackPending",
        health=Health.PROGRESSING,
        message="Git does not follow yet",
    )
    write(
        stack.store,
        SaveRepository(make_repository(secrets=("DB_PASSWORD",))),
        SaveRepository(make_repository(id=2, full_name="acme/iris-deploy", role=Role.DEPLOY)),
        SaveEnvironment(serving, ()),
        SaveVersion(make_version(version="3")),
        SetHold(make_hold(message="version 3 failed\x1b[31m its smoke test")),
    )


def test_everything_is_shown_in_eighty_columns_when_the_stack_is_up(stack: Stack) -> None:
    fill(stack)
    start_training(stack)

    result = stack.launchpin("status")

    assert result.code == 0
    for word in ("web", "Ready", "acme/iris-deploy", "DB_PASSWORD", "OutOfSync", "RollbackPending", "3 h", "resume"):
        assert word in result.out
    assert "is held by launchpin\n    version 3 failed" in result.out
    assert f"{stack.layout.url('web')}/_login/" in result.out
    assert "training t-" in result.out
    assert widest(result) <= 80
    assert "\x1b" not in result.out


def test_json_has_the_same_facts_when_it_is_asked_for(stack: Stack) -> None:
    fill(stack)

    document = stack.launchpin("status", "--json").json

    (endpoint,) = document["endpoints"]
    assert document["ok"] is True
    assert document["up"] is True
    assert (endpoint["pinned"], endpoint["serving"], endpoint["sync"]) == ("3", "2", "OutOfSync")
    assert endpoint["hold"]["author"] == "launchpin"
    tiers = {"champion_tier": "", "newest_tier": ""}
    assert document["models"] == [{"name": "iris", "champion": "", "newest": "3", **tiers}]
    assert [one["role"] for one in document["repositories"]] == ["model", "deploy"]


def test_state_is_shown_and_no_link_is_made_when_the_stack_is_down(stack: Stack) -> None:
    fill(stack)
    stack.set_down()

    result = stack.launchpin("status")

    assert "launchpin up" in result.out
    assert "OutOfSync" in result.out
    assert "_login" not in result.out


def test_part_that_died_is_told_with_its_log_when_it_came_back(stack: Stack) -> None:
    stack.set_up(PartState("relay", State.RESTARTING, restarts=3, log="/logs/relay.log"))

    result = stack.launchpin("status")

    assert "Restarting  3" in result.out
    assert "/logs/relay.log" in result.out


def test_folder_without_a_stack_is_named_with_the_remedy_when_status_is_asked_for(tmp_path: Path) -> None:
    result = call("status", "--dir", tmp_path / "nowhere")

    assert result.code == 2
    assert "launchpin up" in result.err
    assert not (tmp_path / "nowhere").exists()


def test_trainings_are_listed_newest_first_with_sentence_and_metrics(stack: Stack) -> None:
    old, new = make_training(), make_training(model="wine")
    write(stack.store, StartTraining(old), StartTraining(new))
    end_training(stack, old, phase=Phase.REFUSED, sentence="accuracy 0.893 is not above 0.9; champion v7 has 0.912")

    result = stack.launchpin("runs")

    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("t-")] == [new.id, old.id]
    assert "    accuracy 0.95, f1 0.9" in lines
    assert "    accuracy 0.893 is not above 0.9; champion v7 has 0.912" in lines
    assert widest(result) <= 80


def test_trainings_of_one_model_are_listed_when_it_is_named(stack: Stack) -> None:
    start_training(stack)
    wine = start_training(stack, model="wine")

    found = stack.launchpin("runs", "wine", "--json").json["trainings"]
    unknown = stack.launchpin("runs", "wien")

    assert [one["id"] for one in found] == [wine.id]
    assert unknown.code == 2
    assert "did you mean wine?" in unknown.err


def test_log_is_shown_when_the_beginning_of_an_id_is_enough(stack: Stack) -> None:
    training = start_training(stack)
    write_log(stack, training, b"  0.100 epoch 1\n  0.200 bad \x1b[2J\n")
    end_training(stack, training)

    result = stack.launchpin("logs", training.id[:-1])

    assert result.code == 0
    assert "epoch 1" in result.out
    assert "\x1b" not in result.out
    assert "Succeeded: fine" in result.err


def test_newest_attempts_log_is_shown_when_there_are_several(stack: Stack) -> None:
    training = start_training(stack)
    for attempt in (2, 10, 9):
        write_log(stack, training, f"attempt {attempt}\n".encode(), attempt=attempt)

    assert stack.launchpin("logs", "--json").json["lines"] == ["attempt 10"]


def test_log_that_is_not_there_yet_is_inconclusive_and_one_that_never_was_is_refused(stack: Stack) -> None:
    training = start_training(stack)
    waiting = stack.launchpin("logs", training.id)
    end_training(stack, training, phase=Phase.REFUSED, sentence="launchpin.yaml: no MLproject")
    never = stack.launchpin("logs", training.id)

    assert (waiting.code, never.code) == (3, 1)
    assert "no MLproject" in never.err


def test_ids_are_asked_for_in_full_when_several_begin_the_same(stack: Stack) -> None:
    one, other = start_training(stack, id="t-aa1"), start_training(stack, id="t-aa2")

    result, unknown = stack.launchpin("logs", "t-aa"), stack.launchpin("logs", "t-ab2")

    assert (result.code, unknown.code) == (2, 2)
    assert one.id in result.err
    assert other.id in result.err
    assert "did you mean t-aa2?" in unknown.err


def test_log_is_followed_over_attempts_until_the_training_is_over(stack: Stack) -> None:
    training = start_training(stack)
    results: list[Output] = []
    follower = threading.Thread(target=lambda: results.append(stack.launchpin("logs", training.id, "-f")))
    follower.start()
    log = write_log(stack, training, b"one\ntw")
    with log.open("ab") as stream:
        stream.write(b"o\n")
    write_log(stack, training, b"again\nwithout an end", attempt=2)

    end_training(stack, training)
    wait_for(lambda: not follower.is_alive(), "the follower to end")

    (result,) = results
    assert result.code == 0
    assert result.out.splitlines()[-2:] == ["again", "without an end"]
    assert "Succeeded" in result.err


def test_log_of_a_part_is_shown_when_its_name_is_given(stack: Stack) -> None:
    log = stack.layout.log("web")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("listening\n")

    assert stack.launchpin("logs", "web").out == "listening\n"


def test_nothing_is_claimed_when_nothing_was_trained(stack: Stack) -> None:
    assert "Nothing was trained" in stack.launchpin("runs").out
    assert stack.launchpin("logs").code == 2


def test_pause_is_shown_before_anything_else(stack: Stack) -> None:
    fill(stack)
    everything = {"repository_id": 0, "path": "", "environment": "", "model": "", "reason": "Paused"}
    write(stack.store, SetHold(make_hold(**everything, author="ada", message="an audit")))

    result = stack.launchpin("status")
    document = stack.launchpin("status", "--json").json

    assert result.out.startswith("PAUSED by ada 0 s ago: an audit\n")
    assert "launchpin resume --all" in result.out.splitlines()[1]
    assert result.out.count("an audit") == 1
    assert (document["paused"]["author"], document["endpoints"][0]["hold"]["author"]) == ("ada", "launchpin")
    assert widest(result) <= 80


def test_nothing_is_said_of_a_pause_when_there_is_none(stack: Stack) -> None:
    fill(stack)
    assert stack.launchpin("status", "--json").json["paused"] is None
    assert "PAUSED" not in stack.launchpin("status").out
