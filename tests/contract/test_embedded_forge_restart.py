"""The embedded forge in a process of its own: what a restart keeps, and what a kill at the worst moment leaves."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.forge import ForgeProcess, ForgeUnderTest, HookReceiver, wait_for

Start = Callable[..., ForgeProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start forges that are ended after the test, however it went."""
    with ExitStack() as stack:

        def start_one(home: Path, *, failpoints: str = "") -> ForgeProcess:
            process = ForgeProcess(home, failpoints=failpoints)
            stack.callback(process.kill)
            return process

        yield start_one


def prepare(forge: ForgeUnderTest, hook_url: str = "") -> str:
    """Make a repository with an open pull request; return its full name."""
    repo = forge.repository()
    repo.create_git_ref("refs/heads/change", repo.get_branch("main").commit.sha)
    repo.create_file("a.txt", "add", "x\n", branch="change")
    repo.create_pull(base="main", head="change", title="T", body="B")
    if hook_url:
        repo.create_hook("web", {"url": hook_url, "content_type": "json"}, ["push", "pull_request"], active=True)
    return repo.full_name


def test_everything_is_kept_when_the_forge_is_killed_and_started_again(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path / "home")
    name = prepare(first.wait_ready())
    number = first.forge.github().get_repo(name).id
    first.kill()
    second = start(tmp_path / "home")
    repo = second.wait_ready().github().get_repo(name)
    assert (repo.id, [pull.title for pull in repo.get_pulls()]) == (number, ["T"])
    assert second.forge.bot == first.forge.bot
    assert repo.get_pull(1).merge().merged
    second.kill()


@pytest.mark.parametrize(
    ("failpoint", "is_merged"),
    [
        ("forge.merge.before", False),
        ("forge.update_refs.before", False),
        ("forge.update_refs.after", True),
        ("forge.merge.after", True),
        ("forge.announce.before", True),
        ("forge.announce.after", True),
    ],
)
@pytest.mark.parametrize("method", ["merge", "squash"])
def test_merge_is_whole_or_not_at_all_when_killed_in_it(
    start: Start, tmp_path: Path, failpoint: str, is_merged: bool, method: str
) -> None:
    calm = start(tmp_path / "home")
    name = prepare(calm.wait_ready())
    calm.kill()
    armed = start(tmp_path / "home", failpoints=f"{failpoint}=kill")
    url = f"/repos/{name}/pulls/1/merge"
    with pytest.raises(httpx.HTTPError):
        armed.wait_ready().http().put(url, json={"merge_method": method})
    armed.kill()
    healed = start(tmp_path / "home")
    repo = healed.wait_ready().github().get_repo(name)
    pull = repo.get_pull(1)
    assert pull.merged is is_merged
    if is_merged:
        assert pull.merge_commit_sha == repo.get_branch("main").commit.sha
        assert pull.merged_by.login == "launchpin[bot]"
    else:
        assert pull.merge(merge_method=method).merged
    healed.kill()


def test_push_is_told_after_the_restart_when_killed_right_after_the_ref_moved(start: Start, tmp_path: Path) -> None:
    receiver = HookReceiver()
    calm = start(tmp_path / "home")
    name = prepare(calm.wait_ready(), receiver.url)
    receiver.wait("ping")
    calm.kill()
    armed = start(tmp_path / "home", failpoints="forge.update_refs.after=kill")
    body = {"message": "m", "content": "eA=="}
    with pytest.raises(httpx.HTTPError):
        armed.wait_ready().http().put(f"/repos/{name}/contents/new.txt", json=body)
    armed.kill()
    healed = start(tmp_path / "home")
    healed.wait_ready()
    assert receiver.wait("push")[0].payload["commits"][0]["added"] == ["new.txt"]
    receiver.close()
    healed.kill()


def test_unsent_delivery_is_failed_and_can_be_redelivered_when_killed_before_sending(
    start: Start, tmp_path: Path
) -> None:
    receiver = HookReceiver()
    calm = start(tmp_path / "home")
    name = prepare(calm.wait_ready(), receiver.url)
    receiver.wait("ping")
    calm.kill()
    armed = start(tmp_path / "home", failpoints="forge.send_delivery.before=kill")
    with suppress(httpx.HTTPError):  # it may die before it has answered
        armed.wait_ready().http().put(f"/repos/{name}/contents/new.txt", json={"message": "m", "content": "eA=="})
    wait_for(lambda: armed.process.poll() is not None, "the forge to die")
    armed.kill()
    healed = start(tmp_path / "home")
    http = healed.wait_ready().http()
    hook = http.get(f"/repos/{name}/hooks").json()[0]["id"]
    lost = next(item for item in http.get(f"/repos/{name}/hooks/{hook}/deliveries").json() if item["event"] == "push")
    assert (lost["status_code"], lost["status"]) == (0, "interrupted by a restart")
    http.post(f"/repos/{name}/hooks/{hook}/deliveries/{lost['id']}/attempts").raise_for_status()
    assert receiver.wait("push")[0].headers["x-github-delivery"] == lost["guid"]
    receiver.close()
    healed.kill()


def test_start_is_refused_when_the_home_was_never_prepared(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "gitops.embedded.forge", "--home", str(tmp_path), "--port", "1")
    finished = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=Path(__file__).parents[2])
    assert finished.returncode == 2
    assert b"tokens.json" in finished.stderr
