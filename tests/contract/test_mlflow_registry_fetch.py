"""Fetching a version's files from MLflow: what was logged arrives, and nothing that a hostile server makes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gitops.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
)
from gitops.registry.artifacts import Limits, check_path
from gitops.registry.mlflow import MlflowRegistry
from gitops.rollout import ROLLOUT
from gitops.training import TRAINING
from tests.contract.mlflow_registry_rig import PROXY, register, registry, source_of, start, store_model, unique
from tests.support.mlflow_wire import Reply, odd_server

__all__ = ["registry"]


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
        if parts.path == PROXY:
            return Reply(body=listing(unquote(parse_qs(parts.query)["path"][0])))
        return Reply(body=b"ok")

    return reply
