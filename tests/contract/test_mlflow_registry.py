"""The Registry port against a real MLflow server over loopback: runs, pages, and how it is used."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gitops.errors import (
    StalledError,
)
from gitops.ports import RunEnd, RunRef
from gitops.registry.child import child_variables
from gitops.registry.mlflow import MlflowRegistry
from gitops.registry.runs import decimal_string
from tests.contract.mlflow_registry_rig import PROXY, call, registry, start, unique

__all__ = ["registry"]

# -------------------- runs


def test_a_run_is_found_by_its_key_alone_when_it_was_started(registry: MlflowRegistry) -> None:
    experiment = unique("exp")
    assert registry.find_run(experiment=experiment, run_key="t/1") is None
    run = start(registry, experiment=experiment, run_key="t/1")
    start(registry, experiment=experiment, run_key="t/2")
    assert registry.find_run(experiment=experiment, run_key="t/1") == run
    assert registry.find_run(experiment=experiment, run_key="t/3") is None


def test_one_experiment_is_made_when_many_runs_start_at_once(registry: MlflowRegistry) -> None:
    experiment = unique("exp")
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: start(registry, experiment=experiment), range(16)))
    assert len({run.experiment_id for run in runs}) == 1
    assert len({run.run_id for run in runs}) == 16


def test_starting_stalls_and_names_the_experiment_when_it_was_deleted(
    registry: MlflowRegistry, tracking_uri: str
) -> None:
    experiment = unique("exp")
    run = start(registry, experiment=experiment)
    call(tracking_uri, "experiments/delete", {"experiment_id": run.experiment_id})
    with pytest.raises(StalledError, match=experiment) as caught:
        start(registry, experiment=experiment)
    assert caught.value.reason == "ExperimentDeleted"


def test_ending_a_run_sets_its_status_only_when_it_still_runs(registry: MlflowRegistry) -> None:
    run = start(registry)
    registry.end_run(run.run_id, RunEnd.FAILED)
    registry.end_run(run.run_id, RunEnd.FINISHED)
    (seen,) = registry.runs_of(run, within="nobody")
    assert seen.status == "FAILED"


def test_metrics_are_logged_unless_the_script_logged_them(registry: MlflowRegistry, tracking_uri: str) -> None:
    run = start(registry)
    logged = {"run_id": run.run_id, "key": "f1", "value": 0.5, "timestamp": 1}
    call(tracking_uri, "runs/log-metric", logged)
    for _ in range(2):
        registry.log_metrics(run.run_id, {"f1": 0.9, "loss": 1e-3})
    (seen,) = registry.runs_of(run, within="nobody")
    assert seen.metrics == {"f1": "0.5", "loss": "0.001"}


def test_runs_within_another_are_ended_where_they_still_run_and_no_others(
    registry: MlflowRegistry, tracking_uri: str
) -> None:
    run, within = start(registry), unique("training")
    left, over, foreign = (_begin(tracking_uri, run, within=tag) for tag in (within, within, f"{within}0"))
    registry.end_run(over, RunEnd.FINISHED)
    registry.end_within(within, RunEnd.KILLED)
    registry.end_within(within, RunEnd.FAILED)
    seen = {each.run_id: each.status for each in registry.runs_of(run, within=within)}
    assert seen == {run.run_id: "RUNNING", left: "KILLED", over: "FINISHED"}
    (_, untouched) = registry.runs_of(run, within=f"{within}0")
    assert (untouched.run_id, untouched.status) == (foreign, "RUNNING")


def _begin(tracking_uri: str, run: RunRef, *, within: str) -> str:
    tags = [{"key": "launchpin.within", "value": within}]
    made = call(tracking_uri, "runs/create", {"experiment_id": run.experiment_id, "tags": tags})["run"]["info"]
    assert isinstance(made, dict)
    return str(made["run_id"])


@pytest.mark.parametrize("end", RunEnd)
def test_a_run_ends_as_it_is_said_to(registry: MlflowRegistry, end: RunEnd) -> None:
    run = start(registry)
    registry.end_run(run.run_id, end)
    (seen,) = registry.runs_of(run, within="nobody")
    assert seen.status == end


def test_parameters_are_logged_at_the_end_unless_the_script_logged_them(
    registry: MlflowRegistry, tracking_uri: str
) -> None:
    untouched, spelled = start(registry), start(registry)
    call(tracking_uri, "runs/log-parameter", {"run_id": spelled.run_id, "key": "rate", "value": "0.1"})
    for run in (untouched, spelled):
        registry.end_run(run.run_id, RunEnd.FINISHED)
    logged = [
        httpx.get(f"{tracking_uri}/api/2.0/mlflow/runs/get", params={"run_id": run.run_id}).json()["run"]["data"]
        for run in (untouched, spelled)
    ]
    assert [each["params"] for each in logged] == [
        [{"key": "rate", "value": "0.10"}],
        [{"key": "rate", "value": "0.1"}],
    ]
    assert registry.runs_of(spelled, within="nobody")[0].parameters == {"rate": "0.1"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.30000000000000004"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (5e-324, "5e-324"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (1.7976931348623157e308, "Infinity"),
    ],
)
def test_a_metric_becomes_its_shortest_decimal(value: float, text: str) -> None:
    assert decimal_string(value) == text


def test_the_log_is_an_artifact_when_it_was_stored(registry: MlflowRegistry, tracking_uri: str, tmp_path: Path) -> None:
    run = start(registry)
    (tmp_path / "train.log").write_text("epoch 1\n")
    registry.log_file(run.run_id, tmp_path / "train.log", folder="launchpin")
    kept = httpx.get(f"{tracking_uri}{PROXY}/{run.experiment_id}/{run.run_id}/artifacts/launchpin/train.log")
    assert kept.text == "epoch 1\n"


def test_a_child_gets_the_run_and_the_tag_of_its_further_runs() -> None:
    variables = child_variables("http://127.0.0.1:5", RunRef(run_id="r", experiment_id="7"), within="t/1")
    assert variables["MLFLOW_RUN_ID"] == "r"
    assert variables["MLFLOW_EXPERIMENT_ID"] == "7"
    assert json.loads(variables["MLFLOW_RUN_CONTEXT"]) == {"launchpin.within": "t/1"}


# -------------------- pages, and how it is used


def test_pages_are_those_of_mlflows_interface_when_names_need_quoting(
    registry: MlflowRegistry, tracking_uri: str
) -> None:
    run = RunRef(run_id="abc", experiment_id="7")
    assert registry.run_url(run) == f"{tracking_uri}/#/experiments/7/runs/abc"
    assert registry.version_url("a b/c", "2") == f"{tracking_uri}/#/models/a%20b%2Fc/versions/2"


def test_importing_the_adapter_does_not_import_mlflow() -> None:
    code = "import sys, gitops.registry.mlflow; print('mlflow' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert answer.stdout == "False\n"


def test_one_registry_serves_many_threads(registry: MlflowRegistry) -> None:
    run, barrier = start(registry), threading.Barrier(8)

    def read(_: int) -> str:
        barrier.wait(timeout=30)
        return registry.runs_of(run, within="nobody")[0].run_id

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(8))) == {run.run_id}


def test_the_tracking_server_refuses_a_host_that_it_was_not_given(tracking_uri: str) -> None:
    answer = httpx.get(f"{tracking_uri}/api/2.0/mlflow/experiments/search", headers={"host": "evil.example"})
    assert answer.status_code == 403
