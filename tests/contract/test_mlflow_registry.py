"""The Registry port against a real MLflow server over loopback."""

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import httpx
import pytest

from gitops.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
    UnknownOutcomeError,
)
from gitops.ports import LoggedModel, RegisteredVersion, Registry, RunRef
from gitops.registry.artifacts import Limits, check_path
from gitops.registry.child import child_variables
from gitops.registry.mlflow import MlflowRegistry
from gitops.registry.runs import decimal_string
from gitops.rollout import ROLLOUT
from gitops.training import TRAINING
from tests.faults.outside import FOREVER, BadReply, running_outside
from tests.support.mlflow import free_port
from tests.support.mlflow_wire import Reply, losing_proxy, odd_server

_CREATE = "/api/2.0/mlflow/model-versions/create"
_PROXY = "/api/2.0/mlflow-artifacts/artifacts"


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
    registry.end_run(run.run_id, succeeded=False)
    registry.end_run(run.run_id, succeeded=True)
    (seen,) = registry.runs_of(run, within="nobody")
    assert seen.status == "FAILED"


def test_parameters_are_logged_at_the_end_unless_the_script_logged_them(
    registry: MlflowRegistry, tracking_uri: str
) -> None:
    untouched, spelled = start(registry), start(registry)
    call(tracking_uri, "runs/log-parameter", {"run_id": spelled.run_id, "key": "rate", "value": "0.1"})
    for run in (untouched, spelled):
        registry.end_run(run.run_id, succeeded=True)
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
    kept = httpx.get(f"{tracking_uri}{_PROXY}/{run.experiment_id}/{run.run_id}/artifacts/launchpin/train.log")
    assert kept.text == "epoch 1\n"


def test_a_child_gets_the_run_and_the_tag_of_its_further_runs() -> None:
    variables = child_variables("http://127.0.0.1:5", RunRef(run_id="r", experiment_id="7"), within="t/1")
    assert variables["MLFLOW_RUN_ID"] == "r"
    assert variables["MLFLOW_EXPERIMENT_ID"] == "7"
    assert json.loads(variables["MLFLOW_RUN_CONTEXT"]) == {"launchpin.within": "t/1"}


# -------------------- versions


def test_a_version_is_made_found_described_aliased_and_read(registry: MlflowRegistry, tracking_uri: str) -> None:
    model, run = unique("model"), start(registry)
    assert registry.find_version(model, training_id="t-1", run_ids=[run.run_id]) is None
    made = register(registry, model, run, source_of(run))
    assert made == RegisteredVersion(model=model, version="1", run_id=run.run_id, status="READY")
    assert registry.find_version(model, training_id="t-1", run_ids=[run.run_id]) == made
    many = [uuid4().hex for _ in range(250)]
    assert registry.find_version(model, training_id="t-1", run_ids=[*many, run.run_id]) == made
    assert registry.version(model, "1") == made
    registry.describe_version(model, "1", description="better words", tags={"launchpin.tier": "gold"})
    registry.set_alias(model, "champion", "1")
    seen = httpx.get(
        f"{tracking_uri}/api/2.0/mlflow/registered-models/alias", params={"name": model, "alias": "champion"}
    ).json()["model_version"]
    assert (seen["version"], seen["description"]) == ("1", "better words")
    assert {tag["key"]: tag["value"] for tag in seen["tags"]} == {
        "launchpin.training": "t-1",
        "launchpin.tier": "gold",
    }


@pytest.mark.parametrize("version", ["7", "0", "01", "abc", "", "-1", "\u0661", "1/../2"])
def test_there_is_no_version_when_none_has_that_very_number(registry: MlflowRegistry, version: str) -> None:
    model, run = unique("model"), start(registry)
    register(registry, model, run, source_of(run))
    assert registry.version(model, version) is None
    assert registry.version(unique("model"), "1") is None


def test_a_version_of_another_run_is_not_ours_when_it_carries_our_tag(registry: MlflowRegistry) -> None:
    model, ours, other = unique("model"), start(registry), start(registry)
    register(registry, model, other, source_of(other))
    assert registry.find_version(model, training_id="t-1", run_ids=[ours.run_id]) is None
    assert registry.find_version(model, training_id="t-1", run_ids=[]) is None


def test_our_own_version_goes_before_the_scripts_when_both_exist(registry: MlflowRegistry, tracking_uri: str) -> None:
    model, run = unique("model"), start(registry)
    ours = register(registry, model, run, source_of(run))
    call(tracking_uri, "model-versions/create", {"name": model, "source": source_of(run).uri, "run_id": run.run_id})
    assert registry.find_version(model, training_id="t-1", run_ids=[run.run_id]) == ours
    found = registry.find_version(model, training_id="another", run_ids=[run.run_id])
    assert found is not None
    assert found.version == "2"


def test_asking_for_what_the_registry_forbids_is_refused(registry: MlflowRegistry) -> None:
    model, run = unique("model"), start(registry)
    register(registry, model, run, source_of(run))
    with pytest.raises(RefusedError, match="reserved"):
        registry.set_alias(model, "v1", "1")
    with pytest.raises(NotFoundError):
        registry.set_alias(model, "champion", "9")
    with pytest.raises(RefusedError, match="quotes"):
        registry.find_version("a'b\"c", training_id="t", run_ids=["r"])


def test_i14_a_version_whose_answer_was_lost_is_adopted_not_doubled(tracking_uri: str) -> None:
    model = unique("model")
    creates = itertools.count()
    with losing_proxy(tracking_uri, lambda _, path: path == _CREATE and next(creates) == 0) as lossy:
        registry = MlflowRegistry(lossy)
        registry_direct = MlflowRegistry(tracking_uri)
        run = start(registry_direct)
        earlier = start(registry_direct)
        register(registry_direct, model, earlier, source_of(earlier))
        with pytest.raises(UnknownOutcomeError):
            register(registry, model, run, source_of(run))
        found = registry.find_version(model, training_id="t-1", run_ids=[run.run_id])
    assert found is not None
    assert found.version == "2"
    assert registry_direct.version(model, "3") is None


def test_i11_a_run_whose_answer_was_lost_is_found_by_its_key_and_not_made_again(tracking_uri: str) -> None:
    experiment, key = unique("exp"), "t-lost/1"
    creates = itertools.count()
    with losing_proxy(tracking_uri, lambda _, path: path.endswith("/runs/create") and next(creates) == 0) as lossy:
        registry = MlflowRegistry(lossy)
        with pytest.raises(UnknownOutcomeError):
            start(registry, experiment=experiment, run_key=key)
        found = registry.find_run(experiment=experiment, run_key=key)
    assert found is not None
    assert next(creates) == 1
    # Another attempt of the same training is another run.
    direct = MlflowRegistry(tracking_uri)
    assert start(direct, experiment=experiment, run_key="t-lost/2") != found
    assert direct.find_run(experiment=experiment, run_key=key) == found


@pytest.mark.slow
def test_i14_versions_equal_trainings_when_eight_threads_register_and_answers_are_lost(tracking_uri: str) -> None:
    model, trainings, calls = unique("model"), 100, itertools.count(1)
    direct = MlflowRegistry(tracking_uri)
    experiment = unique("exp")

    def register_once(registry: Registry, number: int) -> RegisteredVersion:
        training = f"t-{number}"
        run = start(direct, experiment=experiment, run_key=training)
        for _ in range(20):
            try:
                return registry.find_version(
                    model, training_id=training, run_ids=[run.run_id]
                ) or registry.create_version(
                    model, source=source_of(run), run_id=run.run_id, training_id=training, description=""
                )
            except RetryError:
                continue
        raise AssertionError(training)

    with (
        losing_proxy(tracking_uri, lambda _, path: path == _CREATE and next(calls) % 5 == 0) as lossy,
        ThreadPoolExecutor(8) as pool,
    ):
        registry = MlflowRegistry(lossy)
        made = list(pool.map(lambda number: register_once(registry, number), range(trainings)))
    assert {version.version for version in made} == {str(number) for number in range(1, trainings + 1)}
    assert direct.version(model, str(trainings + 1)) is None
    assert next(calls) > trainings


def test_a_version_is_awaited_when_the_server_is_not_done_with_it() -> None:
    statuses = iter(["PENDING_REGISTRATION", "PENDING_REGISTRATION", "READY"])

    def reply(_method: str, _path: str) -> Reply:
        version = {"name": "iris", "version": "1", "run_id": "r", "status": next(statuses)}
        return Reply(body=json.dumps({"model_version": version}).encode())

    with odd_server(reply) as uri:
        run = RunRef(run_id="r", experiment_id="1")
        assert register(MlflowRegistry(uri), "iris", run, source_of(run)).status == "READY"


def test_the_slow_lookup_of_a_registered_model_is_never_asked(tracking_uri: str, tmp_path: Path) -> None:
    asked: list[str] = []

    def record(_method: str, path: str) -> bool:
        asked.append(path)
        return False

    with losing_proxy(tracking_uri, record) as uri:
        registry, model = MlflowRegistry(uri), unique("model")
        run = start(registry)
        made = register(registry, model, run, store_model(registry, run, tmp_path / "source"))
        registry.describe_version(model, made.version, description="words", tags={"a": "b"})
        registry.set_alias(model, "champion", made.version)
        assert registry.find_version(model, training_id="t-1", run_ids=[run.run_id]) == made
        assert registry.fetch(model, made.version, tmp_path / "fetched").files
    assert [path for path in asked if "registered-models/get" in path] == []


# -------------------- fetching


def test_fetched_files_are_those_that_were_logged(registry: MlflowRegistry, tmp_path: Path) -> None:
    model, run = unique("model"), start(registry)
    source = store_model(registry, run, tmp_path / "source")
    register(registry, model, run, source)
    manifest = registry.fetch(model, "1", tmp_path / "deep" / "fetched")
    assert [(file.path, file.size) for file in manifest.files] == [
        ("MLmodel", 12),
        ("data/inner.bin", 256),
        ("odd 50% name.txt", 1000),
    ]
    assert (tmp_path / "deep" / "fetched" / "data" / "inner.bin").read_bytes() == bytes(range(256))
    assert registry.fetch(model, "1", tmp_path / "again").digest == manifest.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "deep", "source"]


def test_fetching_refuses_and_leaves_nothing_when_a_limit_is_passed(
    registry: MlflowRegistry, tracking_uri: str, tmp_path: Path
) -> None:
    model, run = unique("model"), start(registry)
    register(registry, model, run, store_model(registry, run, tmp_path / "source"))
    for limits in (Limits(size=1267), Limits(files=3)):
        with pytest.raises(RefusedError) as caught:
            MlflowRegistry(tracking_uri, limits=limits).fetch(model, "1", tmp_path / "fetched")
        assert caught.value.reason == "model_too_large"
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    assert MlflowRegistry(tracking_uri, limits=Limits(size=1268)).fetch(model, "1", tmp_path / "fetched").files


def test_a_download_is_given_up_before_the_step_that_makes_it() -> None:
    for step in (TRAINING.step("register"), ROLLOUT.step("verify")):
        assert Limits().seconds < step.deadline.total_seconds()


def test_fetching_names_what_is_missing(registry: MlflowRegistry, tmp_path: Path) -> None:
    model, run = unique("model"), start(registry)
    register(registry, model, run, source_of(run))
    with pytest.raises(RefusedError) as empty:
        registry.fetch(model, "1", tmp_path / "fetched")
    assert empty.value.reason == "EmptyModel"
    with pytest.raises(NotFoundError):
        registry.fetch(model, "2", tmp_path / "fetched")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConflictError):
        registry.fetch(model, "1", tmp_path / "full")


UNSAFE = [
    "../../x",
    "/etc/passwd",
    "C:\\x",
    "C:x",
    "a\\b",
    "nul\x00",
    "line\nbreak",
    "a/" * 2000 + "a",
    "n" * 256,
    "%2e%2e",
    "%252e%252e",
    "%2e%2e%2fx",
    "a%2f..%2fb",
    "#/../x",
    ".",
    "..",
    "",
    "a//b",
    "\ud800",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_attack_55_an_unsafe_artifact_path_is_refused(path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_path(path)
    assert caught.value.reason == "unsafe_path"


@pytest.mark.parametrize("name", [*UNSAFE, "inner/name"])
def test_attack_55_a_listing_with_an_unsafe_name_leaves_no_file(name: str, tmp_path: Path) -> None:
    listing = json.dumps({"files": [{"path": "MLmodel", "file_size": 2}, {"path": name, "file_size": 2}]})
    with odd_server(hostile_model(lambda _: listing.encode())) as uri, pytest.raises(RefusedError) as caught:
        MlflowRegistry(uri).fetch("iris", "1", tmp_path / "fetched")
    assert caught.value.reason == "unsafe_path"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["MLmodel", "MLmodel/x"])
def test_attack_55_names_that_collide_are_refused(name: str, tmp_path: Path) -> None:
    folders = {
        "m": [{"path": "MLmodel"}, {"path": name.removesuffix("/x"), "is_dir": "/" in name}],
        "m/MLmodel": [{"path": "x"}],
    }

    def listing(folder: str) -> bytes:
        return json.dumps({"files": folders[folder]}).encode()

    with odd_server(hostile_model(listing)) as uri, pytest.raises(RefusedError, match="collides"):
        MlflowRegistry(uri).fetch("iris", "1", tmp_path / "fetched")
    assert list(tmp_path.iterdir()) == []


def test_attack_64_folders_without_end_are_refused(tmp_path: Path) -> None:
    endless = json.dumps({"files": [{"path": "d", "is_dir": True}]}).encode()
    with odd_server(hostile_model(lambda _: endless)) as uri, pytest.raises(RefusedError, match="deep"):
        MlflowRegistry(uri).fetch("iris", "1", tmp_path / "fetched")


def test_attack_64_a_listing_of_far_too_many_bytes_is_not_kept(tmp_path: Path) -> None:
    with odd_server(hostile_model(lambda _: b" " * (9 << 20))) as uri, pytest.raises(RetryError) as caught:
        MlflowRegistry(uri).fetch("iris", "1", tmp_path / "fetched")
    assert caught.value.reason == "upstream_bad_reply"


def test_a_file_that_changed_since_it_was_listed_is_not_accepted(tmp_path: Path) -> None:
    listing = json.dumps({"files": [{"path": "MLmodel", "file_size": 3}]}).encode()
    with odd_server(hostile_model(lambda _: listing)) as uri, pytest.raises(RetryError, match="were listed"):
        MlflowRegistry(uri).fetch("iris", "1", tmp_path / "fetched")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "location", ["mlflow-artifacts://169.254.169.254/x", "http://169.254.169.254/x", "/etc", "s3://bucket/model"]
)
def test_attack_64_an_artifact_location_elsewhere_is_not_asked(location: str, tmp_path: Path) -> None:
    answer = Reply(body=json.dumps({"artifact_uri": location}).encode())
    with odd_server(lambda *_: answer) as uri, pytest.raises(StalledError, match="--serve-artifacts") as caught:
        MlflowRegistry(uri).fetch("iris", "1", tmp_path / "fetched")
    assert caught.value.reason == "ArtifactsNotProxied"


def hostile_model(listing: Callable[[str], bytes]) -> Callable[[str, str], Reply]:
    """Answer as a server whose version's artifacts are listed by the one who attacks; each file holds two bytes."""

    def reply(_method: str, path: str) -> Reply:
        parts = urlsplit(path)
        if parts.path.endswith("get-download-uri"):
            return Reply(body=b'{"artifact_uri": "mlflow-artifacts:/m"}')
        if parts.path == _PROXY:
            return Reply(body=listing(unquote(parse_qs(parts.query)["path"][0])))
        return Reply(body=b"ok")

    return reply


# -------------------- a server that fails


BAD_REPLIES = [
    Reply(302, b"", {"Location": "http://169.254.169.254/latest/meta-data/"}),
    Reply(307, b"", {"Location": "/elsewhere"}),
    Reply(200, b"<html>login</html>", {"Content-Type": "text/html"}),
    Reply(200, b'{"model_version": '),
    Reply(200, b"[1, 2]"),
    Reply(200, b'{"model_version": "a text", "run": 3, "experiment": []}'),
    Reply(404, b"<html>no such page</html>"),
]


@pytest.mark.parametrize("reply", BAD_REPLIES, ids=lambda reply: f"{reply.status}-{reply.body[:12]!r}")
def test_attack_64_a_bad_reply_is_tried_again_and_no_redirect_followed(reply: Reply) -> None:
    asked: list[str] = []

    def record(_method: str, path: str) -> Reply:
        asked.append(path)
        return reply

    with odd_server(record) as uri:
        registry = MlflowRegistry(uri)
        with pytest.raises(RetryError) as reading:
            registry.version("iris", "1")
        with pytest.raises(UnknownOutcomeError) as creating:
            register(registry, "iris", RunRef(run_id="r", experiment_id="1"), LoggedModel("m", "mlflow-artifacts:/m"))
        with pytest.raises(RetryError) as fetching:
            registry.fetch("iris", "1", Path("never"))
    reasons = {caught.value.reason for caught in (reading, creating, fetching)}
    assert reasons == {"upstream_bad_reply"}
    assert len(asked) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_not_able_to_answer_is_asked_once_and_tried_again_later(status: int) -> None:
    asked = []

    def record(_method: str, path: str) -> Reply:
        asked.append(path)
        return Reply(status, b"busy")

    with odd_server(record) as uri, pytest.raises(RetryError) as caught:
        MlflowRegistry(uri).version("iris", "1")
    assert caught.value.reason == "RegistryUnavailable"
    assert len(asked) == 1


def test_a_server_that_is_gone_had_no_effect() -> None:
    registry = MlflowRegistry(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RetryError) as caught:
        register(registry, "iris", RunRef(run_id="r", experiment_id="1"), LoggedModel("m", "mlflow-artifacts:/m"))
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert caught.value.reason == "RegistryUnavailable"


@pytest.mark.parametrize("status", [401, 403])
def test_missing_rights_wait_for_a_person(status: int) -> None:
    body = b'{"error_code": "PERMISSION_DENIED", "message": "no"}'
    if status == 401:
        body = b'{"error_code": "UNAUTHENTICATED", "message": "no"}'
    with odd_server(lambda *_: Reply(status, body)) as uri, pytest.raises(StalledError) as caught:
        MlflowRegistry(uri).version("iris", "1")
    assert caught.value.reason == "RegistryForbidden"


CALLS: list[Callable[[MlflowRegistry], object]] = [
    lambda registry: registry.version("iris", "1"),
    lambda registry: start(registry, experiment="e", run_key="k"),
    lambda registry: registry.end_run("r", succeeded=True),
    lambda registry: registry.set_alias("iris", "champion", "1"),
    lambda registry: registry.find_version("iris", training_id="t", run_ids=["r"]),
    lambda registry: registry.fetch("iris", "1", Path("never")),
    lambda registry: registry.log_file("r", Path(__file__), folder="launchpin"),
]


@pytest.mark.parametrize("ask", CALLS)
def test_attack_64_a_reply_of_two_gigabytes_is_left(tracking_uri: str, ask: Callable[[MlflowRegistry], object]) -> None:
    with running_outside(tracking_uri) as outside:
        outside.script.bad_reply((".*", ""), BadReply.HUGE)
        with pytest.raises(RetryError) as caught:
            ask(MlflowRegistry(outside.url))
    assert caught.value.reason == "upstream_bad_reply"


@pytest.mark.parametrize("ask", CALLS)
def test_a_silent_server_is_left_in_time(tracking_uri: str, ask: Callable[[MlflowRegistry], object]) -> None:
    with running_outside(tracking_uri) as outside:
        outside.script.slow((".*", ""), 600, FOREVER, late=True)
        begun = time.monotonic()
        with pytest.raises(RetryError) as caught:
            ask(MlflowRegistry(outside.url, limits=Limits(timeout=0.2)))
    assert time.monotonic() - begun < 20
    assert caught.value.reason == "RegistryUnavailable"


@pytest.mark.parametrize("status", [429, 503])
def test_a_named_wait_is_kept_whatever_is_asked_meanwhile(tracking_uri: str, status: int) -> None:
    now = [1000.0]
    with running_outside(tracking_uri) as outside:
        rule = outside.script.fail_before((".*", ""), status, FOREVER, {"retry-after": "600"})
        registry = MlflowRegistry(outside.url, clock=lambda: now[0])
        for passed, left in ((0, 600), (0, 600), (599, 1)):
            now[0] = 1000.0 + passed
            for ask in CALLS:
                with pytest.raises(RetryError) as caught:
                    ask(registry)
                assert (caught.value.reason, caught.value.after) == ("RegistryUnavailable", left)
        assert rule.fired == 1
        outside.script.clear()
        now[0] = 1600.0
        assert registry.version(unique("model"), "1") is None


def test_a_lost_answer_to_a_stored_file_stores_it_once(tracking_uri: str, tmp_path: Path) -> None:
    file = tmp_path / "train.log"
    file.write_text("a line\n")
    with running_outside(tracking_uri) as outside:
        registry = MlflowRegistry(outside.url)
        run = start(registry)
        outside.script.apply_then_drop(("PUT", _PROXY))
        with pytest.raises(RetryError):
            registry.log_file(run.run_id, file, folder="launchpin")
        registry.log_file(run.run_id, file, folder="launchpin")
    found = httpx.get(
        f"{tracking_uri}/api/2.0/mlflow/artifacts/list", params={"run_id": run.run_id, "path": "launchpin"}
    )
    assert [(one["path"], int(one["file_size"])) for one in found.json()["files"]] == [("launchpin/train.log", 7)]


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
