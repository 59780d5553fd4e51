"""GitHubForge against the embedded forge, which speaks GitHub's API over real repositories."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.errors import ConflictError, InputError, LaunchpinError, NotFoundError, RefusedError
from gitops.forge.github import EVENTS, GitHubForge
from gitops.forge.mirror import GitMirror
from gitops.forge.pacing import WriteLimits
from gitops.ports import Check, CheckState, Pull
from gitops.records import Repository, Role
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.githttp import Origin, git

if TYPE_CHECKING:
    from gitops.ports import Forge

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


def open_pull(forge: GitHubForge, name: str, base: str, branch: str = "launchpin/staging/iris") -> Pull:
    commit(forge, name, base, branch, {"staging/buildspec.yml": b"pinned"}, create=True)
    return forge.open_pull(name, head=branch, base="main", title="Pin iris 1", body="Body")


def test_forge_has_all_methods_of_its_port(forge: GitHubForge) -> None:
    ported: Forge = forge

    assert isinstance(ported, GitHubForge)


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


@pytest.mark.parametrize("path", ["nothing", "staging", "staging/nothing"])
def test_read_file_is_none_when_no_file_is_there(forge: GitHubForge, name: str, base: str, path: str) -> None:
    assert forge.read_file(name, ref=base, path=path) is None


# ---------------------------------------------------------------- pull requests


def test_open_pull_tells_the_facts(forge: GitHubForge, name: str, base: str, server: ForgeUnderTest) -> None:
    pull = open_pull(forge, name, base)

    assert pull == forge.pull(name, pull.number)
    assert (pull.state, pull.merged, pull.title, pull.body) == ("open", False, "Pin iris 1", "Body")
    assert (pull.head_ref, pull.base_ref) == ("launchpin/staging/iris", "main")
    assert pull.head_sha == forge.head(name, pull.head_ref)
    assert pull.url == f"{server.url}/{name}/pull/{pull.number}"
    assert (pull.merge_sha, pull.merged_by, pull.closed_by, pull.head_by_us) == ("", "", "", True)
    assert list(forge.open_pulls(name)) == [pull]


def test_i17_open_pull_returns_the_one_that_is_open(forge: GitHubForge, name: str, base: str) -> None:
    pull = open_pull(forge, name, base)

    again = forge.open_pull(name, head=pull.head_ref, base="main", title="Another", body="")

    assert again == pull
    assert len(forge.open_pulls(name)) == 1


def test_open_pull_conflicts_when_there_is_nothing_to_merge(forge: GitHubForge, name: str, base: str) -> None:
    commit(forge, name, base, "launchpin/x", {"a": b"1"}, create=True)
    ahead = forge.open_pull(name, head="launchpin/x", base="main", title="t", body="")
    forge.merge_pull(name, ahead.number, head_sha=ahead.head_sha, title="Merge")

    with pytest.raises(ConflictError):
        forge.open_pull(name, head="launchpin/x", base="main", title="t", body="")


def test_open_pull_is_refused_when_a_branch_is_missing(forge: GitHubForge, name: str, base: str) -> None:
    assert base

    with pytest.raises(RefusedError):
        forge.open_pull(name, head="launchpin/none", base="main", title="t", body="")


def test_find_pull_prefers_the_open_one_and_then_the_newest(forge: GitHubForge, name: str, base: str) -> None:
    assert forge.find_pull(name, head="launchpin/staging/iris", base="main") is None
    first = open_pull(forge, name, base)
    forge.close_pull(name, first.number)
    second = forge.open_pull(name, head=first.head_ref, base="main", title="t", body="")

    found = forge.find_pull(name, head=first.head_ref, base="main")
    assert found == second
    forge.close_pull(name, second.number)
    found = forge.find_pull(name, head=first.head_ref, base="main")
    assert found is not None
    assert (found.number, found.state, found.merged) == (second.number, "closed", False)
    assert forge.find_pull(name, head=first.head_ref, base="other") is None
    assert forge.find_pull(name, head="launchpin/staging", base="main") is None


def test_update_pull_changes_the_texts(forge: GitHubForge, name: str, base: str) -> None:
    pull = open_pull(forge, name, base)
    odd = "</details> @all Fixes #1 \N{PILE OF POO}\n```"

    updated = forge.update_pull(name, pull.number, title="Pin iris 2", body=odd)

    assert (updated.title, updated.body) == ("Pin iris 2", odd)
    assert forge.pull(name, pull.number) == updated


def test_head_is_by_us_until_a_person_commits_on_it(
    forge: GitHubForge, person: GitHubForge, name: str, base: str
) -> None:
    pull = open_pull(forge, name, base)
    ours = commit(forge, name, pull.head_sha, pull.head_ref, {"staging/buildspec.yml": b"pinned again"})
    assert forge.pull(name, pull.number).head_by_us

    theirs = commit(person, name, ours, pull.head_ref, {"staging/endpoint.yaml": b"mine"})

    for found in (forge.pull(name, pull.number), forge.find_pull(name, head=pull.head_ref, base="main")):
        assert found is not None
        assert found.head_sha == theirs
        assert not found.head_by_us


def test_head_is_not_by_us_when_nobody_the_forge_knows_pushed(
    forge: GitHubForge, name: str, base: str, server: ForgeUnderTest, tmp_path: Path
) -> None:
    pull = open_pull(forge, name, base)
    server.git("clone", "-q", "-b", pull.head_ref, f"{server.url}/{name}.git", "clone", cwd=tmp_path)
    (tmp_path / "clone" / "new").write_text("x")
    server.git("add", "-A", cwd=tmp_path / "clone")
    server.git("commit", "-q", "-m", "Ada's", cwd=tmp_path / "clone")
    server.git("push", "-q", cwd=tmp_path / "clone")

    assert not forge.pull(name, pull.number).head_by_us


def test_merge_pull_returns_the_merge_commit(forge: GitHubForge, name: str, base: str) -> None:
    pull = open_pull(forge, name, base)

    merge = forge.merge_pull(name, pull.number, head_sha=pull.head_sha, title="Merge it")

    assert forge.head(name, "main") == merge
    merged = forge.pull(name, pull.number)
    assert (merged.state, merged.merged, merged.merge_sha, merged.merged_by) == ("closed", True, merge, BOT)
    assert forge.read_file(name, ref="main", path="staging/buildspec.yml") == b"pinned"


def test_merge_pull_conflicts_when_the_head_moved(forge: GitHubForge, name: str, base: str) -> None:
    pull = open_pull(forge, name, base)
    commit(forge, name, pull.head_sha, pull.head_ref, {"a": b"1"})

    with pytest.raises(ConflictError):
        forge.merge_pull(name, pull.number, head_sha=pull.head_sha, title="Merge it")

    assert not forge.pull(name, pull.number).merged


def test_merge_pull_conflicts_when_it_cannot_be_merged_or_was(forge: GitHubForge, name: str, base: str) -> None:
    pull = open_pull(forge, name, base)
    commit(forge, name, base, "main", {"staging/buildspec.yml": b"a person's"})

    with pytest.raises(ConflictError):
        forge.merge_pull(name, pull.number, head_sha=pull.head_sha, title="Merge it")
    forge.close_pull(name, pull.number)
    with pytest.raises(ConflictError):
        forge.merge_pull(name, pull.number, head_sha=pull.head_sha, title="Merge it")


def test_pull_raises_not_found_when_there_is_none(forge: GitHubForge, name: str) -> None:
    for ask in (lambda: forge.pull(name, 99), lambda: forge.close_pull(name, 99), lambda: forge.pull_files(name, 99)):
        with pytest.raises(NotFoundError):
            ask()


def test_pull_files_are_all_paths_over_many_pages(
    forge: GitHubForge, name: str, base: str, server: ForgeUnderTest
) -> None:
    files = {f"f{number:03}": b"%d" % number for number in range(120)}
    on_disk(server, name).commit({"staging/buildspec.yml": PIN, **files}, branch="many", parents=(base,))
    pull = forge.open_pull(name, head="many", base="main", title="t", body="")

    assert forge.pull_files(name, pull.number) == sorted(files)


# ---------------------------------------------------------------- checks


@pytest.mark.parametrize("state", list(CheckState))
def test_report_check_is_read_back(forge: GitHubForge, name: str, base: str, state: CheckState) -> None:
    forge.report_check(name, base, Check("launchpin/train (iris)", state, "A title"))

    assert forge.checks(name, base) == {"launchpin/train (iris)": state}


def test_report_check_replaces_what_was_said_under_the_name(
    forge: GitHubForge, name: str, base: str, server: ForgeUnderTest
) -> None:
    for state in (CheckState.PENDING, CheckState.FAILURE, CheckState.PENDING, CheckState.SUCCESS):
        check = Check("plan", state, f"It is {state}", summary="*s*", url="http://127.0.0.1/x", path="a/b", line=3)
        forge.report_check(name, base, check)

    runs = server.http().get(f"/repos/{name}/commits/{base}/check-runs").json()["check_runs"]
    assert [(run["name"], run["status"], run["conclusion"]) for run in runs] == [("plan", "completed", "success")]
    assert runs[0]["output"]["title"] == "It is success"
    assert runs[0]["details_url"] == "http://127.0.0.1/x"


def test_report_check_cuts_what_is_too_long(forge: GitHubForge, name: str, base: str) -> None:
    forge.report_check(
        name, base, Check("c", CheckState.FAILURE, "t" * 1000, summary="s" * 100_000, url="javascript:x")
    )

    assert forge.checks(name, base) == {"c": CheckState.FAILURE}


def test_report_check_uses_statuses_where_we_are_no_app(
    person: GitHubForge, name: str, base: str, server: ForgeUnderTest
) -> None:
    person.report_check(name, base, Check("launchpin/plan (staging)", CheckState.PENDING, "Wait"))
    person.report_check(name, base, Check("launchpin/plan (staging)", CheckState.SUCCESS, "t" * 200, url="http://x/y"))

    assert person.checks(name, base) == {"launchpin/plan (staging)": CheckState.SUCCESS}
    statuses = server.http().get(f"/repos/{name}/commits/{base}/statuses").json()
    assert [status["state"] for status in statuses] == ["success", "pending"]
    assert statuses[0]["description"] == "t" * 137 + "..."


def test_checks_merge_statuses_and_runs_and_the_more_careful_counts(
    forge: GitHubForge, person: GitHubForge, name: str, base: str
) -> None:
    forge.report_check(name, base, Check("both", CheckState.SUCCESS, "t"))
    person.report_check(name, base, Check("both", CheckState.FAILURE, "t"))
    forge.report_check(name, base, Check("run", CheckState.NEUTRAL, "t"))
    person.report_check(name, base, Check("status", CheckState.PENDING, "t"))

    assert forge.checks(name, base) == {
        "both": CheckState.FAILURE,
        "run": CheckState.NEUTRAL,
        "status": CheckState.PENDING,
    }


def test_report_check_says_when_the_commit_is_unknown(forge: GitHubForge, name: str) -> None:
    with pytest.raises(LaunchpinError):
        forge.report_check(name, "1" * 40, Check("c", CheckState.SUCCESS, "t"))


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
