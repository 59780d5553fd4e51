"""Tiny real pyfunc models: MLflow loads and serves them as it does any other, and they misbehave when told to."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gitops.manifest import Manifest, ManifestFile, build_manifest

_MLMODEL = """\
flavors:
  python_function:
    loader_module: tiny_model
    code: code
    data: data
    python_version: 3.11.0
mlflow_version: 3.17.0
model_uuid: 0123456789abcdef0123456789abcdef
"""

_CODE = """\
import json
import os
import pathlib
import threading
import time

_lock = threading.Lock()


class Tiny:
    def __init__(self, behaviour):
        self.behaviour = behaviour
        self.seen = 0

    def predict(self, frame):
        from mlflow.exceptions import MlflowException

        with _lock:
            self.seen += 1
            seen = self.seen
        time.sleep(self.behaviour["slow"])
        if 0 <= self.behaviour["fail_after"] < seen:
            raise MlflowException("the weights are gone")
        if 0 <= self.behaviour["raise_after"] < seen:
            raise RuntimeError("an ordinary error in the model")
        if 0 <= self.behaviour["die_after"] < seen:
            os._exit(3)
        if self.behaviour["tell"] == "environment":
            return [json.dumps(dict(os.environ))]
        if self.behaviour["tell"] == "folder":
            return [os.getcwd(), *os.listdir()]
        return [self.behaviour["answer"]] * len(frame)


def _load_pyfunc(path):
    behaviour = json.loads(pathlib.Path(path, "behaviour.json").read_text())
    print("loading", behaviour["answer"], flush=True)
    if behaviour["refuse_to_load"]:
        raise RuntimeError("this model cannot be loaded")
    return Tiny(behaviour)
"""


@dataclass(frozen=True)
class Behaviour:
    """What a tiny model does.

    Args:
        answer: predicted for every row.
        fail_after: so many good answers, then a 500 each; -1 for never.
        raise_after: the same with an exception that MLflow makes a 400 of.
        die_after: the same, then the process ends.
        slow: seconds for each answer.
        refuse_to_load: raises while it is loaded.
        tell: `environment` or `folder`: answers with what the process sees.
    """

    answer: str = "one"
    fail_after: int = -1
    raise_after: int = -1
    die_after: int = -1
    slow: float = 0.0
    refuse_to_load: bool = False
    tell: str = ""


def write_model(folder: Path, behaviour: Behaviour) -> Manifest:
    """Write a model into a new folder and return its manifest."""
    (folder / "code").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "MLmodel").write_text(_MLMODEL)
    (folder / "code" / "tiny_model.py").write_text(_CODE)
    (folder / "data" / "behaviour.json").write_text(json.dumps(asdict(behaviour)))
    return manifest_of(folder)


def manifest_of(folder: Path) -> Manifest:
    """Return the manifest of the regular files in a folder, by a road other than the host's own."""
    return build_manifest(
        ManifestFile(file.relative_to(folder).as_posix(), file.stat().st_size, _sha256(file))
        for file in folder.rglob("*")
        if file.is_file()
    )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
