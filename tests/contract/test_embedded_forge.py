"""The embedded forge through PyGithub: repositories, Git data, files, commits, checks, and GitHub's refusals."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from github import GithubException, InputGitTreeElement, UnknownObjectException
from github.Repository import Repository

from gitops.embedded.forge.accounts import load_accounts, make_tokens
from gitops.errors import InputError
from tests.support.forge import ForgeUnderTest, running_forge

STALE = "0" * 39 + "1"


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def repo(forge: ForgeUnderTest) -> Repository:
    return forge.repository()


def tip(repo: Repository, branch: str = "main") -> str:
    return repo.get_branch(branch).commit.sha


def refused(error: pytest.ExceptionInfo[GithubException]) -> tuple[int, str]:
    return error.value.status, str(error.value.data["message"])


def test_accounts_are_told_apart_by_token(forge: ForgeUnderTest) -> None:
    bot, person = forge.github().get_user(), forge.github(forge.user).get_user()
    assert (bot.login, bot.id, bot.type) == ("launchpin[bot]", 1, "Bot")
    assert (person.login, person.id, person.type) == ("you", 2, "User")


def test_attack_66_no_or_wrong_token_is_refused_on_every_route(forge: ForgeUnderTest) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic !!"}, {"Cookie": "launchpin_forge=x"}):
        answer = forge.browser(signed_in=False).get("/api/v3/user", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["message"] in {"Requires authentication", "Bad credentials"}


def test_attack_83_token_file_readable_by_others_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_tokens(home)
    (home / "tokens.json").chmod(0o644)
    with pytest.raises(InputError, match="owner only"):
        load_accounts(home)


def test_tokens_stay_the_same_and_private_when_made_twice(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = make_tokens(home)
    assert make_tokens(home) == first
    files = ["bot.token", "user.token", "tokens.json"]
    assert {(home / name).stat().st_mode & 0o777 for name in files} == {0o600}
    assert first["bot"] not in (home / "tokens.json").read_text()


def test_unknown_route_is_named_by_a_501(repo: Repository) -> None:
    with pytest.raises(GithubException) as error:
        repo.get_deployments().totalCount  # noqa: B018 - the property asks
    assert refused(error) == (501, f"not in the embedded forge: GET /repos/{repo.full_name}/deployments")


def test_repository_is_made_listed_changed_and_removed(forge: ForgeUnderTest) -> None:
    owner = forge.github(forge.user).get_user()
    made = owner.create_repo("mine", description="first", private=True)
    assert (made.full_name, made.private, made.default_branch, made.owner.id) == ("you/mine", True, "main", 2)
    made.edit(description="second")
    found = forge.github().get_repo("YOU/Mine")
    assert (found.id, found.description) == (made.id, "second")
    assert made.id in [repository.id for repository in forge.github(forge.user).get_user().get_repos()]
    made.delete()
    with pytest.raises(UnknownObjectException):
        forge.github().get_repo("you/mine")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x.git", "<script>", "$(touch x)", "a\0b", "x" * 101])
def test_repository_name_is_refused_when_it_is_not_plain(forge: ForgeUnderTest, name: str) -> None:
    answer = forge.http().post("/orgs/acme/repos", json={"name": name})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")


def test_repository_is_refused_when_its_name_is_taken(forge: ForgeUnderTest, repo: Repository) -> None:
    answer = forge.http().post("/orgs/acme/repos", json={"name": repo.name.upper()})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == "name already exists on this account"


def test_bot_cannot_own_a_repository(forge: ForgeUnderTest) -> None:
    answer = forge.http().post("/user/repos", json={"name": "x"})
    assert (answer.status_code, answer.json()["message"]) == (403, "Resource not accessible by integration")


def test_lists_come_in_pages_with_links(forge: ForgeUnderTest, repo: Repository) -> None:
    for number in range(7):
        repo.create_git_ref(f"refs/heads/b{number}", tip(repo))
    answer = forge.http().get(f"/repos/{repo.full_name}/branches", params={"per_page": 3, "page": 2})
    assert len(answer.json()) == 3
    assert set(answer.links) == {"first", "prev", "next", "last"}
    assert answer.links["last"]["url"].endswith("page=3")
    assert len(list(forge.github().get_repo(repo.full_name).get_branches())) == 8
    assert repo.get_branches().totalCount == 8


@pytest.mark.parametrize(
    "query", ["per_page=-1", "per_page=1e9", "page=99999999999999999999999", "per_page=0", "page=%D9%A3"]
)
def test_attack_68_odd_page_numbers_are_bounded(forge: ForgeUnderTest, repo: Repository, query: str) -> None:
    answer = forge.http().get(f"/repos/{repo.full_name}/branches?{query}")
    assert answer.status_code == 200
    assert len(answer.json()) <= 100


def test_unchanged_answer_is_304_with_its_etag_until_it_changes(forge: ForgeUnderTest, repo: Repository) -> None:
    http, path = forge.http(), f"/repos/{repo.full_name}/git/ref/heads/main"
    etag = http.get(path).headers["etag"]
    assert http.get(path, headers={"If-None-Match": etag}).status_code == 304
    repo.create_file("new.txt", "add", "x")
    assert http.get(path, headers={"If-None-Match": etag}).status_code == 200
    whole = http.get(f"/repos/{repo.full_name}").headers["etag"]
    assert http.get(f"/repos/{repo.full_name}", headers={"If-None-Match": whole}).status_code == 304


def test_ref_moves_forward_and_refuses_anything_else(repo: Repository) -> None:
    start = tip(repo)
    repo.create_file("a", "one", "1", branch="main")
    ref = repo.create_git_ref("refs/heads/side", start)
    assert (ref.ref, ref.object.sha, ref.object.type) == ("refs/heads/side", start, "commit")
    ref.edit(tip(repo))
    with pytest.raises(GithubException) as error:
        ref.edit(start)
    assert refused(error) == (422, "Update is not a fast forward")
    ref.edit(start, force=True)
    assert tip(repo, "side") == start
    ref.delete()
    with pytest.raises(GithubException) as gone:
        ref.delete()
    assert refused(gone) == (422, "Reference does not exist")


@pytest.mark.parametrize(
    ("name", "sha", "message"),
    [
        ("refs/heads/main", "", "Reference already exists"),
        ("refs/heads/x", STALE, "Object does not exist"),
        ("refs/heads/x", "main", "Object does not exist"),
        ("heads/x", "", "heads/x is not a valid ref name."),
        ("refs/heads/a..b", "", "refs/heads/a..b is not a valid ref name."),
        ("refs/heads/../../x", "", "refs/heads/../../x is not a valid ref name."),
        ("refs/heads/a\nb", "", "refs/heads/a\nb is not a valid ref name."),
    ],
)
def test_ref_is_refused_when_it_is_wrong(repo: Repository, name: str, sha: str, message: str) -> None:
    with pytest.raises(GithubException) as error:
        repo.create_git_ref(name, sha or tip(repo))
    assert refused(error) == (422, message)


def test_ref_is_refused_when_its_name_collides_with_another(repo: Repository) -> None:
    repo.create_git_ref("refs/heads/a", tip(repo))
    with pytest.raises(GithubException) as error:
        repo.create_git_ref("refs/heads/a/b", tip(repo))
    assert error.value.status == 422


def test_matching_refs_are_found_by_prefix(repo: Repository) -> None:
    for name in ("refs/heads/launchpin/staging/iris", "refs/heads/launchpin/production/iris", "refs/tags/v1"):
        repo.create_git_ref(name, tip(repo))
    assert [ref.ref for ref in repo.get_git_matching_refs("heads/launchpin/")] == [
        "refs/heads/launchpin/production/iris",
        "refs/heads/launchpin/staging/iris",
    ]
    assert repo.get_git_ref("heads/launchpin/staging/iris").object.sha == tip(repo)
    assert "refs/tags/v1" in [ref.ref for ref in repo.get_git_refs()]


def test_commit_is_built_from_blob_tree_and_parent(repo: Repository) -> None:
    parent = repo.get_git_commit(tip(repo))
    blob = repo.create_git_blob("aGVsbG8=", "base64")
    entries = [
        InputGitTreeElement("deep/er/file.txt", "100644", "blob", sha=blob.sha),
        InputGitTreeElement("run.sh", "100755", "blob", content="echo\n"),
        InputGitTreeElement("README.md", "100644", "blob", sha=None),
    ]
    tree = repo.create_git_tree(entries, base_tree=parent.tree)
    commit = repo.create_git_commit("built", tree, [parent])
    repo.get_git_ref("heads/main").edit(commit.sha)
    listed = {(item.path, item.mode, item.type) for item in repo.get_git_tree("main", recursive=True).tree}
    assert ("deep/er/file.txt", "100644", "blob") in listed
    assert ("run.sh", "100755", "blob") in listed
    assert "README.md" not in {path for path, _, _ in listed}
    assert repo.get_git_blob(blob.sha).content.strip() == "aGVsbG8="
    assert repo.get_git_commit(commit.sha).message == "built"
    assert commit.author.name == "launchpin[bot]"


@pytest.mark.parametrize("path", ["../x", "/x", ".git/config", "a/.GIT/hooks/x", "a//b", "", "."])
def test_attack_39_tree_path_is_refused_when_it_leaves_the_tree(repo: Repository, path: str) -> None:
    with pytest.raises(GithubException) as error:
        repo.create_git_tree([InputGitTreeElement(path, "100644", "blob", content="x")])
    assert error.value.status == 422


def test_file_is_made_changed_read_and_removed(repo: Repository) -> None:
    made = repo.create_file("dir/ü.txt", "add", "one", branch="main")
    assert made["commit"].sha == tip(repo)
    found = repo.get_contents("dir/ü.txt", ref="main")
    assert not isinstance(found, list)
    assert (found.decoded_content, found.sha) == (b"one", made["content"].sha)
    repo.update_file("dir/ü.txt", "change", "two", found.sha, branch="main")
    with pytest.raises(GithubException) as stale:
        repo.update_file("dir/ü.txt", "change", "three", found.sha, branch="main")
    assert refused(stale) == (409, f"dir/ü.txt does not match {found.sha}")
    with pytest.raises(GithubException) as missing:
        repo.create_file("dir/ü.txt", "again", "three", branch="main")
    assert refused(missing) == (422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    listed = repo.get_contents("dir", ref="main")
    assert isinstance(listed, list)
    repo.delete_file("dir/ü.txt", "remove", listed[0].sha, branch="main")
    with pytest.raises(UnknownObjectException):
        repo.get_contents("dir/ü.txt", ref="main")


def test_commits_are_listed_by_path_and_compared(repo: Repository) -> None:
    start = tip(repo)
    for number in range(3):
        repo.create_file(f"{number % 2}/{number}.txt", f"add {number}", "x\n")
    assert [commit.commit.message for commit in repo.get_commits(path="0")] == ["add 2", "add 0"]
    comparison = repo.compare(start, "main")
    assert (comparison.status, comparison.ahead_by, comparison.behind_by) == ("ahead", 3, 0)
    assert sorted(file.filename for file in comparison.files) == ["0/0.txt", "0/2.txt", "1/1.txt"]
    assert repo.compare("main", start).status == "behind"
    shown = repo.get_commit(tip(repo))
    assert [(file.filename, file.status, file.additions) for file in shown.files] == [("0/2.txt", "added", 1)]
    assert shown.stats.total == 1
    with pytest.raises(GithubException) as error:
        repo.get_commit(STALE)
    assert refused(error) == (422, f"No commit found for SHA: {STALE}")


def test_statuses_combine_by_the_newest_of_each_context(repo: Repository) -> None:
    commit = repo.get_commit(tip(repo))
    assert commit.get_combined_status().state == "pending"
    commit.create_status("pending", context="a", target_url="http://127.0.0.1:1/x", description="wait")
    commit.create_status("success", context="a")
    commit.create_status("failure", context="b")
    combined = commit.get_combined_status()
    assert (combined.state, combined.total_count) == ("failure", 2)
    assert [status.state for status in commit.get_statuses()] == ["failure", "success", "pending"]
    commit.create_status("success", context="b")
    assert commit.get_combined_status().state == "success"


def test_status_is_refused_when_it_is_wrong(repo: Repository) -> None:
    commit = repo.get_commit(tip(repo))
    for arguments in (
        {"state": "great"},
        {"state": "success", "description": "x" * 141},
        {"state": "success", "target_url": "javascript:alert(1)"},
    ):
        with pytest.raises(GithubException) as error:
            commit.create_status(**arguments)
        assert refused(error) == (422, "Validation Failed")


def test_check_run_lives_from_queued_to_completed(repo: Repository) -> None:
    sha = tip(repo)
    run = repo.create_check_run("launchpin", sha, external_id="t-1", details_url="http://127.0.0.1:1/")
    assert (run.status, run.external_id) == ("queued", "t-1")
    run.edit(status="in_progress", output={"title": "Training", "summary": "half"})
    run.edit(conclusion="failure", output={"title": "Refused", "summary": "accuracy 0.893 is not above 0.9"})
    found = repo.get_check_run(run.id)
    assert (found.status, found.conclusion, found.output.title) == ("completed", "failure", "Refused")
    repo.create_check_run("launchpin", sha, status="completed", conclusion="success")
    runs = repo.get_commit(sha).get_check_runs()
    assert [(item.name, item.conclusion) for item in runs] == [("launchpin", "success")]
    assert repo.get_commit(sha).get_check_runs(filter="all").totalCount == 2


def test_check_run_is_refused_when_a_person_writes_it(forge: ForgeUnderTest, repo: Repository) -> None:
    sha = tip(repo)
    with pytest.raises(GithubException) as error:
        forge.github(forge.user).get_repo(repo.full_name).create_check_run("x", sha)
    assert refused(error) == (403, "You must authenticate via a GitHub App.")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": NaN}',
        b'{"name": 1e400}',
        b'{"name": "\\ud800"}',
        b"[" * 200_000,
        '{"name": "x"}'.encode("utf-16"),
        b'"x"',
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_attack_29_bad_json_is_refused(forge: ForgeUnderTest, body: bytes) -> None:
    answer = forge.http().post("/orgs/acme/repos", content=body)
    assert answer.status_code == 400


def test_attack_10_body_over_the_limit_is_refused_without_reading(forge: ForgeUnderTest) -> None:
    answer = forge.http().post("/orgs/acme/repos", content=b" " * (25 * 1024 * 1024 + 1))
    assert answer.status_code == 413


def test_attack_67_sql_in_names_and_filters_finds_nothing(forge: ForgeUnderTest, repo: Repository) -> None:
    http = forge.http()
    assert http.get("/repos/acme'--/x").status_code == 404
    assert http.get(f"/repos/{repo.full_name}/pulls", params={"state": "' OR 1=1 --"}).json() == []
    assert http.get(f"/repos/{repo.full_name}/pulls/1%20OR%201=1").status_code == 404


def test_user_error_is_never_a_500_when_types_are_wrong(forge: ForgeUnderTest, repo: Repository) -> None:
    http, base = forge.http(), f"/repos/{repo.full_name}"
    wrong: list[object] = [{"name": 1}, {"ref": [], "sha": {}}, {"title": 1}, {"tree": 1}, {"tree": [1]}, {"config": 1}]
    for path in ("/git/refs", "/git/trees", "/git/commits", "/git/blobs", "/pulls", "/hooks", "/check-runs"):
        for body in wrong:
            assert http.post(base + path, json=body).status_code == 422, (path, body)
