"""Scripts of every common shape through the whole loop: pushed, trained, judged, registered once, and told of."""

import hashlib
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from gitops.records import Training
from tests.e2e.conftest import SECRET
from tests.support.cli import call
from tests.support.live import Live, Pair, git, make_pair

pytestmark = pytest.mark.slices(2, 3)

HEAD = """
import mlflow
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score
from sklearn.tree import DecisionTreeClassifier

x, y = load_iris(return_X_y=True, as_frame=True)


def fit(depth=3):
    return DecisionTreeClassifier(max_depth=depth, random_state=0).fit(x, y)


def accuracy(tree):
    return float(accuracy_score(y, tree.predict(x)))


def log(tree, name="model", **more):
    trusted = ["sklearn.tree._tree.Tree"]
    quick = {"skops_trusted_types": trusted, "input_example": x.head(3), "pip_requirements": "requirements.txt"}
    mlflow.sklearn.log_model(tree, name=name, **quick, **more)

"""
_GATES = "    - {metric: accuracy, above: 0.9}\n    - {metric: f1, versus: champion, min_gain: 0}\n"


def write_script(pair: Pair, body: str) -> None:
    """Replace the model's script."""
    (pair.model / "train.py").write_text(HEAD + dedent(body))


def make_undeployed(live: Live, folder: Path, name: str) -> Pair:
    """Make a pair whose versions are registered and go nowhere, so that no rollout takes the machine's time."""
    pair = make_pair(live, folder, name)
    file = pair.model / "launchpin.yaml"
    file.write_text(file.read_text().partition("\ndeploy:")[0].replace(_GATES, _GATES.splitlines()[0] + "\n"))
    return pair


def ask_mlflow(live: Live, route: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
    """Ask the tracking server's API."""
    address = f"{live.layout.url('mlflow')}/api/2.0/mlflow/{route}"
    answer = httpx.get(address, params=parameters, trust_env=False, timeout=20)
    answer.raise_for_status()
    return answer.json()


def versions_of(live: Live, model: str) -> list[dict[str, Any]]:
    """Return the registered versions of a model, as MLflow has them."""
    found = ask_mlflow(live, "model-versions/search", filter=f"name='{model}'").get("model_versions", [])
    return list(found)


@pytest.fixture(scope="module")
def shapes(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_undeployed(live, tmp_path_factory.mktemp("shapes"), "shapes")


def train(pair: Pair, body: str) -> Training:
    write_script(pair, body)
    return pair.trained(pair.push())


def assert_one_version(live: Live, training: Training, *, run_id: str | None = None) -> dict[str, Any]:
    """Hold our record of the version against the registry: one version of this training, made from that run."""
    assert (training.phase, training.facts.verdict) == ("Succeeded", "pass"), training.message
    found = [each for each in versions_of(live, training.model) if each["run_id"] == training.facts.candidate_run_id]
    assert [each["version"] for each in found] == [training.facts.version]
    if run_id is not None:
        assert training.facts.candidate_run_id == run_id
    recorded = live.store.version(training.model, training.facts.version or "")
    assert recorded is not None
    assert recorded.manifest_sha256 == training.facts.manifest_sha256
    return found[0]


def test_i14_a_version_that_the_script_registered_itself_is_adopted_and_not_doubled(live: Live, clones: Path) -> None:
    pair = make_undeployed(live, clones, "selfmade")
    body = """
        with mlflow.start_run():
            tree = fit()
            mlflow.log_metric("accuracy", accuracy(tree))
            log(tree, registered_model_name="selfmade")
    """
    training = train(pair, body)
    version = assert_one_version(live, training, run_id=training.facts.run_id)
    assert [each["version"] for each in versions_of(live, "selfmade")] == ["1"]
    assert training.commit in version["description"]
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert tags["launchpin.training"] == training.id
    assert tags["launchpin.manifest_sha256"] == training.facts.manifest_sha256
    assert tags["launchpin.tier"] == (training.facts.tier or "none")


def test_the_best_run_of_a_loop_is_registered_when_an_objective_is_set(live: Live, shapes: Pair) -> None:
    before = (shapes.model / "launchpin.yaml").read_text()
    shapes.edit("model/launchpin.yaml", "register:\n", "register:\n  objective: {metric: accuracy, goal: maximize}\n")
    body = """
        for depth in (1, 4, 2):
            with mlflow.start_run():
                tree = fit(depth)
                mlflow.log_param("depth", depth)
                mlflow.log_metric("accuracy", accuracy(tree))
                log(tree)
    """
    training = train(shapes, body)
    assert_one_version(live, training)
    assert training.facts.parameters["depth"] == "4"
    assert training.facts.candidate_run_id != training.facts.run_id
    (shapes.model / "launchpin.yaml").write_text(before)


def test_the_best_estimator_is_registered_once_when_a_grid_search_logs_by_itself(live: Live, shapes: Pair) -> None:
    body = """
        from sklearn.model_selection import GridSearchCV

        mlflow.sklearn.autolog(max_tuning_runs=None)
        with mlflow.start_run():
            search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 3]}, cv=2).fit(x, y)
            mlflow.log_metric("accuracy", accuracy(search.best_estimator_))
    """
    training = train(shapes, body)
    assert_one_version(live, training, run_id=training.facts.run_id)


def test_the_named_one_of_two_models_is_registered_when_no_run_is_started(live: Live, shapes: Pair) -> None:
    before = (shapes.model / "launchpin.yaml").read_text()
    shapes.edit("model/launchpin.yaml", "register:\n", "register:\n  model: second\n")
    body = """
        mlflow.log_metric("accuracy", accuracy(fit()))
        log(fit(1), "first")
        log(fit(), "second")
    """
    training = train(shapes, body)
    version = assert_one_version(live, training, run_id=training.facts.run_id)
    model = ask_mlflow(live, f"logged-models/{version['source'].removeprefix('models:/')}")["model"]
    assert model["info"]["name"] == "second"
    (shapes.model / "launchpin.yaml").write_text(before)


def test_a_granted_secret_reaches_the_training_and_not_its_log_and_another_one_lets_nothing_run(
    live: Live, shapes: Pair
) -> None:
    connected = live.ask("connect", repository=shapes.repository, role="model", secrets="DATA_TOKEN")
    assert connected.phase == "Succeeded", connected.message
    before = (shapes.model / "launchpin.yaml").read_text()
    shapes.edit("model/launchpin.yaml", "timeout: 10m", "timeout: 10m\n  secrets: [DATA_TOKEN]")
    body = """
        import hashlib
        import os

        print("digest", hashlib.sha256(os.environ["DATA_TOKEN"].encode()).hexdigest())
        print("token", os.environ["DATA_TOKEN"], flush=True)
        raise SystemExit(3)
    """
    told = train(shapes, body)
    lines = "\n".join(told.facts.log_tail)
    assert told.reason == "TrainingFailed"
    assert f"digest {hashlib.sha256(SECRET.encode()).hexdigest()}" in lines
    assert SECRET not in lines
    assert SECRET not in told.message
    log = (live.layout.dir / "trainings" / "logs" / f"{told.id}-1.log").read_text()
    assert "token" in log
    assert SECRET not in log

    shapes.edit("model/launchpin.yaml", "[DATA_TOKEN]", "[DATA_TOKEN, ROOT_TOKEN]")
    refused = train(shapes, "raise SystemExit(7)\n")
    assert (refused.phase, refused.reason) == ("Refused", "SecretNotGranted")
    assert "ROOT_TOKEN is not granted to acme/shapes" in refused.message
    assert (refused.facts.run_id, refused.facts.exit_code) == (None, None)
    (shapes.model / "launchpin.yaml").write_text(before)


_PRINTED = """timeout: 10m
  metric_definitions:
    - {name: accuracy, regex: "accuracy ([0-9.]+)"}
    - {name: f1, regex: "f1 ([0-9.]+)"}"""


def test_a_script_that_only_prints_its_metrics_is_judged_by_them_and_proposed(live: Live, clones: Path) -> None:
    pair = make_pair(live, clones, "printing")
    pair.edit("model/train.py", "        mlflow.log_metrics(metrics)\n", "")
    pair.edit("model/launchpin.yaml", "timeout: 10m", _PRINTED)
    # It goes no further than the pull request here.
    pair.edit("model/launchpin.yaml", "merge: auto", "merge: review")

    training = pair.trained(pair.push())
    assert_one_version(live, training, run_id=training.facts.run_id)
    printed = training.facts.printed
    assert set(printed) == {"accuracy", "f1"}
    assert ", ".join(f"{name} {value}" for name, value in printed.items()) in training.facts.log_tail
    numbers = {name: float(value) for name, value in printed.items()}
    assert {name: float(value) for name, value in training.facts.metrics.items()} == numbers
    run = ask_mlflow(live, "runs/get", run_id=training.facts.run_id or "")["run"]
    assert {one["key"]: one["value"] for one in run["data"]["metrics"]} == numbers
    assert [gate.metric for gate in training.facts.gates] == ["accuracy", "f1"]

    proposed = pair.proposed("staging", training.facts.version or "")
    body = live.api("GET", f"/repos/{pair.deploy_repository}/pulls/{proposed.facts.number}")["body"]
    for name, value in training.facts.metrics.items():
        assert f"| `{name}` | `{value}` |" in body


_THEIRS = {
    "MLproject": """
        name: tutorial
        conda_env: conda.yaml
        entry_points:
          prepare:
            command: "python prepare.py"
          main:
            parameters:
              alpha: {type: float, default: 0.50}
              table: {type: path, default: sour.csv}
            command: |
              python fit.py \\
                {alpha} {table}
        """,
    "fit.py": """
        import sys

        import mlflow
        import pandas
        from sklearn.linear_model import Ridge

        if __name__ == "__main__":
            alpha = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
            table = pandas.read_csv(sys.argv[2])
            x, y = table[["acid"]], table["quality"]
            mlflow.sklearn.autolog(log_models=False)
            with mlflow.start_run():
                model = Ridge(alpha=alpha).fit(x, y)
                mlflow.log_metric("r2", model.score(x, y))
                mlflow.sklearn.log_model(model, "model", registered_model_name="vintage")
        """,
    "sour.csv": "acid,quality\n1,9\n2,7\n3,6\n4,3\n",
}


def write_theirs(folder: Path) -> None:
    """Write a project as a stranger has it in place of the template's, with the same packages in conda's words."""
    packages = (folder / "requirements.txt").read_text().split()
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    for name, text in _THEIRS.items():
        (folder / name).write_text(dedent(text).lstrip())
    ours = [one for one in packages if one.startswith("scikit-learn")]
    pip = [one for one in packages if one not in ours]
    (folder / "conda.yaml").write_text(f"channels: [defaults]\ndependencies: [pip, {ours[0]}, {{pip: {pip}}}]\n")


def test_a_strangers_project_goes_from_push_to_prediction_by_init_alone(live: Live, clones: Path) -> None:
    pair = make_pair(live, clones, "vintage")
    write_theirs(pair.model)
    made = call("init", "model", pair.model, "--deploy", pair.deploy_repository, "--json")
    assert (made.json["written"], made.json["warnings"]) == (["launchpin.yaml"], []), made.both

    training = pair.trained(pair.push())
    assert_one_version(live, training)
    assert training.facts.parameters["alpha"] == "0.5"
    assert 0.9 < float(training.facts.metrics["r2"]) < 1
    pair.serving("staging", "1")
    pair.merge(pair.proposed("production", "1"))
    serving = pair.serving("production", "1")
    rolled_out = pair.rollout("production")
    assert rolled_out is not None
    assert rolled_out.message == "version 1 serves; it has no input example, so it was asked nothing"
    asked = {"dataframe_split": {"columns": ["acid"], "data": [[0], [100]]}}
    address = f"{live.layout.url('endpoints')}/endpoints/{serving.endpoint}/invocations"
    answer = httpx.post(address, json=asked, trust_env=False, timeout=60)
    low, high = answer.json()["predictions"]
    assert low > 9 > high


_HOSTILE = ("$(touch${IFS}x)", "`touch${IFS}x`", "a;touch${IFS}x", "a|b", "a&&b", "-x", "--upload-pack=x", "q'q",
            "<script>", "1234567890123456789012345678901234567890")  # fmt: skip

_WORST = (_HOSTILE[0], _HOSTILE[2], "-x", "q'q", "<script>")


def test_attack_34_branches_with_hostile_names_are_trained_as_any_other(live: Live, clones: Path) -> None:
    pair = make_undeployed(live, clones, "branches")
    pair.push()
    pair.edit("model/launchpin.yaml", "branches: [main]", 'branches: ["**"]')
    pair.edit("model/launchpin.yaml", "{max_depth: 3, max_leaf_nodes: 8, seed: 42}", '{name: "${branch}"}')
    asked = "python train.py --max-depth {max_depth} --max-leaf-nodes {max_leaf_nodes} --seed {seed}"
    pair.edit("model/MLproject", asked, "python train.py")
    (pair.model / "train.py").write_text("import os, sys\nprint(sys.argv[1:], sorted(os.listdir()))\n")
    git(pair.model, "add", "-A")
    git(pair.model, "commit", "-q", "-m", "Any branch")
    git(pair.model, "push", "-q", "launchpin", *(f"HEAD:refs/heads/{name}" for name in _WORST))

    def trained() -> dict[str, Training] | None:
        found = live.store.recent("training", limit=50)
        ours = {one.branch: one for one in found if isinstance(one, Training) and one.repository == pair.repository}
        over = {branch: one for branch, one in ours.items() if one.phase.is_final and branch in _WORST}
        return over if len(over) == len(_WORST) else None

    for branch, training in live.wait("all branches", trained).items():
        # It logged no model, so it came to its judging: after exactly this commit ran with exactly this argument.
        assert (training.reason, training.facts.exit_code) == ("NoModel", 0), training.message
        said = training.facts.log_tail[-1]
        assert repr(branch) in said
        assert "'x'" not in said.replace(repr(branch), "")
    assert list(live.layout.dir.rglob("x")) == []


def test_attack_34_branches_with_hostile_names_are_ignored_when_the_filter_does_not_name_them(
    live: Live, clones: Path
) -> None:
    pair = make_undeployed(live, clones, "filtered")
    git(pair.model, "add", "-A")
    git(pair.model, "commit", "-q", "-m", "Begin")
    for name in _HOSTILE:
        git(pair.model, "push", "-q", "launchpin", f"HEAD:refs/heads/{name}")
    known = live.api("GET", f"/repos/{pair.repository}")["id"]

    def considered() -> bool | None:
        refs = [live.store.watched_ref(known, f"refs/heads/{name}") for name in _HOSTILE]
        return True if all(refs) else None

    live.wait("all branches", considered)
    trainings = [one for one in live.store.recent("training", limit=50) if isinstance(one, Training)]
    assert [one.branch for one in trainings if one.repository == pair.repository] == []


def test_lineage_is_on_the_run_and_the_version_and_a_hold_by_hand_waits_for_resume(live: Live, clones: Path) -> None:
    pair = make_pair(live, clones, "lineage")
    live.wait("the environment", lambda: pair.environment("staging"))
    held = live.ask("hold", endpoint="lineage-staging", reason="audit day")
    assert held.phase == "Succeeded", held.message
    training = pair.trained(pair.push())
    version = training.facts.version or ""

    def waits() -> str | None:
        found = pair.promotion("staging", version)
        return found.message if found is not None and found.reason == "Held" else None

    assert "resume" in live.wait("the hold", waits)
    run = ask_mlflow(live, "runs/get", run_id=training.facts.run_id or "")["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert run["info"]["status"] == "FINISHED"
    assert tags["launchpin.run_key"] == f"{training.id}/1"
    assert tags["launchpin.training"] == training.id
    assert tags["mlflow.source.git.commit"] == tags["commit"] == training.commit
    assert tags["trigger"] == tags["launchpin.trigger"] == training.cause.kind
    stored = ask_mlflow(live, "artifacts/list", run_id=training.facts.run_id or "", path="launchpin")["files"]
    assert [Path(each["path"]).suffix for each in stored] == [".log"]
    assert pair.pinned("staging").count(f'MODEL_VERSION="{version}"') == 0

    assert live.ask("resume", endpoint="lineage-staging").facts.result["lifted"] == 1
    pair.serving("staging", version)
    pair.merge(pair.proposed("production", version))
    pair.serving("production", version)
    for alias in ("staging", "production", "champion", "challenger"):
        named = ask_mlflow(live, "registered-models/alias", name="lineage", alias=alias)["model_version"]
        assert named["version"] == version, alias
    assert training.commit in named["description"]
    assert "accuracy" in named["description"]
    assert training.id in named["description"]
