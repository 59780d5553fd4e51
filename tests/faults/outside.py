"""Outsides that misbehave on demand, and an account of what they really did.

`faulty` goes around any ASGI application, `forward_to` is an application that passes everything on to a server
elsewhere, and `running_outside` serves either on loopback. The script says what goes wrong with which request; the
journal holds what was asked and what the application behind really did with it, whatever the client was told.
"""

import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.faults.outside_exchange import HUGE, Exchange, read_body
from tests.faults.outside_forward import forward_to
from tests.faults.outside_journal import Effect, Journal, Match, is_match, json_of
from tests.faults.outside_server import Server, bound

__all__ = [
    "FOREVER",
    "HUGE",
    "REDIRECT",
    "BadReply",
    "Effect",
    "Exchange",
    "Journal",
    "Match",
    "Outside",
    "Rule",
    "Script",
    "faulty",
    "forward_to",
    "is_match",
    "json_of",
    "running_outside",
]

FOREVER = sys.maxsize
REDIRECT = "http://169.254.169.254/latest/meta-data/"


class BadReply(StrEnum):
    """Answers that no client should swallow."""

    REDIRECT = "redirect"  # the request is not passed on
    HTML = "html"  # the same: something else answers there
    HUGE = "huge"  # the same: 2 GB of it, sent for as long as the client reads
    TRUNCATED = "truncated"  # passed on, half of the answer's bytes come as if they were all
    RESET = "reset"  # passed on, the connection is reset in the middle of the answer


@dataclass
class Rule:
    """One thing that goes wrong, so many times."""

    match: Match
    times: int
    act: Callable[[Exchange], Awaitable[None]]
    fired: int = 0


class Script:
    """What goes wrong, and when. The first rule that matches and is not used up counts. Thread-safe."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._is_down = False
        self.on_down: Callable[[], None] = lambda: None
        self.on_up: Callable[[], None] = lambda: None

    @property
    def is_down(self) -> bool:
        """Whether nobody is there."""
        return self._is_down

    def down(self) -> None:
        """Be away: connections are refused where `running_outside` serves, dropped where `faulty` stands alone."""
        self._is_down = True
        self.on_down()

    def up(self) -> None:
        """Be back; the rules that are left stay."""
        self._is_down = False
        self.on_up()

    def clear(self) -> None:
        """Forget every rule: from now on all is well."""
        with self._lock:
            self._rules.clear()

    def fail_before(
        self,
        match: Match,
        status: int = 503,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: bytes = b'{"message": "scripted"}',
    ) -> Rule:
        """Answer with a status without asking the server behind."""

        async def act(exchange: Exchange) -> None:
            await exchange.answer(status, {"content-type": "application/json", **(headers or {})}, body)

        return self._add(Rule(match, times, act))

    def drop_before(self, match: Match, times: int = 1) -> Rule:
        """Close the connection without asking the server behind."""
        return self._add(Rule(match, times, Exchange.drop))

    def apply_then_drop(self, match: Match, times: int = 1) -> Rule:
        """Ask the server behind, then close the connection without a reply."""

        async def act(exchange: Exchange) -> None:
            await exchange.ask()
            await exchange.drop()

        return self._add(Rule(match, times, act))

    def slow(self, match: Match, seconds: float, times: int = 1, *, late: bool = False) -> Rule:
        """Take so long to answer.

        Args:
            late: the server behind is asked after that time, also when the client has gone meanwhile; without it the
                server does its work at once, and only its answer takes long.
        """

        async def act(exchange: Exchange) -> None:
            if not late:
                await exchange.ask()
            is_gone = await exchange.wait(seconds)
            if late:
                await exchange.ask()
            if is_gone:
                exchange.lose()
            else:
                await exchange.pass_back()

        return self._add(Rule(match, times, act))

    def bad_reply(self, match: Match, kind: BadReply | str, times: int = 1) -> Rule:
        """Answer nonsense; which kinds reach the server behind is said at each."""
        act = {
            BadReply.REDIRECT: lambda exchange: exchange.answer(302, {"location": REDIRECT}, b""),
            BadReply.HTML: lambda exchange: exchange.answer(
                200, {"content-type": "text/html"}, b"<!doctype html><title>Sign in</title>"
            ),
            BadReply.HUGE: Exchange.answer_without_end,
            BadReply.TRUNCATED: Exchange.answer_half,
            BadReply.RESET: Exchange.reset,
        }[BadReply(kind)]
        return self._add(Rule(match, times, act))

    def take(self, method: str, path: str) -> Rule | None:
        """Return the rule that counts for a request, and use it up by one."""
        with self._lock:
            for rule in self._rules:
                if rule.fired < rule.times and is_match(rule.match, method, path):
                    rule.fired += 1
                    return rule
        return None

    def _add(self, rule: Rule) -> Rule:
        with self._lock:
            self._rules.append(rule)
        return rule


def faulty(app: ASGIApp, journal: Journal, script: Script) -> ASGIApp:
    """Put the script in front of an application and write down what comes through.

    Dropping a connection needs a server that gives its transport away, as that of `running_outside` does.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        exchange = Exchange(app, journal, scope, receive, send, await read_body(receive))
        if script.is_down:
            await exchange.drop()
            return
        rule = script.take(scope["method"], scope["path"])
        try:
            await (rule.act(exchange) if rule else exchange.pass_through())
        except httpx.TransportError:  # the server behind broke off, or is not there: the client sees the same
            await exchange.drop()

    return serve


@dataclass(frozen=True)
class Outside:
    """A server that misbehaves on demand."""

    url: str
    journal: Journal
    script: Script


@contextmanager
def running_outside(upstream: str | Callable[[str], ASGIApp]) -> Iterator[Outside]:
    """Serve a server elsewhere, or an application of this process, on a free loopback port, with faults.

    Args:
        upstream: a base URL; or a function that is given our own URL and returns the application.
    """
    journal, script = Journal(), Script()
    # Holds the port while nobody listens on it: a bound socket that does not listen refuses connections.
    with bound(0) as reserved:
        port = int(reserved.getsockname()[1])
        url = f"http://127.0.0.1:{port}"
        app = forward_to(upstream, public_url=url) if isinstance(upstream, str) else upstream(url)
        server = Server(faulty(app, journal, script), port)
        with server.running():
            script.on_down, script.on_up = server.close, server.open
            try:
                yield Outside(url, journal, script)
            finally:
                script.on_down = script.on_up = lambda: None
