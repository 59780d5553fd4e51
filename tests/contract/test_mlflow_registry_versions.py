"""Versions in a real MLflow server: made once whatever answers are lost, found, and never looked up slowly."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from gitops.errors import (
    NotFoundError,
    RefusedError,
    RetryError,
    UnknownOutcomeError,
)
from gitops.ports import RegisteredVersion, Registry, RunRef
from gitops.registry.mlflow import MlflowRegistry
from tests.contract.mlflow_registry_rig import call, register, registry, source_of, start, store_model, unique
from tests.support.mlflow_wire import Reply, losing_proxy, odd_server

__all__ = ["registry"]

_CREATE = "/api/2.0/mlflow/model-versions/create"


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


@pytest.mark.parametrize("lost", [1, 2])
def test_a_read_whose_connection_was_cut_is_sent_once_more_and_no_write_is(tracking_uri: str, lost: int) -> None:
    reads, writes = itertools.count(), itertools.count()

    def loses(method: str, path: str) -> bool:
        return (method == "GET" and next(reads) < lost) or (path == _CREATE and next(writes) == 0)

    direct, model = MlflowRegistry(tracking_uri), unique("model")
    run = start(direct)
    register(direct, model, run, source_of(run))
    with losing_proxy(tracking_uri, loses) as uri:
        registry = MlflowRegistry(uri)
        if lost == 1:
            assert registry.version(model, "1") is not None
        else:
            with pytest.raises(RetryError) as caught:
                registry.version(model, "1")
            assert caught.value.reason == "RegistryUnavailable"
        with pytest.raises(UnknownOutcomeError):
            register(registry, model, run, source_of(run))
    assert (next(reads), next(writes)) == (2, 1)
