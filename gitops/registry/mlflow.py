"""The MLflow server behind the Registry port. MLflow itself is imported when a registry is made, not before.

Launchpin never asks `registered-models/get` (slow with many versions), and never reads an answer out of a tag alone
that a judged script could have written.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from gitops.errors import ConflictError, NotFoundError, RefusedError, StalledError
from gitops.manifest import Manifest
from gitops.ports import LoggedModel, RegisteredVersion, Run, RunEnd, RunRef
from gitops.registry.artifacts import Limits, ProxiedArtifacts
from gitops.registry.child import child_variables
from gitops.registry.replies import bad_reply, translated
from gitops.registry.runs import PARAMETER_TAG, read_run, started_parameters
from gitops.registry.search import all_pages, quoted

T = TypeVar("T")

_KEY_TAG = "launchpin.run_key"
_WITHIN_TAG = "launchpin.within"
_TRAINING_TAG = "launchpin.training"
_USER_TAG = "mlflow.user"
_OPEN = {"RUNNING", "SCHEDULED"}
_MOST_RUNS = 10_000
_DESCRIPTION = 5000
_BATCH = 100  # parameters or run ids in one request
_READY_WITHIN = 60.0
_READY_POLL = 0.2

# The client reads these from the environment at each call. Retrying is ours alone: its own would send a create again
# whose answer was lost, and register a version twice.
_CLIENT_VARIABLES = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MlflowRegistry:
    """A tracking server and model registry over MLflow's REST API. Thread-safe.

    Making one imports MLflow (seconds) and sets MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_ALLOW_HTTP_REDIRECTS, MLFLOW_DISABLE_TELEMETRY and MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT in this process's
    environment.

    Args:
        tracking_uri: `http(s)://host[:port][/prefix]`. Credentials are MLFLOW_TRACKING_USERNAME and _PASSWORD, or
            MLFLOW_TRACKING_TOKEN, as MLflow's client finds them.
        limits: of a download; its `timeout` is that of every call.
        clock: monotonic seconds; what the server asks us to wait is counted by it.
    """

    def __init__(
        self, tracking_uri: str, *, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        os.environ.update(_CLIENT_VARIABLES)
        # Seconds and 160 MB, paid by those processes that use it.
        from gitops.registry.calls import Caller, Runs, Versions  # noqa: PLC0415

        limits = limits or Limits()
        self._uri = tracking_uri.rstrip("/")
        caller = Caller(self._uri, silence=limits.timeout, clock=clock)
        self._runs = Runs(caller)
        self._versions = Versions(caller)
        self._artifacts = ProxiedArtifacts(self._uri, caller, limits=limits)

    # ------------------------------------------------------------ runs

    def start_run(
        self, *, experiment: str, run_key: str, name: str, tags: Mapping[str, str], parameters: Mapping[str, str]
    ) -> RunRef:
        """Make the run of one attempt, in an experiment made where missing, tagged `launchpin.run_key`.

        Parameters are kept as tags until `end_run`: MLflow forbids to log one again with another spelling, and a
        script that logs `0.1` where `0.10` was asked for must not fail for that.

        Raises:
            StalledError: `ExperimentDeleted`.
        """
        from mlflow.entities import RunTag  # noqa: PLC0415 - mlflow is imported lazily

        experiment_id = self._ensure_experiment(experiment)
        asked = {f"{PARAMETER_TAG}{key}": value for key, value in parameters.items()}
        all_tags = [RunTag(key, value) for key, value in {**asked, **tags, _KEY_TAG: run_key}.items()]
        what = f"start run {run_key}"
        with translated(what, creates=True):
            run = self._runs.create_run(experiment_id, tags.get(_USER_TAG, "unknown"), _now(), all_tags, name)
        if not run.info.run_id:
            raise bad_reply(what, "a run without an id", creates=True)
        return RunRef(run_id=run.info.run_id, experiment_id=experiment_id)

    def find_run(self, *, experiment: str, run_key: str) -> RunRef | None:
        """Return the run that carries this key, the oldest if a lost answer led to two."""
        found = self._find_experiment(experiment)
        if found is None:
            return None
        with translated(f"find run {run_key}"):
            runs = self._search_runs(
                [found],
                filter_string=f"tags.`{_KEY_TAG}` = {quoted(run_key)}",
                max_results=1,
                order_by=["attributes.start_time ASC"],
            )
        return RunRef(run_id=runs[0].info.run_id, experiment_id=found) if runs else None

    def runs_of(self, run: RunRef, *, within: str) -> Sequence[Run]:
        """Return the run, then every further run that the same process started (tag `launchpin.within`), oldest first.

        Raises:
            RefusedError: `ExperimentMismatch` when the script put runs into another experiment; `TooManyRuns`.
        """
        what = f"read run {run.run_id}"
        with translated(what):
            own = self._runs.get_run(run.run_id)
        if own.info.run_id != run.run_id:
            raise bad_reply(what, "another run")
        further = {other.info.run_id: other for other in self._search_within(within)}
        further.pop(run.run_id, None)
        for other in further.values():
            if other.info.experiment_id != run.experiment_id:
                raise RefusedError(
                    "ExperimentMismatch",
                    f"the script put run {other.info.run_id} into experiment {other.info.experiment_id} instead of"
                    f" {run.experiment_id}; leave the experiment to Launchpin, or name it in launchpin.yaml",
                )
        in_order = sorted(further.values(), key=lambda other: (other.info.start_time, other.info.run_id))
        return [read_run(self._runs, self._artifacts, each) for each in (own, *in_order)]

    def end_run(self, run_id: str, end: RunEnd) -> None:
        """Set the run's final status where its script left it running, and log the parameters its script did not."""
        from mlflow.entities import Param, RunStatus  # noqa: PLC0415 - mlflow is imported lazily

        with translated(f"end run {run_id}"):
            run = self._runs.get_run(run_id)
            asked = started_parameters(run.data.tags)
            missing = [Param(key, value) for key, value in asked.items() if key not in run.data.params]
            for part in _batches(missing):
                self._runs.log_batch(run_id, metrics=[], params=part, tags=[])
            if run.info.status in _OPEN:
                self._runs.update_run_info(run_id, RunStatus.from_string(end.value), _now(), None)

    def end_within(self, within: str, end: RunEnd) -> None:
        """Set the final status of every run tagged `launchpin.within` that its script left running."""
        from mlflow.entities import RunStatus  # noqa: PLC0415 - mlflow is imported lazily

        left = [run.info.run_id for run in self._search_within(within) if run.info.status in _OPEN]
        for run_id in left:
            with translated(f"end run {run_id}"):
                self._runs.update_run_info(run_id, RunStatus.from_string(end.value), _now(), None)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log the metrics that the run does not have yet: what its script logged itself stays."""
        from mlflow.entities import Metric  # noqa: PLC0415 - mlflow is imported lazily

        with translated(f"log metrics of run {run_id}"):
            known = self._runs.get_run(run_id).data.metrics
            missing = [Metric(name, value, _now(), 0) for name, value in metrics.items() if name not in known]
            if missing:
                self._runs.log_batch(run_id, metrics=missing, params=[], tags=[])

    def log_file(self, run_id: str, file: Path, *, folder: str) -> None:
        """Store a file among the run's artifacts."""
        with translated(f"store {file.name} with run {run_id}"):
            location = self._runs.get_run(run_id).info.artifact_uri
        root = self._artifacts.locate(location)
        self._artifacts.upload(file, f"{root}/{folder}" if folder else root)

    def child_variables(self, run: RunRef, *, within: str) -> dict[str, str]:
        """Return the variables that make a script's MLflow calls land in this run."""
        return child_variables(self._uri, run, within=within)

    # ------------------------------------------------------------ versions

    def find_version(self, model: str, *, training_id: str, run_ids: Sequence[str]) -> RegisteredVersion | None:
        """Return the version that a training made, by our tag, or that its script registered from one of its runs.

        A tag counts only on a version of one of these runs; scripts can write tags on any version. Among several,
        ours goes first, then the earlier of the run ids, then the newest.
        """
        order = {run_id: place for place, run_id in enumerate(run_ids)}
        what = f"find version of {model}"
        with translated(what):
            found = [each for part in _batches(list(order)) for each in self._versions_of_runs(model, part)]
        if not found:
            return None
        best = min(
            found,
            key=lambda each: (each.tags.get(_TRAINING_TAG) != training_id, order[each.run_id], -int(each.version)),
        )
        return _registered(best, what)

    def create_version(
        self, model: str, *, source: LoggedModel, run_id: str, training_id: str, description: str
    ) -> RegisteredVersion:
        """Register a version from a run's model, tagged with the training; the registered model is made where missing.

        Raises:
            UnknownOutcomeError: when the answer was lost; ask `find_version` before trying again.
        """
        try:
            return self._create(model, source, run_id, training_id, description)
        except NotFoundError:
            self._create_model(model)
        return self._create(model, source, run_id, training_id, description)

    def describe_version(self, model: str, version: str, *, description: str, tags: Mapping[str, str]) -> None:
        """Write the description and tags of a version, for people and tools."""
        from mlflow.entities.model_registry import ModelVersionTag  # noqa: PLC0415 - mlflow is imported lazily

        with translated(f"describe version {version} of {model}"):
            self._versions.update_model_version(model, version, description[:_DESCRIPTION])
            for key, value in tags.items():
                self._versions.set_model_version_tag(model, version, ModelVersionTag(key, value))

    def version(self, model: str, version: str) -> RegisteredVersion | None:
        """Return a version as the registry has it; None when it does not exist, or the text is no version number."""
        if not (version.isascii() and version.isdigit()):
            return None
        what = f"read version {version} of {model}"
        try:
            with translated(what):
                found = _registered(self._versions.get_model_version(model, version), what)
        except NotFoundError:
            return None
        return found if found.version == version else None

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias to a version."""
        with translated(f"set alias {alias} of {model} to version {version}"):
            self._versions.set_registered_model_alias(model, alias, version)

    def fetch(self, model: str, version: str, into: Path) -> Manifest:
        """Download a version's files into a new folder and return what was found.

        Raises:
            RefusedError: `unsafe_path`, `model_too_large` or `EmptyModel`; nothing is left of the folder.
            StalledError: `ArtifactsNotProxied`.
            NotFoundError: when there is no such version.
        """
        what = f"locate version {version} of {model}"
        with translated(what):
            location = self._versions.get_model_version_download_uri(model, version)
        if not location:
            raise bad_reply(what, "no location")
        return self._artifacts.download(self._artifacts.locate(location), into)

    # ------------------------------------------------------------ pages

    def run_url(self, run: RunRef) -> str:
        """Return the page of a run."""
        return f"{self._uri}/#/experiments/{quote(run.experiment_id, safe='')}/runs/{quote(run.run_id, safe='')}"

    def version_url(self, model: str, version: str) -> str:
        """Return the page of a version."""
        return f"{self._uri}/#/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"

    # ------------------------------------------------------------ how

    def _find_experiment(self, name: str) -> str | None:
        what = f"find experiment {name}"
        with translated(what):
            found = self._runs.get_experiment_by_name(name)
        if found is None:
            return None
        if not found.experiment_id:
            raise bad_reply(what, "an experiment without an id")
        if found.lifecycle_stage != "active":
            raise StalledError(
                "ExperimentDeleted",
                f"experiment {name} was deleted in the tracking server; restore it, or name another in launchpin.yaml",
            )
        return str(found.experiment_id)

    def _ensure_experiment(self, name: str) -> str:
        found = self._find_experiment(name)
        if found is not None:
            return found
        try:
            with translated(f"create experiment {name}"):
                return str(self._runs.create_experiment(name))
        except ConflictError:  # somebody else made it since we looked
            found = self._find_experiment(name)
            if found is None:
                raise
            return found

    def _search_within(self, within: str) -> Iterator[Any]:
        with translated(f"find runs within {within}"):
            experiments = [each.experiment_id for each in all_pages(self._runs.search_experiments)]
            runs = all_pages(
                self._search_runs,
                experiment_ids=experiments,
                filter_string=f"tags.`{_WITHIN_TAG}` = {quoted(within)}",
            )
            for count, run in enumerate(runs):
                if count >= _MOST_RUNS:
                    raise RefusedError("TooManyRuns", f"the script started more than {_MOST_RUNS} runs")
                yield run

    def _search_runs(self, experiment_ids: Sequence[str], **query: Any) -> Any:  # noqa: ANN401 - MLflow publishes no types
        from mlflow.entities import ViewType  # noqa: PLC0415 - mlflow is imported lazily

        return self._runs.search_runs(experiment_ids, run_view_type=ViewType.ACTIVE_ONLY, **query)

    def _versions_of_runs(self, model: str, run_ids: Sequence[str]) -> Iterator[Any]:
        listed = ", ".join(quoted(run_id) for run_id in run_ids)
        asked = f"name = {quoted(model)} and run_id IN ({listed})"
        return all_pages(self._versions.search_model_versions, filter_string=asked)

    def _create_model(self, model: str) -> None:
        try:
            with translated(f"create registered model {model}"):
                self._versions.create_registered_model(model)
        except ConflictError:
            return  # somebody else made it since we looked

    def _create(
        self, model: str, source: LoggedModel, run_id: str, training_id: str, description: str
    ) -> RegisteredVersion:
        from mlflow.entities.model_registry import ModelVersionTag  # noqa: PLC0415 - mlflow is imported lazily

        what = f"create version of {model}"
        with translated(what, creates=True):
            made = self._versions.create_model_version(
                model,
                source.uri,
                run_id,
                tags=[ModelVersionTag(_TRAINING_TAG, training_id)],
                description=description[:_DESCRIPTION],
                model_id=source.uri.removeprefix("models:/") if source.uri.startswith("models:/m-") else None,
            )
        return self._wait_ready(_registered(made, what, creates=True))

    def _wait_ready(self, made: RegisteredVersion) -> RegisteredVersion:
        """Return the version once it is no longer pending, or as it is after a minute; SQL stores are done at once."""
        deadline = time.monotonic() + _READY_WITHIN
        while made.status == "PENDING_REGISTRATION" and time.monotonic() < deadline:
            time.sleep(_READY_POLL)
            made = self.version(made.model, made.version) or made
        return made


def _now() -> int:
    """Return the time as MLflow's clients give it: milliseconds since 1970, shown to people."""
    return time.time_ns() // 1_000_000


def _registered(found: Any, what: str, *, creates: bool = False) -> RegisteredVersion:  # noqa: ANN401 - MLflow publishes no types
    if not found.name or not str(found.version).isdigit():
        raise bad_reply(what, "a version without a name or number", creates=creates)
    return RegisteredVersion(
        model=found.name, version=str(found.version), run_id=found.run_id or "", status=str(found.status)
    )


def _batches(items: list[T]) -> Iterator[list[T]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
