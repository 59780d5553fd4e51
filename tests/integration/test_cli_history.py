"""`launchpin history`: the same answer from the stack's log and from an exported bundle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.writes import Audit
from tests.integration.test_cli_audit import bundle, signing
from tests.support.cli import Stack, call, make_stack
from tests.support.store import write

__all__ = ["bundle", "signing"]

STAGING = {"model": "iris", "endpoint": "iris-staging", "env": "staging"}


def rolled(kind: str, version: str, rollout: str, **evidence: str) -> Audit:
    return Audit(f"rollout.{kind}", {**STAGING, "version": version, "rollout_id": rollout}, dict(evidence))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack on which a first version serves again, since the second one failed."""
    with make_stack(tmp_path) as stack:
        for version, sha, reviewed in (("1", "a" * 40, {"approved_by": ["ada", "lin"]}), ("2", "d" * 40, {})):
            about = {"model": "iris", "version": version}
            write(
                stack.store,
                Audit("training.succeeded", {**about, "sha": sha, "repo": "acme/iris"}, {"verdict": "pass"}),
                Audit(
                    "promotion.succeeded",
                    {**about, "env": "staging", "pr": int(version)},
                    {"merged_by": "mona", **reviewed},
                ),
                rolled("applied", version, f"r{version}", serving=version),
            )
        write(stack.store, rolled("rolled_back", "2", "r2", serving="1", reason="BakeFailed", message="5 \x1b[31mred"))
        yield stack


def test_each_time_of_service_is_shown_with_its_commit_merge_and_end(stack: Stack) -> None:
    result = stack.launchpin("history", "iris-staging")
    assert result.code == 0, result.both
    lines = result.out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("iris-staging")] == ["v1", "v2", "v1"]
    assert "serves" in lines[1]
    assert "aaaaaaaa" in lines[1]
    assert "ada, lin" in lines[1], "who approved is not who merged"
    assert "mona (#1)" in lines[1]
    (second,) = [line for line in lines if " v2 " in line and "mona" in line]
    assert " - " in second, "no reviews on record"
    assert "    failed: BakeFailed: 5 \\x1b[31mred" in lines
    assert "    replaced by v2" in lines
    assert max(map(len, lines)) <= 110


def test_history_is_the_same_from_the_stack_and_from_a_bundle_and_for_model_and_endpoint(
    stack: Stack, bundle: Path
) -> None:
    live = stack.launchpin("history", "iris-staging", "--json").json
    assert live["times"] == 3
    assert [(one["approved_by"], one["merged_by"]) for one in live["history"]] == [
        (["ada", "lin"], "mona"),
        (None, "mona"),
        (["ada", "lin"], "mona"),
    ]
    assert call("history", "iris-staging", "--bundle", bundle, "--json").json == live
    assert stack.launchpin("history", "iris", "--json").json["history"] == live["history"]
    short = stack.launchpin("history", "iris", "--limit", "1")
    assert "2 older ones: --limit 3 shows them." in short.out


def test_history_of_a_mistyped_name_proposes_the_right_one(stack: Stack) -> None:
    result = stack.launchpin("history", "iris-stagng")
    assert result.code == 2
    assert "did you mean iris-staging?" in result.both


def test_history_of_an_altered_bundle_is_refused(bundle: Path) -> None:
    file = bundle / "entries.jsonl"
    file.write_bytes(file.read_bytes().replace(b"mona", b"lisa"))
    result = call("history", "iris", "--bundle", bundle)
    assert result.code == 2
    assert "bundle_not_intact" in result.both or "altered" in result.both


def test_history_of_what_never_served_says_so(stack: Stack) -> None:
    failed: dict[str, str | int] = {
        **STAGING,
        "model": "churn",
        "endpoint": "churn-staging",
        "version": "1",
        "rollout_id": "r9",
    }
    write(stack.store, Audit("rollout.rolled_back", failed, {"serving": "", "reason": "SmokeFailed"}))
    for name in ("churn", "churn-staging"):
        result = stack.launchpin("history", name)
        assert result.code == 2
        assert "nothing has served there yet" in result.err


def test_history_says_so_where_nothing_has_served_yet(tmp_path: Path) -> None:
    with make_stack(tmp_path) as empty:
        result = empty.launchpin("history", "iris")
    assert result.code != 0
    assert "nothing has served there yet" in result.both
