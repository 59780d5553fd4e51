"""What people get wrong in a model repository, over a whole stack: each has a named end and changes nothing else."""

from pathlib import Path
from textwrap import dedent

import httpx
import pytest

from gitops.records import Promotion, Training
from tests.e2e.bad_input_rig import check_of
from tests.e2e.test_script_shapes_loop import make_undeployed, train, versions_of, write_script
from tests.support.live import Live, Pair, make_pair

pytestmark = pytest.mark.slices(0, 1)

# Nobody but this file pushes to it: whatever was pushed before, nothing of it may ever be registered.
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
    file.write_text(content.replace("\non:\n", "\non:\n  schedule: {}\n"))
    commit = hapless.push()
    title, _ = check_of(live, hapless.repository, commit, "launchpin/config (launchpin.yaml)")
    file.write_text(content)
    assert "schedule" in title
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
