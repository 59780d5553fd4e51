"""Pull requests of the embedded forge through PyGithub, from opening to the three ways of merging."""

from collections.abc import Iterator

import pytest
from github import GithubException
from github.PullRequest import PullRequest
from github.Repository import Repository

from tests.support.forge import ForgeUnderTest, running_forge


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def repo(forge: ForgeUnderTest) -> Repository:
    return forge.repository()


def commit_on(repo: Repository, branch: str, path: str, content: str = "x\n") -> str:
    """Put a file on a branch, made from main when it is new."""
    if branch not in [found.name for found in repo.get_branches()]:
        repo.create_git_ref(f"refs/heads/{branch}", repo.get_branch("main").commit.sha)
    return repo.create_file(path, f"add {path}", content, branch=branch)["commit"].sha


def open_pull(repo: Repository, branch: str = "change", path: str = "a.txt") -> PullRequest:
    commit_on(repo, branch, path)
    return repo.create_pull(base="main", head=branch, title="Add a", body="because")


def status_of(error: pytest.ExceptionInfo[GithubException]) -> int:
    return error.value.status


def test_pull_request_shows_what_it_would_merge(repo: Repository) -> None:
    pull = open_pull(repo)
    assert (pull.number, pull.state, pull.title, pull.body, pull.merged) == (1, "open", "Add a", "because", False)
    assert (pull.head.ref, pull.base.ref, pull.head.label) == ("change", "main", "acme:change")
    assert (pull.mergeable, pull.mergeable_state, pull.commits, pull.changed_files) == (True, "clean", 1, 1)
    assert [file.filename for file in pull.get_files()] == ["a.txt"]
    assert [commit.commit.message for commit in pull.get_commits()] == ["add a.txt"]
    assert list(pull.get_reviews()) == []
    assert pull.user.type == "Bot"


def test_i17_second_pull_request_is_refused_when_one_is_open_for_the_same_branches(repo: Repository) -> None:
    pull = open_pull(repo)
    with pytest.raises(GithubException) as error:
        repo.create_pull(base="main", head="change", title="again", body="")
    assert status_of(error) == 422
    assert error.value.data["errors"][0]["message"] == "A pull request already exists for acme:change."
    assert [found.number for found in repo.get_pulls(head="acme:change", base="main")] == [pull.number]
    pull.edit(state="closed")
    assert repo.create_pull(base="main", head="change", title="again", body="").number == 2


@pytest.mark.parametrize(
    ("head", "base", "field"), [("gone", "main", "head"), ("main", "gone", "base"), ("other:main", "main", "head")]
)
def test_pull_request_is_refused_when_a_branch_is_missing(repo: Repository, head: str, base: str, field: str) -> None:
    with pytest.raises(GithubException) as error:
        repo.create_pull(base=base, head=head, title="x", body="")
    assert (status_of(error), error.value.data["errors"][0]["field"]) == (422, field)


def test_pull_request_is_refused_when_there_is_nothing_to_merge(repo: Repository) -> None:
    repo.create_git_ref("refs/heads/same", repo.get_branch("main").commit.sha)
    with pytest.raises(GithubException) as error:
        repo.create_pull(base="main", head="same", title="x", body="")
    assert error.value.data["errors"][0]["message"] == "No commits between main and same"


def test_pull_request_texts_are_bounded_as_githubs(repo: Repository) -> None:
    commit_on(repo, "change", "a.txt")
    for title, body in (("", "x"), ("x" * 257, "x"), ("x", "b" * 65537)):
        with pytest.raises(GithubException) as error:
            repo.create_pull(base="main", head="change", title=title, body=body)
        assert status_of(error) == 422


def test_merge_makes_a_commit_with_two_parents(repo: Repository) -> None:
    pull, before = open_pull(repo), repo.get_branch("main").commit.sha
    commit_on(repo, "main", "b.txt")
    between = repo.get_branch("main").commit.sha
    result = pull.merge(sha=pull.head.sha, commit_title="Pin iris", commit_message="Launchpin-Trailer: x")
    merged = repo.get_git_commit(result.sha)
    assert [parent.sha for parent in merged.parents] == [between, pull.head.sha]
    assert merged.message == "Pin iris\n\nLaunchpin-Trailer: x"
    assert repo.get_branch("main").commit.sha == result.sha
    found = repo.get_pull(pull.number)
    assert (found.merged, found.state, found.merge_commit_sha, found.merged_by.login) == (
        *(True, "closed", result.sha),
        "launchpin[bot]",
    )
    assert found.is_merged()
    assert before != between
    assert [item.number for item in repo.get_commit(result.sha).get_pulls()] == [pull.number]
    assert [item.number for item in repo.get_commit(pull.head.sha).get_pulls()] == [pull.number]
    assert [item.number for item in repo.get_commit(between).get_pulls()] == []


def test_merge_by_the_persons_token_is_the_persons(forge: ForgeUnderTest, repo: Repository) -> None:
    pull = open_pull(repo)
    forge.github(forge.user).get_repo(repo.full_name).get_pull(pull.number).merge()
    merger = repo.get_pull(pull.number).merged_by
    assert (merger.login, merger.type, merger.id) == ("you", "User", 2)


def test_squash_makes_one_commit(repo: Repository) -> None:
    pull = open_pull(repo)
    commit_on(repo, "change", "b.txt")
    result = pull.merge(merge_method="squash")
    merged = repo.get_git_commit(result.sha)
    assert len(merged.parents) == 1
    assert merged.message == "Add a (#1)\n\n* add a.txt\n\n* add b.txt"
    assert repo.get_pull(1).merged


def test_rebase_keeps_the_commits_in_order(repo: Repository) -> None:
    pull = open_pull(repo)
    commit_on(repo, "change", "b.txt")
    commit_on(repo, "main", "c.txt")
    pull.merge(merge_method="rebase")
    assert [commit.commit.message for commit in repo.get_commits()] == [
        *("add b.txt", "add a.txt", "add c.txt"),
        "Initial commit",
    ]
    assert repo.get_pull(1).merged


def test_merge_is_refused_when_the_head_is_another(repo: Repository) -> None:
    pull = open_pull(repo)
    commit_on(repo, "change", "b.txt")
    with pytest.raises(GithubException) as error:
        pull.merge(sha=pull.head.sha)
    assert (status_of(error), error.value.data["message"]) == (
        409,
        "Head branch was modified. Review and try the merge again.",
    )


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_merge_is_refused_when_it_conflicts(repo: Repository, method: str) -> None:
    pull = open_pull(repo)
    commit_on(repo, "main", "a.txt", "other\n")
    before = repo.get_branch("main").commit.sha
    assert repo.get_pull(pull.number).mergeable is False
    with pytest.raises(GithubException) as error:
        pull.merge(merge_method=method)
    assert (status_of(error), error.value.data["message"]) == (405, "Pull Request is not mergeable")
    assert repo.get_branch("main").commit.sha == before


def test_merge_is_refused_when_it_is_closed_or_merged(repo: Repository) -> None:
    pull = open_pull(repo)
    pull.edit(state="closed")
    with pytest.raises(GithubException) as closed:
        pull.merge()
    pull.edit(state="open")
    pull.merge()
    with pytest.raises(GithubException) as merged:
        pull.merge()
    assert (status_of(closed), status_of(merged)) == (405, 405)


def test_pull_request_is_edited_and_listed_by_state(repo: Repository) -> None:
    pull = open_pull(repo)
    pull.edit(title="New title", body="new body")
    assert (repo.get_pull(1).title, repo.get_pull(1).body) == ("New title", "new body")
    pull.edit(state="closed")
    assert [found.number for found in repo.get_pulls()] == []
    assert [found.number for found in repo.get_pulls(state="closed")] == [1]
    assert [found.number for found in repo.get_pulls(state="all", base="main", head="acme:change")] == [1]
    assert list(repo.get_pulls(state="all", head="acme:other")) == []


def test_pull_request_follows_its_branch(repo: Repository) -> None:
    pull = open_pull(repo)
    sha = commit_on(repo, "change", "b.txt")
    assert repo.get_pull(pull.number).head.sha == sha
    repo.get_git_ref("heads/change").delete()
    assert repo.get_pull(pull.number).state == "closed"
    with pytest.raises(GithubException) as error:
        pull.edit(state="open")
    assert status_of(error) == 422


def test_pull_request_counts_as_merged_when_its_commits_reach_the_base_by_a_push(repo: Repository) -> None:
    pull = open_pull(repo)
    repo.get_git_ref("heads/main").edit(pull.head.sha)
    found = repo.get_pull(pull.number)
    assert (found.merged, found.merge_commit_sha) == (True, pull.head.sha)


def test_comments_are_written_changed_and_removed(repo: Repository) -> None:
    pull = open_pull(repo)
    comment = pull.create_issue_comment("first")
    comment.edit("second")
    assert [(item.body, item.user.login) for item in pull.get_issue_comments()] == [("second", "launchpin[bot]")]
    assert repo.get_pull(1).comments == 1
    comment.delete()
    assert list(pull.get_issue_comments()) == []
    with pytest.raises(GithubException) as error:
        pull.create_issue_comment(" ")
    assert status_of(error) == 422


def test_labels_are_added_and_listed(repo: Repository) -> None:
    pull = open_pull(repo)
    pull.add_to_labels("launchpin", "env:staging")
    pull.add_to_labels("launchpin")
    assert [label.name for label in pull.get_labels()] == ["launchpin", "env:staging"]
    assert [label.name for label in repo.get_pull(1).labels] == ["launchpin", "env:staging"]
    assert pull.as_issue().title == "Add a"
