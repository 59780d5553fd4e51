"""Attacks 34 to 42 on names, addresses and repositories: the canary never sings, and the disk is as before."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.errors import LaunchpinError, NotFoundError, RefusedError
from gitops.forge.address import check_clone_url, web_address
from gitops.forge.checkout import TreeLimits
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.records import Repository, Role
from tests.support.githttp import GitServer, Origin, git, serve_git

# Each of these is a branch name that git itself accepts.
HOSTILE_NAMES = [
    "$(touch${IFS}canary)",
    "`touch${IFS}canary`",
    "a;touch${IFS}canary",
    "a|touch${IFS}canary",
    "a&&touch${IFS}canary",
    "-x",
    "--upload-pack=touch${IFS}canary",
    "q'q",
    'q"q',
    "<script>alert(1)</script>",
    "0123456789012345678901234567890123456789",
    "@",
    "%2e%2e",
    "refs/heads/main",
]


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
    return GitMirror(tmp_path / "mirrors", forge_api=server.api, token="t", limits=limits)


@pytest.fixture
def mirror(tmp_path: Path, server: GitServer) -> GitMirror:
    return make_mirror(tmp_path, server)


def used(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def is_canary_absent(tmp_path: Path) -> bool:
    return not list(tmp_path.rglob("canary")) and not Path("canary").exists()


# ---------------------------------------------------------------- 34: names


def test_attack_34_hostile_branch_names_are_names_and_nothing_more(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    first = origin.commit({"a": b"0"})
    commits = {
        f"refs/heads/{name}": origin.commit({"a": name.encode()}, branch=name, parents=(first,))
        for name in HOSTILE_NAMES
    }

    mirror.fetch(repository)

    assert mirror.heads(repository) == {**commits, "refs/heads/main": first}
    for number, (name, commit) in enumerate(zip(HOSTILE_NAMES, commits.values(), strict=True)):
        assert mirror.read(repository, commit, "a") == name.encode()
        assert mirror.changed_paths(repository, first, commit) == ["a"]
        mirror.checkout(repository, commit, tmp_path / f"into-{number}")
    assert is_canary_absent(tmp_path)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_attack_34_hostile_names_are_no_commits(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path, name: str
) -> None:
    origin.commit({"a": b"0"})
    origin.commit({"a": b"1"}, branch=name)
    mirror.fetch(repository)

    with pytest.raises(NotFoundError):
        mirror.files(repository, name)
    with pytest.raises(RefusedError):
        mirror.checkout(repository, name, tmp_path / "into")

    assert not (tmp_path / "into").exists()
    assert is_canary_absent(tmp_path)


def test_attack_34_hostile_file_names_are_files(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    names = [name for name in HOSTILE_NAMES if "/" not in name]
    head = origin.commit({name: name.encode() for name in names})

    mirror.checkout(repository, head, tmp_path / "into")

    assert sorted(os.listdir(tmp_path / "into")) == sorted(names)  # noqa: PTH208 - hidden ones count
    assert all(mirror.read(repository, head, name) == name.encode() for name in names)


# ---------------------------------------------------------------- 35: addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/acme/iris.git",
        "http://127.0.0.1.example.com/acme/iris.git",
        "http://10.0.0.1/acme/iris.git",
        "http://0.0.0.0/acme/iris.git",
        "ext::sh -c touch% canary",
        "ext::touch canary",
        "file:///etc",
        "/etc",
        "../origins/acme/iris.git",
        "ssh://-oProxyCommand=touch${IFS}canary/x",
        "ssh://git@github.com/acme/iris.git",
        "git@github.com:acme/iris.git",
        "git://github.com/acme/iris.git",
        "--upload-pack=touch canary",
        "-u",
        "",
        "https://",
        "https://github.com",
        "https://github.com/",
        "https://user:secret@github.com/acme/iris.git",
        "https://github.com@evil.example/acme/iris.git",
        "https://evil.example/acme/iris.git",
        "https://github.com:444/acme/iris.git",
        "https://github.com:0/acme/iris.git",
        "https://github.com:x/acme/iris.git",
        "https://github.com/acme/../../x.git",
        "https://github.com/acme/iris.git?x=y",
        "https://github.com/acme/iris.git#x",
        "https://github.com/acme/iris.git\n--upload-pack=x",
        "https://github.com/acme/$(touch canary).git",
        "https://github.com\\@evil.example/acme/iris.git",
        "https://g\u0131thub.com/acme/iris.git",
        "HTTPS://[::1/acme/iris.git",
        "https::sh",
    ],
)
def test_attack_35_other_addresses_are_refused_before_git_sees_them(tmp_path: Path, url: str) -> None:
    mirror = GitMirror(tmp_path / "mirrors", forge_api="https://api.github.com", token="t")
    repository = Repository(id=7, full_name="acme/iris", role=Role.MODEL, clone_url=url)

    for ask in (
        lambda: mirror.fetch(repository),
        lambda: mirror.heads(repository),
        lambda: mirror.checkout(repository, "1" * 40, tmp_path / "into"),
    ):
        with pytest.raises(RefusedError) as caught:
            ask()
        assert caught.value.reason == "url_scheme"
        assert "secret" not in str(caught.value)

    assert os.listdir(tmp_path / "mirrors") == [".home"]  # noqa: PTH208 - hidden ones count
    assert is_canary_absent(tmp_path)


def test_attack_35_the_forge_of_a_setting_must_be_https_or_on_this_machine() -> None:
    assert web_address("https://api.github.com") == "https://github.com"
    assert web_address("https://ghe.example:8443/api/v3") == "https://ghe.example:8443"
    assert web_address("http://127.0.0.1:3000/api/v3") == "http://127.0.0.1:3000"
    assert web_address("http://[::1]:3000/api/v3") == "http://[::1]:3000"
    assert check_clone_url("http://[::1]:3000/a/b.git", web="http://[::1]:3000") == "http://[::1]:3000/a/b.git"
    assert check_clone_url("https://github.com/a/b.git", web="https://github.com") == "https://github.com/a/b.git"
    for setting in ("http://ghe.example/api/v3", "file:///etc", "ghe.example", ""):
        with pytest.raises(RefusedError):
            web_address(setting)


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_attack_35_whatever_is_written_is_refused_or_at_the_forge(text: str) -> None:
    for url in (text, f"https://github.com{text}", f"https://{text}/a/b.git"):
        try:
            accepted = check_clone_url(url, web="https://github.com")
        except RefusedError:
            continue
        assert accepted.lower().startswith(("https://github.com/", "https://github.com:443/", "https://github.com:/"))


def test_attack_35_git_itself_would_refuse_other_protocols(mirror: GitMirror, tmp_path: Path) -> None:
    for url in ("ext::sh -c touch% canary", f"file://{tmp_path}", str(tmp_path), "--upload-pack=touch canary"):
        with pytest.raises(LaunchpinError):
            mirror._clone(Repository(id=1, full_name="a/b", role=Role.MODEL, clone_url=url), url, lock=2)  # noqa: SLF001 - the second wall, behind the first

    assert is_canary_absent(tmp_path)


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


# ---------------------------------------------------------------- 42: whose commit


def test_attack_42_a_commit_that_no_branch_leads_to_is_refused(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a": b"1"})
    forked = origin.commit({"a": b"evil"}, ref="refs/pull/1/head", parents=(head,))
    forgotten = origin.commit({"a": b"old"}, branch="gone", parents=(head,))
    mirror.fetch(repository)
    git(origin.path, "update-ref", "-d", "refs/heads/gone")
    mirror.fetch(repository)
    assert mirror.read(repository, forgotten, "a") == b"old"

    for commit in (forked, forgotten):
        with pytest.raises(RefusedError) as caught:
            mirror.checkout(repository, commit, tmp_path / "work" / "into")
        assert caught.value.reason == "commit_unreachable"

    assert not (tmp_path / "work").exists()


def test_attack_42_a_commit_smuggled_into_the_mirror_is_refused(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a": b"1"})
    mirror.fetch(repository)
    smuggled = Origin(tmp_path / "mirrors" / "7.git").commit({"a": b"evil"}, ref="refs/x/y", parents=(head,))

    with pytest.raises(RefusedError):
        mirror.checkout(repository, smuggled, tmp_path / "into")
