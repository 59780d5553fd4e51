"""What the tests of the Forge port share: the embedded forge, us and a person on it, a new repository."""

import secrets
from collections.abc import Iterator

import pytest

from gitops.forge.github import GitHubForge
from gitops.forge.pacing import WriteLimits
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.githttp import Origin

BOT = "launchpin[bot]"
PIN = b'version: 0.2 # \xc3\xb6\r\n\tMODEL_VERSION=""  \r\nno newline'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def forge(server: ForgeUnderTest) -> Iterator[GitHubForge]:
    ours = GitHubForge(server.api, server.bot, login=BOT, limits=WriteLimits(10_000, 10_000))
    yield ours
    ours.close()


@pytest.fixture
def person(server: ForgeUnderTest) -> Iterator[GitHubForge]:
    theirs = GitHubForge(server.api, server.user, login="you", limits=WriteLimits(10_000, 10_000))
    yield theirs
    theirs.close()


@pytest.fixture
def name(forge: GitHubForge) -> str:
    made = forge.ensure_repository(f"acme/deploy-{secrets.token_hex(4)}")
    return made.full_name


def on_disk(server: ForgeUnderTest, name: str) -> Origin:
    """Return the bare repository behind a name."""
    number = GitHubForge(server.api, server.bot, login=BOT).repository(name).id
    found = [path for path in server.home.rglob("*.git") if path.stem in {str(number), name.split("/")[1]}]
    return Origin(found[0])


@pytest.fixture
def base(forge: GitHubForge, name: str) -> str:
    """Give the first commit of `main`, with a pin."""
    return commit(forge, name, "", "main", {"staging/buildspec.yml": PIN}, create=True)


def commit(
    forge: GitHubForge, name: str, parent: str, branch: str, files: dict[str, bytes], *, create: bool = False
) -> str:
    for path, content in files.items():
        made = forge.commit_file(
            name, parent=parent, branch=branch, path=path, content=content, message=f"Change {path}", create=create
        )
        parent, create = made.sha, False
    return parent
