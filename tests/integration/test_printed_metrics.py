"""A script that only prints is judged by what it printed: from its process to the gates."""

from pathlib import Path
from typing import Any

import pytest

from gitops.errors import RefusedError
from gitops.forge.mirror import GitMirror
from gitops.ports import Deps, RunRef
from gitops.records import Repository, Role, Training
from gitops.registry.mlflow import MlflowRegistry
from gitops.rehearsal import OnlyOnce
from gitops.steps import Done, Refused
from gitops.store import SqlStore
from gitops.trainers.local import LocalTrainer
from gitops.training import judge, train
from gitops.writes import SaveRepository
from tests.support.deps import make_deps, make_service
from tests.support.githttp import Origin, serve_git
from tests.support.store import make_training, write
from tests.support.story_ports import BuiltEnvironments, OneRunRegistry, OwnEnvironment
from tests.support.training import HeldLease

_LAUNCHPIN = b"""version: 1
model: iris
train:
  metric_definitions:
    - {name: f1, regex: "f1=([^ ]+)"}
    - {name: loss, regex: "loss ([0-9.]+)"}
register:
  gates: [{metric: f1, above: 0.8}]
"""
_MLPROJECT = b"name: iris\nentry_points: {main: {command: sh train.sh}}\n"
# Its model is stored as any file is: only what was printed and logged is judged here.
_LOGS = b"""
import mlflow

with mlflow.start_run():
    mlflow.log_metric("loss", 0.25)
    mlflow.log_text("flavors: {}", "model/MLmodel")
"""


def trained(
    store: SqlStore,
    folder: Path,
    *printed: str,
    python: bytes = b"",
    **parts: Any,  # noqa: ANN401 - any part of deps
) -> tuple[Deps, Training]:
    """Train a commit whose script prints these lines and ends well, as far as the judge.

    Args:
        python: what it runs when it has printed all of them.
        parts: real ones, in place of those that are played.
    """
    script = "\n".join([*(f"echo '{line}'" for line in printed), "python train.py" if python else ""]).encode()
    with serve_git(folder / "origins") as server:
        origin = Origin.make(server.root / "acme" / "iris.git")
        commit = origin.commit(
            {"launchpin.yaml": _LAUNCHPIN, "MLproject": _MLPROJECT, "train.sh": script, "train.py": python}
        )
        url = server.url("acme/iris")
        write(store, SaveRepository(Repository(id=7, full_name="acme/iris", role=Role.MODEL, clone_url=url)))
        deps = make_deps(
            store,
            folder,
            mirror=GitMirror(folder / "mirrors", forge_api=server.api, token="t"),
            trainer=LocalTrainer(folder / "trainer"),
            effects=OnlyOnce(),
            lease=HeldLease(),
            **{"environments": BuiltEnvironments(), "registry": OneRunRegistry(), **parts},
        )
        training = make_training(id=f"t-{folder.name}", repository_id=7, repository="acme/iris", commit=commit)
        outcome = train(deps, training)
    assert isinstance(outcome, Done), outcome
    facts = training.facts.model_validate(dict(outcome.facts))
    return deps, training.model_copy(update={"facts": facts})


def test_last_number_that_was_printed_is_judged(store: SqlStore, tmp_path: Path) -> None:
    deps, training = trained(store, tmp_path, "epoch 1 f1=0.5", "epoch 2 f1=0.85", "done")
    assert training.facts.printed == {"f1": "0.85"}
    outcome = judge(deps, training)
    assert isinstance(outcome, Done)
    assert outcome.facts["metrics"] == {"f1": "0.85"}

    deps, training = trained(store, tmp_path / "worse", "f1=0.9", "f1=0.7")
    outcome = judge(deps, training)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, "f1 0.7 is not above 0.8" in outcome.message) == ("GateRefused", True)


def test_training_is_refused_when_what_it_printed_is_no_number(store: SqlStore, tmp_path: Path) -> None:
    deps, training = trained(store, tmp_path, "f1=0.9", "f1=nan")
    with pytest.raises(RefusedError, match="f1 caught 'nan'") as caught:
        judge(deps, training)
    assert caught.value.reason == "MetricNotANumber"


def test_verdict_is_inconclusive_when_nothing_was_printed(store: SqlStore, tmp_path: Path) -> None:
    deps, training = trained(store, tmp_path, "loss 0.3")
    outcome = judge(deps, training)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "Inconclusive"


# What is at stake is the tracking server, which no database makes a difference to.
@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_printed_is_logged_to_the_run_beside_what_its_script_logged(
    store: SqlStore, tracking_uri: str, tmp_path: Path
) -> None:
    registry = MlflowRegistry(tracking_uri)
    deps, training = trained(
        store,
        tmp_path,
        "f1=0.5 loss 0.7",
        "f1=8.5e-1 loss 0.3",
        python=_LOGS,
        environments=OwnEnvironment(),
        registry=registry,
        service=make_service(tmp_path, tracking_uri=tracking_uri),
    )
    assert training.facts.printed == {"f1": "8.5e-1", "loss": "0.3"}

    # A worker that was lost after it logged comes by once more; and what the script itself logged stays.
    first, again = judge(deps, training), judge(deps, training)
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert first.facts["metrics"] == again.facts["metrics"] == {"f1": "0.85", "loss": "0.25"}
    facts = training.facts
    assert first.facts["candidate_run_id"] == facts.run_id
    run = RunRef(run_id=facts.run_id or "", experiment_id=facts.experiment_id or "")
    (seen,) = registry.runs_of(run, within=training.run_key(1))
    assert (seen.status, seen.metrics) == ("FINISHED", {"f1": "0.85", "loss": "0.25"})
