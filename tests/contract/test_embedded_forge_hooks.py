"""Webhooks of the embedded forge: what is sent, how it is signed, what is recorded, what is sent again."""

import hashlib
import hmac
import uuid
from collections.abc import Callable, Iterator

import pytest
from github import GithubException
from github.Hook import Hook
from github.HookDelivery import HookDeliverySummary
from github.Repository import Repository

from gitops.embedded.forge.deliveries import sign
from tests.support.forge import ForgeUnderTest, HookReceiver, Received, free_port, running_forge, wait_for

SECRET = "It's a Secret to Everybody"
EVENTS = ["push", "pull_request", "issue_comment"]


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[HookReceiver]:
    running = HookReceiver()
    yield running
    running.close()


@pytest.fixture
def repo(forge: ForgeUnderTest) -> Repository:
    return forge.repository()


def add_hook(repo: Repository, url: str) -> Hook:
    return repo.create_hook("web", {"url": url, "secret": SECRET, "content_type": "json"}, EVENTS, active=True)


def wait_recorded(
    repo: Repository, hook: Hook, is_wanted: Callable[[HookDeliverySummary], bool]
) -> HookDeliverySummary:
    """Wait for a delivery in the hook's list."""

    def find() -> list[HookDeliverySummary]:
        return [item for item in repo.get_hook_deliveries(hook.id) if is_wanted(item)]

    return wait_for(find, "a recorded delivery")[0]


def is_signed(hook: Received) -> bool:
    expected = "sha256=" + hmac.new(SECRET.encode(), hook.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, hook.headers["x-hub-signature-256"])


def test_attack_9_signature_is_githubs_known_answer() -> None:
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert sign(SECRET, b"Hello, World!") == expected


def test_ping_arrives_signed_when_a_hook_is_made(repo: Repository, receiver: HookReceiver) -> None:
    hook = add_hook(repo, receiver.url)
    ping = receiver.wait("ping")[0]
    assert is_signed(ping)
    assert str(uuid.UUID(ping.headers["x-github-delivery"])) == ping.headers["x-github-delivery"]
    assert ping.headers["x-github-hook-id"] == str(hook.id)
    assert ping.headers["content-type"] == "application/json"
    assert ping.headers["user-agent"].startswith("GitHub-Hookshot/")
    assert ping.payload["hook"]["config"]["secret"] == "********"
    assert hook.config["secret"] == "********"


def test_push_tells_what_moved_when_the_api_moves_a_ref(repo: Repository, receiver: HookReceiver) -> None:
    add_hook(repo, receiver.url)
    before = repo.get_branch("main").commit.sha
    after = repo.create_file("model/train.py", "train", "x\n")["commit"].sha
    push = receiver.wait("push")[0]
    payload = push.payload
    assert is_signed(push)
    assert (payload["ref"], payload["before"], payload["after"]) == ("refs/heads/main", before, after)
    assert (payload["created"], payload["deleted"], payload["forced"]) == (False, False, False)
    assert [(item["id"], item["added"]) for item in payload["commits"]] == [(after, ["model/train.py"])]
    assert payload["head_commit"]["id"] == after
    assert payload["repository"]["id"] == repo.id
    assert payload["repository"]["clone_url"] == repo.clone_url
    assert (payload["sender"]["login"], payload["sender"]["id"]) == ("launchpin[bot]", 1)


def test_push_says_created_forced_and_deleted(repo: Repository, receiver: HookReceiver) -> None:
    start = repo.get_branch("main").commit.sha
    add_hook(repo, receiver.url)
    ref = repo.create_git_ref("refs/heads/side", start)
    receiver.wait("push")
    repo.create_file("a", "a", "a", branch="side")
    receiver.wait("push", count=2)
    ref.edit(start, force=True)
    receiver.wait("push", count=3)
    ref.delete()
    pushes = [push.payload for push in receiver.wait("push", count=4)]
    flags = [(push["created"], push["forced"], push["deleted"]) for push in pushes]
    assert flags == [(True, False, False), (False, False, False), (False, True, False), (False, False, True)]
    assert (pushes[0]["before"], pushes[3]["after"], pushes[3]["head_commit"]) == ("0" * 40, "0" * 40, None)
    assert pushes[0]["commits"] == []


def test_pull_request_events_follow_its_life(repo: Repository, receiver: HookReceiver) -> None:
    start = repo.get_branch("main").commit.sha
    repo.create_git_ref("refs/heads/change", start)
    first = repo.create_file("a", "a", "a", branch="change")["commit"].sha
    add_hook(repo, receiver.url)
    pull = repo.create_pull(base="main", head="change", title="T", body="B")
    opened = receiver.wait("pull_request", action="opened")[0].payload
    assert (opened["number"], opened["pull_request"]["head"]["sha"]) == (1, first)
    assert opened["pull_request"]["base"]["repo"]["full_name"] == repo.full_name
    second = repo.create_file("b", "b", "b", branch="change")["commit"].sha
    moved = receiver.wait("pull_request", action="synchronize")[0].payload
    assert (moved["before"], moved["after"], moved["pull_request"]["head"]["sha"]) == (first, second, second)
    pull.edit(title="T2")
    assert receiver.wait("pull_request", action="edited")[0].payload["changes"] == {"title": {"from": "T"}}
    pull.edit(state="closed")
    assert receiver.wait("pull_request", action="closed")[0].payload["pull_request"]["merged"] is False
    pull.edit(state="open")
    receiver.wait("pull_request", action="reopened")
    pull.create_issue_comment("/launchpin hold")
    said = receiver.wait("issue_comment", action="created")[0].payload
    assert (said["comment"]["body"], said["issue"]["number"]) == ("/launchpin hold", 1)
    sha = pull.merge().sha
    closed = receiver.wait("pull_request", action="closed", count=2)[1].payload["pull_request"]
    assert (closed["merged"], closed["merge_commit_sha"], closed["merged_by"]["type"]) == (True, sha, "Bot")
    assert receiver.wait("push", count=2)[-1].payload["after"] == sha


def test_hook_gets_only_what_it_asked_for(repo: Repository, receiver: HookReceiver) -> None:
    hook = repo.create_hook("web", {"url": receiver.url, "content_type": "json"}, ["pull_request"], active=True)
    receiver.wait("ping")
    repo.create_file("a", "a", "a")
    hook.ping()
    receiver.wait("ping", count=2)
    assert [item.event for item in receiver.received] == ["ping", "ping"]
    assert "x-hub-signature-256" not in receiver.received[0].headers


def test_deliveries_are_recorded_and_redelivered_under_their_guid(
    forge: ForgeUnderTest, repo: Repository, receiver: HookReceiver
) -> None:
    receiver.status = 500
    hook = add_hook(repo, receiver.url)
    repo.create_file("a", "a", "a")
    first = receiver.wait("push")[0]
    failed = wait_recorded(repo, hook, lambda item: item.status_code == 500 and item.event == "push")
    assert (failed.guid, failed.redelivery) == (first.headers["x-github-delivery"], False)
    path = f"/repos/{repo.full_name}/hooks/{hook.id}/deliveries/{failed.id}"
    full = forge.http().get(path).json()
    assert full["request"]["payload"]["ref"] == "refs/heads/main"
    assert full["request"]["headers"]["X-GitHub-Event"] == "push"
    receiver.status = 202
    assert forge.http().post(f"{path}/attempts").status_code == 202
    again = receiver.wait("push", count=2)[1]
    assert (again.body, again.headers["x-github-delivery"]) == (first.body, first.headers["x-github-delivery"])
    assert is_signed(again)
    redelivered = wait_recorded(repo, hook, lambda item: bool(item.redelivery and item.status_code))
    assert (redelivered.guid, redelivered.status_code, redelivered.status) == (failed.guid, 202, "OK")
    assert redelivered.id != failed.id


def test_delivery_is_recorded_as_failed_when_nobody_listens(repo: Repository) -> None:
    hook = add_hook(repo, f"http://127.0.0.1:{free_port()}/")
    failed = wait_recorded(repo, hook, lambda item: item.status != "pending")
    assert (failed.status_code, failed.status) == (0, "failed to connect to host: ConnectionRefusedError")


def test_deliveries_are_paged_by_cursor(forge: ForgeUnderTest, repo: Repository, receiver: HookReceiver) -> None:
    hook = add_hook(repo, receiver.url)
    for _ in range(6):
        hook.ping()
    http, ids = forge.http(), []
    url = f"{forge.api}/repos/{repo.full_name}/hooks/{hook.id}/deliveries?per_page=3"
    while url:
        answer = http.get(url)
        ids += [item["id"] for item in answer.json()]
        url = answer.links.get("next", {}).get("url", "")
    assert len(ids) == len(set(ids)) == 7
    assert ids == sorted(ids, reverse=True)


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "javascript:x", "http://", "http://a b/", "gopher://x"])
def test_attack_69_hook_url_is_refused_when_it_is_not_http(repo: Repository, url: str) -> None:
    with pytest.raises(GithubException) as error:
        add_hook(repo, url)
    assert error.value.status == 422


def test_hook_is_changed_listed_and_removed(repo: Repository, receiver: HookReceiver) -> None:
    hook = add_hook(repo, receiver.url)
    with pytest.raises(GithubException) as twice:
        add_hook(repo, receiver.url)
    assert twice.value.data["errors"][0]["message"] == "Hook already exists on this repository"
    hook.edit("web", {"url": receiver.url + "2", "content_type": "json"}, add_events=["status"], remove_events=["push"])
    assert [(found.config["url"], found.events) for found in repo.get_hooks()] == [
        (receiver.url + "2", ["pull_request", "issue_comment", "status"])
    ]
    assert repo.get_hook(hook.id).config["secret"] == "********"
    hook.delete()
    assert list(repo.get_hooks()) == []
