"""What the tests of `launchpin init` share: a folder where nothing is known, a script, and what a folder holds."""

from pathlib import Path

import pytest

SCRIPT = """
import argparse
import mlflow

mark = open("was-run", "w")
parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=1e-5)
parser.add_argument("--label", default='it\\'s "x" {y} $(z)')
parser.add_argument("--verbose", action="store_true")
options = parser.parse_args()
mlflow.log_metric("rmse", 1.0)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder where git knows nobody and nothing of the machine's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts}
