"""What the tests of `launchpin train --local` share: a clone whose script logs to MLflow by plain HTTP."""

import sqlite3
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cli import Output, call
from tests.support.live import git

LAUNCHPIN = """\
version: 1
model: wine
train:
  parameters: {rate: "0.10"}
  timeout: 2m
register:
  gates:
    - {metric: accuracy, above: 0.9}
    - {metric: f1, versus: champion, min_gain: 0}
"""
MLPROJECT = """\
name: wine
entry_points:
  main:
    parameters: {rate: float}
    command: "python train.py --rate {rate}"
"""
# Speaks MLflow's REST API with Python alone, so that its environment is built in a second.
SCRIPT = """\
import json, os, sys, urllib.request

URI, RUN = os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_RUN_ID"]
EXPERIMENT = os.environ["MLFLOW_EXPERIMENT_ID"]

def send(method, path, data):
    asked = urllib.request.Request(f"{URI}/api/2.0/{path}", data, {"Content-Type": "application/json"}, method=method)
    return urllib.request.urlopen(asked).read()

def post(path, **body):
    return json.loads(send("POST", f"mlflow/{path}", json.dumps(body).encode()))

def log(**metrics):
    for key, value in metrics.items():
        post("runs/log-metric", run_id=RUN, key=key, value=value, timestamp=1)

def model():
    place = f"mlflow-artifacts/artifacts/{EXPERIMENT}/{RUN}/artifacts/model/MLmodel"
    send("PUT", place, b"flavors: {}")

"""
GOOD = "log(accuracy=0.95, f1=0.9)\nmodel()\nprint('trained', sys.argv[1:])\n"


@dataclass(frozen=True)
class Clone:
    """A model repository of one commit, whose script does nothing yet."""

    folder: Path
    stack_dir: Path

    def script(self, text: str) -> None:
        """Change what the script does; nobody commits that."""
        (self.folder / "train.py").write_text(SCRIPT + textwrap.dedent(text))

    def train(self, *arguments: object) -> Output:
        return call("train", "--local", self.folder, "--dir", self.stack_dir, *arguments)

    def registered(self) -> list[str]:
        """Return the models that were registered in the store of the tries."""
        with sqlite3.connect(self.folder / ".launchpin-local/mlflow/mlflow.db") as store:
            return [name for (name,) in store.execute("SELECT name FROM registered_models")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """Give one clone for all tests of a file, since the first try in it makes MLflow's tables."""
    base = tmp_path_factory.mktemp("local")
    folder = base / "wine"
    folder.mkdir()
    files = {
        "launchpin.yaml": LAUNCHPIN,
        "MLproject": MLPROJECT,
        "requirements.txt": "",
        "train.py": "",
        ".gitignore": "*.log\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_NO_INDEX", "1")
        patch.setenv("UV_CACHE_DIR", str(base / "cache"))
        yield Clone(folder, base / "no-stack")


@pytest.fixture(autouse=True)
def _as_committed(clone: Clone) -> None:
    """Begin each test with the files of the commit."""
    git(clone.folder, "checkout", "-q", "--", ".")
    git(clone.folder, "clean", "-q", "-f", "-d")
