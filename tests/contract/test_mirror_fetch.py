"""Fetching into a mirror: each failure has its name, the token stays in a header, and nothing is fetched twice."""

import threading
import time
from pathlib import Path

import pytest

from gitops.errors import LaunchpinError, NotFoundError, RetryError, StalledError
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.records import Repository
from tests.contract.mirror_rig import TOKEN, make_mirror, mirror, origin, repository, server
from tests.support.githttp import GitServer, Origin

__all__ = ["mirror", "origin", "repository", "server"]


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        ("unavailable", RetryError, "ForgeUnavailable"),
        ("drop", RetryError, "ForgeUnavailable"),
        ("redirect", StalledError, "RepositoryMoved"),
    ],
)
def test_fetch_names_the_failure_and_keeps_the_mirror(
    mirror: GitMirror,
    origin: Origin,
    repository: Repository,
    server: GitServer,
    fault: str,
    error: type[LaunchpinError],
    reason: str,
) -> None:
    head = origin.commit({"a": b"1"})
    mirror.fetch(repository)
    server.fault = fault

    with pytest.raises(error) as caught:
        mirror.fetch(repository)

    assert caught.value.reason == reason
    assert TOKEN not in str(caught.value)
    assert mirror.read(repository, head, "a") == b"1"


def test_fetch_retries_later_when_the_forge_stalls(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    origin.commit({"a": b"1"})
    server.fault = "stall"
    mirror = make_mirror(tmp_path, server, MirrorLimits(fetch=0.3))

    with pytest.raises(RetryError) as caught:
        mirror.fetch(repository)

    assert caught.value.reason == "GitTimeout"


def test_fetch_says_when_nothing_listens(mirror: GitMirror, repository: Repository, server: GitServer) -> None:
    away = repository.model_copy(update={"clone_url": "http://127.0.0.1:1/acme/iris.git"})
    lonely = GitMirror(mirror._root, forge_api="http://127.0.0.1:1/api/v3", token="")  # noqa: SLF001 - the same folder

    with pytest.raises(RetryError) as caught:
        lonely.fetch(away)

    assert caught.value.reason == "ForgeUnavailable"
    assert server.asked == []


def test_fetch_raises_not_found_when_the_repository_is_gone(mirror: GitMirror, repository: Repository) -> None:
    with pytest.raises(NotFoundError):
        mirror.fetch(repository)


def test_the_token_travels_in_a_header_only(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    server.token = TOKEN
    head = origin.commit({"a": b"1"})
    mirror = make_mirror(tmp_path, server)

    mirror.fetch(repository)

    assert mirror.heads(repository) == {"refs/heads/main": head}
    assert all(TOKEN not in path for path, _ in server.asked)
    stored = [path for path in (tmp_path / "mirrors").rglob("*") if path.is_file()]
    assert stored
    assert all(TOKEN.encode() not in path.read_bytes() for path in stored)


def test_fetch_stalls_when_the_token_is_refused(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    origin.commit({"a": b"1"})
    server.token = "another"

    with pytest.raises(StalledError) as caught:
        make_mirror(tmp_path, server).fetch(repository)

    assert caught.value.reason == "ForgeCredentials"
    assert TOKEN not in str(caught.value)


def test_fetches_of_one_repository_wait_for_each_other(
    mirror: GitMirror, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({"a": b"1"})
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            mirror.fetch(repository)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert mirror.heads(repository) == {"refs/heads/main": head}


def test_packs_are_joined_when_there_are_many(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    mirror = make_mirror(tmp_path, server, MirrorLimits(packs=4))
    heads = []
    for number in range(6):
        heads.append(origin.commit({"a": b"%d" % number}))
        mirror.fetch(repository)

    packs = list(mirror._path(repository).glob("objects/pack/*.pack"))  # noqa: SLF001 - looks at the disk

    assert len(packs) < 4
    assert mirror.first_parents(repository, heads[-1], limit=100) == heads[::-1]


def test_an_unchanged_fetch_is_quick(mirror: GitMirror, origin: Origin, repository: Repository) -> None:
    origin.commit({"a": b"1"})
    mirror.fetch(repository)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        mirror.fetch(repository)
        times.append(time.perf_counter() - start)

    assert min(times) < 0.5  # 0.1 on a quiet machine


def test_a_commit_that_another_hosts_mirror_brought_into_the_records_is_fetched_when_it_is_read(
    mirror: GitMirror, origin: Origin, repository: Repository
) -> None:
    origin.commit({"a": b"1"})
    mirror.fetch(repository)
    later = origin.commit({"a": b"2"}, message="later")

    assert mirror.message(repository, later).strip() == "later"
    assert mirror.read(repository, later, "a") == b"2"


def test_a_commit_that_nobody_has_is_looked_for_at_the_forge_once(
    mirror: GitMirror, origin: Origin, repository: Repository, server: GitServer
) -> None:
    origin.commit({"a": b"1"})
    mirror.fetch(repository)
    before = len(server.asked)

    with pytest.raises(NotFoundError):
        mirror.read(repository, "0" * 40, "a")
    once = len(server.asked) - before
    with pytest.raises(NotFoundError):
        mirror.read(repository, "no commit", "a")

    assert once
    assert len(server.asked) == before + once
