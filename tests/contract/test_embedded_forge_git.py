"""Clone and push over smart HTTP with real git, under names that would bite a careless server."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from github.Repository import Repository

from tests.support.forge import ForgeUnderTest, HookReceiver, running_forge

HOSTILE = [
    "$(touch${IFS}canary)",
    "`touch${IFS}canary`",
    "a;touch${IFS}canary",
    "a|b",
    "a&&b",
    "-x",
    "--upload-pack=touch${IFS}canary",
    "q'q",
    'd"d',
    "<script>alert(1)</script>",
    "a%2Fb",
    "a#b",
    "ü/ñ",
    "1" * 40,
]


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def repo(forge: ForgeUnderTest) -> Repository:
    return forge.repository()


def clone(forge: ForgeUnderTest, repo: Repository, folder: Path, name: str = "work") -> Path:
    forge.git("clone", "-q", repo.clone_url, name, cwd=folder)
    return folder / name


def commit(forge: ForgeUnderTest, work: Path, path: str, text: str = "x\n") -> str:
    (work / path).write_text(text)
    forge.git("add", "-A", cwd=work)
    forge.git("commit", "-qm", f"add {path}", cwd=work)
    return forge.git("rev-parse", "HEAD", cwd=work).strip()


def test_push_reaches_the_api_and_the_hooks_as_its_pushers(
    forge: ForgeUnderTest, repo: Repository, tmp_path: Path
) -> None:
    receiver = HookReceiver()
    repo.create_hook("web", {"url": receiver.url, "content_type": "json"}, ["push"], active=True)
    work = clone(forge, repo, tmp_path)
    sha = commit(forge, work, "a.txt")
    forge.git("push", "-q", "origin", "HEAD:main", "HEAD:refs/heads/side", "HEAD:refs/tags/v1", cwd=work)
    pushes = {push.payload["ref"]: push.payload for push in receiver.wait("push", count=3)}
    receiver.close()
    assert repo.get_branch("main").commit.sha == sha
    assert set(pushes) == {"refs/heads/main", "refs/heads/side", "refs/tags/v1"}
    assert {push["sender"]["login"] for push in pushes.values()} == {"you"}
    assert pushes["refs/heads/main"]["commits"][0]["author"]["name"] == "Ada"


def test_first_push_of_another_branch_makes_it_the_default(forge: ForgeUnderTest, tmp_path: Path) -> None:
    repo = forge.github().get_organization("acme").create_repo("empty")
    forge.git("init", "-q", "-b", "trunk", "work", cwd=tmp_path)
    commit(forge, tmp_path / "work", "a.txt")
    forge.git("push", "-q", repo.clone_url, "trunk", cwd=tmp_path / "work")
    assert forge.github().get_repo("acme/empty").default_branch == "trunk"
    assert forge.git("ls-remote", "--symref", repo.clone_url, "HEAD", cwd=tmp_path).startswith("ref: refs/heads/trunk")


def test_fetch_by_sha_works_when_no_branch_holds_it(forge: ForgeUnderTest, repo: Repository, tmp_path: Path) -> None:
    work = clone(forge, repo, tmp_path)
    old = forge.git("rev-parse", "HEAD", cwd=work).strip()
    forge.git("checkout", "-q", "--orphan", "fresh", cwd=work)
    commit(forge, work, "b.txt")
    forge.git("push", "-qf", "origin", "HEAD:main", cwd=work)
    forge.git("init", "-q", "other", cwd=tmp_path)
    forge.git("fetch", "-q", "--depth=1", repo.clone_url, old, cwd=tmp_path / "other")
    assert forge.git("rev-parse", "FETCH_HEAD", cwd=tmp_path / "other").strip() == old


def test_push_is_refused_when_it_is_not_a_fast_forward(forge: ForgeUnderTest, repo: Repository, tmp_path: Path) -> None:
    one, two = clone(forge, repo, tmp_path, "one"), clone(forge, repo, tmp_path, "two")
    sha = commit(forge, one, "one.txt")
    forge.git("push", "-q", "origin", "main", cwd=one)
    commit(forge, two, "two.txt")
    assert "[rejected]" in forge.git("push", "origin", "main", cwd=two, check=False)
    assert repo.get_branch("main").commit.sha == sha


def test_git_needs_a_token_to_read_and_to_write(forge: ForgeUnderTest, repo: Repository, tmp_path: Path) -> None:
    said = forge.git("clone", repo.clone_url, "w", cwd=tmp_path, token="wrong", check=False)
    assert "Authentication failed" in said or "could not read Username" in said
    for service in ("git-upload-pack", "git-receive-pack"):
        answer = httpx.get(f"{repo.clone_url}/info/refs", params={"service": service})
        assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")
    assert httpx.post(f"{repo.clone_url}/git-receive-pack", content=b"0000").status_code == 401


@pytest.mark.parametrize(
    "path", ["HEAD", "objects/info/packs", "config", "../../forge.sqlite3", "..%2f..%2ftokens.json"]
)
def test_attack_55_nothing_but_the_smart_protocol_is_served(forge: ForgeUnderTest, repo: Repository, path: str) -> None:
    answer = httpx.get(f"{repo.clone_url}/{path}", auth=("x", forge.bot))
    assert answer.status_code in {401, 404}
    assert b"lp_" not in answer.content


@pytest.mark.parametrize("branch", HOSTILE)
def test_attack_34_and_70_hostile_branch_names_are_only_names(
    forge: ForgeUnderTest, repo: Repository, tmp_path: Path, branch: str
) -> None:
    work = clone(forge, repo, tmp_path)
    sha = commit(forge, work, "a.txt")
    forge.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}", cwd=work)
    assert repo.get_git_ref(f"heads/{branch}").object.sha == sha
    assert repo.get_branch(branch).commit.sha == sha
    assert repo.compare("main", f"refs/heads/{branch}").ahead_by == 1
    pull = repo.create_pull(base="main", head=branch, title=branch, body=branch)
    page = forge.browser().get(f"/{repo.full_name}/pull/{pull.number}")
    assert page.status_code == 200
    assert "<script" not in page.text
    pull.merge()
    repo.get_git_ref(f"heads/{branch}").delete()
    repo.create_git_ref(f"refs/heads/{branch}", sha)
    forge.git("fetch", "-q", "origin", f"refs/heads/{branch}", cwd=work)
    assert [path for root in (forge.home, tmp_path, Path.cwd()) for path in root.glob("**/canary*")] == []


def test_concurrent_pushes_are_all_told_once_and_in_order(
    forge: ForgeUnderTest, repo: Repository, tmp_path: Path
) -> None:
    receiver = HookReceiver()
    repo.create_hook("web", {"url": receiver.url, "content_type": "json"}, ["push"], active=True)
    works = [clone(forge, repo, tmp_path, f"work{number}") for number in range(6)]
    shas = [commit(forge, work, f"{number}.txt") for number, work in enumerate(works)]

    def push(number: int) -> str:
        refs = (f"HEAD:refs/heads/side{number}", "+HEAD:refs/heads/shared")
        return forge.git("push", "-q", "origin", *refs, cwd=works[number], check=False)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(push, range(6)))
    heads = {branch.name: branch.commit.sha for branch in repo.get_branches()}
    assert [heads[f"side{number}"] for number in range(6)] == shas
    pushes = [item.payload for item in receiver.wait("push", count=7)]
    receiver.close()
    chain = {item["after"]: item["before"] for item in pushes if item["ref"] == "refs/heads/shared"}
    walked = heads["shared"]
    for _ in chain:
        walked = chain[walked]
    assert walked == "0" * 40


def test_large_push_and_clone_work_in_chunks(forge: ForgeUnderTest, repo: Repository, tmp_path: Path) -> None:
    work = clone(forge, repo, tmp_path)
    (work / "weights.bin").write_bytes(os.urandom(5_000_000))
    sha = commit(forge, work, "a.txt")
    forge.git("push", "-q", "origin", "main", cwd=work)
    assert repo.get_branch("main").commit.sha == sha
    again = clone(forge, repo, tmp_path, "again")
    assert (again / "weights.bin").read_bytes() == (work / "weights.bin").read_bytes()


def test_push_over_the_limit_is_refused(
    forge: ForgeUnderTest, repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops.embedded.forge.smart.PUSH_LIMIT", 100)
    work = clone(forge, repo, tmp_path)
    before = repo.get_branch("main").commit.sha
    commit(forge, work, "a.txt", "x" * 10_000)
    assert "413" in forge.git("push", "origin", "main", cwd=work, check=False)
    assert repo.get_branch("main").commit.sha == before


def test_commit_with_names_that_are_not_utf8_breaks_nothing(
    forge: ForgeUnderTest, repo: Repository, tmp_path: Path
) -> None:
    receiver = HookReceiver()
    repo.create_hook("web", {"url": receiver.url, "content_type": "json"}, ["push"], active=True)
    work = clone(forge, repo, tmp_path)
    blob = forge.git("hash-object", "-w", "README.md", cwd=work).strip()
    listing = f"100644 blob {blob}\tREADME.md\n100644 blob {blob}\tb".encode() + b"\xff\xfe.txt\n"
    tree = run_raw(work, "mktree", listing)
    author = b"R\xe9n\xe9 <r\xe9@example.com> 1700000000 +0100"
    text = b"tree %s\nauthor %s\ncommitter %s\n\nr\xe9sum\xe9\n" % (tree, author, author)
    sha = run_raw(work, "hash-object", text, "-w", "--stdin", "-t", "commit").decode()
    forge.git("push", "-qf", "origin", f"{sha}:refs/heads/main", f"{sha}:refs/heads/odd", cwd=work)
    assert receiver.wait("push", count=2)[0].payload["head_commit"]["id"] == sha
    receiver.close()
    assert repo.get_commit(sha).commit.author.name == "R\ufffdn\ufffd"
    assert len(repo.get_git_tree(sha, recursive=True).tree) == 2
    contents = repo.get_contents("", ref=sha)
    assert isinstance(contents, list)
    assert len(contents) == 2
    assert [commit.sha for commit in repo.get_commits()] == [sha]
    made = repo.create_file("c.txt", "add", "x", branch="odd")["commit"]
    assert len(repo.get_git_tree(made.sha).tree) == 3
    pull = repo.create_pull(base="main", head="odd", title="odd", body="")
    assert pull.merge(merge_method="squash").merged
    client = forge.browser()
    for path in ("", f"/commit/{sha}", f"/commit/{made.sha}", f"/pull/{pull.number}"):
        assert client.get(f"/{repo.full_name}{path}").status_code == 200


@pytest.mark.parametrize("moment", ["99999999999999 +0000", "1700000000 +9959", "0 -2359", "9223372036854775 -0000"])
def test_commit_with_a_time_no_calendar_has_breaks_nothing(
    forge: ForgeUnderTest, repo: Repository, tmp_path: Path, moment: str
) -> None:
    work = clone(forge, repo, tmp_path)
    tree = forge.git("rev-parse", "HEAD^{tree}", cwd=work).strip()
    author = f"A <a@example.com> {moment}"
    text = f"tree {tree}\nauthor {author}\ncommitter {author}\n\nodd\n".encode()
    sha = run_raw(work, "hash-object", text, "-w", "--stdin", "-t", "commit", "--literally").decode()
    forge.git("push", "-qf", "origin", f"{sha}:refs/heads/main", cwd=work, check=False)
    repo.create_file("next.txt", "next", "x")
    assert repo.get_commits()[0].commit.message == "next"
    assert forge.browser().get(f"/{repo.full_name}").status_code == 200


def run_raw(work: Path, command: str, text: bytes, *arguments: str) -> bytes:
    """Run a git plumbing command on bytes."""
    finished = subprocess.run(("git", command, *arguments), cwd=work, input=text, capture_output=True, check=True)
    return finished.stdout.strip()
