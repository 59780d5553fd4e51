"""The Forge port against the embedded forge: pull requests and checks."""

from pathlib import Path

import pytest

from gitops.errors import ConflictError, LaunchpinError, NotFoundError, RefusedError
from gitops.forge.github import GitHubForge
from gitops.ports import Check, CheckState, Pull
from tests.contract.github_forge_world import BOT, PIN, base, commit, forge, name, on_disk, person, server
from tests.support.forge import ForgeUnderTest

__all__ = ["base", "forge", "name", "person", "server"]


def open_pull(forge: GitHubForge, name: str, base: str, branch: str = "launchpin/staging/iris") -> Pull:
    commit(forge, name, base, branch, {"staging/buildspec.yml": b"pinned"}, create=True)
    return forge.open_pull(name, head=branch, base="main", title="Pin iris 1", body="Body")


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


def test_reviews_are_told_with_the_head_that_each_looked_at(
    forge: GitHubForge, person: GitHubForge, name: str, base: str, server: ForgeUnderTest
) -> None:
    pull = open_pull(forge, name, base)
    assert forge.reviews(name, pull.number) == []
    written = server.http(server.user).post(f"/repos/{name}/pulls/{pull.number}/reviews", json={"event": "APPROVE"})
    moved = commit(forge, name, pull.head_sha, pull.head_ref, {"a": b"1"})
    server.http().post(f"/repos/{name}/pulls/{pull.number}/reviews", json={"event": "COMMENT", "body": "anew"})

    person.merge_pull(name, pull.number, head_sha=moved, title="Merge it")

    assert forge.pull(name, pull.number).head_sha == moved
    assert [(one.login, one.state, one.sha) for one in forge.reviews(name, pull.number)] == [
        ("you", "APPROVED", pull.head_sha),
        (BOT, "COMMENTED", moved),
    ]
    assert forge.reviews(name, pull.number)[0].id == written.json()["id"]


def test_reviews_are_all_over_many_pages(forge: GitHubForge, name: str, base: str, server: ForgeUnderTest) -> None:
    pull, http = open_pull(forge, name, base), server.http()
    for number in range(103):
        told = {"event": "COMMENT", "body": f"word {number}"}
        http.post(f"/repos/{name}/pulls/{pull.number}/reviews", json=told).raise_for_status()

    ids = [one.id for one in forge.reviews(name, pull.number)]
    assert (len(ids), ids) == (103, sorted(ids))


def test_pull_raises_not_found_when_there_is_none(forge: GitHubForge, name: str) -> None:
    for ask in (
        lambda: forge.pull(name, 99),
        lambda: forge.close_pull(name, 99),
        lambda: forge.pull_files(name, 99),
        lambda: forge.reviews(name, 99),
    ):
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
