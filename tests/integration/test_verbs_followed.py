"""What a plan, a log and a rollout say by command line and API, and how a log is followed."""

import json
from typing import Any

import httpx
import pytest

from gitops.grammar import VERBS
from gitops.telling import answers
from tests.integration.told_rig import Told, asked, told, viewer
from tests.support.fleet import BAKING, REFUSED

__all__ = ["told", "viewer"]


# ---------------------------------------------------------------- what they say


def test_a_plan_says_what_a_merge_would_do(told: Told, viewer: httpx.Client) -> None:
    found = answers.Plan.model_validate(viewer.get(VERBS["plan"].route, params={"endpoint": "iris-production"}).json())
    assert (found.serving, found.pinned, found.version, found.changes) == ("6", "7", "8", True)
    assert found.pull is not None
    assert (found.pull.number, found.pull.merge, found.refusal) == (12, "review", None)
    assert "pull request 12 changes the pin in acme/iris-deploy:production from 7 to 8" in found.steps[0]
    assert found.steps[1] == "a person merges it"
    assert found.waits == (f"rollout {BAKING} of version 7 is under way: one at a time",)
    (metric,) = [one for one in found.metrics if one.metric == "accuracy"]
    assert metric.planned == "0.97"
    shown = told.stack.launchpin("plan", "iris-production")
    assert shown.code == 0
    assert shown.out.startswith("iris-production: iris 6 -> 8\n  1. pull request 12 changes the pin")


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [
        ("5", 1, "iris 5 has no verdict of Launchpin's"),
        ("7", 0, "nothing: version 7 is pinned and serves"),
        ("8", 0, "opens a pull request that changes the pin in acme/iris-deploy:staging from 7 to 8"),
    ],
)
def test_a_plan_refuses_what_promote_would_refuse(told: Told, version: str, code: int, words: str) -> None:
    shown = told.stack.launchpin("plan", "iris-staging", "--version", version)
    assert (shown.code, words in shown.out) == (code, True), shown.out


def test_the_log_of_a_rollout_says_step_by_step_what_was_recorded(told: Told) -> None:
    shown = told.stack.launchpin("logs", "churn-staging")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert "rollout r-000000005 of v12 to churn-staging began" in lines[0]
    assert len(lines) >= 3
    times = [line.split()[0] for line in lines]
    assert times == sorted(times)
    assert "RolledBack: back to version 11" in shown.err


# ---------------------------------------------------------------- following


def events_of(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each event's id, name and data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


def test_a_log_is_followed_to_its_end_and_goes_on_where_one_was_cut_off(viewer: httpx.Client) -> None:
    route, given = VERBS["logs"].route, {"name": REFUSED, "follow": "yes"}
    answer = viewer.get(route, params=given)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *lines, (_, last, end) = events_of(answer.text)
    assert [data["line"] for _, _, data in lines] == ["fitting 120 rows", "bad \\x1b[2J", "accuracy=0.893"]
    assert (last, end["phase"]) == ("end", "Refused")

    again = viewer.get(route, params=given, headers={"Last-Event-ID": lines[1][0]})
    assert [data.get("line") for _, _, data in events_of(again.text)] == ["accuracy=0.893", None]


@pytest.mark.parametrize("place", ["9" * 40, "1." + "9" * 40, "-1", "x", "1.٣"])
def test_attack_68_a_place_that_we_did_not_give_is_the_beginning(viewer: httpx.Client, place: str) -> None:
    given = {"name": REFUSED, "follow": "yes"}
    headers = httpx.Headers({b"Last-Event-ID": place.encode()})
    answer = viewer.get(VERBS["logs"].route, params=given, headers=headers)
    assert events_of(answer.text)[0][2]["line"] == "fitting 120 rows"


def test_a_log_that_grows_is_told_as_it_grows(told: Told, viewer: httpx.Client) -> None:
    log = told.stack.layout.dir / "trainings" / "logs" / "t-000000009-1.log"
    log.write_text("one\n")
    with viewer.stream("GET", VERBS["logs"].route, params={"name": "t-000000009", "follow": "yes"}) as answer:
        lines = answer.iter_lines()
        assert '"one"' in next(line for line in lines if line.startswith("data: "))
        with log.open("a") as file:
            file.write("two\n")
        assert '"two"' in next(line for line in lines if line.startswith("data: "))
    log.unlink()


def test_a_rollout_that_is_over_is_followed_to_its_end(viewer: httpx.Client) -> None:
    answer = viewer.get(VERBS["logs"].route, params={"name": "r-000000005", "follow": "yes"})
    *lines, (_, last, end) = events_of(answer.text)
    assert (last, end["phase"]) == ("end", "RolledBack")
    (told_at_once,) = [viewer.get(VERBS["logs"].route, params={"name": "r-000000005"}).json()["lines"]]
    assert [data["line"] for _, _, data in lines] == told_at_once


def test_a_training_without_a_file_here_has_the_last_lines_of_its_record(viewer: httpx.Client) -> None:
    found = asked(viewer, "logs", name="t-000000001")
    assert (found["attempt"], found["is_whole"], found["lines"][0]) == (0, False, "loading 48211 rows")
