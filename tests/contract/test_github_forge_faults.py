"""A forge that fails: what each call makes of refusals, broken replies and connections, and of every wait named."""

from collections.abc import Callable

import pytest

from gitops.errors import (
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
    UnknownOutcomeError,
)
from gitops.forge.github import GitHubForge
from tests.contract.failing_forge_rig import READS, SHA, TOKEN, WRITES, forge, server
from tests.support.forge import free_port
from tests.support.scripted import Scripted, ScriptedServer

__all__ = ["forge", "server"]


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
