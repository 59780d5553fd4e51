"""`launchpin gc` as a person types it: one row, which a worker carries out, and what went by kind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitops.disk.storerooms import storerooms
from gitops.upkeep import GC
from tests.support.cli import Stack, make_stack, working
from tests.support.deps import make_service
from tests.support.home import tree_digest, write_environment, write_file, write_folder
from tests.support.target import MemoryTarget

KEY = "0" * 32


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack with an environment, a log and a workspace that nobody needs; no worker runs yet."""
    with make_stack(tmp_path) as stack:
        home = stack.layout.dir
        write_environment(home, KEY, size=3_000_000)
        write_file(home / "trainings" / "logs" / "t-1-1.log", size=2000)
        write_folder(home / "workspace" / "t-1", size=1000)
        yield stack


def parts(stack: Stack) -> dict[str, Any]:
    """Return the parts of a worker that a collection asks."""
    home = stack.layout.dir
    return {
        "targets": {"local": MemoryTarget()},
        "storerooms": storerooms(home, reap=lambda _: None),
        "service": make_service(home, models=home / "models", workspace=home / "workspace"),
    }


def test_a_dry_run_shows_kind_number_bytes_and_rule_and_removes_nothing(stack: Stack) -> None:
    folders = ("environments", "trainings", "workspace")
    before = [tree_digest(stack.layout.dir / folder) for folder in folders]
    with working(stack, GC, **parts(stack)):
        shown = stack.launchpin("gc", "--dry-run")
        result = stack.launchpin("gc", "--dry-run", "--json")
    assert shown.code == 0, shown.both
    lines = {line.split()[0]: line for line in shown.out.splitlines() if line.startswith("  ")}
    assert lines["environments"].split()[1:4] == ["1", "2.9", "MiB"]
    assert "needed by nobody and not used for 30 days" in lines["environments"]
    assert "free" in lines
    assert "would go" in shown.out
    assert (result.json["ok"], result.json["dry_run"]) == (True, True)
    kinds = {row["kind"]: (row["count"], row["bytes"]) for row in result.json["result"]["kinds"]}
    assert kinds == {"logs": (1, 2000), "workspaces": (1, 1000), "environments": (1, 3_000_000)}
    assert [tree_digest(stack.layout.dir / folder) for folder in folders] == before


def test_what_the_dry_run_showed_goes_and_nothing_is_left_to_go(stack: Stack) -> None:
    with working(stack, GC, **parts(stack)):
        wanted = stack.launchpin("gc", "--dry-run", "--json").json["result"]["kinds"]
        went = stack.launchpin("gc", "--json")
        again = stack.launchpin("gc")
    assert went.code == 0, went.both
    assert went.json["result"]["kinds"] == wanted
    assert went.json["result"]["free"] > 0
    assert not (stack.layout.dir / "environments" / "built" / KEY).exists()
    assert again.out.splitlines()[-1] == "nothing went, 0 bytes"


def test_a_stack_that_is_down_is_asked_nothing(stack: Stack) -> None:
    stack.set_down()
    result = stack.launchpin("gc", "--json")
    assert (result.code, result.json["error"]["reason"]) == (3, "NotUp")
    assert stack.store.recent("command") == []


def test_a_stack_begins_with_a_collection_due_in_a_day(stack: Stack) -> None:
    (job,) = [job for job in stack.store.jobs() if job.kind == "gc"]
    assert 86_000 < (job.not_before - stack.store.now()).total_seconds() <= 86_400
