"""What the tests of environments share: wheels in place of an index, environments on them, and projects."""

import json
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


def write_interpreter(folder: Path, *, platform: str) -> Path:
    """Write a program that says of itself what this interpreter would on another platform."""
    version = ".".join(map(str, sys.version_info[:3]))
    path = getattr(sys, "_base_executable", "") or sys.executable
    about = {"path": path, "version": version, "implementation": sys.implementation.name, "platform": platform}
    program = folder / f"python-of-{platform}"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(about)}'\n", encoding="utf-8")
    program.chmod(0o755)
    return program
