"""`connect`: what could not be connected or granted is refused before anything is made at the forge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.errors import NotFoundError
from gitops.forge.github import GitHubForge
from gitops.records import Command
from gitops.steps import Phase
from gitops.store import SqlStore
from tests.support.deps import make_deps, make_service, run_all
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.store import make_command


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


def ask(server: ForgeUnderTest, store: SqlStore, folder: Path, **arguments: str) -> Command:
    """Have a repository connected by a service that has one secret; returns how it ended."""
    forge = GitHubForge(server.api, server.bot, login="launchpin[bot]")
    service = make_service(folder, secrets={"DB_PASSWORD": "s3cret"})
    asked = make_command(verb="connect", arguments={"role": "deploy", **arguments})
    store.save_command(asked)
    run_all(make_deps(store, folder, forge=forge, service=service))
    found = store.command(asked.id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("arguments", "reason", "words"),
    [
        ({"repository": "acme/.."}, "ArgumentInvalid", "write a repository as OWNER/NAME"),
        ({"repository": "acme/iris.git"}, "ArgumentInvalid", "without .git"),
        ({"repository": "acme"}, "ArgumentInvalid", "connect: repository is OWNER/NAME, not 'acme'"),
        ({"repository": "acme/never", "secrets": "LD_PRELOAD"}, "ArgumentInvalid", "steers the interpreter"),
        ({"repository": "acme/never", "secrets": "DB_PASSWORD,OTHER"}, "UnknownSecret", "no secret 'OTHER' to grant"),
        ({"repository": "acme/never", "secrets": "A B"}, "ArgumentInvalid", "with commas between them"),
    ],
)
def test_what_could_not_be_connected_is_refused_and_nothing_is_made(
    server: ForgeUnderTest, store: SqlStore, tmp_path: Path, arguments: dict[str, str], reason: str, words: str
) -> None:
    command = ask(server, store, tmp_path, **arguments)

    assert (command.phase, command.reason) == (Phase.REFUSED, reason)
    assert words in command.message
    assert store.repositories() == []
    with pytest.raises(NotFoundError):
        GitHubForge(server.api, server.bot, login="launchpin[bot]").repository("acme/never")


def test_a_secret_that_the_service_has_is_granted_and_stays_so(
    server: ForgeUnderTest, store: SqlStore, tmp_path: Path
) -> None:
    granted = ask(server, store, tmp_path, repository="acme/deploy", secrets="DB_PASSWORD")
    again = ask(server, store, tmp_path, repository="acme/deploy")

    assert (granted.phase, again.phase) == (Phase.SUCCEEDED, Phase.SUCCEEDED), granted.message
    (repository,) = store.repositories()
    assert repository.secrets == ("DB_PASSWORD",)
