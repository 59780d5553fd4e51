import contextlib
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.errors import ConflictError, LaunchpinError, NotFoundError, RefusedError, RetryError, StalledError
from gitops.forge.checkout import TreeLimits
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.records import Repository, Role
from tests.faults.outside import FOREVER, BadReply, running_outside
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.githttp import GitServer, Origin, git, serve_git

if TYPE_CHECKING:
    from gitops.ports import Mirror

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


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[GitMirror, Repository, ForgeUnderTest]]:
    """Give a mirror of a repository on a forge that takes pushes."""
    with running_forge(tmp_path / "forge") as forge:
        made = forge.repository()
        known = Repository(id=made.id, full_name=made.full_name, role=Role.DEPLOY, clone_url=made.clone_url)
        yield GitMirror(tmp_path / "mirrors", forge_api=forge.api, token=forge.bot), known, forge


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


def disk(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


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


def test_message_is_the_whole_text(mirror: GitMirror, origin: Origin, repository: Repository) -> None:
    head = origin.commit({"a": b"1"}, message="Öne line\n\nBody\n\nLaunchpin-Hold: x")
    mirror.fetch(repository)

    assert mirror.message(repository, head) == "Öne line\n\nBody\n\nLaunchpin-Hold: x\n"


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


def test_heads_files_and_read_start_one_git_each(
    mirror: GitMirror, origin: Origin, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = origin.commit({"a/b/c": b"1"})
    mirror.fetch(repository)
    log = tmp_path / "started"
    real = shutil.which("git")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\necho started >> "{log}"\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    for ask in (
        lambda: mirror.heads(repository),
        lambda: mirror.files(repository, head),
        lambda: mirror.read(repository, head, "a/b/c"),
        lambda: mirror.changed_paths(repository, "", head),
        lambda: mirror.first_parents(repository, head, limit=5),
    ):
        log.write_text("")
        ask()
        assert log.read_text() == "started\n"


def test_checkout_refuses_more_files_than_the_limit(
    tmp_path: Path, server: GitServer, origin: Origin, repository: Repository
) -> None:
    head = origin.commit({f"f{number}": b"" for number in range(11)})
    limits = MirrorLimits(tree=TreeLimits(files=10))
    mirror = GitMirror(tmp_path / "mirrors", forge_api=server.api, token=lambda: TOKEN, limits=limits)

    with pytest.raises(RefusedError, match="limit=10"):
        mirror.checkout(repository, head, tmp_path / "into")
