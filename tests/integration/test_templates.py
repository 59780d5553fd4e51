"""The repositories that `launchpin init` writes: accepted by our own readers, and working."""

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import gitops
from gitops.buildspec import read_pin
from gitops.cli.scaffold import Template
from gitops.config.endpoint import parse_endpoint
from gitops.config.launchpin import Merge, parse_launchpin
from gitops.config.mlproject import compute_command, parse_mlproject
from gitops.environments import UvEnvironments
from gitops.ports import End
from gitops.trainers.local import LocalTrainer
from tests.support.training import HeldLease, make_spec

TEMPLATES = Path(gitops.__file__).parent / "templates"
VALUES = {
    "__MODEL__": "iris",
    "__DEPLOY_REPOSITORY__": "acme/iris-deploy",
    "__TRACKING_URI__": "http://127.0.0.1:5000",
    "__ENDPOINT__": "iris",
}


MODELS = [template.value for template in Template]


def fill(name: str, into: Path) -> Path:
    """Write a template's files with their placeholders replaced."""
    for path in (TEMPLATES / name).rglob("*"):
        target = into / path.relative_to(TEMPLATES / name)
        if path.is_dir():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        for placeholder, value in VALUES.items():
            text = text.replace(placeholder, value)
        target.write_text(text, encoding="utf-8")
    return into


def fill_four_trees(into: Path) -> Path:
    """Write the iris template with four trees in its grid instead of a hundred."""
    folder = fill("iris", into)
    script = folder / "train.py"
    text = script.read_text(encoding="utf-8")
    for many, two in (
        ("DEPTHS = range(1, 11)", "DEPTHS = range(2, 4)"),
        ("LEAVES = range(2, 12)", "LEAVES = range(4, 6)"),
    ):
        assert many in text
        text = text.replace(many, two)
    script.write_text(text, encoding="utf-8")
    return folder


def templates() -> Iterator[Path]:
    return (path for path in TEMPLATES.rglob("*") if path.is_file())


def test_templates_use_known_placeholders_only() -> None:
    used = {name for path in templates() for name in re.findall(r"__[A-Z_]+__", path.read_text(encoding="utf-8"))}

    assert used == set(VALUES)


@pytest.mark.parametrize(("name", "metrics"), [("iris", ["accuracy", "f1"]), ("churn", ["f1", "roc_auc", "f1"])])
def test_model_template_is_accepted_when_it_is_filled(tmp_path: Path, name: str, metrics: list[str]) -> None:
    folder = fill(name, tmp_path)

    launchpin = parse_launchpin((folder / "launchpin.yaml").read_bytes(), file="launchpin.yaml")
    mlproject = parse_mlproject((folder / "MLproject").read_bytes(), file="MLproject")

    assert launchpin.model == "iris"
    assert [gate.metric for gate in launchpin.register.gates] == metrics
    assert launchpin.deploy is not None
    assert launchpin.deploy.repository == "acme/iris-deploy"
    staging, production = launchpin.deploy.environments
    assert (staging.merge, production.merge, production.needs) == (Merge.AUTO, Merge.REVIEW, "staging")
    # What launchpin.yaml passes is what the entry point takes.
    point = next(point for point in mlproject.entry_points if point.name == launchpin.train.entry_point)
    assert {parameter.name for parameter in point.parameters} == set(launchpin.train.parameters)


def test_models_of_all_templates_are_trained_in_one_environment() -> None:
    assert len({(TEMPLATES / name / "requirements.txt").read_text() for name in MODELS}) == 1


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_deploy_template_is_accepted_when_it_is_filled(tmp_path: Path, environment: str) -> None:
    folder = fill("deploy", tmp_path) / environment

    pin = read_pin((folder / "buildspec.yml").read_bytes())
    endpoint = parse_endpoint((folder / "endpoint.yaml").read_bytes(), file=f"{environment}/endpoint.yaml")

    assert (pin.tracking_uri, pin.model_name, pin.is_pinned) == ("http://127.0.0.1:5000", "iris", False)
    assert endpoint.endpoint == f"iris-{environment}"


@pytest.mark.slow
def test_model_template_trains_a_good_model_when_it_runs_in_its_environment(tmp_path: Path) -> None:
    folder = fill("iris", tmp_path / "checkout")
    launchpin = parse_launchpin((folder / "launchpin.yaml").read_bytes(), file="launchpin.yaml")
    mlproject = parse_mlproject((folder / "MLproject").read_bytes(), file="MLproject")
    environments = UvEnvironments(tmp_path / "environments")
    lock = environments.lock(folder)
    python = environments.build(lock).python
    database = tmp_path / "mlflow.db"
    spec = make_spec(
        folder,
        compute_command(mlproject, "main", parameters=launchpin.train.parameters),
        python=python,
        variables={"MLFLOW_TRACKING_URI": f"sqlite:///{database}", "MLFLOW_DISABLE_TELEMETRY": "true"},
        timeout=timedelta(minutes=3),
    )

    end = LocalTrainer(tmp_path / "trainer").run(spec, lease=HeldLease())

    assert (end.end, end.exit_code) == (End.EXITED, 0), end.tail
    connection = sqlite3.connect(database)
    metrics = dict(connection.execute("SELECT key, value FROM metrics").fetchall())
    parameters = dict(connection.execute("SELECT key, value FROM params").fetchall())
    connection.close()
    assert metrics["accuracy"] > 0.9
    assert metrics["f1"] > 0.9
    assert parameters == {"max_depth": "3", "max_leaf_nodes": "8", "seed": "42"}
    # What the model says it needs is what it was trained with: one environment serves both.
    (requirements,) = (path for path in folder.rglob("requirements.txt") if path.parent != folder)
    assert environments.lock_requirements(requirements.read_text(encoding="utf-8"), python=lock.python) == lock
    assert len(list((tmp_path / "environments" / "resolutions").iterdir())) == 1
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    status = subprocess.run(["git", "status", "--short"], cwd=folder, check=True, capture_output=True, text=True)
    assert "mlruns" not in status.stdout
