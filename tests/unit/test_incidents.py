"""An incident from the audit trail: where it begins, what belongs to it, and the Markdown for a post-mortem."""

import ast
import re
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from gitops.audit.entry import Cause, Entry
from gitops.audit.history import tenures
from gitops.bootstrap import stories
from gitops.explaining import (
    PHRASES,
    Explanation,
    Incident,
    Part,
    Scope,
    Statement,
    moments_of,
    served_meanwhile,
    to_markdown,
)
from gitops.explaining.phrases import phrase
from gitops.explaining.postmortem import span
from tests.support import docs, reasons
from tests.support.audit_log import ORIGIN, START
from tests.unit.test_audit_history import entry

HERE = Scope("iris-production", repository_id=2, path="production")
VERSION: dict[str, Any] = {"model": "iris", "env": "production"}


def training(verb: str, version: str, *, minute: int, **evidence: str) -> Entry:
    about: dict[str, Any] = {"training_id": f"t{version}", "repo": "acme/iris", "sha": version * 40}
    known = {"version": version} if verb in {"registered", "succeeded"} else {}
    return entry(f"training.{verb}", minute=minute, actor="mona", evidence=evidence, **about, **known, model="iris")


def promotion(verb: str, version: str, *, minute: int, path: str = "production", **evidence: str) -> Entry:
    told = {"path": path, "cause": "training", "cause_id": f"t{version}"} if verb == "opened" else evidence
    about: dict[str, Any] = {
        "promotion_id": f"p{version}-{path}",
        "training_id": f"t{version}",
        "version": version,
        "repo_id": 2,
    }
    return entry(
        f"promotion.{verb}", minute=minute, evidence=told, **{**VERSION, "env": path}, **about, pr=int(version)
    )


def rollout(verb: str, version: str, rollout_id: str, *, minute: int, **told: str) -> Entry:
    evidence = told | {"path": "production"} if verb == "opened" else told
    about: dict[str, Any] = {"version": version, "rollout_id": rollout_id, "endpoint": "iris-production", "repo_id": 2}
    return entry(f"rollout.{verb}", minute=minute, evidence=evidence, **VERSION, **about)


def hold(verb: str, name: str, *, minute: int, rollout_id: str = "", **evidence: str) -> Entry:
    about: dict[str, Any] = {"repo_id": 2, "name": name, "rollout_id": rollout_id}
    return entry(f"hold.{verb}", minute=minute, evidence={"path": "production", **evidence}, **VERSION, **about)


def came_in(version: str, *, minute: int, path: str = "production") -> list[Entry]:
    """Return a version from its commit to its merge."""
    return [
        training("started", version, minute=minute, cause="delivery", cause_id="guid"),
        training("succeeded", version, minute=minute + 1),
        promotion("opened", version, minute=minute + 1, path=path),
        promotion("succeeded", version, minute=minute + 2, path=path, merged_by="grace", merge_sha="9" * 40),
    ]


def went_well(version: str, rollout_id: str, *, minute: int) -> list[Entry]:
    return [
        rollout("opened", version, rollout_id, minute=minute, cause="compare", cause_id="9" * 40, direction="forward"),
        rollout("applied", version, rollout_id, minute=minute + 1, serving=version),
        rollout("succeeded", version, rollout_id, minute=minute + 2, serving=version),
    ]


def went_wrong(version: str, rollout_id: str, *, minute: int, back: str) -> list[Entry]:
    return [
        rollout("opened", version, rollout_id, minute=minute, cause="compare", cause_id="9" * 40, direction="forward"),
        rollout("applied", version, rollout_id, minute=minute + 1, serving=version),
        rollout("baked", version, rollout_id, minute=minute + 2, failure="EndpointUnhealthy", failure_message="5 of 9"),
        rollout("restored", version, rollout_id, minute=minute + 2, serving=back),
        hold(
            "set",
            f"h-{rollout_id}",
            minute=minute + 2,
            rollout_id=rollout_id,
            reason="EndpointUnhealthy",
            message="it failed",
        ),
        rollout("rolled_back", version, rollout_id, minute=minute + 3, serving=back, reason="EndpointUnhealthy"),
    ]


GOOD = [*came_in("1", minute=0), *went_well("1", "r1", minute=10)]
BAD = [*GOOD, *came_in("2", minute=20), *went_wrong("2", "r2", minute=30, back="1")]


def whats(entries: list[Entry], scope: Scope = HERE) -> list[str]:
    return [moment.what for moment in moments_of(entries, scope)]


def test_every_kind_of_entry_has_a_phrase_and_no_other_kind() -> None:
    page = docs.read_page("reference/audit.md").partition("## Kinds")[2].partition("## Heads")[0]
    told = set(re.findall(r"^\| `(\w+\.\w+)` \|", page, re.MULTILINE))
    ends = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    told |= {f"{noun}.{end}" for noun in ("training", "trial", "promotion", "rollout", "command") for end in ends}
    assert told - PHRASES.keys() == set()
    assert PHRASES.keys() - told == set()
    steps = {
        f"{kind}.{step.event or step.name}"
        for kind in ("training", "trial", "promotion", "rollout", "command")
        for step in stories()[kind].steps[:-1]
    }
    assert steps - PHRASES.keys() == set()


def test_every_kind_that_the_store_writes_by_name_has_a_phrase() -> None:
    nodes = (
        node for path, tree in reasons.trees().items() if path.startswith("gitops/store/") for node in ast.walk(tree)
    )
    written = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    nouns = {kind.partition(".")[0] for kind in PHRASES}
    kinds = {text for text in written if re.fullmatch(r"[a-z]+\.[a-z_]+", text) and text.partition(".")[0] in nouns}
    assert len(kinds) > 10
    assert kinds - PHRASES.keys() == set()


@pytest.mark.parametrize("kind", sorted(PHRASES))
def test_entry_that_says_nothing_but_its_kind_still_makes_a_sentence(kind: str) -> None:
    assert re.search(r"[a-z]{2}", phrase(entry(kind, minute=0)))
    assert "None" not in phrase(entry(kind, minute=0))


def test_kind_of_a_newer_release_is_told_by_its_words() -> None:
    assert phrase(entry("rollout.drained_slowly", minute=0)) == "rollout drained slowly"


def test_incident_begins_with_what_led_to_the_failure_and_leaves_out_what_was_well_before() -> None:
    found = whats(BAD)
    assert found[0] == "training t2 of acme/iris at 22222222 began"
    assert found[-1] == "rollout r2 was rolled back: EndpointUnhealthy"
    assert "v2 failed with traffic: EndpointUnhealthy: 5 of 9" in found
    assert not any("t1" in what or "r1" in what for what in found)


def test_what_one_may_not_read_is_left_out_and_the_others_keep_their_place_in_the_log() -> None:
    def may_read(one: Entry) -> bool:
        return not one.kind.startswith("training.")

    whole = {moment.what: moment.number for moment in moments_of(BAD, HERE)}
    found = {moment.what: moment.number for moment in moments_of(BAD, HERE, may_read=may_read)}
    assert found == {what: number for what, number in whole.items() if not what.startswith("training ")}
    assert len(found) < len(whole)


def test_moment_says_when_who_by_what_cause_and_where_in_the_log() -> None:
    found = {moment.what: moment for moment in moments_of(BAD, HERE)}
    merged = found["pull request 2 was merged at 99999999"]
    opened = found["rollout r2 of v2 to iris-production began"]
    assert (merged.who, merged.time, merged.number) == ("grace", START + timedelta(minutes=22), 10)
    assert (opened.who, opened.cause) == ("launchpin", "the pin at 99999999")
    assert found["v2 was on its way to production"].cause == "training t2"


def test_incident_goes_on_until_a_version_rolled_out_with_no_hold_left() -> None:
    lifted = hold("lifted", "h-r2", minute=40, reason="mended")
    again = [*BAD, lifted, *came_in("3", minute=41), *went_wrong("3", "r3", minute=50, back="1")]
    assert whats(again)[0] == "training t2 of acme/iris at 22222222 began"
    assert "rollout r3 was rolled back: EndpointUnhealthy" in whats(again)
    healed = [*BAD, lifted, *came_in("3", minute=41), *went_well("3", "r3", minute=50)]
    later = [*healed, *came_in("4", minute=60), *went_wrong("4", "r4", minute=70, back="3")]
    assert whats(healed)[-1] == "rollout r3 was over"
    assert whats(later)[0] == "training t4 of acme/iris at 44444444 began"
    assert not any("r2" in what for what in whats(later))


def test_rollback_by_hand_is_an_incident_of_the_version_that_was_left() -> None:
    back = rollout("opened", "1", "r9", minute=90, direction="rollback", from_version="2", cause="command")
    entries = [*GOOD, *came_in("2", minute=20), *went_well("2", "r2", minute=30), back]
    assert whats(entries)[0] == "training t2 of acme/iris at 22222222 began"
    assert whats(entries)[-1] == "rollout r9 was asked to go back from v2 to v1"


def test_command_that_asked_for_the_rollback_belongs_to_it() -> None:
    asked = entry("command.carried_out", minute=89, actor="mona", command_id="c-1", name="rollback")
    told = {"direction": "rollback", "from_version": "2", "cause": "command", "cause_id": "c-1"}
    back = replace(rollout("opened", "1", "r9", minute=89, **told), cause=Cause(request_id="c-1"))
    other = entry("command.carried_out", minute=5, actor="mona", command_id="c-0", name="hold")
    entries = [*GOOD, other, *came_in("2", minute=20), *went_well("2", "r2", minute=30), asked, back]
    found = moments_of(entries, HERE)
    assert [one.what for one in found if one.what.startswith("launchpin")] == ["launchpin rollback was carried out"]
    assert found[-1].cause == "command c-1"


def test_endpoint_on_which_nothing_went_wrong_shows_its_newest_rollout() -> None:
    found = whats([*GOOD, *came_in("2", minute=20), *went_well("2", "r2", minute=30)])
    assert found[0] == "training t2 of acme/iris at 22222222 began"
    assert not any("r1" in what for what in found)


def test_other_environments_are_no_part_of_it() -> None:
    other = entry("rollout.opened", minute=33, model="iris", version="2", rollout_id="r7", endpoint="iris-staging")
    elsewhere = promotion("opened", "2", minute=33, path="staging")
    assert whats([*BAD, other, elsewhere]) == whats(BAD)


def test_training_has_all_that_came_of_it() -> None:
    found = whats(BAD, Scope("t2", training_id="t2"))
    assert found == whats(BAD)
    assert whats(BAD, Scope("t1", training_id="t1"))[-1] == "rollout r1 was over"


def test_pull_request_has_its_training_and_its_rollout() -> None:
    assert whats(BAD, Scope("acme/iris-deploy#2", promotion_id="p2-production")) == whats(BAD)


def test_empty_trail_tells_nothing() -> None:
    assert moments_of([], HERE) == ()


def everything(verb: str, *, minute: int, **evidence: str) -> Entry:
    """Return the entry of a pause that was set or lifted."""
    told = entry(f"hold.{verb}", minute=minute, actor="ada", evidence={"path": "", **evidence}, name="h-all")
    return replace(told, cause=Cause(request_id=f"c-{verb}"))


PAUSE = everything("set", minute=34, reason="Paused", message="a fair")


def test_pause_and_its_end_belong_to_the_timeline_of_every_place() -> None:
    asked = entry("command.carried_out", minute=34, actor="ada", command_id="c-set", name="pause")
    entries = [*BAD, asked, PAUSE, everything("lifted", minute=40, reason="over")]
    told = ["launchpin pause was carried out", "everything was paused: a fair", "the pause was lifted: over"]
    assert whats(entries)[-3:] == told
    assert whats(entries, Scope("other", repository_id=9, path="staging")) == told
    moment = moments_of(entries, HERE)[-2]
    assert (moment.who, moment.cause) == ("ada", "command c-set")


def test_pause_is_no_part_of_what_came_of_a_training() -> None:
    assert whats([*BAD, PAUSE], Scope("t2", training_id="t2")) == whats(BAD)


def test_pause_that_lasts_is_what_an_incident_begins_with_and_one_that_is_over_is_none() -> None:
    early = everything("set", minute=15, reason="Paused", message="a fair")
    over = [*GOOD, early, everything("lifted", minute=16)]
    assert whats([*GOOD, early]) == ["everything was paused: a fair"]
    assert whats(over)[-2:] == ["everything was paused: a fair", "the pause was lifted"]
    assert "rollout r1 of v1 to iris-production began" in whats(over)
    assert whats([*over, *BAD[len(GOOD) :]]) == whats(BAD)
    assert whats([*GOOD, early, *BAD[len(GOOD) :]])[0] == "everything was paused: a fair"


# ---------------------------------------------------------------- Markdown


def document(entries: list[Entry], **parts: tuple[Statement, ...]) -> str:
    moments = moments_of(entries, HERE)
    now = START + timedelta(minutes=60)
    known = {part: parts[part.name.lower()] for part in Part if part.name.lower() in parts}
    explanation = Explanation("endpoint", "iris-production", now, "iris-production is held.", known)
    served = served_meanwhile(tenures(entries, "iris-production"), moments)
    return to_markdown(Incident(now, explanation, moments, served, ORIGIN, len(entries)))


def test_document_says_how_long_the_bad_version_had_the_traffic() -> None:
    text = document(BAD)
    row = next(line for line in text.splitlines() if line.startswith("| v2 |"))
    assert "| 1 min 00 s |" in row
    assert "failed: EndpointUnhealthy" in row
    assert [line.split()[1] for line in text.splitlines() if re.match(r"\| v\d", line)] == ["v1", "v2", "v1"]


def test_document_names_its_source_so_that_it_can_be_verified() -> None:
    text = document(BAD)
    assert f"`{ORIGIN}`" in text
    assert f"between 7 and {len(BAD) - 1} of {len(BAD)}" in text
    assert "launchpin audit export" in text


def test_document_has_the_last_lines_and_what_is_still_open() -> None:
    failed = Statement("rollout r2 of v2: EndpointUnhealthy", since=START, tail=("KeyError: 'x'", "~~~~"))
    text = document(BAD, failed=(failed,), waits=(Statement("held by launchpin", since=START),))
    assert "~~~~text\nKeyError: 'x'\n~ ~ ~~\n~~~~" in text
    assert re.search(r"- Waits: held by launchpin, since 20\d\d-", text)


def test_attack_75_quoted_text_mentions_nobody_and_breaks_no_table() -> None:
    evil = hold("set", "h-x", minute=50, reason="ByHand", message="ask @acme/all | see #1 <img src=x>\n## Done")
    (row,) = [line for line in document([*BAD, evil]).splitlines() if "ask" in line]
    assert "@acme" not in row
    assert "#1" not in row
    assert "<img" not in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 6


def test_document_of_an_empty_trail_says_so() -> None:
    assert "The log holds nothing about this." in document([])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (38, "38 s"), (245, "4 min 05 s"), (12_000, "3 h 20 min"), (183_700, "2 d 3 h")]
)
def test_lengths_of_time_are_told_to_the_second_that_matters(seconds: float, text: str) -> None:
    assert span(seconds) == text
