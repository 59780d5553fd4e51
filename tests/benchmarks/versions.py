"""Looking up one version while a model gains many, against MLflow's `registered-models/get`."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from gitops.registry.mlflow import MlflowRegistry
from tests.benchmarks.figures import Curve, Measured, Result, Row, Scale, time_each
from tests.support.mlflow import running_mlflow

_MODEL = "bench"
_API = "/api/2.0/mlflow"


def measure(scale: Scale) -> Result:
    """Measure at 100, 1,000 and 10,000 versions of one model."""
    ours: list[tuple[float, float]] = []
    whole: list[tuple[float, float]] = []
    row = None
    with tempfile.TemporaryDirectory() as folder, running_mlflow(Path(folder)) as uri:
        registry = MlflowRegistry(uri)
        with httpx.Client(base_url=uri, timeout=120, trust_env=False) as client:
            _post(client, "registered-models/create", name=_MODEL)
            for size in (10, 20) if scale.is_quick else (100, 1_000, 10_000):
                _fill(client, Path(folder) / "mlflow.db", size)
                row = _measure(registry, client, size, times=scale.pick(20, quick=2))
                ours.append((float(size), row.ours.median))
                whole.append((float(size), next(iter(row.beside.values())).median))
    series = {"version by its number": ours, "registered-models/get": whole}
    curve = Curve("versions", "Looking up one version of a model", "versions of the model", "milliseconds", series)
    return Result((row,) if row else (), (curve,))


def _measure(registry: MlflowRegistry, client: httpx.Client, size: int, *, times: int) -> Row:
    def look() -> None:
        assert registry.version(_MODEL, str(size)) is not None

    def get() -> None:
        client.get(f"{_API}/registered-models/get", params={"name": _MODEL}).raise_for_status()

    look()
    beside = {"MLflow's registered-models/get": Measured(time_each(get, times=min(times, 5)), "ms")}
    return Row(f"look up one of {size:,} versions of a model", Measured(time_each(look, times=times), "ms"), beside)


def _fill(client: httpx.Client, database: Path, size: int) -> None:
    """Give the model so many versions: two by MLflow's API, the others as copies of its first row.

    MLflow numbers a version by the largest that it finds among all of them, so making 10,000 takes half an hour. That
    the last one gets the last number shows that MLflow takes the copies for its own.
    """
    made = int(_make_version(client))
    if size > made + 1:
        _copy_first(database, range(made + 1, size))
    assert _make_version(client) == str(size)


def _copy_first(database: Path, numbers: range) -> None:
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(model_versions)")]
        copied = ", ".join("?" if column == "version" else column for column in columns)
        statement = f"INSERT INTO model_versions ({', '.join(columns)}) SELECT {copied} FROM model_versions"  # noqa: S608 - MLflow's own names
        connection.executemany(f"{statement} WHERE version = 1", [(number,) for number in numbers])


def _make_version(client: httpx.Client) -> str:
    run = _post(client, "runs/create", experiment_id="0")["run"]["info"]
    source = f"{run['artifact_uri']}/model"
    made = _post(client, "model-versions/create", name=_MODEL, source=source, run_id=run["run_id"])
    return str(made["model_version"]["version"])


def _post(client: httpx.Client, path: str, **body: object) -> Any:  # noqa: ANN401 - JSON
    return client.post(f"{_API}/{path}", json=body).raise_for_status().json()
