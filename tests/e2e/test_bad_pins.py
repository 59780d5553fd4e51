"""What is wrong in a deploy repository, or with what it pins, over a whole stack: named, and the endpoint as it was."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gitops.embedded.stack.supervisor import part_states
from gitops.records import Environment, Promotion, Rollout
from tests.e2e.bad_input_rig import check_of
from tests.e2e.test_script_shapes_loop import make_undeployed, train, versions_of
from tests.support.live import Live, Pair, git, make_pair

pytestmark = pytest.mark.slices(8, 9)


@pytest.fixture(scope="module")
def served(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Give a pair whose version 1 serves in staging."""
    pair = make_pair(live, tmp_path_factory.mktemp("served"), "served")
    assert pair.trained(pair.push()).facts.version == "1"
    pair.serving("staging", "1")
    pair.proposed("production", "1")
    return pair


@contextlib.contextmanager
def edited(pair: Pair, path: str, old: str, new: str) -> Iterator[str]:
    """Push an edit of the deploy repository by a person, and take it back afterwards."""
    pair.pull()
    before = (pair.folder / path).read_text()
    pair.edit(path, old, new)
    try:
        yield pair.push("deploy", message="An edit")
    finally:
        pair.pull()
        (pair.folder / path).write_text(before)
        pair.push("deploy", message="Back again")
    pair.serving("staging", "1")


def assert_untouched(pair: Pair, rollout: Rollout | None) -> None:
    """Hold the endpoint against what it was: version 1 answers, and no rollout was begun."""

    def out_of_sync() -> Environment | None:
        now = pair.environment("staging")
        return now if now is not None and now.sync == "OutOfSync" else None

    known = pair.live.wait("the comparison", out_of_sync)
    assert known.serving == "1"
    assert pair.rollout("staging") == rollout
    answer = httpx.post(
        f"{known.url}/invocations",
        content=pair.example("1"),
        headers={"content-type": "application/json"},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200


_PIN = '      - MODEL_VERSION="1"'
_BUILDSPECS = {
    "computed": ('      - MODEL_VERSION="$(cat version)"', "staging/buildspec.yml:7:23: MODEL_VERSION"),
    "in a block": ("      - |\n        MODEL_VERSION=1", "staging/buildspec.yml:7:9: MODEL_VERSION"),
    "two on a line": ('      - MODEL_VERSION="1" TRACKING_URI="x"', "staging/buildspec.yml:7:27: TRACKING_URI"),
    "no number": ("      - MODEL_VERSION=newest", "staging/buildspec.yml:7:23: MODEL_VERSION"),
}


@pytest.mark.parametrize("how", _BUILDSPECS)
def test_a_pin_that_cannot_be_read_is_refused_with_line_and_column(live: Live, served: Pair, how: str) -> None:
    written, place = _BUILDSPECS[how]
    before = served.rollout("staging")
    with edited(served, "deploy/staging/buildspec.yml", _PIN, written) as commit:
        title, summary = check_of(live, served.deploy_repository, commit, "launchpin/rollout (staging)")
        assert title.startswith(place)
        assert "The endpoint is as it was." in summary
        assert_untouched(served, before)


def test_a_strategy_of_a_later_release_in_endpoint_yaml_is_refused_by_name(live: Live, served: Pair) -> None:
    before = served.rollout("staging")
    with edited(served, "deploy/staging/endpoint.yaml", "type: all_at_once", "type: canary") as commit:
        title, _ = check_of(live, served.deploy_repository, commit, "launchpin/rollout (staging)")
        assert title.startswith("staging/endpoint.yaml:4:")
        assert "canary" in title
        assert "not in this release" in title
        assert_untouched(served, before)


def test_attack_52_a_pin_to_another_model_is_refused_on_the_pull_request_and_after_its_merge(
    live: Live, clones: Path, served: Pair
) -> None:
    other = make_undeployed(live, clones, "other")
    body = "with mlflow.start_run():\n    mlflow.log_metric('accuracy', 1.0)\n    log(fit())\n"
    assert train(other, body).facts.version == "1"
    served.pull()
    before = served.rollout("staging")
    git(served.deploy, "checkout", "-q", "-b", "other-model")
    served.edit("deploy/staging/buildspec.yml", 'MODEL_NAME="served"', 'MODEL_NAME="other"')
    git(served.deploy, "commit", "-qam", "Pin another model")
    git(served.deploy, "push", "-q", "launchpin", "other-model")
    sha = git(served.deploy, "rev-parse", "HEAD").strip()
    git(served.deploy, "checkout", "-q", "main")
    asked = {"title": "Pin another", "head": "other-model", "base": "main"}
    number = live.api("POST", f"/repos/{served.deploy_repository}/pulls", **asked)["number"]
    title, _ = check_of(live, served.deploy_repository, sha, "launchpin/plan (staging)")
    assert title.startswith("pin_refused: staging serves served, and the pin names another model, other")
    live.api("PUT", f"/repos/{served.deploy_repository}/pulls/{number}/merge")
    merged = live.api("GET", f"/repos/{served.deploy_repository}/commits/main")["sha"]
    title, _ = check_of(live, served.deploy_repository, merged, "launchpin/rollout (staging)")
    assert title.startswith("pin_refused")
    assert_untouched(served, before)
    served.pull()
    served.edit("deploy/staging/buildspec.yml", 'MODEL_NAME="other"', 'MODEL_NAME="served"')
    served.push("deploy", message="Back again")
    served.serving("staging", "1")


def test_a_pin_to_a_tracking_server_that_is_not_allowed_is_refused(live: Live, served: Pair) -> None:
    before = served.rollout("staging")
    ours = live.layout.url("mlflow")
    with edited(served, "deploy/staging/buildspec.yml", ours, "https://mlflow.example.com") as commit:
        title, _ = check_of(live, served.deploy_repository, commit, "launchpin/rollout (staging)")
        assert title.startswith("pin_refused: TRACKING_URI https://mlflow.example.com is not one that")
        assert_untouched(served, before)


@contextlib.contextmanager
def stopped(live: Live, name: str) -> Iterator[None]:
    """Let a part of the stack stand still for the length of the block."""
    part = next(part for part in part_states(live.layout) if part.name == name)
    assert part.process is not None
    os.kill(part.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(part.process.pid, signal.SIGCONT)


def test_a_plan_that_changed_before_the_merge_stalls_until_a_person_pushes_the_pin_again(
    live: Live, served: Pair
) -> None:
    proposed = served.proposed("production", "1")
    served.pull()
    served.edit("deploy/production/endpoint.yaml", "bake: 1s", "bake: 2s")
    # The pull request would be given the new plan at once: its merge must come before the service sees the change.
    with stopped(live, "control"):
        served.push("deploy", message="Watch longer")
        served.merge(proposed)

    def stalled() -> Rollout | None:
        found = served.rollout("production")
        return found if found is not None and found.reason == "PlanChanged" else None

    first = live.wait("the stalled rollout", stalled)
    assert first.phase == "Running"
    assert "push a change to production/buildspec.yml, a comment will do" in first.message

    def shown() -> Environment | None:
        known = served.environment("production")
        return known if known is not None and known.sync_reason == "PlanChanged" else None

    assert live.wait("the environment's state", shown).serving == ""
    served.pull()
    served.append("deploy/production/buildspec.yml", "# seen, and as it should be\n")
    served.push("deploy", message="As it is now")
    served.serving("production", "1")
    ended = live.store.rollout(first.id)
    assert ended is not None
    assert (ended.phase, ended.reason) == ("Superseded", "NewerPin")


def test_attack_58_a_version_whose_file_was_changed_in_the_store_is_refused_and_a_person_keeps_the_branch(
    live: Live, served: Pair
) -> None:
    """A newer version meets a person's commit on the promotion's branch first, and is tampered with then."""
    production = live.wait("production", lambda: served.environment("production"))
    if production.serving != "1":
        served.merge(served.proposed("production", "1"))
    served.serving("production", "1")
    served.append("model/train.py", "# second\n")
    second = served.trained(served.push()).facts.version or ""
    edited_pull = served.proposed("production", second)
    branch = edited_pull.facts.branch or ""
    git(served.deploy, "fetch", "-q", "launchpin", branch)
    git(served.deploy, "checkout", "-q", "-B", "by-hand", "FETCH_HEAD")
    served.append("deploy/production/README.txt", "A person was here.\n")
    git(served.deploy, "add", "-A")
    git(served.deploy, "commit", "-qm", "A note")
    git(served.deploy, "push", "-q", "launchpin", f"HEAD:refs/heads/{branch}")
    theirs = git(served.deploy, "rev-parse", "HEAD").strip()
    git(served.deploy, "checkout", "-q", "main")

    served.append("model/train.py", "# third\n")
    third = served.trained(served.push()).facts.version or ""

    def stalled() -> Promotion | None:
        found = served.promotion("production", third)
        return found if found is not None and found.reason == "BranchEdited" else None

    told = live.wait("the stalled promotion", stalled)
    assert f"merge or close pull request {edited_pull.facts.number}" in told.message
    head = live.api("GET", f"/repos/{served.deploy_repository}/git/ref/heads/{branch}")["object"]["sha"]
    assert head == theirs

    changed = _flip_a_byte(live, second)
    served.merge(edited_pull)
    rollout = served.rolled_out("production", second)
    assert (rollout.phase, rollout.reason) == ("Refused", "digest_mismatch")
    assert changed in rollout.message
    known = served.environment("production")
    assert known is not None
    assert known.serving == "1"
    assert served.proposed("production", third).facts.number != edited_pull.facts.number


def _flip_a_byte(live: Live, version: str) -> str:
    """Change one byte of a version's largest file in MLflow's store; returns the file's name."""
    source = next(each["source"] for each in versions_of(live, "served") if each["version"] == version)
    folder = next((live.layout.dir / "mlflow").rglob(source.removeprefix("models:/")))
    largest = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return largest.name


def test_an_emptied_pin_takes_the_endpoint_down_and_one_exported_without_quotes_brings_it_back(
    live: Live, served: Pair
) -> None:
    known = served.environment("staging")
    assert known is not None
    version = known.serving
    served.pull()
    served.edit("deploy/staging/buildspec.yml", f'- MODEL_VERSION="{version}"', "- MODEL_VERSION=''")
    served.push("deploy", message="Nothing for now")

    def emptied() -> Environment | None:
        now = served.environment("staging")
        return now if now is not None and (now.serving, now.sync) == ("", "Unpinned") else None

    live.wait("an empty staging", emptied)
    answer = httpx.get(f"{known.url}/ping", trust_env=False, timeout=10)
    assert answer.status_code == 404
    served.edit("deploy/staging/buildspec.yml", "- MODEL_VERSION=''", f"- export MODEL_VERSION={version}")
    served.push("deploy", message="And back")
    served.serving("staging", version)
    answer = httpx.get(f"{known.url}/ping", trust_env=False, timeout=10)
    assert answer.status_code == 200
    assert f"- export MODEL_VERSION={version} " in served.pinned("staging")
