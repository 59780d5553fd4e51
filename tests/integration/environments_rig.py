"""What the tests of environments share: wheels in place of an index, environments on them, and projects."""

import sys
from pathlib import Path

import pytest

from gitops.environments import UvEnvironments
from tests.support.wheels import make_wheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "launchpin_probe_base", "1.0")
    make_wheel(folder, "launchpin_probe_base", "2.0")
    make_wheel(folder, "launchpin_probe_top", "1.0", requires=["launchpin_probe_base<2"])
    return folder


@pytest.fixture
def environments(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> UvEnvironments:
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return UvEnvironments(tmp_path / "environments")
