"""`launchpin notify`: a test message to a real receiver, and the list of who was told of what."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.bootstrap import for_command
from gitops.embedded.stack.environment import settings_for
from gitops.writes import RouteNotice, SetHold, SettleLetter
from tests.support.cli import Stack, make_stack
from tests.support.receivers import SECRET, WebReceiver, reply, web, write_notify, write_secret
from tests.support.store import make_hold, write

__all__ = ["web"]


@pytest.fixture
def stack(tmp_path: Path, web: WebReceiver) -> Iterator[Stack]:
    with make_stack(tmp_path) as stack:
        write_secret(stack.layout.dir, "s", SECRET)
        write_notify(stack.layout.dir, f"events: {{webhook: {{url: '{web.url}', secret_file: s}}}}")
        yield stack


def test_test_message_arrives_and_the_answer_is_shown(stack: Stack, web: WebReceiver) -> None:
    done = stack.launchpin("notify", "test", "events")
    assert (done.code, done.out) == (0, "events took it: 200 ok\n"), done.both
    (post,) = web.posts
    event = json.loads(post.body)
    assert event["type"] == "dev.cdeventsx.launchpin-channel.tested.0.1.0"
    assert post.headers["webhook-id"] == event["id"]


def test_answer_as_json(stack: Stack) -> None:
    answer = stack.launchpin("notify", "test", "events", "--json").json
    assert (answer["ok"], answer["channel"], answer["answer"]) == (True, "events", "200 ok")


@pytest.mark.parametrize(("status", "code"), [(404, 1), (302, 1), (503, 3)])
def test_exit_code_says_whether_it_was_refused_or_not_reached(
    stack: Stack, web: WebReceiver, status: int, code: int
) -> None:
    web.answers = [reply(status, b"no")]
    done = stack.launchpin("notify", "test", "events")
    assert done.code == code
    assert f"it answered {status}" in done.err


def test_channel_that_is_not_there_is_answered_with_the_nearest(stack: Stack, web: WebReceiver) -> None:
    done = stack.launchpin("notify", "test", "event")
    assert done.code == 2
    assert "did you mean events?" in done.err
    assert web.posts == []


def test_wrong_file_is_refused_with_its_place(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("version: 1\nchannels: {a: {slac: {}}}\n")
    done = stack.launchpin("notify", "test", "a", "--file", str(file))
    assert done.code == 2
    assert "other.yaml:2:" in done.err
    assert 'did you mean "slack"?' in done.err


def test_list_shows_what_was_told_to_whom(stack: Stack) -> None:
    assert "Nobody was told" in stack.launchpin("notify", "list").out
    with contextlib.closing(for_command(settings_for(stack.layout))) as store:
        write(store, SetHold(make_hold(reason="ByHand", author="mona")))
        (notice,) = store.unrouted(limit=10)
        write(store, RouteNotice(notice.id, ("events", "team")))
        write(store, SettleLetter(notice.id, "events", is_sent=True, message="200 ok\x1b[2J"))
    shown = stack.launchpin("notify", "list").out
    assert shown.splitlines()[0].split() == ["AGE", "CHANNEL", "STATE", "WHAT", "OF", "ANSWER"]
    assert "sent" in shown
    assert "waiting" in shown
    assert "\x1b" not in shown
    (first, second) = stack.launchpin("notify", "list", "--json").json["letters"]
    assert {(one["channel"], one["state"], one["outcome"]) for one in (first, second)} == {
        ("events", "sent", "Held"),
        ("team", "waiting", "Held"),
    }
