"""A search over a whole stack: four trials of one push, the best proposed, another one chosen by hand."""

import itertools
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.records import Training
from tests.e2e.bad_input_rig import check_of
from tests.support.live import Live, Pair, make_pair

pytestmark = pytest.mark.slices(6, 7)

SETTINGS = {"training_slots": "2"}

_PRINTED = """timeout: 10m
  metric_definitions: [{name: accuracy, regex: "accuracy ([0-9.]+)"}]"""
_SEARCH = """
search:
  objective: {metric: accuracy}
  max_parallel: 2
  space:
    max_depth: {min: 1, max: 2}
    max_leaf_nodes: {values: [2, 8]}
"""


def make_searching(live: Live, folder: Path, name: str, search: str = _SEARCH) -> Pair:
    """Make a pair whose pushes search, whose gate some trials pass, and whose script only prints its accuracy."""
    pair = make_pair(live, folder, name)
    pair.edit("model/launchpin.yaml", "{max_depth: 3, max_leaf_nodes: 8, seed: 42}", "{seed: 42}")
    pair.edit("model/launchpin.yaml", "above: 0.9}", "above: 0.5}")
    pair.edit("model/launchpin.yaml", "timeout: 10m", _PRINTED)
    pair.append("model/launchpin.yaml", search)
    pair.edit("model/train.py", "mlflow.log_metrics(metrics)", 'mlflow.log_metric("f1", metrics["f1"])')
    return pair


def runs_of(live: Live, training: Training) -> list[dict[str, Any]]:
    """Return the runs of a training as the tracking server has them."""
    body = {
        "experiment_ids": [training.facts.experiment_id],
        "filter": f"tags.`launchpin.training` = '{training.id}'",
        "max_results": 100,
    }
    address = f"{live.layout.url('mlflow')}/api/2.0/mlflow/runs/search"
    answer = httpx.post(address, json=body, trust_env=False, timeout=30)
    answer.raise_for_status()
    runs: list[dict[str, Any]] = answer.json()["runs"]
    return runs


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def metrics_of(run: dict[str, Any]) -> dict[str, float]:
    return {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}


def scripts_in_time(live: Live, training: Training) -> list[tuple[float, float]]:
    """Return from when to when the script of each trial ran at least, in seconds, the first begun first.

    A script begins after its run does, and so ends later than it would, had they begun together.
    """
    began = {run["info"]["run_id"]: int(run["info"]["start_time"]) / 1000 for run in runs_of(live, training)}
    known = [(began[trial.facts.run_id or ""], trial.facts.seconds) for trial in live.store.trials(training.id)]
    return sorted((start, start + (seconds or 0)) for start, seconds in known)


def test_the_best_of_four_trials_of_a_push_is_proposed_and_another_one_by_hand(live: Live, clones: Path) -> None:
    pair = make_searching(live, clones, "searched")
    commit = pair.push()
    training = pair.trained(commit)

    assert (training.phase, training.facts.verdict, training.facts.trials) == ("Succeeded", "pass", 4), training.message
    trials = live.store.trials(training.id)
    assert [trial.phase for trial in trials] == ["Succeeded"] * 4
    assert [tuple(trial.parameters.values()) for trial in trials] == [("1", "2"), ("1", "8"), ("2", "2"), ("2", "8")]
    best = max(trials, key=lambda trial: (float(trial.facts.metrics["accuracy"]), -trial.number))
    assert training.facts.trial == best.number == 4
    assert training.facts.metrics == best.facts.metrics
    assert set(best.facts.metrics) == {"accuracy", "f1"}
    assert [list(trial.facts.printed) for trial in trials] == [["accuracy"]] * 4
    first = pair.proposed("staging", training.facts.version or "")
    body = live.api("GET", f"/repos/{pair.deploy_repository}/pulls/{first.facts.number}")["body"]
    assert "The best of 4 trials by `accuracy`: trial 4." in body

    # Two at a time: the worker has two slots, and a trial's run is made when a slot is free for it.
    times = scripts_in_time(live, training)
    assert any(begin < end for (_, end), (begin, _) in itertools.pairwise(times)), times

    # MLflow has them below the training's own, each ended, and the model is the best one's.
    runs = {tags_of(run).get("launchpin.trial", ""): run for run in runs_of(live, training)}
    assert set(runs) == {"", "1", "2", "3", "4"}
    assert {run["info"]["status"] for run in runs.values()} == {"FINISHED"}
    parent = runs.pop("")["info"]["run_id"]
    assert {name: metrics_of(run)["accuracy"] for name, run in runs.items()} == {
        str(trial.number): float(trial.facts.printed["accuracy"]) for trial in trials
    }
    assert {tags_of(run)["mlflow.parentRunId"] for run in runs.values()} == {parent}
    version = live.store.version(pair.name, training.facts.version or "")
    assert version is not None
    assert version.run_id == runs["4"]["info"]["run_id"]
    _, summary = check_of(live, pair.repository, commit, f"launchpin/train ({pair.name})", state="success")
    assert "`max_depth=1`" in summary

    asked = live.ask("register", training=training.id, trial="3", reason="as good, and one leaf less")
    assert asked.phase == "Succeeded", asked.message
    chosen = live.store.training(str(asked.facts.result["training"]))
    assert chosen is not None
    assert (chosen.facts.trial, chosen.facts.search_of) == (3, training.id)
    second = pair.proposed("staging", chosen.facts.version or "")
    body = live.api("GET", f"/repos/{pair.deploy_repository}/pulls/{second.facts.number}")["body"]
    assert "chosen by ada: as good, and one leaf less" in body
