"""The churn example through the story of a training: real repository, trainer and MLflow server."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitops.forge.mirror import GitMirror
from gitops.models import model_folder
from gitops.ports import BuiltEnvironment, Deps, RunRef
from gitops.records import Repository, Role, Training
from gitops.registry.mlflow import MlflowRegistry
from gitops.rehearsal import OnlyOnce
from gitops.steps import Done
from gitops.store import SqlStore
from gitops.trainers.local import LocalTrainer
from gitops.training import judge, register, train
from gitops.writes import SaveRepository
from tests.integration.test_templates import fill
from tests.support.deps import make_deps, make_service
from tests.support.githttp import Origin, serve_git
from tests.support.store import make_training, write
from tests.support.story_ports import BuiltEnvironments
from tests.support.training import HeldLease

pytestmark = [pytest.mark.slow, pytest.mark.slices(1, 3, 5, 7, 9), pytest.mark.timeout(600)]


class OwnEnvironment(BuiltEnvironments):
    """The environment of these tests, which has what the templates require."""

    def find(self, key: str) -> BuiltEnvironment:
        return BuiltEnvironment(key, Path(sys.executable))


def go_on(training: Training, outcome: Any) -> Training:  # noqa: ANN401 - what a step answers
    """Return the training as it is after a step that was done."""
    assert isinstance(outcome, Done), outcome
    facts = training.facts.model_validate(training.facts.model_dump() | dict(outcome.facts))
    return training.model_copy(update={"facts": facts})


# What is at stake is the example, which no database makes a difference to.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_churn_is_trained_judged_and_registered_and_answers(store: SqlStore, tracking_uri: str, tmp_path: Path) -> None:
    folder = fill("churn", tmp_path / "churn")
    # One algorithm of the four, so that it is over soon.
    written = folder / "launchpin.yaml"
    written.write_text(written.read_text().replace("algorithms: all", "algorithms: logistic"))
    files: dict[str, bytes | tuple[int, bytes]] = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serve_git(tmp_path / "origins") as server:
        commit = Origin.make(server.root / "acme" / "churn.git").commit(files)
        repository = Repository(id=7, full_name="acme/churn", role=Role.MODEL, clone_url=server.url("acme/churn"))
        write(store, SaveRepository(repository))
        registry = MlflowRegistry(tracking_uri)
        deps: Deps = make_deps(
            store,
            tmp_path,
            mirror=GitMirror(tmp_path / "mirrors", forge_api=server.api, token="t"),
            environments=OwnEnvironment(),
            registry=registry,
            trainer=LocalTrainer(tmp_path / "trainer"),
            effects=OnlyOnce(),
            lease=HeldLease(),
            service=make_service(tmp_path, tracking_uri=tracking_uri),
        )
        training = make_training(
            id=f"t-{tmp_path.parent.name}", repository_id=7, repository="acme/churn", commit=commit, model="churn"
        )
        for step in (train, judge, register):
            training = go_on(training, step(deps, training))

    facts = training.facts
    run_id = facts.run_id or ""
    # The training's own run is the candidate: what its candidates and folds logged is nothing to the gates.
    assert facts.candidate_run_id == run_id
    assert [gate.outcome for gate in facts.gates] == ["pass"] * 3
    runs = registry.runs_of(RunRef(run_id=run_id, experiment_id=facts.experiment_id or ""), within=training.run_key(1))
    assert len(runs) == 1 + 6 + 6 * 5
    assert {run.status for run in runs} == {"FINISHED"}
    assert set(facts.metrics) == {"f1", "accuracy", "roc_auc", "cv_f1", "cv_accuracy", "cv_roc_auc"}
    assert facts.parameters["algorithms"] == "logistic"
    assert ask(model_folder(deps, facts.manifest_sha256 or "")) == {"inputs": list(_CUSTOMER), "answer": [1]}


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
