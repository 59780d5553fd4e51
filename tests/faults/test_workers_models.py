"""A registration whose worker is killed: success means that every byte was hashed, and nothing partial is ever used."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gitops.errors import RefusedError
from gitops.models import fetch_version, hash_folder, model_folder, parse_manifest, verify_folder
from gitops.records import Training, Version
from gitops.steps import Phase
from tests.faults.tally import Tally, choose
from tests.faults.workers_rig import Rig, on_databases, rigs
from tests.faults.workers_training import FileRegistry
from tests.support.deps import Untouchable, make_deps
from tests.support.mlflow_wire import Reply, odd_server

__all__ = ["rigs"]

pytestmark = pytest.mark.timeout(1200)  # everything, on a busy machine

OpenTally = Callable[[str], Tally]

_SERVICE = "/api/2.0/mlflow-artifacts/artifacts"
_FILES = {"MLmodel": b"flavors: {}\n", "model.pkl": bytes(range(256)) * 4096, "code/a.py": b"x = 1\n", "empty": b""}
PLACES = (
    *(f"artifact_file.after@{hit}" for hit in range(1, len(_FILES) + 1)),
    *("create_version.before@1", "create_version.after@1", "keep_model.before@1", "keep_model.after@1"),
    *("finish.before@5", "finish.after@5"),
)


@dataclass(frozen=True)
class Artifacts:
    """A store of models' files behind a server that speaks the proxy's protocol."""

    folder: Path
    url: str

    @property
    def model(self) -> Path:
        return self.folder / "iris"


@contextmanager
def serving_artifacts(folder: Path) -> Iterator[Artifacts]:
    for path, content in _FILES.items():
        file = folder / "iris" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def reply(_method: str, target: str) -> Reply:
        parts = urlsplit(target)
        if parts.path == _SERVICE:
            return Reply(body=_listing(folder / parse_qs(parts.query)["path"][0]))
        return Reply(body=(folder / unquote(parts.path.removeprefix(f"{_SERVICE}/"))).read_bytes())

    with odd_server(reply) as url:
        yield Artifacts(folder, url)


def _listing(folder: Path) -> bytes:
    entries = [
        {"path": path.name, "is_dir": path.is_dir(), **({} if path.is_dir() else {"file_size": path.stat().st_size})}
        for path in sorted(folder.iterdir())
    ]
    return json.dumps({"files": entries}).encode()


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artifacts]:
    with serving_artifacts(tmp_path_factory.mktemp("artifacts")) as served:
        yield served


def test_i12_success_means_that_every_byte_was_hashed_wherever_the_worker_was_killed(
    rigs: Callable[[str], Rig], artifacts: Artifacts, tally: OpenTally
) -> None:
    row = tally("I12 a registration killed after any file succeeds whole, and partial files are never used")
    for database, place in choose(on_databases(*PLACES)):
        with row.case(f"{place} on {database}"):
            _register_and_kill(rigs(database), artifacts, place)
    row.check()


def _register_and_kill(rig: Rig, artifacts: Artifacts, place: str) -> None:
    models = rig.folder / "home" / "models"
    victim = rig.start(
        queues="control,training", threads=2, WORKERS_ARTIFACTS=artifacts.url, FAILPOINTS=place.replace("@", "=kill@")
    )
    training = rig.train("finish()\n")
    assert victim.wait() == -signal.SIGKILL
    _check_nothing_partial(models)
    rig.start(queues="control,training", threads=2, WORKERS_ARTIFACTS=artifacts.url)
    over = rig.end_training(training)
    assert over.phase is Phase.SUCCEEDED, over.message
    assert len(rig.outside.notes("version", training.id)) == 1, "two versions were made"
    version = _version(rig, over)
    assert version.manifest_sha256 == over.facts.manifest_sha256 == hash_folder(artifacts.model).digest
    verify_folder(models / version.manifest_sha256, parse_manifest(version.manifest))
    _check_nothing_partial(models)


def _version(rig: Rig, training: Training) -> Version:
    version = rig.store.version("iris", training.facts.version or "")
    assert version is not None
    assert version.training_id == training.id
    return version


def _check_nothing_partial(models: Path) -> None:
    """Check that whatever lies under a digest has that digest; what a killed worker left has another name."""
    for place in models.glob("[0-9a-f]*"):
        assert hash_folder(place).digest == place.name


def test_i12_one_byte_flipped_in_the_store_is_another_version(tmp_path: Path, tally: OpenTally) -> None:
    row = tally("I12 one byte flipped in the store, or in the files that are kept, is found")
    with serving_artifacts(tmp_path / "artifacts") as artifacts:
        deps = make_deps(cast("Any", Untouchable("store")), tmp_path, registry=FileRegistry(tmp_path, artifacts.url))
        judged = fetch_version(deps, "iris", "1")
        for path in [path for path, content in _FILES.items() if content]:
            with row.case(f"{path} in the store"):
                _flip(artifacts.model / path)
                assert fetch_version(deps, "iris", "1").digest != judged.digest
                verify_folder(model_folder(deps, judged.digest), judged)
                _flip(artifacts.model / path)
            with row.case(f"{path} as kept"):
                _flip(model_folder(deps, judged.digest) / path)
                with pytest.raises(RefusedError, match=f"{path} changed"):
                    verify_folder(model_folder(deps, judged.digest), judged)
                assert fetch_version(deps, "iris", "1") == judged
                verify_folder(model_folder(deps, judged.digest), judged)
    assert not [left for left in deps.service.models.iterdir() if left.name.startswith(".fetch")]
    row.check()


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
