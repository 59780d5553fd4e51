"""A checkout holds exactly the commit, whatever died half way and whatever is broken: it is made anew."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitops.errors import ConflictError, NotFoundError, RefusedError, RetryError
from gitops.forge.checkout import TreeLimits
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.records import Repository
from tests.contract.mirror_rig import TOKEN, disk, mirror, origin, repository, server
from tests.support.githttp import GitServer, Origin

__all__ = ["mirror", "origin", "repository", "server"]


def die(tmp_path: Path, server: GitServer, repository: Repository, call: str, *, at: str) -> None:
    """Make a call on the same mirrors in a process that is killed at a failpoint."""
    code = f"""
from pathlib import Path
from gitops.forge.mirror import GitMirror
from gitops.records import Repository
mirror = GitMirror(Path({str(tmp_path / "mirrors")!r}), forge_api={server.api!r}, token="")
repository = Repository.model_validate_json({repository.model_dump_json()!r})
{call}
"""
    environment = os.environ | {"LAUNCHPIN_FAILPOINTS": f"{at}=kill"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -9


def test_i8_checkout_writes_exactly_the_commit(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit(
        {
            "train.py": b"print(1)\r\n",
            "bin/run": (0o100755, b"#!/bin/sh\n"),
            "deep/er/x": b"\0\xff",
            "sub": (0o160000, b"1" * 40),
        }
    )
    origin.commit({"train.py": b"print(2)"})
    into = tmp_path / "work" / "checkout"

    mirror.checkout(repository, head, into)

    assert disk(into) == {"train.py", "bin", "bin/run", "deep", "deep/er", "deep/er/x"}
    assert (into / "train.py").read_bytes() == b"print(1)\r\n"
    assert (into / "deep/er/x").read_bytes() == b"\0\xff"
    assert os.access(into / "bin/run", os.X_OK)
    assert not os.access(into / "train.py", os.X_OK)
    assert {path.stat().st_mtime for path in [into, *into.rglob("*")]} == {1_700_000_001.0}
    assert stat.S_IMODE(into.stat().st_mode) == 0o700
    assert os.listdir(into.parent) == ["checkout"]  # noqa: PTH208 - hidden ones count


def test_i8_bytes_that_are_not_the_commits_are_never_used(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    origin.commit({"a": b"1"})
    mirror.fetch(repository)
    inside = Origin(tmp_path / "mirrors" / "7.git")
    head = inside.commit({"train.py": b"good"}, branch="x")
    good, evil = (inside.path / "objects" / oid[:2] / oid[2:] for oid in (inside.blob(b"good"), inside.blob(b"evil")))
    good.chmod(0o600)
    good.write_bytes(evil.read_bytes())

    with pytest.raises(RetryError) as caught:
        mirror.checkout(repository, head, tmp_path / "work" / "into")

    assert caught.value.reason == "MirrorBroken"
    assert not list((tmp_path / "work").iterdir())
    with pytest.raises(NotFoundError):
        mirror.read(repository, head, "train.py")


def test_checkout_refuses_when_the_folder_is_there(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a": b"1"})
    (tmp_path / "there").mkdir()

    with pytest.raises(ConflictError):
        mirror.checkout(repository, head, tmp_path / "there")

    assert disk(tmp_path / "there") == set()


def test_checkout_fetches_once_more_when_the_commit_is_new(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    origin.commit({"a": b"1"})
    mirror.fetch(repository)
    newer = origin.commit({"a": b"2"})

    mirror.checkout(repository, newer, tmp_path / "into")

    assert (tmp_path / "into" / "a").read_bytes() == b"2"


def test_i8_nothing_remains_when_a_checkout_dies_before_it_is_complete(
    mirror: GitMirror, server: GitServer, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a": b"1"})
    folder = tmp_path / "work"
    call = f"mirror.checkout(repository, {head!r}, Path({str(folder / 'into')!r}))"
    die(tmp_path, server, repository, call, at="checkout.before")
    assert not (folder / "into").exists()
    assert len(list(folder.iterdir())) == 1

    mirror.checkout(repository, head, folder / "into")

    assert [path.name for path in folder.iterdir()] == ["into"]


def test_i8_a_clone_that_died_half_way_is_not_used(
    mirror: GitMirror, server: GitServer, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a": b"1"})
    die(tmp_path, server, repository, "mirror.fetch(repository)", at="mirror_clone.before")
    assert not (tmp_path / "mirrors" / "7.git").exists()

    mirror.fetch(repository)

    assert mirror.heads(repository) == {"refs/heads/main": head}
    assert sorted(os.listdir(tmp_path / "mirrors")) == [".home", "7.git", "7.lock"]  # noqa: PTH208 - hidden ones count


@pytest.mark.parametrize("damage", ["HEAD", "config", "objects", "refs", "flipped"])
def test_a_broken_mirror_is_made_anew(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path, damage: str
) -> None:
    head = origin.commit({"a": b"1" * 1000})
    mirror.fetch(repository)
    folder = tmp_path / "mirrors" / "7.git"
    if damage == "flipped":
        pack = next(folder.glob("objects/pack/*.pack"))
        pack.chmod(0o600)
        raw = bytearray(pack.read_bytes())
        raw[20] ^= 0xFF
        pack.write_bytes(raw)
    elif (folder / damage).is_dir():
        os.rename(folder / damage, tmp_path / "moved")  # noqa: PTH104 - a folder into another
    else:
        (folder / damage).write_bytes(b"\0nonsense")
    deadline = time.monotonic() + 20
    while True:
        try:
            mirror.fetch(repository)
            assert mirror.read(repository, head, "a") == b"1" * 1000
            break
        except (RetryError, NotFoundError):
            assert time.monotonic() < deadline

    assert mirror.heads(repository) == {"refs/heads/main": head}


def test_checkout_refuses_more_files_than_the_limit(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({f"f{number}": b"" for number in range(11)})
    limits = MirrorLimits(tree=TreeLimits(files=10))
    mirror = GitMirror(tmp_path / "mirrors", forge_api=server.api, token=lambda: TOKEN, limits=limits)

    with pytest.raises(RefusedError, match="limit=10"):
        mirror.checkout(repository, head, tmp_path / "into")
