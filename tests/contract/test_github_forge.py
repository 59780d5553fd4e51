"""The Forge port against the embedded forge: repositories, hooks, branches, files, and the mirror of the same forge."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.errors import ConflictError, InputError, NotFoundError, RefusedError
from gitops.forge.github import EVENTS, GitHubForge
from gitops.forge.mirror import GitMirror
from gitops.records import Repository, Role
from tests.contract.github_forge_world import BOT, PIN, base, commit, forge, name, on_disk, person, server
from tests.support.forge import ForgeUnderTest
from tests.support.githttp import git

if TYPE_CHECKING:
    from gitops.ports import Forge

__all__ = ["base", "forge", "name", "person", "server"]


def test_forge_has_all_methods_of_its_port(forge: GitHubForge) -> None:
    ported: Forge = forge

    assert isinstance(ported, GitHubForge)


def test_it_knows_whose_token_it_has(forge: GitHubForge) -> None:
    assert forge.account() == BOT


# ---------------------------------------------------------------- repositories and hooks


def test_repository_tells_what_the_forge_knows(forge: GitHubForge, name: str, server: ForgeUnderTest) -> None:
    found = forge.repository(name)

    assert found.full_name == name
    assert found.id > 0
    assert found.default_branch == "main"
    assert found.clone_url == f"{server.url}/{name}.git"


def test_repository_raises_not_found_when_there_is_none(forge: GitHubForge) -> None:
    with pytest.raises(NotFoundError):
        forge.repository("acme/nothing-here")


@pytest.mark.parametrize(
    "bad", ["", "acme", "acme/", "/x", "a/b/c", "a/..", "../user", "a/b?c=d", "a/b#c", "a/b c", "a/%2e"]
)
def test_names_that_would_lead_elsewhere_are_refused_unsent(forge: GitHubForge, bad: str) -> None:
    with pytest.raises(InputError):
        forge.repository(bad)
    with pytest.raises(InputError):
        forge.head(bad, "main")


@pytest.mark.parametrize("bad", ["", "..", "a/../../b", "/a", "a//b", "a/.", "a/"])
def test_parts_that_would_lead_elsewhere_are_refused_unsent(forge: GitHubForge, name: str, bad: str) -> None:
    with pytest.raises(InputError):
        forge.head(name, bad)
    with pytest.raises(InputError):
        forge.read_file(name, ref="main", path=bad)


def test_ensure_repository_is_private_and_the_same_when_asked_twice(
    forge: GitHubForge, name: str, server: ForgeUnderTest
) -> None:
    again = forge.ensure_repository(name)

    assert again == forge.repository(name)
    assert server.http().get(f"/repos/{name}").json()["private"] is True


def test_ensure_hook_makes_one_hook_and_mends_it(forge: GitHubForge, name: str, server: ForgeUnderTest) -> None:
    url = "http://127.0.0.1:9/hook"
    first = forge.ensure_hook(name, url=url, secret="one")
    server.http().patch(f"/repos/{name}/hooks/{first}", json={"events": ["push"], "active": False}).raise_for_status()

    assert forge.ensure_hook(name, url=url, secret="two") == first

    hooks = server.http().get(f"/repos/{name}/hooks").json()
    assert [(hook["id"], hook["active"], sorted(hook["events"])) for hook in hooks] == [(first, True, sorted(EVENTS))]
    assert forge.ensure_hook(name, url="http://127.0.0.1:9/other", secret="x") != first


# ---------------------------------------------------------------- branches and files


def test_head_is_empty_when_there_is_no_branch(forge: GitHubForge, name: str) -> None:
    assert forge.head(name, "main") == ""


def test_head_is_the_commit_of_exactly_that_branch(forge: GitHubForge, name: str, base: str) -> None:
    other = commit(forge, name, base, "main-more/odd'$(x)", {"a": b"1"}, create=True)

    assert forge.head(name, "main") == base
    assert forge.head(name, "main-more/odd'$(x)") == other
    assert forge.head(name, "main-more") == ""


def test_i16_commit_file_changes_that_file_and_keeps_every_other_byte(
    forge: GitHubForge, name: str, base: str, server: ForgeUnderTest
) -> None:
    origin = on_disk(server, name)
    files: dict[str, bytes | tuple[int, bytes]] = {"staging/buildspec.yml": (0o100755, PIN), "ü/ -x": b"odd"}
    files |= {"staging/other": b"\0\xff\r\n", "link": (0o120000, b"x")}
    parent = origin.commit(files, parents=(base,))

    new = PIN.replace(b'""', b'"7"')
    made = forge.commit_file(
        name, parent=parent, branch="main", path="staging/buildspec.yml", content=new, message="Pin 7", create=False
    ).sha

    assert forge.head(name, "main") == made
    assert forge.read_file(name, ref=made, path="staging/buildspec.yml") == new
    changed = git(origin.path, "diff-tree", "-r", parent, made).split("\n")
    assert len(changed) == 1
    assert changed[0].startswith(":100755 100755 ")
    assert git(origin.path, "rev-list", "--parents", "-1", made) == f"{made} {parent}"
    assert git(origin.path, "log", "-1", "--format=%s|%an", made) == f"Pin 7|{BOT}"


@pytest.mark.parametrize("path", ["link", "link/x", "folder", "sub"])
def test_commit_file_refuses_when_no_regular_file_stands_there(
    forge: GitHubForge, name: str, base: str, server: ForgeUnderTest, path: str
) -> None:
    files: dict[str, bytes | tuple[int, bytes]] = {
        "link": (0o120000, b"folder"),
        "folder/x": b"",
        "sub": (0o160000, b"1" * 40),
    }
    parent = on_disk(server, name).commit(files, parents=(base,))

    with pytest.raises(RefusedError) as caught:
        commit(forge, name, parent, "main", {path: b"1"})

    assert caught.value.reason == "symlink_config"
    assert forge.head(name, "main") == parent


def test_i16_commit_file_conflicts_when_a_person_committed_meanwhile(
    forge: GitHubForge, person: GitHubForge, name: str, base: str
) -> None:
    theirs = commit(person, name, base, "main", {"notes": b"mine"})

    with pytest.raises(ConflictError):
        commit(forge, name, base, "main", {"staging/buildspec.yml": b"pinned"})

    assert forge.head(name, "main") == theirs


def test_commit_file_conflicts_when_the_branch_to_make_is_there(forge: GitHubForge, name: str, base: str) -> None:
    ours = commit(forge, name, base, "launchpin/x", {"a": b"1"}, create=True)

    with pytest.raises(ConflictError):
        commit(forge, name, base, "launchpin/x", {"a": b"2"}, create=True)

    assert forge.head(name, "launchpin/x") == ours


def test_commit_file_conflicts_when_the_branch_to_move_is_gone(forge: GitHubForge, name: str, base: str) -> None:
    with pytest.raises(ConflictError):
        commit(forge, name, base, "launchpin/x", {"a": b"1"})

    assert forge.head(name, "launchpin/x") == ""


def test_commit_file_begins_a_new_history_without_a_parent(forge: GitHubForge, name: str, base: str) -> None:
    alone = commit(forge, name, "", "launchpin-audit", {"checkpoints.txt": b"one\n\n"}, create=True)

    assert forge.read_file(name, ref=alone, path="checkpoints.txt") == b"one\n\n"
    assert forge.read_file(name, ref=alone, path="staging/buildspec.yml") is None
    assert forge.head(name, "main") == base


@pytest.mark.parametrize("content", [PIN, b"", b"\xef\xbb\xbf\xf0\x9f\x98\x80", bytes(range(256)), b"x" * 300_000])
def test_read_file_gives_the_very_bytes(forge: GitHubForge, name: str, base: str, content: bytes) -> None:
    made = commit(forge, name, base, "main", {"dir/ü -x": content})

    assert forge.read_file(name, ref=made, path="dir/ü -x") == content
    assert forge.read_file(name, ref="main", path="dir/ü -x") == content


def test_read_file_takes_no_more_bytes_than_it_is_told(forge: GitHubForge, name: str, base: str) -> None:
    made = commit(forge, name, base, "main", {"long": b"x" * 3_000_000})

    assert len(forge.read_file(name, ref=made, path="long", most=3_000_000) or b"") == 3_000_000
    with pytest.raises(RefusedError, match="3000000 bytes, limit=2999999") as refused:
        forge.read_file(name, ref=made, path="long", most=2_999_999)
    assert refused.value.reason == "repo_too_large"


@pytest.mark.parametrize("path", ["nothing", "staging", "staging/nothing"])
def test_read_file_is_none_when_no_file_is_there(forge: GitHubForge, name: str, base: str, path: str) -> None:
    assert forge.read_file(name, ref=base, path=path) is None


# ---------------------------------------------------------------- the mirror of the same forge


def test_mirror_fetches_from_the_forge_with_the_same_token(
    forge: GitHubForge, name: str, base: str, server: ForgeUnderTest, tmp_path: Path
) -> None:
    found = forge.repository(name)
    repository = Repository(id=found.id, full_name=name, role=Role.DEPLOY, clone_url=found.clone_url)
    mirror = GitMirror(tmp_path / "mirrors", forge_api=server.api, token=server.bot)

    mirror.fetch(repository)

    assert mirror.heads(repository) == {"refs/heads/main": base}
    assert mirror.read(repository, base, "staging/buildspec.yml") == PIN
    mirror.checkout(repository, base, tmp_path / "into")
    assert (tmp_path / "into" / "staging" / "buildspec.yml").read_bytes() == PIN
