"""Training scripts of every common shape, unchanged, as processes against a real MLflow server."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from uuid import uuid4

import pytest

from gitops.errors import RefusedError
from gitops.ports import Run, RunEnd, RunRef
from gitops.registry.child import child_variables
from gitops.registry.mlflow import MlflowRegistry
from tests.support import docs

pytestmark = pytest.mark.slow

_FITTED = """
import mlflow
import numpy
from sklearn.linear_model import LogisticRegression

features, labels = numpy.arange(20.0).reshape(-1, 1), numpy.arange(20) // 10
model = LogisticRegression().fit(features, labels)
# Named requirements spare the seconds in which MLflow works them out.
quick = {"input_example": features[:2], "pip_requirements": ["scikit-learn"]}
"""


@dataclass(frozen=True)
class Attempt:
    """A run that was started for a script, and how the script's process ended."""

    registry: MlflowRegistry
    run: RunRef
    within: str
    exit_code: int
    output: str

    def runs(self) -> Sequence[Run]:
        return self.registry.runs_of(self.run, within=self.within)


@dataclass(frozen=True)
class Bench:
    """Runs scripts as a trainer would: in a folder of their own, with our variables and little else."""

    tracking_uri: str
    folder: Path

    def run(self, script: str) -> Attempt:
        registry = MlflowRegistry(self.tracking_uri)
        within = f"training-{uuid4().hex[:8]}/1"
        run = registry.start_run(
            experiment=f"shapes-{uuid4().hex[:8]}", run_key=within, name="a run", tags={}, parameters={"rate": "0.10"}
        )
        (self.folder / "train.py").write_text(_FITTED + dedent(script))
        ended = subprocess.run(
            [sys.executable, "train.py"],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                **child_variables(self.tracking_uri, run, within=within),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
        )
        registry.end_run(run.run_id, RunEnd.FAILED if ended.returncode else RunEnd.FINISHED)
        return Attempt(registry, run, within, ended.returncode, ended.stdout)


@pytest.fixture
def bench(tracking_uri: str, tmp_path: Path) -> Bench:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return Bench(tracking_uri, folder)


def test_everything_lands_in_our_run_when_a_script_starts_one(bench: Bench, tmp_path: Path) -> None:
    attempt = bench.run("""
        with mlflow.start_run(run_name="my own name"):
            mlflow.log_param("rate", 0.1)
            mlflow.log_metric("accuracy", 0.1 + 0.2)
            mlflow.sklearn.log_model(model, name="model", input_example=features[:2])
    """)
    assert attempt.exit_code == 0, attempt.output
    (run,) = attempt.runs()
    assert (run.run_id, run.status) == (attempt.run.run_id, "FINISHED")
    assert run.metrics == {"accuracy": "0.30000000000000004"}
    assert run.parameters == {"rate": "0.1"}
    (model,) = run.models
    assert model.name == "model"
    name = f"iris-{uuid4().hex[:8]}"
    made = attempt.registry.create_version(name, source=model, run_id=run.run_id, training_id="t", description="d")
    fetched = attempt.registry.fetch(name, made.version, tmp_path / "fetched")
    assert {"MLmodel", "requirements.txt", "input_example.json"} <= {file.path for file in fetched.files}


def test_a_version_of_another_server_is_one_of_ours_when_it_is_copied_as_the_how_to_says(
    bench: Bench, tmp_path: Path
) -> None:
    name = f"churn-{uuid4().hex[:8]}"
    page = "docs/how-to/adopt-existing-models.md"
    copy = next(block.text for block in docs.blocks(language="python") if block.page == page)
    for shown, real in (
        ("https://mlflow.example.com", bench.tracking_uri),
        ("http://127.0.0.1:5000", bench.tracking_uri),
        ("churn/3", f"{name}/1"),
        ('"churn"', f'"{name}-copy"'),
    ):
        assert shown in copy
        copy = copy.replace(shown, real)
    made = f'mlflow.sklearn.log_model(model, name="model", registered_model_name="{name}", **quick)\nmlflow.end_run()\n'
    attempt = bench.run(made + copy)
    assert attempt.exit_code == 0, attempt.output
    fetched = attempt.registry.fetch(f"{name}-copy", "1", tmp_path / "fetched")
    assert {"MLmodel", "requirements.txt", "serving_input_example.json"} <= {file.path for file in fetched.files}


def test_each_run_of_a_loop_is_found_when_a_script_starts_several(bench: Bench) -> None:
    attempt = bench.run("""
        for depth in range(3):
            with mlflow.start_run():
                mlflow.log_param("depth", depth)
                mlflow.log_metric("accuracy", depth / 10)
                with mlflow.start_run(nested=True):
                    mlflow.log_metric("inner", depth)
    """)
    assert attempt.exit_code == 0, attempt.output
    runs = attempt.runs()
    assert runs[0].run_id == attempt.run.run_id
    assert [run.parameters["depth"] for run in runs if "depth" in run.parameters] == ["0", "1", "2"]
    assert [run.metrics["inner"] for run in runs if "inner" in run.metrics] == ["0.0", "1.0", "2.0"]
    assert len(runs) == 6
    assert {run.status for run in runs} == {"FINISHED"}


def test_the_search_and_its_trials_are_found_when_a_grid_search_logs_by_itself(bench: Bench) -> None:
    attempt = bench.run("""
        from sklearn.model_selection import GridSearchCV

        mlflow.sklearn.autolog(max_tuning_runs=None)
        with mlflow.start_run():
            GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=2).fit(features, labels)
    """)
    assert attempt.exit_code == 0, attempt.output
    own, *trials = attempt.runs()
    assert own.run_id == attempt.run.run_id
    assert "best_cv_score" in own.metrics
    assert sorted(trial.parameters["C"] for trial in trials) == ["0.1", "1.0", "10.0"]
    assert {model.name for model in own.models} == {"model", "best_estimator"}
    assert [trial.models for trial in trials] == [(), (), ()]


def test_the_scripts_own_version_is_adopted_when_it_registers_by_itself(bench: Bench) -> None:
    name = f"iris-{uuid4().hex[:8]}"
    attempt = bench.run(f"""
        with mlflow.start_run():
            mlflow.log_metric("accuracy", 1)
            mlflow.sklearn.log_model(model, name="model", registered_model_name="{name}", **quick)
    """)
    assert attempt.exit_code == 0, attempt.output
    (run,) = attempt.runs()
    found = attempt.registry.find_version(name, training_id="t-1", run_ids=[run.run_id])
    assert found is not None
    assert (found.version, found.run_id, found.status) == ("1", run.run_id, "READY")
    assert len(run.models) == 1


def test_metrics_land_in_our_run_when_a_script_never_starts_one(bench: Bench) -> None:
    attempt = bench.run("""
        mlflow.log_metric("accuracy", 0.5)
        mlflow.sklearn.log_model(model, artifact_path="old_name", **quick)
    """)
    assert attempt.exit_code == 0, attempt.output
    (run,) = attempt.runs()
    assert (run.run_id, run.metrics) == (attempt.run.run_id, {"accuracy": "0.5"})
    assert [model.name for model in run.models] == ["old_name"]


def test_a_script_ends_at_once_when_it_sets_another_experiment_first(bench: Bench) -> None:
    attempt = bench.run("""
        mlflow.set_experiment("somewhere-else")
        with mlflow.start_run():
            mlflow.log_metric("accuracy", 1)
    """)
    assert attempt.exit_code == 1
    assert "does not match environment run ID" in attempt.output
    (run,) = attempt.runs()
    assert (run.status, run.metrics) == ("FAILED", {})


def test_a_script_that_sets_our_own_experiment_is_fine(bench: Bench) -> None:
    attempt = bench.run("""
        import os
        ours = mlflow.get_experiment(os.environ["MLFLOW_EXPERIMENT_ID"]).name
        mlflow.set_experiment(ours)
        with mlflow.start_run():
            mlflow.log_metric("accuracy", 1)
    """)
    assert attempt.exit_code == 0, attempt.output
    assert attempt.runs()[0].metrics == {"accuracy": "1.0"}


def test_runs_in_another_experiment_are_a_named_mismatch(bench: Bench) -> None:
    attempt = bench.run("""
        with mlflow.start_run():
            pass
        mlflow.set_experiment("somewhere-else")
        with mlflow.start_run():
            mlflow.log_metric("accuracy", 1)
    """)
    assert attempt.exit_code == 0, attempt.output
    with pytest.raises(RefusedError) as caught:
        attempt.runs()
    assert caught.value.reason == "ExperimentMismatch"


def test_metrics_that_are_no_numbers_stay_visible_when_a_script_logs_them(bench: Bench) -> None:
    attempt = bench.run("""
        with mlflow.start_run():
            mlflow.log_metrics({"nan": float("nan"), "up": float("inf"), "down": float("-inf"), "tiny": 5e-324})
    """)
    assert attempt.exit_code == 0, attempt.output
    (run,) = attempt.runs()
    assert run.metrics == {"nan": "NaN", "up": "Infinity", "down": "-Infinity", "tiny": "5e-324"}
    assert run.models == ()


def test_a_script_that_logs_nothing_leaves_an_empty_finished_run(bench: Bench) -> None:
    attempt = bench.run("print('trained')")
    assert attempt.exit_code == 0, attempt.output
    (run,) = attempt.runs()
    assert (run.status, run.metrics, run.models) == ("FINISHED", {}, ())
    assert run.parameters == {"rate": "0.10"}


def test_a_run_is_failed_when_its_script_raises(bench: Bench) -> None:
    attempt = bench.run("""
        with mlflow.start_run():
            mlflow.log_metric("accuracy", 1)
            raise SystemExit("no data")
    """)
    assert attempt.exit_code == 1
    assert attempt.runs()[0].status == "FAILED"


def test_both_models_are_seen_when_a_script_logs_two(bench: Bench) -> None:
    attempt = bench.run("""
        with mlflow.start_run():
            mlflow.sklearn.log_model(model, name="first", **quick)
            mlflow.sklearn.log_model(model, name="second", **quick)
    """)
    assert attempt.exit_code == 0, attempt.output
    assert [model.name for model in attempt.runs()[0].models] == ["first", "second"]


def test_a_model_that_was_only_stored_as_artifacts_is_found_and_fetched(bench: Bench, tmp_path: Path) -> None:
    attempt = bench.run("""
        mlflow.sklearn.save_model(model, "saved", pip_requirements=["scikit-learn"])
        with mlflow.start_run():
            mlflow.log_artifacts("saved", "models/classic")
            mlflow.log_text("no model", "plots/a.txt")
    """)
    assert attempt.exit_code == 0, attempt.output
    (model,) = attempt.runs()[0].models
    assert model.name == "models/classic"
    name = f"iris-{uuid4().hex[:8]}"
    made = attempt.registry.create_version(
        name, source=model, run_id=attempt.run.run_id, training_id="t", description="d"
    )
    fetched = attempt.registry.fetch(name, made.version, tmp_path / "fetched")
    saved = {path.relative_to(bench.folder / "saved").as_posix() for path in (bench.folder / "saved").rglob("*.*")}
    assert saved <= {file.path for file in fetched.files}
