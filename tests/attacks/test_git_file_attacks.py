"""Attacks 36 to 39 by Git: links, odd modes, unsafe paths, and what git itself would run."""

import os
from pathlib import Path

import pytest

from gitops.errors import RefusedError
from gitops.forge.mirror import GitMirror
from gitops.records import Repository
from tests.attacks.git_rig import is_canary_absent, make_mirror, mirror, origin, repository, server
from tests.support.githttp import GitServer, Origin

__all__ = ["mirror", "origin", "repository", "server"]

# ---------------------------------------------------------------- 36: links


def test_attack_36_a_linked_config_is_refused_and_not_read(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("what nobody may see")
    head = origin.commit(
        {
            "launchpin.yaml": (0o120000, os.fsencode(secret)),
            "train.yaml": (0o120000, b"/etc/passwd"),
            "inside.yaml": (0o120000, b"real.yaml"),
            "real.yaml": b"x",
            "folder": (0o120000, b"/etc"),
        }
    )

    for path in ("launchpin.yaml", "train.yaml", "inside.yaml", "folder", "folder/passwd"):
        with pytest.raises(RefusedError) as caught:
            mirror.read(repository, head, path)
        assert caught.value.reason == "symlink_config"
        assert "nobody may see" not in str(caught.value)
        assert "root:" not in str(caught.value)
    assert mirror.files(repository, head) == ("real.yaml",)


def test_attack_36_links_become_plain_files_in_a_checkout(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit(
        {"out": (0o120000, b"/etc/passwd"), "up": (0o120000, b"../../.."), "in": (0o120000, b"a"), "a": b"1"}
    )

    mirror.checkout(repository, head, tmp_path / "into")

    assert not any(path.is_symlink() for path in (tmp_path / "into").iterdir())
    assert (tmp_path / "into" / "out").read_bytes() == b"/etc/passwd"


# ---------------------------------------------------------------- 37, 38: what is written is regular files only


def test_attack_37_38_a_checkout_holds_folders_and_single_regular_files_only(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit(
        {"a": b"1", "b": b"1", "d/c": (0o100755, b"1"), "l": (0o120000, b"d"), "s": (0o160000, b"1" * 40)}
    )

    mirror.checkout(repository, head, tmp_path / "into")

    found = list((tmp_path / "into").rglob("*"))
    assert all(path.is_dir() or path.is_file() for path in found)
    assert all(path.stat().st_nlink == 1 for path in found if path.is_file())
    assert not (tmp_path / "into" / "s").exists()


@pytest.mark.parametrize("mode", [0o010644, 0o020644, 0o060644, 0o140644, 0o0, 0o170000])
def test_attack_38_odd_modes_never_become_files(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path, mode: int
) -> None:
    head = origin.commit(origin.raw_tree((mode, b"odd", origin.blob(b"x")), (0o100644, b"z", origin.blob(b"z"))))

    try:
        mirror.checkout(repository, head, tmp_path / "into")
    except RefusedError:
        assert not (tmp_path / "into").exists()
    else:
        assert os.listdir(tmp_path / "into") == ["z"]  # noqa: PTH208 - hidden ones count


# ---------------------------------------------------------------- 39: what git would run


def test_attack_39_hooks_filters_lfs_and_submodules_are_not_executed(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    run = f"touch {canary}"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"1" * 64 + b"\nsize 3\n"
    files: dict[str, bytes | tuple[int, bytes]] = {
        ".gitattributes": b"*.bin filter=lfs\n*.txt filter=evil ident text eol=crlf working-tree-encoding=UTF-16\n",
        ".gitconfig": f'[filter "evil"]\n\tsmudge = {run}\n[core]\n\tfsmonitor = {run}\n'.encode(),
        ".lfsconfig": f"[lfs]\n\turl = ext::{run}\n".encode(),
        ".githooks/post-checkout": (0o100755, f"#!/bin/sh\n{run}\n".encode()),
        "hooks/post-checkout": (0o100755, f"#!/bin/sh\n{run}\n".encode()),
        "config": f"[core]\n\tfsmonitor = {run}\n\tbare = false\n\tworktree = /\n".encode(),
        "HEAD": b"ref: refs/heads/main\n",
        "model.bin": pointer,
        "a.txt": b"$Id$\nline\n",
        "sub": (0o160000, b"1" * 40),
    }
    head = origin.commit(files)

    mirror.checkout(repository, head, tmp_path / "into")

    assert (tmp_path / "into" / "a.txt").read_bytes() == b"$Id$\nline\n"
    assert (tmp_path / "into" / "model.bin").read_bytes() == pointer
    assert not (tmp_path / "into" / "sub").exists()
    assert is_canary_absent(tmp_path)


def test_attack_39_hostile_submodules_do_not_even_arrive(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    for url in ("-u./payload", "../../../../etc", "ext::touch canary"):
        text = f'[submodule "x\r"]\n\tpath = "sub\r"\n\turl = "{url}"\n\tupdate = !touch canary\n'
        origin.commit({".gitmodules": text.encode(), "sub\r": (0o160000, b"1" * 40)})

    with pytest.raises(RefusedError) as caught:
        mirror.fetch(repository)

    assert caught.value.reason == "repo_malformed"
    assert not (tmp_path / "mirrors" / "7.git").exists()
    assert is_canary_absent(tmp_path)


BAD_PARTS = [
    b".git",
    b".GIT",
    b".Git ",
    b".git.",
    b".git. . ",
    b".git::$INDEX_ALLOCATION",
    b"git~1",
    b"GIT~1",
    b".g\xe2\x80\x8cit",
    b"\xef\xbb\xbf.git",
    b".\xef\xbd\x87it",
    b"..",
    b".",
    b"a/../../x",
    b"/absolute",
    b"a\\..\\x",
    b"cr\r",
    b"lf\n",
    b"esc\x1b[0m",
    b"latin\xff",
    b"x" * 256,
]


@pytest.mark.parametrize("part", BAD_PARTS)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_attack_39_unsafe_paths_are_refused(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path, part: bytes, kind: str
) -> None:
    blob = origin.blob(b"#!/bin/sh\ntouch canary\n")
    inner = origin.raw_tree((0o100755, b"post-checkout", blob))
    entry = (0o40000, part, inner) if kind == "folder" else (0o100755, part, blob)
    head = origin.commit(origin.raw_tree(entry))

    with pytest.raises(RefusedError) as caught:
        mirror.checkout(repository, head, tmp_path / "work" / "into")

    assert caught.value.reason in {"path_unsafe", "name_not_canonical", "repo_malformed"}
    assert str(caught.value).isprintable()
    assert not list((tmp_path / "work").rglob("*"))
    assert is_canary_absent(tmp_path)


@pytest.mark.parametrize("part", BAD_PARTS)
def test_attack_39_unsafe_paths_are_refused_where_git_let_them_in(
    tmp_path: Path, origin: Origin, repository: Repository, server: GitServer, part: bytes
) -> None:
    mirror = make_mirror(tmp_path, server)
    origin.commit({"a": b"1"})
    mirror.fetch(repository)
    inside = Origin(tmp_path / "mirrors" / "7.git")
    head = inside.commit(inside.raw_tree((0o100755, part, inside.blob(b"x"))), branch="smuggled")

    with pytest.raises(RefusedError) as caught:
        mirror.checkout(repository, head, tmp_path / "work" / "into")

    assert caught.value.reason in {"path_unsafe", "name_not_canonical"}
    assert not list((tmp_path / "work").rglob("*"))
    assert not (tmp_path / "x").exists()
