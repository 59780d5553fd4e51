"""What the tests of a forge that fails share: a scripted server, a forge on it, every call that asks it."""

from collections.abc import Callable, Iterator

import pytest

from gitops.forge.github import GitHubForge
from tests.support.scripted import ScriptedServer, serve_script

TOKEN = "ghp_0123456789abcdef"
SHA = "1" * 40
READS: list[Callable[[GitHubForge], object]] = [
    lambda forge: forge.repository("acme/x"),
    lambda forge: forge.head("acme/x", "main"),
    lambda forge: forge.read_file("acme/x", ref="main", path="a"),
    lambda forge: forge.find_pull("acme/x", head="b", base="main"),
    lambda forge: forge.pull("acme/x", 1),
    lambda forge: forge.open_pulls("acme/x"),
    lambda forge: forge.pull_files("acme/x", 1),
    lambda forge: forge.reviews("acme/x", 1),
    lambda forge: forge.checks("acme/x", SHA),
]
WRITES: list[Callable[[GitHubForge], object]] = [
    lambda forge: forge.open_pull("acme/x", head="b", base="main", title="t", body=""),
    lambda forge: forge.update_pull("acme/x", 1, title="t", body=""),
    lambda forge: forge.close_pull("acme/x", 1),
    lambda forge: forge.merge_pull("acme/x", 1, head_sha=SHA, title="t"),
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serve_script() as running:
        yield running


@pytest.fixture
def forge(server: ScriptedServer) -> Iterator[GitHubForge]:
    ours = GitHubForge(f"{server.base}/api/v3", TOKEN, login="launchpin[bot]")
    yield ours
    ours.close()
