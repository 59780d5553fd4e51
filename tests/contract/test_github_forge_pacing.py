"""Rate limits and pacing of writes to the forge, endless and silent answers, and many threads at once."""

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
    RetryError,
    UnknownOutcomeError,
)
from gitops.forge.github import GitHubForge
from gitops.forge.pacing import WriteLimits, WritePacer
from tests.contract.failing_forge_rig import READS, SHA, TOKEN, WRITES, forge, server
from tests.faults.outside import FOREVER, BadReply, Outside, running_outside
from tests.support.scripted import Scripted, ScriptedServer

__all__ = ["forge", "server"]


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
