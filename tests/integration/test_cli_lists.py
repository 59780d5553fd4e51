"""`launchpin versions` and `endpoints`: what was judged, what serves, and who holds it, from a real database."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.records import Environment, Health, Sync
from gitops.writes import SaveEnvironment, SaveVersion, SetHold
from tests.support.cli import Output, Stack, make_stack
from tests.support.store import make_environment, make_hold, make_version, write


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack with two endpoints of one model: one in service, one that is held."""
    with make_stack(tmp_path) as stack:
        staging: Environment = make_environment(
            repository="acme/iris-deploy",
            pinned="2",
            serving="2",
            serving_since=stack.store.now() - timedelta(hours=3),
            sync=Sync.SYNCED,
            health=Health.HEALTHY,
        )
        production = make_environment(
            repository="acme/iris-deploy",
            path="production",
            name="production",
            endpoint="a-rather-long-endpoint-name-of-production",
            pinned="3",
            sync=Sync.OUT_OF_SYNC,
            sync_reason="Held",
        )
        versions = (
            make_version(),
            make_version(version="2", commit="a1b2c3d4" * 5, metrics={"accuracy": "0.96125", "f1": "0.9"}),
            make_version(version="3", verdict="fail", metrics={}),
            make_version(version="4", quarantined=True),
        )
        write(stack.store, SaveEnvironment(staging, ()), SaveEnvironment(production, ()))
        write(stack.store, *(SaveVersion(version) for version in versions))
        write(stack.store, SetHold(make_hold(path="production", environment="production", author="ada")))
        yield stack


def widest(output: Output) -> int:
    return max(map(len, output.out.splitlines()))


def test_versions_are_listed_with_verdict_metrics_and_where_they_serve(stack: Stack) -> None:
    result = stack.launchpin("versions", "iris")

    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].split() == ["VERSION", "VERDICT", "COMMIT", "JUDGED", "SERVES"]
    rows = [line for line in lines[1:] if not line.startswith(" ")]
    assert [row.split()[0] for row in rows] == ["4", "3", "2", "1"]
    assert "pass, quarantined" in rows[0]
    assert rows[1].split()[1] == "fail"
    assert rows[2].split() == ["2", "pass", "a1b2c3d4", "0", "s", "ago", "iris-staging"]
    assert "    accuracy 0.9612, f1 0.9" in lines
    assert widest(result) <= 80


def test_versions_have_the_same_facts_as_json(stack: Stack) -> None:
    document = stack.launchpin("versions", "iris", "--limit", "3", "--json").json

    assert (document["ok"], document["model"]) == (True, "iris")
    fourth, third, second = document["versions"]
    assert (fourth["quarantined"], third["verdict"], second["version"]) == (True, "fail", "2")
    assert second["metrics"] == {"accuracy": "0.96125", "f1": "0.9"}
    assert second["serves"] == [{"endpoint": "iris-staging", "environment": "staging"}]
    assert (second["commit"], third["serves"]) == ("a1b2c3d4" * 5, [])


def test_nearest_model_is_named_when_none_matches(stack: Stack) -> None:
    result = stack.launchpin("versions", "irsi")

    assert result.code == 2
    assert "did you mean iris?" in result.err


def test_model_without_a_version_is_told_what_makes_one(stack: Stack) -> None:
    write(stack.store, SaveEnvironment(make_environment(path="wine", model="wine"), ()))

    assert (
        stack.launchpin("versions", "wine").out == "No version of wine was judged yet: push to its model repository.\n"
    )
    assert stack.launchpin("versions", "wine", "--json").json["versions"] == []


def test_endpoints_are_listed_with_what_serves_and_who_holds_them(stack: Stack) -> None:
    result = stack.launchpin("endpoints")

    head, production, held, staging = result.out.splitlines()
    assert head.split() == ["ENDPOINT", "ENVIRONMENT", "SERVING", "PINNED", "SYNC", "HEALTH", "SINCE"]
    assert staging.split() == ["iris-staging", "staging", "2", "2", "Synced", "Healthy", "3", "h"]
    assert production.split()[1:] == ["production", "-", "3", "OutOfSync", "Unknown", "-"]
    assert held == "    held by ada: version 2 failed its smoke test"
    assert widest(result) <= 80


def test_endpoints_have_the_same_facts_as_json(stack: Stack) -> None:
    document = stack.launchpin("endpoints", "--json").json

    production, staging = document["endpoints"]
    assert (staging["endpoint"], staging["serving"], staging["health"]) == ("iris-staging", "2", "Healthy")
    assert staging["hold"] is None
    assert (production["environment"], production["pinned"], production["hold"]["author"]) == ("production", "3", "ada")
    assert document["paused"] is None


def test_endpoints_say_that_everything_is_paused(stack: Stack) -> None:
    everything = {"repository_id": 0, "path": "", "environment": "", "model": "", "reason": "Paused"}
    write(stack.store, SetHold(make_hold(**everything, author="grace", message="an audit")))

    shown, document = stack.launchpin("endpoints").out, stack.launchpin("endpoints", "--json").json

    assert shown.count("    paused by grace: an audit\n") == 2
    assert shown.count("    held by ada: ") == 1
    assert document["paused"]["author"] == "grace"
    assert document["endpoints"][1]["hold"] is None


def test_endpoints_are_as_they_were_last_seen_when_the_stack_is_down(stack: Stack) -> None:
    stack.set_down()

    (_, staging) = stack.launchpin("endpoints", "--json").json["endpoints"]

    assert (staging["serving"], staging["health"]) == ("2", "Unknown")
    assert staging["message"] == "as it was last seen: nothing runs"
