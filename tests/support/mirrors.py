"""Git over loopback, and a mirror of what it serves; import the fixtures where a test wants them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.records import Repository, Role
from tests.support.githttp import GitServer, Origin, serve_git

TOKEN = "a-token-that-must-not-leak"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with serve_git(tmp_path / "origins") as running:
        yield running


@pytest.fixture
def origin(server: GitServer) -> Origin:
    return Origin.make(server.root / "acme" / "iris.git")


@pytest.fixture
def repository(server: GitServer) -> Repository:
    return Repository(id=7, full_name="acme/iris", role=Role.MODEL, clone_url=server.url("acme/iris"))


def make_mirror(tmp_path: Path, server: GitServer, limits: MirrorLimits | None = None) -> GitMirror:
    return GitMirror(tmp_path / "mirrors", forge_api=server.api, token=TOKEN, limits=limits)


@pytest.fixture
def mirror(tmp_path: Path, server: GitServer) -> GitMirror:
    return make_mirror(tmp_path, server)
