"""Reviews of pull requests at the embedded forge through PyGithub: in GitHub's words, and what GitHub refuses."""

from collections.abc import Iterator
from typing import Any

import pytest
from github.PullRequest import PullRequest
from github.Repository import Repository

from tests.support.forge import ForgeUnderTest, HookReceiver, running_forge


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


def open_pull(repo: Repository) -> PullRequest:
    repo.create_git_ref("refs/heads/change", repo.get_branch("main").commit.sha)
    repo.create_file("a.txt", "add a", "x\n", branch="change")
    return repo.create_pull(base="main", head="change", title="Add a", body="because")


def as_person(forge: ForgeUnderTest, pull: PullRequest) -> PullRequest:
    return forge.github(forge.user).get_repo(pull.base.repo.full_name).get_pull(pull.number)


def reviews_of(pull: PullRequest) -> list[tuple[str, str, str]]:
    return [(one.user.login, one.state, one.commit_id) for one in pull.get_reviews()]


def test_reviews_are_listed_as_they_were_written_each_with_the_head_of_its_time(
    forge: ForgeUnderTest, repo: Repository
) -> None:
    pull = open_pull(repo)
    theirs, first = as_person(forge, pull), pull.head.sha
    assert reviews_of(pull) == []
    asked = theirs.create_review(body="not yet", event="REQUEST_CHANGES")
    assert (asked.state, asked.body, asked.user.login, asked.commit_id) == (
        "CHANGES_REQUESTED",
        "not yet",
        "you",
        first,
    )
    assert asked.submitted_at is not None
    moved = repo.create_file("b.txt", "add b", "y\n", branch="change")["commit"].sha
    theirs.create_review(event="APPROVE")
    pull.create_review(body="by the way", event="COMMENT")
    assert reviews_of(pull) == [
        ("you", "CHANGES_REQUESTED", first),
        ("you", "APPROVED", moved),
        ("launchpin[bot]", "COMMENTED", moved),
    ]
    again = theirs.create_review(commit=repo.get_commit(first), event="APPROVE")
    assert again.commit_id == first


def test_dismissed_review_says_so_in_its_place(forge: ForgeUnderTest, repo: Repository) -> None:
    pull = open_pull(repo)
    review = as_person(forge, pull).create_review(event="APPROVE")
    pull.get_review(review.id).dismiss("it changed since")
    assert [state for _, state, _ in reviews_of(pull)] == ["DISMISSED"]


def test_reviews_come_page_by_page_and_stay_after_the_merge(forge: ForgeUnderTest, repo: Repository) -> None:
    pull = open_pull(repo)
    theirs = as_person(forge, pull)
    for number in range(3):
        theirs.create_review(body=f"word {number}", event="COMMENT")
    pull.merge()
    theirs.create_review(event="APPROVE")
    pages = [
        forge.http().get(f"/repos/{repo.full_name}/pulls/{pull.number}/reviews?per_page=3&page={page}").json()
        for page in (1, 2, 3)
    ]
    assert [[one["state"] for one in page] for page in pages] == [["COMMENTED"] * 3, ["APPROVED"], []]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"event": "APPROVE"}, 422, "Can not approve your own pull request"),
        ({"event": "REQUEST_CHANGES", "body": "no"}, 422, "Can not request changes on your own pull request"),
        ({"event": "COMMENT"}, 422, "a body is needed"),
        ({"event": "COMMENT", "body": " "}, 422, "a body is needed"),
        ({"event": "MERGE"}, 422, "Invalid event"),
        ({"event": "COMMENT", "body": "x" * 65537}, 422, "65536"),
        ({"event": "COMMENT", "body": "x", "commit_id": "1" * 40}, 422, "commit_id"),
        ({"event": 1}, 422, "event"),
        ({"body": "a draft"}, 501, "not in the embedded forge"),
        ({"event": "COMMENT", "body": "x", "comments": [{"path": "a.txt"}]}, 501, "not in the embedded forge"),
    ],
    ids=["own", "own changes", "silent", "blank", "event", "long", "commit", "kind", "draft", "lines"],
)
def test_review_that_cannot_be_is_refused(
    forge: ForgeUnderTest, repo: Repository, body: dict[str, Any], status: int, words: str
) -> None:
    pull = open_pull(repo)
    answer = forge.http().post(f"/repos/{repo.full_name}/pulls/{pull.number}/reviews", json=body)
    assert (answer.status_code, words in answer.json()["message"]) == (status, True), answer.text
    assert reviews_of(pull) == []


def test_review_of_what_is_not_there_is_not_found(forge: ForgeUnderTest, repo: Repository) -> None:
    pull = open_pull(repo)
    http = forge.http(forge.user)
    path = f"/repos/{repo.full_name}/pulls"
    assert http.get(f"{path}/99/reviews").status_code == 404
    assert http.post(f"{path}/99/reviews", json={"event": "APPROVE"}).status_code == 404
    assert http.get(f"{path}/{pull.number}/reviews/99").status_code == 404
    dismissal = {"message": "gone"}
    assert http.put(f"{path}/{pull.number}/reviews/99/dismissals", json=dismissal).status_code == 404
    comment = as_person(forge, pull).create_review(body="a word", event="COMMENT")
    refused = http.put(f"{path}/{pull.number}/reviews/{comment.id}/dismissals", json=dismissal)
    assert refused.status_code == 422


def test_who_asked_for_reviews_is_told_of_them(forge: ForgeUnderTest, repo: Repository, receiver: HookReceiver) -> None:
    config = {"url": receiver.url, "secret": "s" * 20, "content_type": "json"}
    repo.create_hook("web", config, ["pull_request_review"], active=True)
    pull = open_pull(repo)
    review = as_person(forge, pull).create_review(event="APPROVE")
    pull.get_review(review.id).dismiss("no")
    told = [receiver.wait("pull_request_review", action=action)[0].payload for action in ("submitted", "dismissed")]
    assert [(one["review"]["state"], one["pull_request"]["number"]) for one in told] == [
        ("APPROVED", pull.number),
        ("DISMISSED", pull.number),
    ]
    assert {one.event for one in receiver.received} == {"ping", "pull_request_review"}
