"""The worked examples as somebody without Launchpin runs them, and as a training's story does."""

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.test_templates import fill, fill_four_trees

pytestmark = pytest.mark.slow

_BIN = Path(sys.executable).parent
_MLFLOW = (str(_BIN / "mlflow"), "run", ".", "--env-manager", "local")
_PLAIN = ("python", "train.py")
_PARENT = "mlflow.parentRunId"
# How many candidates of each algorithm the churn example compares.
_GRID = {"knn": 3, "logistic": 6, "tree": 3, "forest": 4}


@dataclass(frozen=True)
class Seen:
    """A run as MLflow's own database has it."""

    run_id: str
    name: str
    status: str
    artifacts: Path
    parent: str
    metrics: Mapping[str, float]
    parameters: Mapping[str, str]


def run(folder: Path, command: Sequence[str], **variables: str) -> str:
    """Run a command as a person with a fresh shell would, and return what it printed."""
    known = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            **known,
            "PATH": f"{_BIN}:{os.environ['PATH']}",
            "HOME": str(folder.parent),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def runs(folder: Path) -> list[Seen]:
    """Return every run that was kept beside the script, where MLflow keeps them without a server; the oldest first."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return list(_runs(database))


def _runs(database: sqlite3.Connection) -> Iterator[Seen]:
    def of(table: str, run_id: str) -> dict[str, str]:
        return dict(database.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run_id,)))  # noqa: S608

    found = database.execute("SELECT run_uuid, name, status, artifact_uri FROM runs ORDER BY start_time, run_uuid")
    for run_id, name, status, artifacts in found.fetchall():
        metrics = {key: float(value) for key, value in of("latest_metrics", run_id).items()}
        parent = of("tags", run_id).get(_PARENT, "")
        yield Seen(run_id, name, status, Path(artifacts), parent, metrics, of("params", run_id))


def models(folder: Path) -> int:
    """Return how many models were logged beside the script."""
    return len(list(folder.rglob("MLmodel")))


@pytest.mark.slices(6)
@pytest.mark.timeout(600)
def test_iris_compares_a_hundred_trees_and_logs_one_without_launchpin(tmp_path: Path) -> None:
    folder = fill("iris", tmp_path / "iris")

    said = run(folder, _PLAIN, GRID="full")

    (parent,) = (seen for seen in runs(folder) if not seen.parent)
    trees = [seen for seen in runs(folder) if seen.parent]
    assert len(trees) == 100
    assert {seen.parent for seen in trees} == {parent.run_id}
    assert {seen.status for seen in (parent, *trees)} == {"FINISHED"}
    assert len({(seen.parameters["max_depth"], seen.parameters["max_leaf_nodes"]) for seen in trees}) == 100
    best = max(trees, key=lambda seen: seen.metrics["f1"])
    chosen = {name: parent.parameters[f"best_{name}"] for name in ("max_depth", "max_leaf_nodes")}
    assert [seen.metrics["f1"] for seen in trees if all(seen.parameters[name] == chosen[name] for name in chosen)] == [
        best.metrics["f1"]
    ]
    assert min(parent.metrics["accuracy"], parent.metrics["f1"]) > 0.9
    assert f"f1 {parent.metrics['f1']:.3f}" in said
    assert models(folder) == 1

    # The same by MLflow's own command: one tree as MLproject describes it, in the run that MLflow made for it.
    run(folder, _MLFLOW)
    (single,) = (seen for seen in runs(folder) if not seen.parent and seen.run_id != parent.run_id)
    assert (single.status, single.parameters) == ("FINISHED", {"max_depth": "3", "max_leaf_nodes": "8", "seed": "42"})
    assert min(single.metrics["accuracy"], single.metrics["f1"]) > 0.9
    assert models(folder) == 2


@pytest.mark.slices(6)
def test_iris_compares_its_trees_by_the_entry_point_that_is_for_it_without_launchpin(tmp_path: Path) -> None:
    folder = fill_four_trees(tmp_path / "iris")

    run(folder, (*_MLFLOW, "-e", "grid"))

    (parent,) = (seen for seen in runs(folder) if not seen.parent)
    trees = [seen for seen in runs(folder) if seen.parent == parent.run_id]
    assert {seen.status for seen in (parent, *trees)} == {"FINISHED"}
    shapes = {(seen.parameters["max_depth"], seen.parameters["max_leaf_nodes"]) for seen in trees}
    assert shapes == {("2", "4"), ("2", "5"), ("3", "4"), ("3", "5")}
    assert (parent.parameters["best_max_depth"], parent.parameters["best_max_leaf_nodes"]) in shapes
    assert min(parent.metrics["accuracy"], parent.metrics["f1"]) > 0.9
    assert models(folder) == 1


@pytest.mark.slices(7)
@pytest.mark.timeout(600)
def test_churn_compares_four_algorithms_and_comes_to_the_same_winner_twice_without_launchpin(tmp_path: Path) -> None:
    folder = fill("churn", tmp_path / "churn")

    run(folder, (*_PLAIN, "--customers", "400"))
    (plain,) = (seen for seen in runs(folder) if not seen.parent)
    # Among the candidates of its own algorithm the winner is the same one.
    won = plain.parameters["algorithm"]
    run(folder, (*_MLFLOW, "-P", f"algorithms={won}", "-P", "customers=400"))

    known = runs(folder)
    (project,) = (seen for seen in known if not seen.parent and seen.run_id != plain.run_id)
    assert project.metrics == plain.metrics
    assert project.parameters == {**plain.parameters, "algorithms": won}
    assert plain.parameters["algorithms"] == "all"
    assert {seen.status for seen in known} == {"FINISHED"}
    folds = Counter(seen.parent for seen in known if seen.name.startswith("fold "))
    for parent, grid in ((plain, _GRID), (project, {won: _GRID[won]})):
        candidates = [seen for seen in known if seen.parent == parent.run_id]
        assert Counter(seen.parameters["algorithm"] for seen in candidates) == grid
        assert {folds[seen.run_id] for seen in candidates} == {5}
        assert max(seen.metrics["f1"] for seen in candidates) == parent.metrics["cv_f1"]
    assert models(folder) == 2
    winner = json.loads((plain.artifacts / "winner" / "parameters.json").read_text())
    assert winner["algorithm"] == plain.parameters["algorithm"]
    assert {name: str(value) for name, value in winner["parameters"].items()}.items() <= plain.parameters.items()
    rows = (plain.artifacts / "winner" / "folds.csv").read_text().splitlines()
    assert (rows[0], len(rows)) == ("fold,f1,accuracy,roc_auc", 6)
    for source in ("pipeline.py", "data.py", "train.py"):
        kept = plain.artifacts / "winner" / "source" / source
        assert kept.read_text() == (folder / source).read_text()
    ranks = (plain.artifacts / "candidates.csv").read_text().splitlines()
    assert len(ranks) == 1 + sum(_GRID.values())
    assert ranks[1].startswith(f"{winner['algorithm']} ")


@pytest.mark.slices(6, 7)
def test_churns_page_tells_what_its_data_say_of_themselves(tmp_path: Path) -> None:
    folder = fill("churn", tmp_path / "churn")
    said = run(folder, ("python", "data.py"))
    assert said == run(folder, ("python", "data.py"))
    assert said in (folder / "README.md").read_text()
