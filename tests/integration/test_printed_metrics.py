"""A script that only prints is judged by what it printed: from its process to the gates."""

from pathlib import Path

import pytest

from gitops.errors import RefusedError
from gitops.forge.mirror import GitMirror
from gitops.ports import Deps
from gitops.records import Repository, Role, Training
from gitops.rehearsal import OnlyOnce
from gitops.steps import Done, Refused
from gitops.store import SqlStore
from gitops.trainers.local import LocalTrainer
from gitops.training import judge, train
from gitops.writes import SaveRepository
from tests.support.deps import make_deps
from tests.support.githttp import Origin, serve_git
from tests.support.store import make_training, write
from tests.support.story_ports import BuiltEnvironments, OneRunRegistry
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


def trained(store: SqlStore, folder: Path, *printed: str) -> tuple[Deps, Training]:
    """Train a commit whose script prints these lines and ends well, as far as the judge."""
    script = "\n".join(f"echo '{line}'" for line in printed).encode()
    with serve_git(folder / "origins") as server:
        origin = Origin.make(server.root / "acme" / "iris.git")
        commit = origin.commit({"launchpin.yaml": _LAUNCHPIN, "MLproject": _MLPROJECT, "train.sh": script})
        url = server.url("acme/iris")
        write(store, SaveRepository(Repository(id=7, full_name="acme/iris", role=Role.MODEL, clone_url=url)))
        deps = make_deps(
            store,
            folder,
            mirror=GitMirror(folder / "mirrors", forge_api=server.api, token="t"),
            environments=BuiltEnvironments(),
            registry=OneRunRegistry(),
            trainer=LocalTrainer(folder / "trainer"),
            effects=OnlyOnce(),
            lease=HeldLease(),
        )
        training = make_training(id="t-1", repository_id=7, repository="acme/iris", commit=commit)
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
