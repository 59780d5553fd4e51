from typing import Any

import pytest

from gitops.config.launchpin import LaunchpinFile, parse_launchpin
from gitops.payloads import read_event
from gitops.triggers import Concern, Decision, decide, is_branch_watched, is_path_watched
from tests.support.payloads import comment, pull_request, push, repository


def make_file(on: str = "", *, file: str = "launchpin.yaml") -> LaunchpinFile:
    return parse_launchpin(f"version: 1\nmodel: iris\n{on}\n".encode(), file=file)


def decided(event: str, body: bytes) -> Decision:
    return decide(read_event(event, body))


def test_ref_is_looked_at_when_a_branch_was_pushed() -> None:
    assert decided("push", push(ref="refs/heads/feature/x")) == Decision(Concern.REF, ref="refs/heads/feature/x")


def test_ref_is_looked_at_when_a_branch_is_new() -> None:
    assert decided("push", push(before="0" * 40)).concern is Concern.REF


@pytest.mark.parametrize("ref", ["refs/tags/v1", "refs/notes/x", "main", "refs/headsmain", "refs/pull/1/head", ""])
def test_nothing_is_done_when_what_moved_is_no_branch(ref: str) -> None:
    assert decided("push", push(ref=ref)) == Decision(Concern.NOTHING, "not_a_branch")


@pytest.mark.parametrize("after", ["0" * 40, "0" * 64])
def test_nothing_is_done_when_the_branch_was_deleted(after: str) -> None:
    assert decided("push", push(after=after)) == Decision(Concern.NOTHING, "deleted")


def test_pull_requests_are_looked_at_when_one_of_the_repository_itself_changed() -> None:
    assert decided("pull_request", pull_request(head_repository=repository())) == Decision(Concern.PULLS)


@pytest.mark.parametrize("head", [repository(1002, "mallory/iris"), repository(1002), None])
def test_nothing_is_done_when_a_pull_request_comes_from_a_fork(head: dict[str, Any] | None) -> None:
    assert decided("pull_request", pull_request(head_repository=head)) == Decision(Concern.NOTHING, "fork")


def test_nothing_is_done_when_somebody_comments() -> None:
    assert decided("issue_comment", comment("/launchpin rollback")) == Decision(Concern.NOTHING, "comment")


@pytest.mark.parametrize("event", ["check_run", "status"])
def test_pull_requests_are_looked_at_when_a_check_changed(event: str) -> None:
    body = push()  # any body that names repository and sender

    assert decided(event, body) == Decision(Concern.PULLS)


def test_nothing_is_done_when_the_event_is_a_ping_or_unknown() -> None:
    assert decided("ping", b'{"zen": "Keep it logically awesome."}') == Decision(Concern.NOTHING, "ping")
    assert decided("star", b"not even JSON") == Decision(Concern.NOTHING, "event")
    assert decide(None) == Decision(Concern.NOTHING, "event")


@pytest.mark.parametrize(
    ("on", "ref", "is_watched"),
    [
        ("", "refs/heads/main", True),
        ("", "refs/heads/mainly", False),
        ("", "refs/heads/feature/main", False),
        ("on: {push: {branches: ['release/*']}}", "refs/heads/release/1", True),
        ("on: {push: {branches: ['release/*']}}", "refs/heads/release/1/2", False),
        ("on: {push: {branches: ['release/*']}}", "refs/heads/main", False),
        ("on: {push: {branches: ['**', '!main']}}", "refs/heads/main", False),
        ("on: {push: {branches: ['**', '!main']}}", "refs/heads/a/b", True),
        ("on: {push: {branches: ['**']}}", "refs/tags/v1", False),
    ],
)
def test_branch_is_watched_when_the_file_says_so(on: str, ref: str, is_watched: bool) -> None:
    assert is_branch_watched(make_file(on), ref) is is_watched


@pytest.mark.parametrize(
    ("on", "changed", "is_watched"),
    [
        ("", ["README.md"], True),
        ("", [], False),
        ("on: {push: {paths: ['**', '!docs/**']}}", ["docs/a.md", "docs/b/c.md"], False),
        ("on: {push: {paths: ['**', '!docs/**']}}", ["docs/a.md", "train.py"], True),
        ("on: {push: {paths: ['src/**']}}", ["launchpin.yaml"], False),
        ("on: {push: {paths: ['*.py']}}", ["src/train.py"], False),
        ("on: {push: {paths: ['*.py']}}", ["train.py"], True),
    ],
)
def test_change_is_watched_when_any_path_matches(on: str, changed: list[str], is_watched: bool) -> None:
    assert is_path_watched(make_file(on), changed, root="") is is_watched


@pytest.mark.parametrize(
    ("changed", "is_watched"),
    [
        (["models/iris/train.py"], True),
        (["models/iris/docs/a.md"], False),
        (["models/iris2/train.py"], False),
        (["models/iris"], False),
        (["train.py", "models/train.py"], False),
        (["x/models/iris/train.py"], False),
    ],
)
def test_paths_are_relative_to_the_files_folder_when_it_is_not_at_the_top(changed: list[str], is_watched: bool) -> None:
    file = make_file("on: {push: {paths: ['**', '!docs/**']}}", file="models/iris/launchpin.yaml")

    assert is_path_watched(file, changed, root="models/iris") is is_watched
