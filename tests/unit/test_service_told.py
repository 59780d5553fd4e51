"""What is told of a service whose parts others started: which hints can be followed there, which parts are wrong."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitops.cli.installed import PARTS
from gitops.embedded.stack.layout import Layout
from gitops.explaining import ANSWERS, Concern, Explanation, Hint, Part, PartTrouble, Statement, Who
from gitops.explaining.fleet import Rank
from gitops.ports.tallies import Hands, HeldJob, JobTally, Leader, Pulse
from gitops.telling.service import (
    PartWord,
    add_troubles,
    find_troubles,
    fit_concern,
    fit_explanation,
    fit_hint,
    is_at_work,
    is_service,
    read_service,
)

NOW = datetime(2026, 1, 31, tzinfo=UTC)
PAGE = "https://github.com/acme/wine-deploy/pull/12"
RESUME = Hint("launchpin resume wine-production", "lifts the hold")


def explained(*hints: Hint) -> Explanation:
    waits = {Part.WAITS: (Statement("it waits"),)}
    return Explanation("endpoint", "wine-production", NOW, "wine-production waits.", waits, hints)


class Database:
    """What a store answers."""

    def __init__(self, counted: Pulse, *held: HeldJob, leader: Leader | None = None) -> None:
        self._counted, self._hands = counted, Hands(NOW, leader, held)

    def pulse(self) -> Pulse:
        return self._counted

    def hands(self) -> Hands:
        return self._hands


@pytest.mark.parametrize(
    ("command", "fit"),
    [
        ("launchpin logs mlflow", "launchpin doctor"),
        ("launchpin logs training", "launchpin doctor"),
        ("launchpin logs t-000001", "launchpin logs t-000001"),
        ("launchpin logs training-production", "launchpin logs training-production"),
        ("launchpin gc --dry-run", "launchpin gc --dry-run"),
        ("launchpin pr show 12 --repo acme/wine-deploy", "launchpin explain acme/wine-deploy#12"),
        ("launchpin pr merge 12 --repo acme/wine-deploy", None),
        ("launchpin resume wine-production", "launchpin resume wine-production"),
    ],
)
def test_a_hint_is_one_that_can_be_typed_where_no_stack_is(command: str, fit: str | None) -> None:
    found = fit_hint(Hint(command, "why"))
    assert (found.command if found is not None else None) == fit


def test_a_pull_request_is_looked_at_and_merged_at_its_address_told_once() -> None:
    show = Hint("launchpin pr show 12 --repo acme/wine-deploy", "what it changes", PAGE)
    merge = Hint("launchpin pr merge 12 --repo acme/wine-deploy", "rolls it out", PAGE)
    told = fit_explanation(explained(show, merge, RESUME), [])
    assert [(one.command, one.is_page) for one in told.hints] == [(PAGE, True), (RESUME.command, False)]


def test_no_command_that_a_reason_names_wants_a_stack_where_none_is() -> None:
    of_a_stack = re.compile(rf"launchpin (pr|up|down|add)\b.*|launchpin logs ({'|'.join(PARTS)})")
    named = {answer.look for answer in ANSWERS.values() if answer.look}
    fit = {found.command for one in named if (found := fit_hint(Hint(one, "why"))) is not None}
    assert any(of_a_stack.fullmatch(one) for one in named)
    assert [one for one in fit if of_a_stack.fullmatch(one)] == []


def test_a_folder_is_a_stacks_where_up_has_written_its_record(tmp_path: Path) -> None:
    assert is_service(tmp_path)
    stack = Layout.make(tmp_path)
    assert not is_service(stack.dir)


def test_what_is_wrong_with_the_parts_is_told_with_everything_that_waits_for_them() -> None:
    gone = PartTrouble("relay", PartWord.GONE, "relay: nobody leads: nothing goes on by itself", "launchpin doctor")
    told = fit_explanation(explained(Hint("launchpin logs mlflow", "why"), RESUME), [gone])
    assert told.parts[Part.WAITS][-1] == Statement(gone.text, reason="Gone", who=Who.OPERATOR)
    assert [one.command for one in told.hints] == ["launchpin doctor", RESUME.command]
    assert fit_explanation(explained(RESUME), []) == explained(RESUME)


def test_a_part_whose_process_ends_again_and_again_is_told_with_the_log_that_says_why() -> None:
    ends, other = PartTrouble("relay", "Restarting"), PartTrouble("mlflow", "Restarting")
    told = add_troubles(explained(RESUME), [other, ends])
    assert [one.text for one in told.parts[Part.WAITS]] == ["it waits", "part relay is restarting"]
    assert [one.command for one in told.hints] == ["launchpin logs relay", RESUME.command]
    assert add_troubles(explained(RESUME), [other]) == explained(RESUME)


def test_a_concern_keeps_everything_but_a_command_that_only_a_stack_has() -> None:
    one = Concern(Rank.BROKEN, "", "part mlflow is away", hint=Hint("launchpin logs mlflow", "why"))
    assert fit_concern(one).hint == Hint("launchpin doctor", "why")
    assert fit_concern(Concern(Rank.ASKS, "x", "it asks")).hint is None


def test_a_part_is_as_the_database_knows_it() -> None:
    late = JobTally("training", "training", "waiting", "", is_due=True, count=2, age=900.0, tries=0)
    lost = JobTally("training", "training", "leased", "", is_due=True, count=1, age=30.0, tries=0)
    waits = JobTally("promotion", "control", "waiting", "AwaitingMerge", is_due=False, count=3, age=0.0, tries=0)
    held = HeldJob("rollout", "r-1", "control", "control-7:17", NOW.replace(year=2027))
    ran_out = HeldJob("training", "t-1", "training", "training-7:17", NOW.replace(year=2025))
    service = read_service(Database(Pulse((late, lost, waits), 3.0), held, ran_out))
    parts = {one.name: (one.state, one.ready, one.oldest, one.held) for one in service.parts}
    assert parts["control"] == (PartWord.WORKING, 0, 0.0, 1)
    assert parts["training"] == (PartWord.LATE, 3, 900.0, 0)
    assert [(one.reason, one.count) for one in service.waiting] == [("AwaitingMerge", 3)]


@pytest.mark.parametrize(
    ("lead", "word", "wrong"),
    [(3.0, PartWord.LEADS, []), (-1.0, PartWord.GONE, ["relay"]), (None, PartWord.MISSING, ["relay"])],
    ids=str,
)
def test_a_relay_that_does_not_lead_is_trouble(lead: float | None, word: PartWord, wrong: list[str]) -> None:
    counted = Pulse((), lead)
    assert read_service(Database(counted)).parts[0].state is word
    assert [one.name for one in find_troubles(counted)] == wrong
    assert {one.state for one in find_troubles(counted)} <= {word}


@pytest.mark.parametrize(("queue", "wrong"), [("training", []), ("control", ["control"])])
def test_a_training_that_waits_for_its_turn_is_no_trouble(queue: str, wrong: list[str]) -> None:
    late = JobTally("training", queue, "ready", "", is_due=True, count=2, age=900.0, tries=0)
    held = JobTally("training", queue, "leased", "", is_due=False, count=1, age=0.0, tries=0)
    assert [one.name for one in find_troubles(Pulse((late, held), 3.0))] == wrong


def test_workers_that_take_nothing_are_trouble() -> None:
    late = JobTally("training", "training", "ready", "", is_due=True, count=2, age=900.0, tries=0)
    (found,) = find_troubles(Pulse((late,), 3.0))
    assert (found.name, found.state) == ("training", "Late")
    assert found.text == "workers for training: 2 jobs are ready, the oldest for 15 min"


@pytest.mark.parametrize(
    ("lead", "state", "is_due", "works"),
    [
        (3.0, "ready", True, True),
        (-1.0, "leased", False, True),
        (-1.0, "leased", True, False),
        (-1.0, "ready", True, False),
        (None, "waiting", False, False),
    ],
    ids=str,
)
def test_something_is_at_work_while_a_relay_leads_or_a_lease_lasts(
    lead: float | None, state: str, *, is_due: bool, works: bool
) -> None:
    job = JobTally("training", "training", state, "", is_due=is_due, count=1, age=900.0, tries=0)
    assert is_at_work(Pulse((job,), lead)) is works
