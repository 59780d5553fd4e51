"""The Mirror port against Git over loopback: branches that come, move and go, and everything that is read."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.errors import ConflictError, NotFoundError, RefusedError, RetryError, StalledError
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.records import Repository, Role
from tests.contract.mirror_rig import make_mirror, mirror, origin, repository, server
from tests.faults.outside import FOREVER, BadReply, running_outside
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.githttp import GitServer, Origin, git

if TYPE_CHECKING:
    from gitops.ports import Mirror

__all__ = ["mirror", "origin", "repository", "server"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[GitMirror, Repository, ForgeUnderTest]]:
    """Give a mirror of a repository on a forge that takes pushes."""
    with running_forge(tmp_path / "forge") as forge:
        made = forge.repository()
        known = Repository(id=made.id, full_name=made.full_name, role=Role.DEPLOY, clone_url=made.clone_url)
        yield GitMirror(tmp_path / "mirrors", forge_api=forge.api, token=forge.bot), known, forge


def test_mirror_has_all_methods_of_its_port(mirror: GitMirror) -> None:
    ported: Mirror = mirror

    assert isinstance(ported, GitMirror)


def test_heads_follow_the_forge_when_branches_come_move_and_go(
    mirror: GitMirror, origin: Origin, repository: Repository
) -> None:
    first = origin.commit({"a": b"1"})
    other = origin.commit({"a": b"2"}, branch="feature/x")
    mirror.fetch(repository)
    assert mirror.heads(repository) == {"refs/heads/main": first, "refs/heads/feature/x": other}

    forced = origin.commit({"a": b"3"}, parents=())
    git(origin.path, "update-ref", "-d", "refs/heads/feature/x")
    nested = origin.commit({"a": b"4"}, branch="feature")
    mirror.fetch(repository)

    assert mirror.heads(repository) == {"refs/heads/main": forced, "refs/heads/feature": nested}


def test_i16_a_branch_is_deleted_only_where_it_was_seen(
    world: tuple[GitMirror, Repository, ForgeUnderTest], tmp_path: Path
) -> None:
    mirror, repository, forge = world
    clone = tmp_path / "clone"
    forge.git("clone", "-q", repository.clone_url, str(clone), cwd=tmp_path)
    for name in ("mine", "theirs"):
        forge.git("push", "-q", "origin", f"HEAD:refs/heads/launchpin/{name}", cwd=clone)
    seen = forge.git("rev-parse", "HEAD", cwd=clone).strip()
    forge.git("commit", "-q", "--allow-empty", "-m", "A person's", cwd=clone)
    forge.git("push", "-q", "origin", "HEAD:refs/heads/launchpin/theirs", cwd=clone)
    theirs = forge.git("rev-parse", "HEAD", cwd=clone).strip()
    mirror.fetch(repository)

    mirror.delete_branch(repository, "launchpin/mine", at=seen)
    for name in ("mine", "theirs", "never-there"):
        with pytest.raises(ConflictError):
            mirror.delete_branch(repository, f"launchpin/{name}", at=seen)

    mirror.fetch(repository)
    heads = mirror.heads(repository)
    assert "refs/heads/launchpin/mine" not in heads
    assert heads["refs/heads/launchpin/theirs"] == theirs


@pytest.mark.parametrize("damage", ["gone", "marked"])
def test_a_branch_is_deleted_when_the_mirror_must_be_made_anew_first(
    world: tuple[GitMirror, Repository, ForgeUnderTest], tmp_path: Path, damage: str
) -> None:
    _, repository, forge = world
    mirror = GitMirror(tmp_path / "mirrors", forge_api=forge.api, token=forge.bot, limits=MirrorLimits(lock=0.5))
    clone = tmp_path / "clone"
    forge.git("clone", "-q", repository.clone_url, str(clone), cwd=tmp_path)
    forge.git("push", "-q", "origin", "HEAD:refs/heads/launchpin/mine", cwd=clone)
    seen = forge.git("rev-parse", "HEAD", cwd=clone).strip()
    mirror.fetch(repository)
    if damage == "gone":
        shutil.rmtree(tmp_path / "mirrors" / f"{repository.id}.git")
    else:
        (tmp_path / "mirrors" / f"{repository.id}.broken").touch()

    mirror.delete_branch(repository, "launchpin/mine", at=seen)

    mirror.fetch(repository)
    assert "refs/heads/launchpin/mine" not in mirror.heads(repository)


@pytest.mark.parametrize("kind", [*BadReply, "empty"])
@pytest.mark.parametrize("path", ["", "/info/refs$"])
def test_attack_64_a_page_in_the_forges_place_makes_no_branch_go(
    world: tuple[GitMirror, Repository, ForgeUnderTest], tmp_path: Path, kind: str, path: str
) -> None:
    _, repository, forge = world
    with running_outside(forge.url) as outside:
        seen = repository.model_copy(update={"clone_url": repository.clone_url.replace(forge.url, outside.url)})
        mirror = GitMirror(tmp_path / "seen", forge_api=f"{outside.url}/api/v3", token=forge.bot)
        mirror.fetch(seen)
        heads = mirror.heads(seen)
        if kind == "empty":
            outside.script.fail_before((".*", path), 200, FOREVER, body=b"")
        elif kind != BadReply.HUGE:  # of which git would read every byte
            outside.script.bad_reply((".*", path), kind, FOREVER)
        with contextlib.suppress(RetryError, StalledError):
            mirror.fetch(seen)
        assert mirror.heads(seen) == heads != {}


def test_branches_are_seen_when_the_default_branch_is_not_there_yet(
    mirror: GitMirror, origin: Origin, repository: Repository
) -> None:
    commit = origin.commit({"a": b"1"}, branch="develop")
    mirror.fetch(repository)
    assert mirror.heads(repository) == {"refs/heads/develop": commit}


def test_heads_are_empty_when_the_repository_is(mirror: GitMirror, origin: Origin, repository: Repository) -> None:
    assert origin.path.is_dir()

    mirror.fetch(repository)

    assert mirror.heads(repository) == {}


def test_only_branches_are_fetched_when_there_are_tags_and_pull_refs(
    mirror: GitMirror, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({"a": b"1"})
    origin.commit({"a": b"2"}, ref="refs/tags/v1", parents=(head,))
    git(origin.path, "tag", "-a", "-m", "one", "v0", head)
    origin.commit({"a": b"3"}, ref="refs/pull/1/head", parents=(head,))

    mirror.fetch(repository)

    stored = git(mirror._path(repository), "for-each-ref", "--format=%(refname)")  # noqa: SLF001 - looks at the disk
    assert stored == "refs/heads/main"


def test_reading_fetches_first_when_this_machine_has_no_mirror(
    mirror: GitMirror, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({"a": b"1"})

    assert mirror.heads(repository) == {"refs/heads/main": head}


def test_files_and_read_give_regular_files_only(mirror: GitMirror, origin: Origin, repository: Repository) -> None:
    head = origin.commit(
        {
            "a.txt": b"one\r\n",
            "dir/run.sh": (0o100755, b"#!/bin/sh\n"),
            "dir/ünï -x\n'q": b"odd",
            "link": (0o120000, b"a.txt"),
            "sub": (0o160000, b"1" * 40),
            "empty": b"",
        }
    )
    mirror.fetch(repository)

    assert mirror.files(repository, head) == ("a.txt", "dir/run.sh", "dir/ünï -x\n'q", "empty")
    assert mirror.read(repository, head, "a.txt") == b"one\r\n"
    assert mirror.read(repository, head, "dir/ünï -x\n'q") == b"odd"
    assert mirror.read(repository, head, "empty") == b""
    for absent in ("dir", "nothing", "a.txt/below", "sub", "", "/a.txt", "dir/../a.txt", "sub/x"):
        assert mirror.read(repository, head, absent) is None


def test_read_refuses_when_the_file_is_larger_than_the_limit(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({"big": b"x" * 101, "fits": b"x" * 100})
    mirror = make_mirror(tmp_path, server, MirrorLimits(read=100))

    assert mirror.read(repository, head, "fits") == b"x" * 100
    with pytest.raises(RefusedError, match="limit=100") as caught:
        mirror.read(repository, head, "big")
    assert caught.value.reason == "repo_too_large"


@pytest.mark.parametrize("commit", ["0" * 40, "main", "--help", "refs/heads/main", "", "HEAD\n", "A" * 40])
def test_reading_raises_not_found_when_the_commit_is_none(
    mirror: GitMirror, origin: Origin, repository: Repository, commit: str
) -> None:
    origin.commit({"a": b"1"})
    mirror.fetch(repository)

    for ask in (
        lambda: mirror.files(repository, commit),
        lambda: mirror.read(repository, commit, "a"),
        lambda: mirror.message(repository, commit),
        lambda: mirror.committed_at(repository, commit),
        lambda: mirror.first_parents(repository, commit, limit=3),
        lambda: mirror.changed_paths(repository, "", commit),
    ):
        with pytest.raises(NotFoundError):
            ask()


def test_changed_paths_name_what_differs(mirror: GitMirror, origin: Origin, repository: Repository) -> None:
    old = origin.commit({"same/x": b"1", "edit/y": b"1", "gone/z": b"1", "mode": b"1", "kind": b"1"})
    new = origin.commit(
        {"same/x": b"1", "edit/y": b"2", "new/deep/w": b"1", "mode": (0o100755, b"1"), "kind/inner": b"1"}
    )
    mirror.fetch(repository)

    changed = ["edit/y", "gone/z", "kind", "kind/inner", "mode", "new/deep/w"]
    assert mirror.changed_paths(repository, old, new) == changed
    assert mirror.changed_paths(repository, new, old) == changed
    assert mirror.changed_paths(repository, new, new) == []
    assert git(origin.path, "diff-tree", "-r", "--name-only", "--no-renames", old, new).split("\n") == changed


@pytest.mark.parametrize("old", ["", "0" * 40, "f" * 40, "not-a-commit"])
def test_changed_paths_are_all_paths_when_the_old_commit_is_unknown(
    mirror: GitMirror, origin: Origin, repository: Repository, old: str
) -> None:
    new = origin.commit({"a": b"1", "b/c": b"1"})
    mirror.fetch(repository)

    assert mirror.changed_paths(repository, old, new) == ["a", "b/c"]


def test_first_parents_follow_the_main_line_newest_first(
    mirror: GitMirror, origin: Origin, repository: Repository
) -> None:
    one = origin.commit({"a": b"1"})
    side = origin.commit({"a": b"2"}, branch="side", parents=(one,))
    two = origin.commit({"a": b"3"})
    merge = origin.commit({"a": b"4"}, parents=(two, side))
    mirror.fetch(repository)

    assert mirror.first_parents(repository, merge, limit=10) == [merge, two, one]
    assert mirror.first_parents(repository, merge, limit=2) == [merge, two]


def test_commit_tells_when_it_was_made_and_nothing_where_no_calendar_has_that_year(
    mirror: GitMirror, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({"a": b"1"})
    who = f"A <a@example.com> {10**14} +0000"
    raw = f"tree {origin.tree({'a': b'2'})}\nparent {head}\nauthor {who}\ncommitter {who}\n\nFar\n"
    far = git(origin.path, "hash-object", "-t", "commit", "-w", "--stdin", given=raw.encode())
    git(origin.path, "update-ref", "refs/heads/far", far)
    mirror.fetch(repository)

    assert mirror.committed_at(repository, head) == datetime.fromtimestamp(1_700_000_001, UTC)
    assert mirror.committed_at(repository, far) is None


def test_message_is_the_whole_text(mirror: GitMirror, origin: Origin, repository: Repository) -> None:
    head = origin.commit({"a": b"1"}, message="Öne line\n\nBody\n\nLaunchpin-Hold: x")
    mirror.fetch(repository)

    assert mirror.message(repository, head) == "Öne line\n\nBody\n\nLaunchpin-Hold: x\n"


def test_what_was_read_before_starts_no_git_and_what_was_not_starts_one(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = origin.commit({"a/b/c": b"1", "a/d": b"1"})
    head = origin.commit({"a/b/c": b"2", "a/d": b"1"})
    mirror.fetch(repository)
    log = tmp_path / "started"
    real = shutil.which("git")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\necho started >> "{log}"\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    asked: tuple[tuple[Callable[[], object], int], ...] = (
        (lambda: mirror.heads(repository), 0),
        (lambda: mirror.files(repository, head), 1),
        (lambda: mirror.read(repository, head, "a/b/c"), 1),
        (lambda: mirror.read(repository, head, "a/b/c"), 0),
        (lambda: mirror.read(repository, head, "a/nothing"), 0),
        (lambda: mirror.changed_paths(repository, "", head), 0),
        (lambda: mirror.changed_paths(repository, old, head), 1),
        (lambda: mirror.first_parents(repository, head, limit=5), 0),
        (lambda: mirror.read(repository, old, "a/d"), 1),
        (lambda: mirror.read(repository, head, "a/d"), 0),
    )
    for ask, count in asked:
        log.write_text("")
        ask()
        assert log.read_text() == "started\n" * count


def test_one_repositorys_objects_are_not_read_as_another_ones(
    mirror: GitMirror, server: GitServer, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({"a": b"1"})
    Origin.make(server.root / "acme" / "other.git").commit({"b": b"1"})
    other = Repository(id=8, full_name="acme/other", role=Role.MODEL, clone_url=server.url("acme/other"))
    mirror.fetch(repository)
    assert mirror.read(repository, head, "a") == b"1"

    with pytest.raises(NotFoundError):
        mirror.read(other, head, "a")


def test_what_was_read_is_forgotten_when_the_mirror_is_found_broken(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    head = origin.commit({"a": b"1"})
    mirror.fetch(repository)
    inside = Origin(tmp_path / "mirrors" / "7.git")
    lost = inside.commit({"b": b"1"}, branch="x")
    assert mirror.read(repository, lost, "b") == b"1"
    (inside.path / "refs" / "heads" / "main").write_bytes(b"\0nonsense")

    with pytest.raises(RetryError) as caught:
        mirror.heads(repository)

    assert caught.value.reason == "MirrorBroken"
    with pytest.raises(NotFoundError):
        mirror.read(repository, lost, "b")
    assert mirror.heads(repository) == {"refs/heads/main": head}


def test_heads_are_gits_own_whether_packed_loose_or_both(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    for branch in ("main", "ünï/q'q", "$(touch${IFS}x)", "deep/er/one"):
        origin.commit({"a": branch.encode()}, branch=branch)
    mirror.fetch(repository)
    folder = tmp_path / "mirrors" / "7.git"

    def ask_git() -> list[str]:
        return git(folder, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/").splitlines()

    def ask_us() -> list[str]:
        return [f"{name} {commit}" for name, commit in mirror.heads(repository).items()]

    loose = ask_us()
    assert len(loose) == 4
    assert loose == ask_git()
    git(folder, "pack-refs", "--all")
    assert ask_us() == loose
    origin.commit({"a": b"newer"})
    mirror.fetch(repository)
    assert ask_us() == ask_git() != loose
