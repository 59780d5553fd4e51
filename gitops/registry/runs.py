"""From MLflow's runs to ours: metrics as decimal strings, and the models a run holds, logged or merely stored."""

import math
import sys
from collections.abc import Iterator
from typing import Any

from gitops.errors import NotFoundError
from gitops.ports import LoggedModel, Run
from gitops.registry.artifacts import ProxiedArtifacts
from gitops.registry.replies import translated

PARAMETER_TAG = "launchpin.parameter."
_MARKER = "MLmodel"
_FOLDERS_DEEP = 3
_FOLDERS_LISTED = 100


def decimal_string(value: float) -> str:
    """Return the shortest decimal that reads back as this metric; `NaN`, `Infinity` or `-Infinity` otherwise.

    MLflow's SQL store keeps an infinite metric as the largest finite number, so that number is read as infinite.
    """
    if math.isnan(value):
        return "NaN"
    if abs(value) >= sys.float_info.max:
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))


def started_parameters(tags: dict[str, str]) -> dict[str, str]:
    """Return the parameters the training was started with, as its run's tags keep them."""
    return {key.removeprefix(PARAMETER_TAG): value for key, value in tags.items() if key.startswith(PARAMETER_TAG)}


def read_run(client: Any, artifacts: ProxiedArtifacts, run: Any) -> Run:  # noqa: ANN401 - MLflow publishes no types
    """Return our view of an MLflow run."""
    models = tuple(_logged_models(client, run)) or tuple(_stored_models(artifacts, run.info.artifact_uri))
    return Run(
        run_id=run.info.run_id,
        status=run.info.status,
        metrics={name: decimal_string(value) for name, value in sorted(run.data.metrics.items())},
        parameters={**started_parameters(run.data.tags), **run.data.params},
        models=models,
    )


def _logged_models(client: Any, run: Any) -> Iterator[LoggedModel]:  # noqa: ANN401 - MLflow publishes no types
    """Return the models of MLflow 3 that the run put out, in the order they were logged, complete ones only."""
    outputs = run.outputs.model_outputs if run.outputs else []
    found = [_read_model(client, model_id) for model_id in {output.model_id for output in outputs}]
    ready = [model for model in found if model is not None and str(model.status) == "READY"]
    for model in sorted(ready, key=lambda each: (each.creation_timestamp, each.model_id)):
        yield LoggedModel(name=model.name, uri=model.model_uri)


def _read_model(client: Any, model_id: str) -> Any | None:  # noqa: ANN401 - MLflow publishes no types
    try:
        with translated(f"read logged model {model_id}"):
            return client.get_logged_model(model_id)
    except NotFoundError:
        return None  # deleted meanwhile


def _stored_models(artifacts: ProxiedArtifacts, location: str) -> Iterator[LoggedModel]:
    """Return the folders among the run's artifacts that hold an MLmodel file, as clients before MLflow 3 log them."""
    root = artifacts.locate(location)
    waiting = [root]
    for _ in range(_FOLDERS_LISTED):
        if not waiting:
            return
        folder = waiting.pop(0)
        entries = artifacts.list_folder(folder)
        name = folder.removeprefix(root).strip("/")
        if name and any(entry.path == f"{folder}/{_MARKER}" and not entry.is_folder for entry in entries):
            yield LoggedModel(name=name, uri=f"{location.rstrip('/')}/{name}")
        elif name.count("/") < _FOLDERS_DEEP - 1:
            waiting.extend(entry.path for entry in entries if entry.is_folder)
