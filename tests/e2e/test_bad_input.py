"""What people get wrong, over a whole stack: each has a named end, a sentence that helps, and changes nothing else."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import httpx
import pytest

from gitops.embedded.stack.supervisor import part_states
from gitops.records import Environment, Promotion, Rollout, Training
from tests.e2e.test_script_shapes_loop import make_undeployed, train, versions_of, write_script
from tests.support.live import Live, Pair, git, make_pair

# Nobody but this file's first part pushes to it: whatever was pushed before, nothing of it may ever be registered.
_NAME = "hapless"
_STARTED = "with mlflow.start_run():\n    tree = fit()\n"
_SCRIPTS = {
    "exits": ("TrainingFailed", ("main ended with exit code 3", "there is no data today"), """
        print("there is no data today")
        raise SystemExit(3)
    """),
    "hangs": ("TrainingTimedOut", ("train.timeout",), """
        import time

        print("waits for a label", flush=True)
        time.sleep(600)
    """),
    "forks": ("TooManyProcesses", ("more processes and threads than this service allows",), """
        import subprocess
        import time

        sleepers = [subprocess.Popen(["sleep", "600"]) for _ in range(400)]
        time.sleep(600)
    """),
    "eats memory": ("OutOfMemory", ("more memory than this service allows",), """
        import time

        eaten = b"x" * (2 * 1024**3)
        time.sleep(600)
    """),
    "logs no metric": ("Inconclusive", ("accuracy was not logged",), _STARTED + "    log(tree)\n"),
    "logs NaN": ("Inconclusive", ("accuracy is nan",), _STARTED + """
    mlflow.log_metric("accuracy", float("nan"))
    log(tree)
    """),
    "logs no model": ("NoModel", ("log_model(",), _STARTED + '    mlflow.log_metric("accuracy", 1.0)\n'),
    "logs two models": ("AmbiguousModel", ("first, second", "register.model"), _STARTED + """
    mlflow.log_metric("accuracy", 1.0)
    log(tree, "first")
    log(tree, "second")
    """),
    "loops without an objective": ("AmbiguousModel", ("2 runs hold a model", "register.objective"), """
        for depth in (2, 3):
            with mlflow.start_run():
                tree = fit(depth)
                mlflow.log_metric("accuracy", accuracy(tree))
                log(tree)
    """),
    "sets another experiment": ("ExperimentMismatch", ("leave set_experiment out",), """
        mlflow.set_experiment("my-own")
        with mlflow.start_run():
            mlflow.log_metric("accuracy", 1.0)
    """),
    "sets another experiment later": ("ExperimentMismatch", ("leave the experiment to Launchpin",), """
        with mlflow.start_run():
            mlflow.log_metric("accuracy", 1.0)
        mlflow.set_experiment("my-own")
        with mlflow.start_run():
            mlflow.log_metric("accuracy", 1.0)
    """),
}  # fmt: skip
_ERRORED = {"TrainingFailed", "TrainingTimedOut", "OutOfMemory", "TooManyProcesses"}


@pytest.fixture(scope="module")
def hapless(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(live, tmp_path_factory.mktemp("hapless"), _NAME)


def check_of(live: Live, repository: str, commit: str, name: str, *, state: str = "failure") -> tuple[str, str]:
    """Wait until a commit's check has that state; returns its title and summary."""

    def look() -> tuple[str, str] | None:
        said = live.checks(repository, commit).get(name)
        return (said[1], said[2]) if said is not None and said[0] == state else None

    return live.wait(f"{name} on {commit[:8]}", look)


def assert_named_end(live: Live, pair: Pair, training: Training, *, reason: str, words: tuple[str, ...]) -> None:
    """Hold a training's end against what a person must see of it, and see that it led nowhere."""
    assert training.reason == reason, training.message
    for word in words:
        assert word in training.message
    title, summary = check_of(live, pair.repository, training.commit, f"launchpin/train ({_NAME})")
    assert title[:60] == training.message[:60]
    for line in [line for line in training.facts.log_tail if line.strip()][-1:]:
        assert line[:100] in summary
    assert training.facts.version is None
    assert versions_of(live, _NAME) == []
    promotions = [one for one in live.store.recent("promotion", limit=100) if isinstance(one, Promotion)]
    assert [one for one in promotions if one.model == _NAME] == []
    assert live.api("GET", f"/repos/{pair.deploy_repository}/pulls?state=all") == []


@pytest.mark.parametrize("shape", _SCRIPTS)
def test_a_training_that_goes_wrong_has_a_named_end_and_leads_nowhere(live: Live, hapless: Pair, shape: str) -> None:
    reason, words, script = _SCRIPTS[shape]
    before = (hapless.model / "launchpin.yaml").read_text()
    if shape == "hangs":
        hapless.edit("model/launchpin.yaml", "timeout: 10m", "timeout: 3s")
    training = train(hapless, dedent(script))
    (hapless.model / "launchpin.yaml").write_text(before)
    assert_named_end(live, hapless, training, reason=reason, words=words)
    is_errored = reason in _ERRORED or shape == "sets another experiment"
    assert training.phase == ("Errored" if is_errored else "Refused")
    run = _run_status(live, training.facts.run_id or "")
    assert run == ("FAILED" if is_errored else "FINISHED")


def _run_status(live: Live, run_id: str) -> str:
    address = f"{live.layout.url('mlflow')}/api/2.0/mlflow/runs/get"
    answer = httpx.get(address, params={"run_id": run_id}, trust_env=False, timeout=20)
    return str(answer.json()["run"]["info"]["status"])


def test_a_commit_without_mlproject_is_refused_with_the_way_out(live: Live, hapless: Pair) -> None:
    project = hapless.model / "MLproject"
    content = project.read_text()
    project.unlink()
    training = hapless.trained(hapless.push())
    project.write_text(content)
    words = ("there is no MLproject in .", "launchpin init model")
    assert_named_end(live, hapless, training, reason="NoMLproject", words=words)
    assert (training.phase, training.facts.run_id) == ("Refused", None)


def test_an_environment_that_does_not_resolve_is_refused_in_the_resolvers_words(live: Live, hapless: Pair) -> None:
    requirements = hapless.model / "requirements.txt"
    content = requirements.read_text()
    requirements.write_text("numpy==0.0.0\n")
    training = hapless.trained(hapless.push())
    requirements.write_text(content)
    words = ("numpy==0.0.0", "unsatisfiable")
    assert_named_end(live, hapless, training, reason="EnvironmentUnresolvable", words=words)
    assert (training.phase, training.facts.run_id) == ("Refused", None)


def test_a_feature_of_a_later_release_in_launchpin_yaml_is_refused_by_name(live: Live, hapless: Pair) -> None:
    file = hapless.model / "launchpin.yaml"
    content = file.read_text()
    file.write_text(content + "search: {strategy: grid}\n")
    commit = hapless.push()
    title, _ = check_of(live, hapless.repository, commit, "launchpin/config (launchpin.yaml)")
    file.write_text(content)
    assert "search" in title
    assert "not in this release" in title
    assert hapless.training(commit) is None


def test_either_spelling_of_launchpin_yaml_is_read_and_both_at_once_are_refused(live: Live, clones: Path) -> None:
    pair = make_undeployed(live, clones, "spelling")
    content = (pair.model / "launchpin.yaml").read_text()
    (pair.model / "launchpin.yml").write_text(content)
    both = pair.push()
    title, _ = check_of(live, pair.repository, both, "launchpin/config (launchpin.yaml)")
    assert "keep one of the two" in title
    assert pair.training(both) is None
    (pair.model / "launchpin.yaml").unlink()
    write_script(pair, "raise SystemExit(4)\n")
    training = pair.trained(pair.push())
    assert (training.config_path, training.reason) == ("launchpin.yml", "TrainingFailed")


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
