"""The worked examples through the story of a training: real repository, trainer and MLflow server."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gitops.forge.mirror import GitMirror
from gitops.models import model_folder
from gitops.ports import Deps, Run, RunRef
from gitops.records import Repository, Role, Training
from gitops.registry.mlflow import MlflowRegistry
from gitops.rehearsal import OnlyOnce
from gitops.steps import Done
from gitops.store import SqlStore
from gitops.trainers.local import LocalTrainer
from gitops.training import judge, register, train
from gitops.writes import SaveRepository
from tests.integration.test_templates import fill, fill_four_trees
from tests.support.deps import make_deps, make_service
from tests.support.githttp import Origin, serve_git
from tests.support.store import make_training, write
from tests.support.story_ports import OwnEnvironment
from tests.support.training import HeldLease

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
# What is at stake is the example, which no database makes a difference to.
_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def go_on(training: Training, outcome: Any) -> Training:  # noqa: ANN401 - what a step answers
    """Return the training as it is after a step that was done."""
    assert isinstance(outcome, Done), outcome
    facts = training.facts.model_validate(training.facts.model_dump() | dict(outcome.facts))
    return training.model_copy(update={"facts": facts})


def train_all(store: SqlStore, tracking_uri: str, folder: Path, model: str) -> tuple[Deps, Training, Sequence[Run]]:
    """Train, judge and register a commit of a folder's files; returns its training and the runs that it left."""
    work = folder.parent
    files: dict[str, bytes | tuple[int, bytes]] = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serve_git(work / "origins") as server:
        commit = Origin.make(server.root / "acme" / f"{model}.git").commit(files)
        url = server.url(f"acme/{model}")
        repository = Repository(id=7, full_name=f"acme/{model}", role=Role.MODEL, clone_url=url)
        write(store, SaveRepository(repository))
        registry = MlflowRegistry(tracking_uri)
        deps: Deps = make_deps(
            store,
            work,
            mirror=GitMirror(work / "mirrors", forge_api=server.api, token="t"),
            environments=OwnEnvironment(),
            registry=registry,
            trainer=LocalTrainer(work / "trainer"),
            effects=OnlyOnce(),
            lease=HeldLease(),
            service=make_service(work, tracking_uri=tracking_uri),
        )
        training = make_training(
            id=f"t-{work.parent.name}-{model}",
            repository_id=7,
            repository=repository.full_name,
            commit=commit,
            model=model,
        )
        for step in (train, judge, register):
            training = go_on(training, step(deps, training))
    ran = RunRef(run_id=training.facts.run_id or "", experiment_id=training.facts.experiment_id or "")
    return deps, training, registry.runs_of(ran, within=training.run_key(1))


@pytest.mark.slices(1, 3, 5, 7, 9)
@_ONE_DATABASE
def test_churn_is_trained_judged_and_registered_and_answers(store: SqlStore, tracking_uri: str, tmp_path: Path) -> None:
    folder = fill("churn", tmp_path / "churn")
    # One algorithm of the four, so that it is over soon.
    written = folder / "launchpin.yaml"
    written.write_text(written.read_text().replace("algorithms: all", "algorithms: logistic"))

    deps, training, runs = train_all(store, tracking_uri, folder, "churn")

    facts = training.facts
    # The training's own run is the candidate: what its candidates and folds logged is nothing to the gates.
    assert facts.candidate_run_id == facts.run_id
    assert [gate.outcome for gate in facts.gates] == ["pass"] * 3
    assert len(runs) == 1 + 6 + 6 * 5
    assert {run.status for run in runs} == {"FINISHED"}
    assert set(facts.metrics) == {"f1", "accuracy", "roc_auc", "cv_f1", "cv_accuracy", "cv_roc_auc"}
    assert facts.parameters["algorithms"] == "logistic"
    assert ask(model_folder(deps, facts.manifest_sha256 or "")) == {"inputs": list(_CUSTOMER), "answer": [1]}


@pytest.mark.slices(3)
@_ONE_DATABASE
def test_iris_compares_its_trees_when_launchpin_starts_the_entry_point_that_is_for_it(
    store: SqlStore, tracking_uri: str, tmp_path: Path
) -> None:
    folder = fill_four_trees(tmp_path / "iris")
    written = folder / "launchpin.yaml"
    asked = written.read_text()
    for old, new in (
        ("entry_point: main", "entry_point: grid"),
        ("parameters: {max_depth: 3, max_leaf_nodes: 8, seed: 42}", "parameters: {seed: 42}"),
    ):
        assert old in asked
        # As its README says it.
        assert f"`{new}`" in (folder / "README.md").read_text()
        asked = asked.replace(old, new)
    written.write_text(asked)

    _, training, runs = train_all(store, tracking_uri, folder, "iris")

    facts = training.facts
    (own,) = (run for run in runs if run.run_id == facts.run_id)
    trees = [run for run in runs if run.run_id != facts.run_id]
    assert len(trees) == 4
    assert {run.status for run in runs} == {"FINISHED"}
    # The best by F1, of equals the smallest, is fitted anew and measured on what was held back: that run is judged.
    best = max(trees, key=lambda run: (float(run.metrics["f1"]), -int(run.parameters["max_depth"])))
    assert own.parameters["best_max_depth"] == best.parameters["max_depth"]
    assert facts.candidate_run_id == facts.run_id
    assert facts.metrics == own.metrics
    assert [gate.outcome for gate in facts.gates] == ["pass"] * 2
    assert facts.version is not None


def ask(model: Path) -> Any:  # noqa: ANN401 - JSON
    """Ask a model about a customer, in a process of its own as an endpoint's is."""
    done = subprocess.run(
        (sys.executable, "-c", _ASK, str(model), json.dumps(_CUSTOMER)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


_ASK = """
import json, sys
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(pandas.DataFrame([json.loads(sys.argv[2])])).tolist()
print(json.dumps({"inputs": [column.name for column in model.metadata.signature.inputs], "answer": answer}))
"""
_CUSTOMER = {
    "tenure_months": 2.0,
    "monthly_charge": 95.0,
    "support_calls": 4.0,
    "late_payments": 2.0,
    "age": 40.0,
    "data_gb": 12.0,
    "distance_km": 5.0,
    "devices": 2.0,
    "contract": "monthly",
    "payment": "invoice",
}
