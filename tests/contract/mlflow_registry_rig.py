"""What the tests of the Registry port share: a registry on the real server, runs and models."""

from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from gitops.ports import LoggedModel, RegisteredVersion, Registry, RunRef
from gitops.registry.mlflow import MlflowRegistry

PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def registry(tracking_uri: str) -> MlflowRegistry:
    return MlflowRegistry(tracking_uri)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:12]}"


def start(registry: Registry, *, experiment: str = "", run_key: str = "") -> RunRef:
    return registry.start_run(
        experiment=experiment or unique("exp"),
        run_key=run_key or unique("training"),
        name="a run",
        tags={"mlflow.source.type": "PROJECT"},
        parameters={"rate": "0.10"},
    )


def call(tracking_uri: str, path: str, body: dict[str, object]) -> dict[str, dict[str, object]]:
    answer = httpx.post(f"{tracking_uri}/api/2.0/mlflow/{path}", json=body, timeout=30)
    answer.raise_for_status()
    answered: dict[str, dict[str, object]] = answer.json()
    return answered


def store_model(registry: MlflowRegistry, run: RunRef, folder: Path) -> LoggedModel:
    """Store a small model among a run's artifacts, as clients before MLflow 3 do."""
    folder.mkdir(exist_ok=True)
    for name, text in {"MLmodel": "flavors: {}\n", "odd 50% name.txt": "x" * 1000}.items():
        (folder / name).write_text(text)
        registry.log_file(run.run_id, folder / name, folder="model")
    (folder / "inner.bin").write_bytes(bytes(range(256)))
    registry.log_file(run.run_id, folder / "inner.bin", folder="model/data")
    (model,) = registry.runs_of(run, within=run.run_id)[0].models
    return model


def source_of(run: RunRef) -> LoggedModel:
    return LoggedModel(name="model", uri=f"mlflow-artifacts:/{run.experiment_id}/{run.run_id}/artifacts/model")


def register(registry: Registry, model: str, run: RunRef, source: LoggedModel) -> RegisteredVersion:
    return registry.create_version(model, source=source, run_id=run.run_id, training_id="t-1", description="what it is")
