"""Attacks 40 and 41 by Git: repositories that grow or unfold without end, and names that collide."""

import os
import time
from pathlib import Path

import pytest

from gitops.errors import RefusedError
from gitops.forge.checkout import TreeLimits
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.records import Repository
from tests.attacks.git_rig import make_mirror, mirror, origin, repository, server
from tests.support.githttp import GitServer, Origin

__all__ = ["mirror", "origin", "repository", "server"]


def used(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------- 40: size


def test_attack_40_a_repository_over_the_limit_is_cut_off_while_it_arrives(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    mirror = make_mirror(tmp_path, server, MirrorLimits(mirror=1024**2))
    before = used(tmp_path / "mirrors")
    origin.commit({"big": os.urandom(16 * 1024**2)})
    start = time.monotonic()

    with pytest.raises(RefusedError, match="limit=1048576") as caught:
        mirror.fetch(repository)

    assert caught.value.reason == "repo_too_large"
    assert time.monotonic() - start < 60
    assert used(tmp_path / "mirrors") == before
    assert not (tmp_path / "mirrors" / "7.git").exists()


def test_attack_40_growth_over_the_limit_leaves_the_mirror_as_it_was(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    mirror = make_mirror(tmp_path, server, MirrorLimits(mirror=1024**2))
    head = origin.commit({"small": b"1"})
    mirror.fetch(repository)
    before = used(tmp_path / "mirrors")
    origin.commit({"big": os.urandom(16 * 1024**2)})

    with pytest.raises(RefusedError):
        mirror.fetch(repository)

    assert used(tmp_path / "mirrors") == before
    assert mirror.heads(repository) == {"refs/heads/main": head}
    assert mirror.read(repository, head, "small") == b"1"


def test_attack_40_a_file_of_zeros_that_packs_to_nothing_is_refused_unwritten(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({"zeros": bytes(64 * 1024**2), "a": b"1"})
    mirror = make_mirror(tmp_path, server, MirrorLimits(tree=TreeLimits(file=1024**2)))

    with pytest.raises(RefusedError, match="limit=1048576") as caught:
        mirror.checkout(repository, head, tmp_path / "work" / "into")

    assert caught.value.reason == "repo_too_large"
    assert not list((tmp_path / "work").iterdir())


def test_attack_40_one_small_blob_named_by_many_files_counts_each_time(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({f"f{number}": bytes(100_000) for number in range(20)})
    mirror = make_mirror(tmp_path, server, MirrorLimits(tree=TreeLimits(total=1024**2)))

    with pytest.raises(RefusedError, match="limit=1048576"):
        mirror.checkout(repository, head, tmp_path / "work" / "into")

    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("leaf", ["files", "empty folders"])
def test_attack_40_a_tree_that_unfolds_to_ten_billion_names_is_refused_quickly(
    origin: Origin, server: GitServer, repository: Repository, tmp_path: Path, leaf: str
) -> None:
    mirror = make_mirror(tmp_path, server, MirrorLimits(tree=TreeLimits(files=20_000)))
    tree = origin.raw_tree(*((0o100644, b"f%d" % n, origin.blob(b"")) for n in range(10))) if leaf == "files" else ""
    tree = tree or origin.raw_tree()
    for _ in range(9):
        tree = origin.raw_tree(*((0o40000, b"d%d" % number, tree) for number in range(10)))
    head = origin.commit(tree)
    start = time.monotonic()

    for ask in (
        lambda: mirror.files(repository, head),
        lambda: mirror.changed_paths(repository, "", head),
        lambda: mirror.checkout(repository, head, tmp_path / "work" / "into"),
    ):
        with pytest.raises(RefusedError, match="limit=20000") as caught:
            ask()
        assert caught.value.reason == "repo_too_large"

    assert time.monotonic() - start < 60
    assert not list((tmp_path / "work").iterdir())


def test_attack_40_a_deep_chain_of_folders_is_refused(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    tree = origin.raw_tree((0o100644, b"f", origin.blob(b"")))
    for _ in range(300):
        tree = origin.raw_tree((0o40000, b"d" * 30, tree))
    head = origin.commit(tree)

    with pytest.raises(RefusedError):
        mirror.checkout(repository, head, tmp_path / "work" / "into")
    with pytest.raises(RefusedError):
        mirror.files(repository, head)

    assert not list((tmp_path / "work").iterdir())


# ---------------------------------------------------------------- 41: twins


@pytest.mark.parametrize(
    "files",
    [
        {"Model": b"1", "model": b"2"},
        {"caf\u00e9": b"1", "cafe\u0301": b"2"},
        {"Dir/a": b"1", "dir/b": b"2"},
        {"deep/Dir/a": b"1", "deep/dir": b"2"},
        {"stra\u00dfe": b"1", "STRASSE": b"2"},
        {"Link": (0o120000, b"dir"), "link/x": b"2"},
    ],
)
def test_attack_41_twins_are_refused(
    mirror: GitMirror,
    origin: Origin,
    repository: Repository,
    tmp_path: Path,
    files: dict[str, bytes | tuple[int, bytes]],
) -> None:
    head = origin.commit(files)

    with pytest.raises(RefusedError) as caught:
        mirror.checkout(repository, head, tmp_path / "work" / "into")

    assert caught.value.reason == "name_not_canonical"
    assert not list((tmp_path / "work").iterdir())


def test_attack_41_the_same_name_in_two_folders_is_fine(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a/Model": b"1", "b/model": b"2", "caf\u00e9": b"3"})

    mirror.checkout(repository, head, tmp_path / "into")

    assert (tmp_path / "into" / "b" / "model").read_bytes() == b"2"
