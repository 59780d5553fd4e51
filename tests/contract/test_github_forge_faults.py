"""GitHubForge when the forge refuses, breaks or talks nonsense: each failure is named for what must happen next."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gitops.errors import (
    ConflictError,
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
    UnknownOutcomeError,
)
from gitops.forge.github import GitHubForge
from gitops.forge.pacing import WriteLimits, WritePacer
from gitops.ports import Check, CheckState
from tests.faults.outside import FOREVER, BadReply, Outside, running_outside
from tests.support.forge import free_port
from tests.support.scripted import Scripted, ScriptedServer, serve_script

TOKEN = "ghp_0123456789abcdef"
SHA = "1" * 40
READS: list[Callable[[GitHubForge], object]] = [
    lambda forge: forge.repository("acme/x"),
    lambda forge: forge.head("acme/x", "main"),
    lambda forge: forge.read_file("acme/x", ref="main", path="a"),
    lambda forge: forge.find_pull("acme/x", head="b", base="main"),
    lambda forge: forge.pull("acme/x", 1),
    lambda forge: forge.open_pulls("acme/x"),
    lambda forge: forge.pull_files("acme/x", 1),
    lambda forge: forge.checks("acme/x", SHA),
]
WRITES: list[Callable[[GitHubForge], object]] = [
    lambda forge: forge.open_pull("acme/x", head="b", base="main", title="t", body=""),
    lambda forge: forge.update_pull("acme/x", 1, title="t", body=""),
    lambda forge: forge.close_pull("acme/x", 1),
    lambda forge: forge.merge_pull("acme/x", 1, head_sha=SHA, title="t"),
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serve_script() as running:
        yield running


@pytest.fixture
def forge(server: ScriptedServer) -> Iterator[GitHubForge]:
    ours = GitHubForge(f"{server.base}/api/v3", TOKEN, login="launchpin[bot]")
    yield ours
    ours.close()


@pytest.mark.parametrize("ask", [*READS, *WRITES])
@pytest.mark.parametrize(
    ("status", "message", "error", "reason"),
    [
        (401, "Bad credentials", StalledError, "ForgeCredentials"),
        (403, "Resource not accessible by integration", StalledError, "ForgeCredentials"),
        (500, "Server Error", RetryError, "ForgeUnavailable"),
        (502, "Bad gateway", RetryError, "ForgeUnavailable"),
        (501, "not in the embedded forge: GET /x", StalledError, "ForgeUnsupported"),
        (429, "Slow down", RetryError, "ForgeRateLimited"),
        (307, "Moved", StalledError, "RepositoryMoved"),
    ],
)
def test_each_call_names_the_failure(
    forge: GitHubForge,
    server: ScriptedServer,
    ask: Callable[[GitHubForge], object],
    status: int,
    message: str,
    error: type[LaunchpinError],
    reason: str,
) -> None:
    server.play(Scripted(status, {"message": message}))

    with pytest.raises(error) as caught:
        ask(forge)

    assert caught.value.reason == reason
    assert len(server.asked) == 1


@pytest.mark.parametrize("ask", WRITES)
@pytest.mark.parametrize(
    "answer",
    [
        Scripted(breaks="before"),
        Scripted(200, {"sha": SHA, "long": "x" * 10_000}, breaks="half"),
        Scripted(502, "<html>Bad gateway</html>"),
        Scripted(503, {"message": "Unavailable"}),
        Scripted(500, ""),
    ],
)
def test_a_write_that_may_have_happened_is_an_unknown_outcome_and_not_sent_again(
    forge: GitHubForge, server: ScriptedServer, ask: Callable[[GitHubForge], object], answer: Scripted
) -> None:
    server.play(answer)

    with pytest.raises(UnknownOutcomeError):
        ask(forge)

    assert len(server.asked) == 1


@pytest.mark.parametrize("ask", READS)
@pytest.mark.parametrize(
    "answer", [Scripted(breaks="before"), Scripted(200, "x" * 10_000, breaks="half"), Scripted(503)]
)
def test_a_read_that_breaks_is_tried_again_later(
    forge: GitHubForge, server: ScriptedServer, ask: Callable[[GitHubForge], object], answer: Scripted
) -> None:
    server.play(answer)

    with pytest.raises(RetryError) as caught:
        ask(forge)

    assert not isinstance(caught.value, UnknownOutcomeError)
    assert caught.value.reason == "ForgeUnavailable"


@pytest.mark.parametrize("ask", [*READS, *WRITES])
def test_nothing_was_sent_when_nobody_listens(ask: Callable[[GitHubForge], object]) -> None:
    forge = GitHubForge(f"http://127.0.0.1:{free_port()}/api/v3", TOKEN, login="x")

    with pytest.raises(RetryError) as caught:
        ask(forge)

    assert not isinstance(caught.value, UnknownOutcomeError)
    assert caught.value.reason == "ForgeUnavailable"
    forge.close()


@pytest.mark.parametrize("ask", [READS[0], READS[4], *WRITES])
@pytest.mark.parametrize("body", ["<html>Login</html>", "", "[]", "{}", '{"id": "x"}', "[" * 100_000, "null", "NaN"])
def test_a_reply_that_breaks_the_apis_promise_is_named(
    forge: GitHubForge, server: ScriptedServer, ask: Callable[[GitHubForge], object], body: str
) -> None:
    server.play(Scripted(200, body))

    with pytest.raises(RetryError) as caught:
        ask(forge)

    assert caught.value.reason == "ForgeBadReply"
    assert isinstance(caught.value, UnknownOutcomeError) == (server.asked[0][0] != "GET")


def test_b13_rate_limits_are_obeyed_and_nothing_is_asked_meanwhile(forge: GitHubForge, server: ScriptedServer) -> None:
    server.play(Scripted(403, {"message": "You have exceeded a secondary rate limit"}, {"Retry-After": "7"}))
    with pytest.raises(RetryError) as caught:
        forge.close_pull("acme/x", 1)
    assert caught.value.after == 7
    server.play(Scripted(200, {}))

    for ask in (*READS, *WRITES):
        with pytest.raises(RetryError) as caught:
            ask(forge)
        assert caught.value.reason == "ForgeRateLimited"
        assert 0 < caught.value.after <= 7

    assert server.asked == []


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "999999999"}, 3600),
        ({"Retry-After": "x"}, 60),
        ({}, 60),
        (
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000000090", "Date": "Sun, 09 Sep 2001 01:46:40 GMT"},
            90,
        ),
        ({"X-RateLimit-Remaining": "0"}, 60),
    ],
)
def test_i29_the_wait_is_what_the_forge_says_by_its_own_clock(
    forge: GitHubForge, server: ScriptedServer, headers: dict[str, str], after: float
) -> None:
    body = {"message": "API rate limit exceeded for user ID 1."}
    server.play(Scripted(429, body, headers))

    with pytest.raises(RetryError) as caught:
        forge.repository("acme/x")

    assert caught.value.after == after


def test_attack_80_no_message_holds_the_token_or_a_password(server: ScriptedServer) -> None:
    said = f"cannot reach https://x:{TOKEN}@github.com/acme/x.git with {TOKEN}\r\n\x1b[31m" + "x" * 5000
    for status in (401, 403, 404, 409, 422, 500, 503, 429):
        server.play(Scripted(status, {"message": said, "errors": [{"message": said}]}))
        fresh = GitHubForge(f"{server.base}/api/v3", TOKEN, login="x")

        with pytest.raises(LaunchpinError) as caught:
            fresh.merge_pull("acme/x", 1, head_sha=SHA, title="t")

        fresh.close()
        assert TOKEN not in str(caught.value)
        assert TOKEN not in repr(caught.value)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500


def test_a_redirect_to_another_host_is_not_followed(forge: GitHubForge, server: ScriptedServer) -> None:
    for location in ("http://169.254.169.254/latest", "https://evil.example/x", "ftp://x"):
        server.play(Scripted(301, {}, {"Location": location}), Scripted(200, {}))
        with pytest.raises(StalledError) as caught:
            forge.repository("acme/x")
        assert caught.value.reason == "RepositoryMoved"
        assert len(server.asked) == 1


def test_the_next_page_is_asked_of_the_same_place(forge: GitHubForge, server: ScriptedServer) -> None:
    link = '<http://169.254.169.254/latest?page=2&per_page=1>; rel="next"'
    first = Scripted(200, [{"filename": "a"}], {"Link": link})
    server.play(first, Scripted(200, [{"filename": "b", "previous_filename": "c"}]))

    assert forge.pull_files("acme/x", 1) == ["a", "b", "c"]

    path = "/api/v3/repos/acme/x/pulls/1/files"
    assert [asked[1].split("?")[0] for asked in server.asked] == [path, path]
    assert "page=2" in server.asked[1][1]


def test_a_list_without_end_is_refused(forge: GitHubForge, server: ScriptedServer) -> None:
    server.play(Scripted(200, [], {"Link": '<http://x/y?page=2>; rel="next"'}))

    with pytest.raises(RefusedError):
        forge.pull_files("acme/x", 1)


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


def test_not_found_is_not_found(forge: GitHubForge, server: ScriptedServer) -> None:
    server.play(Scripted(404, {"message": "Not Found"}))

    with pytest.raises(NotFoundError):
        forge.pull("acme/x", 1)


def test_a_strangers_404_is_not_taken_for_nothing(forge: GitHubForge, server: ScriptedServer) -> None:
    for status in (400, 403, 404, 409, 410, 413, 422):
        server.play(Scripted(status, "<html>no such page</html>"))
        for ask in (*READS, *WRITES):
            with pytest.raises(RetryError) as caught:
                ask(forge)
            assert caught.value.reason == "ForgeBadReply"


def test_a_request_that_timed_out_at_the_forge_is_tried_again(forge: GitHubForge, server: ScriptedServer) -> None:
    server.play(Scripted(408, {"message": "Request timed out"}))

    with pytest.raises(RetryError):
        forge.head("acme/x", "main")
    with pytest.raises(UnknownOutcomeError):
        forge.close_pull("acme/x", 1)


def test_an_answer_that_is_not_done_is_asked_for_later_and_not_at_once(
    forge: GitHubForge, server: ScriptedServer
) -> None:
    server.play(Scripted(202, {}))

    with pytest.raises(RetryError) as caught:
        forge.repository("acme/x")

    assert caught.value.reason == "ForgeUnavailable"
    assert len(server.asked) == 1


def test_redirects_without_end_are_left(forge: GitHubForge, server: ScriptedServer) -> None:
    place = f"{server.base}/api/v3/repositories/"
    server.play(*(Scripted(301, {}, {"Location": f"{place}{number}"}) for number in range(30)))

    with pytest.raises(RetryError) as caught:
        forge.repository("acme/x")

    assert caught.value.reason == "ForgeBadReply"
    assert len(server.asked) < 10
    server.play(Scripted(301, {}, {"Location": f"{place}7"}), Scripted(404, {"message": "Not Found"}))
    with pytest.raises(NotFoundError):
        forge.repository("acme/x")


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_b13_any_wait_that_the_forge_names_is_kept(server: ScriptedServer, status: int) -> None:
    now = [1000.0]
    forge = GitHubForge(f"{server.base}/api/v3", TOKEN, login="x", clock=lambda: now[0])
    server.play(Scripted(status, {"message": "secondary rate limit"}, {"Retry-After": "600"}))
    with pytest.raises(RetryError) as caught:
        forge.head("acme/x", "main")
    assert caught.value.after == 600
    reason = caught.value.reason

    for passed, left in ((0, 600), (599, 1)):
        now[0] = 1000.0 + passed
        for ask in (*READS, *WRITES):
            with pytest.raises(RetryError) as caught:
                ask(forge)
            assert (caught.value.reason, caught.value.after) == (reason, left)
    assert len(server.asked) == 1

    now[0] = 1600.0
    server.play(Scripted(404, {"message": "Not Found"}))
    assert forge.head("acme/x", "main") == ""
    forge.close()


# ---------------------------------------------------------------- a forge without end, and many threads


async def _tell_name(request: Request) -> Response:
    name = f"{request.path_params['owner']}/{request.path_params['name']}"
    url = f"http://127.0.0.1/{name}"
    return JSONResponse({"id": 1, "full_name": name, "clone_url": url, "html_url": url})


@pytest.fixture
def outside() -> Iterator[Outside]:
    route = Route("/api/v3/repos/{owner}/{name}", _tell_name)
    with running_outside(lambda _: Starlette(routes=[route])) as running:
        yield running


def test_threads_get_each_their_own_answer(outside: Outside) -> None:
    forge = GitHubForge(f"{outside.url}/api/v3", TOKEN, login="x")
    names = [f"acme/x{number}" for number in range(8)] * 25
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda name: forge.repository(name).full_name, names))
    finally:
        sys.setswitchinterval(interval)
        forge.close()
    assert found == names


@pytest.mark.parametrize("ask", [READS[0], READS[5], WRITES[0], WRITES[3]])
def test_attack_64_an_answer_of_two_gigabytes_is_left(outside: Outside, ask: Callable[[GitHubForge], object]) -> None:
    outside.script.bad_reply((".*", ""), BadReply.HUGE)
    forge = GitHubForge(f"{outside.url}/api/v3", TOKEN, login="x")

    with pytest.raises(RetryError) as caught:
        ask(forge)

    forge.close()
    assert caught.value.reason == "ForgeBadReply"
    assert isinstance(caught.value, UnknownOutcomeError) == (ask in WRITES)


@pytest.mark.parametrize("ask", [*READS, *WRITES])
def test_a_silent_forge_is_left_in_time(outside: Outside, ask: Callable[[GitHubForge], object]) -> None:
    outside.script.slow((".*", ""), 600, FOREVER, late=True)
    forge = GitHubForge(f"{outside.url}/api/v3", TOKEN, login="x", silence=0.1)
    begun = time.monotonic()

    with pytest.raises(RetryError) as caught:
        ask(forge)

    forge.close()
    assert time.monotonic() - begun < 20
    assert caught.value.reason == "ForgeUnavailable"
    assert isinstance(caught.value, UnknownOutcomeError) == (ask in WRITES)


# ---------------------------------------------------------------- pacing


def test_i17_writes_are_held_to_the_minute_and_the_hour() -> None:
    now = [1000.0]
    pacer = WritePacer(WriteLimits(), clock=lambda: now[0])
    made: list[float] = []
    while now[0] < 1000.0 + 7200:
        try:
            pacer.take()
        except RetryError as error:
            now[0] += max(error.after, 0.001)
        else:
            made.append(now[0])

    for window, allowed in ((60.0, 60), (3600.0, 400)):
        assert all(sum(1 for other in made if start <= other < start + window) <= allowed for start in made)
    assert len(made) >= 800


def test_i17_writes_that_belong_together_are_counted_together() -> None:
    pacer = WritePacer(WriteLimits(minute=5, hour=50), clock=lambda: 0.0)
    pacer.take(4)

    with pytest.raises(RetryError) as caught:
        pacer.take(4)
    pacer.take(1)

    assert caught.value.after == 60


def test_i17_the_forge_refuses_to_write_over_the_limit(server: ScriptedServer) -> None:
    forge = GitHubForge(f"{server.base}/api/v3", TOKEN, login="x", limits=WriteLimits(minute=3, hour=10))
    pull = {"number": 1, "state": "closed", "title": "t", "body": "", "html_url": "http://x", "merged_at": "2026"}
    branch = {"ref": "b", "sha": SHA}
    server.play(Scripted(200, {**pull, "head": branch, "base": branch}))
    for _ in range(3):
        forge.close_pull("acme/x", 1)

    with pytest.raises(RetryError) as caught:
        forge.close_pull("acme/x", 1)

    forge.close()
    assert caught.value.reason == "ForgeRateLimited"
    assert 0 < caught.value.after <= 60
    assert len(server.asked) == 3
