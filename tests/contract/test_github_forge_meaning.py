"""A forge whose replies read well and mean something else: each call says what happened and takes nothing on trust."""

import pytest

from gitops.errors import (
    ConflictError,
    LaunchpinError,
    RefusedError,
    RetryError,
    StalledError,
    UnknownOutcomeError,
)
from gitops.forge.github import GitHubForge
from gitops.ports import Check, CheckState
from tests.contract.failing_forge_rig import SHA, forge, server
from tests.support.scripted import Scripted, ScriptedServer

__all__ = ["forge", "server"]


def test_a_token_of_an_app_is_nobodys(forge: GitHubForge, server: ScriptedServer) -> None:
    server.play(Scripted(403, {"message": "Resource not accessible by integration"}))
    assert forge.account() == ""
    server.play(Scripted(401, {"message": "Bad credentials"}))
    with pytest.raises(StalledError, match="Bad credentials"):
        forge.account()


def test_i16_a_forge_that_stores_other_bytes_is_found_out(forge: GitHubForge, server: ScriptedServer) -> None:
    server.play(
        Scripted(200, {"sha": SHA, "tree": {"sha": SHA}}),
        Scripted(200, {"sha": SHA, "tree": []}),
        Scripted(201, {"sha": SHA}),
    )

    with pytest.raises(RetryError) as caught:
        forge.commit_file("acme/x", parent=SHA, branch="b", path="a", content=b"1", message="m", create=False)

    assert caught.value.reason == "ForgeBadReply"
    assert [asked[0] for asked in server.asked] == ["GET", "GET", "POST"]


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (422, "Reference already exists", ConflictError),
        (422, "Update is not a fast forward", ConflictError),
        (422, "Reference does not exist", ConflictError),
        (409, "Conflict", ConflictError),
        (422, "Repository rule violations found", RefusedError),
        (403, "Changes must be made through a pull request.", RefusedError),
        (422, "At least 1 approving review is required. Protected branch update failed", RefusedError),
        (422, "Something else", RefusedError),
        (403, "Resource not accessible by integration", StalledError),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_commit_file_names_why_the_branch_did_not_move(
    forge: GitHubForge, server: ScriptedServer, status: int, message: str, error: type[LaunchpinError], create: bool
) -> None:
    blob = "56a6051ca2b02b04ef92d5150c9ef600403cb1de"
    commit, tree = Scripted(200, {"sha": SHA, "tree": {"sha": SHA}}), Scripted(200, {"sha": SHA, "tree": []})
    made = Scripted(201, {"sha": SHA})
    server.play(commit, tree, Scripted(201, {"sha": blob}), made, made, Scripted(status, {"message": message}))

    with pytest.raises(error) as caught:
        forge.commit_file("acme/x", parent=SHA, branch="b", path="a", content=b"1", message="m", create=create)

    assert type(caught.value) is error
    body = server.asked[-1][2]
    assert isinstance(body, dict)
    assert body.get("force", False) is False


@pytest.mark.parametrize("body", ["<html>Sign in</html>", "{}", {"ref": "refs/heads/b", "object": {"sha": "2" * 40}}])
@pytest.mark.parametrize("create", [True, False])
def test_i16_a_branch_moved_only_when_the_forge_says_where_to(
    forge: GitHubForge, server: ScriptedServer, body: object, create: bool
) -> None:
    blob = "56a6051ca2b02b04ef92d5150c9ef600403cb1de"
    commit, tree = Scripted(200, {"sha": SHA, "tree": {"sha": SHA}}), Scripted(200, {"sha": SHA, "tree": []})
    made = Scripted(201, {"sha": SHA})
    server.play(commit, tree, Scripted(201, {"sha": blob}), made, made, Scripted(200, body))

    with pytest.raises(UnknownOutcomeError) as caught:
        forge.commit_file("acme/x", parent=SHA, branch="b", path="a", content=b"1", message="m", create=create)

    assert caught.value.reason == "ForgeBadReply"


@pytest.mark.parametrize("runs", [[], [{"id": 5, "name": "c", "status": "in_progress"}]])
def test_a_check_is_reported_only_when_the_forge_says_so(
    forge: GitHubForge, server: ScriptedServer, runs: list[object]
) -> None:
    server.play(Scripted(200, {"check_runs": runs}), Scripted(200, "<html>Sign in</html>"))

    with pytest.raises(UnknownOutcomeError):
        forge.report_check("acme/x", SHA, Check("c", CheckState.SUCCESS, "t"))


def test_report_check_falls_back_to_statuses_and_remembers(forge: GitHubForge, server: ScriptedServer) -> None:
    server.play(
        Scripted(200, {"check_runs": []}),
        Scripted(403, {"message": "You must authenticate via a GitHub App."}),
        Scripted(200, {"statuses": []}),
        Scripted(201, {"context": "c", "state": "failure"}),
        Scripted(200, {"statuses": [{"context": "c", "state": "failure", "description": "t"}]}),
        Scripted(201, {"context": "c", "state": "success"}),
        Scripted(200, {"statuses": [{"context": "c", "state": "success", "description": "t"}]}),
    )

    forge.report_check("acme/x", SHA, Check("c", CheckState.FAILURE, "t"))
    forge.report_check("acme/x", SHA, Check("c", CheckState.SUCCESS, "t"))
    forge.report_check("acme/x", SHA, Check("c", CheckState.SUCCESS, "t"))

    asked = [(verb, path.removeprefix("/api/v3/repos/acme/x/").split("?")[0]) for verb, path, _ in server.asked]
    look, say = ("GET", f"commits/{SHA}/status"), ("POST", f"statuses/{SHA}")
    assert asked == [("GET", f"commits/{SHA}/check-runs"), ("POST", "check-runs"), look, say, look, say, look]


def test_report_check_sends_nothing_when_it_is_said_already(forge: GitHubForge, server: ScriptedServer) -> None:
    output = {"title": "t", "summary": "t"}
    run = {"id": 5, "name": "c", "status": "completed", "conclusion": "failure", "output": output}
    server.play(Scripted(200, {"check_runs": [run]}))

    forge.report_check("acme/x", SHA, Check("c", CheckState.FAILURE, "t"))

    assert [asked[0] for asked in server.asked] == ["GET"]


def test_report_check_points_at_the_line(forge: GitHubForge, server: ScriptedServer) -> None:
    said = {"id": 5, "name": "c", "status": "completed"}
    server.play(Scripted(200, {"check_runs": []}), Scripted(201, said))

    forge.report_check("acme/x", SHA, Check("c", CheckState.FAILURE, "wrong", path="launchpin.yaml", line=4))

    body = server.asked[1][2]
    assert isinstance(body, dict)
    (annotation,) = body["output"]["annotations"]
    assert (annotation["path"], annotation["start_line"], annotation["annotation_level"]) == (
        "launchpin.yaml",
        4,
        "failure",
    )


@pytest.mark.parametrize("conclusion", ["timed_out", "action_required", "cancelled", "stale", "new-word", None])
def test_checks_that_did_not_succeed_are_failures(
    forge: GitHubForge, server: ScriptedServer, conclusion: str | None
) -> None:
    run = {"id": 5, "name": "c", "status": "completed", "conclusion": conclusion}
    server.play(Scripted(200, {"check_runs": [run]}), Scripted(200, {"statuses": []}))

    assert forge.checks("acme/x", SHA) == {"c": CheckState.FAILURE}


def test_ensure_repository_says_who_must_make_it(forge: GitHubForge, server: ScriptedServer) -> None:
    server.play(Scripted(404, {"message": "Not Found"}))

    with pytest.raises(StalledError, match="make it first"):
        forge.ensure_repository("acme/x")

    assert [asked[:2] for asked in server.asked] == [
        ("GET", "/api/v3/repos/acme/x"),
        ("POST", "/api/v3/orgs/acme/repos"),
    ]


def test_a_pull_request_of_a_fork_is_not_found(forge: GitHubForge, server: ScriptedServer) -> None:
    side = {"ref": "b", "sha": SHA, "repo": {"full_name": "evil/x"}}
    pull = {"number": 1, "html_url": "u", "state": "open", "head": side, "base": {**side, "ref": "main"}}
    server.play(Scripted(200, [pull, {**pull, "head": {**side, "repo": None}}]))

    assert forge.find_pull("acme/x", head="b", base="main") is None


def test_who_closed_a_pull_request_is_told(forge: GitHubForge, server: ScriptedServer) -> None:
    side = {"ref": "b", "sha": SHA, "repo": {"full_name": "acme/x"}}
    pull = {"number": 1, "html_url": "u", "state": "closed", "body": None, "head": side, "base": side}
    server.play(Scripted(200, pull), Scripted(200, {"closed_by": {"login": "ada"}}))

    assert forge.pull("acme/x", 1).closed_by == "ada"


def test_a_commit_that_a_person_amended_is_theirs(forge: GitHubForge, server: ScriptedServer) -> None:
    side = {"ref": "b", "sha": SHA, "repo": {"full_name": "acme/x"}}
    pull = Scripted(200, {"number": 1, "html_url": "u", "state": "open", "head": side, "base": side})
    us, web, ada = {"login": "Launchpin[bot]"}, {"login": "web-flow"}, {"login": "ada"}
    for author, committer, ours in (
        (us, us, True),
        (us, web, True),
        (us, None, True),
        (us, ada, False),
        (None, us, False),
    ):
        server.play(pull, Scripted(200, [{"sha": SHA, "author": author, "committer": committer}]))
        assert forge.pull("acme/x", 1).head_by_us is ours


def test_reviews_that_were_not_submitted_are_none_and_what_is_gone_is_empty(
    forge: GitHubForge, server: ScriptedServer
) -> None:
    you = {"login": "you"}
    server.play(
        Scripted(
            200,
            [
                {"id": 1, "user": None, "state": "APPROVED", "commit_id": SHA},
                {"id": 2, "user": you, "state": "PENDING", "commit_id": SHA},
                {"id": 3, "user": you, "state": "DISMISSED", "commit_id": None},
                {"id": 4, "user": you, "state": "APPROVED"},
            ],
        )
    )

    found = [(one.id, one.login, one.state, one.sha) for one in forge.reviews("acme/x", 1)]

    assert found == [(1, "", "APPROVED", SHA), (3, "you", "DISMISSED", ""), (4, "you", "APPROVED", "")]
