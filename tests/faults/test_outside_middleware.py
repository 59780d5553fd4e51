"""The outside that misbehaves on demand does what its script says, and its journal tells what really happened."""

import contextlib
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.faults.outside import FOREVER, HUGE, REDIRECT, BadReply, Outside, json_of, running_outside

ALL = ("POST", "/things")


class Things:
    """A server that counts what it was really asked to make."""

    def __init__(self) -> None:
        self.made: list[bytes] = []

    async def make(self, request: Request) -> Response:
        self.made.append(await request.body())
        return JSONResponse({"number": len(self.made)}, 201)

    async def count(self, request: Request) -> Response:
        return JSONResponse({"count": len(self.made), "at": str(request.url_for("count"))})

    async def refuse(self, request: Request) -> Response:
        return JSONResponse({"refused": request.url.path}, 422)

    def app(self) -> Starlette:
        routes = [
            Route("/things", self.make, methods=["POST"]),
            Route("/things", self.count, methods=["GET"], name="count"),
            Route("/refused", self.refuse, methods=["POST"]),
            Route("/things/search", self.count, methods=["POST"]),
        ]
        return Starlette(routes=routes)


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture(params=["in process", "proxied"])
def outside(things: Things, request: pytest.FixtureRequest) -> Iterator[Outside]:
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(running_outside(lambda _: things.app()))
        yield own if request.param == "in process" else stack.enter_context(running_outside(own.url))


@pytest.fixture
def client(outside: Outside) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=outside.url, trust_env=False, timeout=20) as client:
        yield client


def test_everything_passes_and_is_written_down_when_nothing_is_scripted(
    outside: Outside, client: httpx.Client, things: Things
) -> None:
    assert client.post("/things", json={"name": "a"}).status_code == 201
    assert client.get("/things").json() == {"count": 1, "at": f"{outside.url}/things"}
    assert client.post("/things/search").json()["count"] == 1
    assert client.post("/refused").status_code == 422
    made, refused = outside.journal.effects()
    assert (made.method, made.path, made.status, made.applied, made.replied) == ("POST", "/things", 201, True, True)
    assert json_of(made) == {"name": "a"}
    assert (refused.status, refused.applied, refused.replied) == (422, False, True)
    assert outside.journal.reads == 2
    assert len(things.made) == 1


def test_a_failure_before_reaches_nobody(outside: Outside, client: httpx.Client, things: Things) -> None:
    rule = outside.script.fail_before(ALL, 429, times=2, headers={"retry-after": "7"})
    for _ in range(2):
        answer = client.post("/things")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert client.post("/things").status_code == 201
    assert rule.fired == 2
    assert [effect.applied for effect in outside.journal.effects()] == [False, False, True]
    assert len(things.made) == 1


def test_a_dropped_reply_was_applied_and_a_dropped_request_was_not(
    outside: Outside, client: httpx.Client, things: Things
) -> None:
    outside.script.apply_then_drop(ALL)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/things")
    assert len(things.made) == 1
    outside.script.drop_before(ALL)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/things")
    assert len(things.made) == 1
    told = [(effect.applied, effect.replied, effect.status) for effect in outside.journal.effects()]
    assert told == [(True, False, 201), (False, False, 0)]


@pytest.mark.parametrize("late", [False, True])
def test_a_slow_reply_outlives_a_client_that_gives_up(outside: Outside, things: Things, late: bool) -> None:
    outside.script.slow(ALL, 60, late=late)
    with httpx.Client(base_url=outside.url, trust_env=False, timeout=0.2) as impatient:
        with pytest.raises(httpx.ReadTimeout):
            impatient.post("/things")
        deadline = time.monotonic() + 20
        while not (effects := outside.journal.effects()):
            assert time.monotonic() < deadline
        assert [(effect.applied, effect.replied) for effect in effects] == [(True, False)]
        assert len(things.made) == 1


def test_a_slow_reply_comes_to_a_client_that_waits(outside: Outside, client: httpx.Client) -> None:
    outside.script.slow(ALL, 0.05)
    assert client.post("/things").json() == {"number": 1}
    assert outside.journal.effects()[0].replied


def test_nobody_is_there_while_it_is_down(outside: Outside, client: httpx.Client, things: Things) -> None:
    assert client.get("/things").is_success
    outside.script.down()
    for _ in range(3):
        with pytest.raises((httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError)):
            client.post("/things")
    with pytest.raises(httpx.ConnectError):
        httpx.get(outside.url, trust_env=False)
    outside.script.up()
    assert client.post("/things").status_code == 201
    assert len(things.made) == 1


def test_it_can_be_down_twice_and_up_twice(outside: Outside, client: httpx.Client) -> None:
    for _ in range(2):
        outside.script.down()
        outside.script.down()
        outside.script.up()
        outside.script.up()
        assert client.get("/things").is_success


def test_bad_replies_are_what_they_are_called(outside: Outside, client: httpx.Client, things: Things) -> None:
    outside.script.bad_reply(ALL, BadReply.REDIRECT)
    redirected = client.post("/things", follow_redirects=False)
    assert (redirected.status_code, redirected.headers["location"]) == (302, REDIRECT)
    outside.script.bad_reply(ALL, "html")
    assert "html" in client.post("/things").headers["content-type"]
    assert not things.made
    outside.script.bad_reply(ALL, BadReply.TRUNCATED)
    assert client.post("/things").text == '{"numb'
    outside.script.bad_reply(ALL, BadReply.RESET)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.post("/things")
    assert len(things.made) == 2
    told = [(effect.applied, effect.replied) for effect in outside.journal.effects()]
    assert told == [(False, True), (False, True), (True, False), (True, False)]


def test_a_huge_reply_ends_when_the_client_goes(outside: Outside, client: httpx.Client) -> None:
    outside.script.bad_reply(ALL, BadReply.HUGE)
    with client.stream("POST", "/things") as answer:
        assert int(answer.headers["content-length"]) == HUGE
        assert len(next(answer.iter_bytes())) > 0
    deadline = time.monotonic() + 20
    while not (effects := outside.journal.effects()):
        assert time.monotonic() < deadline
    assert [(effect.applied, effect.replied) for effect in effects] == [(False, False)]


def test_a_callable_may_say_what_is_meant_and_rules_can_be_cleared(outside: Outside, client: httpx.Client) -> None:
    outside.script.fail_before(lambda method, path: method == "GET" and path == "/things", times=FOREVER)
    assert [client.get("/things").status_code for _ in range(3)] == [503, 503, 503]
    assert client.post("/things").status_code == 201
    outside.script.clear()
    assert client.get("/things").is_success


def test_many_clients_at_once_are_all_written_down(outside: Outside, things: Things) -> None:
    outside.script.apply_then_drop(ALL, times=20)

    def ask() -> None:
        with httpx.Client(base_url=outside.url, trust_env=False, timeout=20) as client:
            for _ in range(10):
                with contextlib.suppress(httpx.TransportError):
                    client.post("/things")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(things.made) == 80
    assert len(outside.journal.applied(ALL)) == 80
    assert sum(not effect.replied for effect in outside.journal.effects()) == 20
