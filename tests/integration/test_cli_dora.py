"""`launchpin dora`: the four figures from the stack's log and from an exported one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops.embedded.stack.environment import settings_for
from gitops.store import SqlStore
from tests.integration.test_cli_audit import bundle, signing
from tests.support.cli import Stack, call, make_stack
from tests.support.deployed import Life, enact
from tests.support.store import Clock

__all__ = ["bundle", "signing"]

DAY = 24 * 60
IRIS, CHURN = Life(), Life(model="churn", source=3, deploy=4)


def at(days_ago: float) -> Clock:
    clock = Clock()
    clock.time = datetime.now(UTC) - timedelta(days=days_ago)
    return clock


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack on which, within 20 days, the second of three versions failed and nothing of churn is known."""
    with make_stack(tmp_path) as stack:
        clock = at(20)
        store = SqlStore(settings_for(stack.layout).database, clock=clock)
        enact(
            store,
            clock,
            IRIS.trained("1", minute=0, committed=-30),
            IRIS.rolled("1", minute=60).kept(65),
            IRIS.trained("2", minute=DAY),
            IRIS.rolled("2", minute=DAY + 30).failed(DAY + 34, back_to="1"),
            CHURN.rolled("7", minute=DAY + 40).kept(DAY + 41),
            IRIS.trained("3", minute=2 * DAY, committed=2 * DAY - 10),
            IRIS.rolled("3", minute=2 * DAY + 200).kept(2 * DAY + 210),
        )
        store.close()
        yield stack


def test_figures_are_told_of_the_fleet_and_of_each_model(stack: Stack) -> None:
    result = stack.launchpin("dora")
    assert result.code == 0, result.both
    head, rows = result.out.splitlines()[0], [" ".join(line.split()) for line in result.out.splitlines()[3:6]]
    assert head.startswith("30 days up to ")
    assert rows == [
        "production all models 4 1.4 1 h 30 min 3 h 30 min 1 (25%) 4 min",
        "production iris 3 1.0 1 h 30 min 3 h 30 min 1 (33%) 4 min",
        "production churn 1 0.3 - - 0 (0%) -",
    ]
    assert "1 of 3 lead times begin when the push arrived." in result.out
    assert "The audit log begins on " in result.out
    assert max(map(len, result.out.splitlines())) <= 110


def test_one_model_or_environment_is_told_alone(stack: Stack) -> None:
    only = stack.launchpin("dora", "iris").out
    assert "all models" not in only
    assert "churn" not in only
    assert "production   iris" in stack.launchpin("dora", "--env", "production", "--days", "60").out


def test_figures_are_the_same_from_a_bundle_up_to_its_last_entry(stack: Stack, bundle: Path) -> None:
    live = stack.launchpin("dora", "--json").json
    told = call("dora", "--bundle", bundle, "--json").json
    for name in ("deployments", "lead_time", "failed", "change_failure_rate", "time_to_restore", "not_restored"):
        assert [row[name] for row in told["models"]] == [row[name] for row in live["models"]]
    assert told["end"] < live["end"]
    assert (told["since"], told["days"]) == (live["since"], 30)


def test_figures_of_an_altered_bundle_are_refused(bundle: Path) -> None:
    file = bundle / "entries.jsonl"
    file.write_bytes(file.read_bytes().replace(b"5 of 9", b"0 of 9"))
    result = call("dora", "--bundle", bundle)
    assert result.code == 2
    assert "bundle_not_intact" in result.both or "altered" in result.both


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("irsi",), "no such model: 'irsi'; did you mean iris?"),
        (("--env", "prodution"), "no such environment: 'prodution'; did you mean production?"),
        (("--days", "0"), "--days"),
        (("--days", "367"), "--days"),
    ],
)
def test_name_or_number_that_there_is_not_is_refused_with_what_there_is(
    stack: Stack, typed: tuple[str, ...], words: str
) -> None:
    result = stack.launchpin("dora", *typed)
    assert result.code == 2
    assert words in result.both


def test_time_without_a_deployment_says_how_to_look_further_back(stack: Stack) -> None:
    result = stack.launchpin("dora", "--days", "7")
    assert result.code == 0
    assert "none" in result.out
    assert "Nothing was deployed in this time: --days 366 looks further back." in result.out
    figures = stack.launchpin("dora", "--days", "7", "--json").json["fleet"][0]
    assert (figures["deployments"], figures["deployments_per_week"], figures["change_failure_rate"]) == (0, None, None)


def test_stack_that_has_deployed_nothing_says_what_to_do(tmp_path: Path) -> None:
    with make_stack(tmp_path) as empty:
        result = empty.launchpin("dora", "iris")
        assert result.code == 0, result.both
        assert "Nothing of iris was deployed yet: merge a promotion's pull request." in result.out
        assert empty.launchpin("dora", "--json").json["fleet"] == []
