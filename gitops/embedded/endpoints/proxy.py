"""Takes each prediction to the version that is live, and to the one before it when a new version fails during its bake.

MLflow's scoring app answers 400 whatever `predict` raised, so a 4xx of a new version is held against the old version's
answer to the same request before anybody sees it.

Requests and answers are held whole (a request up to the limit), because only a whole one can be sent again.
"""

import json
import time
from dataclasses import dataclass, replace
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import Response

from gitops.embedded.endpoints.fleet import Fleet
from gitops.embedded.endpoints.limits import Limits
from gitops.embedded.endpoints.scorer import show_controls
from gitops.embedded.endpoints.traffic import Traffic
from gitops.errors import NotFoundError, RetryError

_MOVES = 4
_MESSAGE = 300
_LONGEST_ERROR = 64 * 1024
_GOOD = range(200, 300)
_REFUSAL = range(400, 500)
_SERVER_ERROR = 500
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Cookies know no ports: the dashboard's would reach the model's code, and a model could set ours.
_NOT_SENT = _HOP_BY_HOP | {"host", "content-length", "expect", "cookie", "authorization"}
_NOT_RETURNED = _HOP_BY_HOP | {"content-length", "set-cookie", "clear-site-data", "server", "date"}


class BodyTooLargeError(Exception):
    """The request is longer than the limit."""


@dataclass(frozen=True)
class Exchange:
    """A request as it goes to a scorer, as often as needed.

    Args:
        path: `/invocations` or `/ping`.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What came back.

    Args:
        broken: the scorer closed or reset the connection; what it did is not known.
        unreachable: nobody listened, so it did nothing.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    version: str = ""
    seconds: float = 0.0
    broken: bool = False
    unreachable: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether this by itself speaks against the version that gave it: a 5xx, never a 4xx."""
        return self.status >= _SERVER_ERROR

    @property
    def text(self) -> str:
        """The body's start, for people; of MLflow's own errors the line that names the exception."""
        shown = _read_exception(self.body) or self.body[: 4 * _MESSAGE].decode("utf-8", "replace")
        return show_controls(" ".join(shown[: 4 * _MESSAGE].split()))[:_MESSAGE]

    @property
    def what(self) -> str:
        """Half a sentence of what happened."""
        if self.unreachable or self.broken:
            return "its scorer broke the connection" if self.broken else "its scorer cannot be reached"
        return f"answered {self.status}"


def _read_exception(body: bytes) -> str:
    """Return the last line of the stack trace in an error of MLflow's scoring app; empty when there is none."""
    if len(body) > _LONGEST_ERROR:
        return ""
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    trace = error.get("stack_trace") if isinstance(error, dict) else None
    lines = trace.split("\n") if isinstance(trace, str) else []
    return next((line for line in reversed(lines) if line.strip()), "")


@dataclass
class _Progress:
    """How often and until when one request is tried."""

    deadline: float
    moves: int = 0
    replayed: bool = False


class Proxy:
    """The data plane.

    Args:
        client: to the scorers.
    """

    def __init__(self, fleet: Fleet, traffic: Traffic, *, client: httpx.AsyncClient, limits: Limits) -> None:
        self._fleet = fleet
        self._traffic = traffic
        self._client = client
        self._limits = limits

    async def forward(self, endpoint: str, exchange: Exchange) -> Reply:
        """Answer a request by whichever version is live.

        Raises:
            NotFoundError: when there is no such endpoint.
            RetryError: `NoLiveVersion`, or `ScorerRestarting` when that takes longer than a request waits.
        """
        progress = _Progress(deadline=time.monotonic() + self._limits.wait)
        while True:
            name = await self._await_live(endpoint, progress.deadline)
            older = self._traffic.older(endpoint)
            reply = await self.ask(name, exchange, timeout=self._limits.request)
            better = await self._ask_older(older, exchange) if reply.status in _REFUSAL else None
            if exchange.method == "POST":
                self._traffic.count(endpoint, name, is_error=reply.is_fault or better is not None)
            if better is not None:
                what = f"the new version refused a request that version {better.version} answers"
                self._traffic.hear_fault(endpoint, name, what=what, body=reply.text)
                return better
            if not await self._tries_again(endpoint, name, reply=reply, progress=progress):
                break
        return reply

    async def ask(self, configuration: str, exchange: Exchange, *, timeout: float) -> Reply:  # noqa: ASYNC109 - httpx's
        """Send a request to one configuration, whether it has traffic or not.

        Args:
            timeout: seconds for the whole answer; a 504 after it.

        Raises:
            RetryError: `ConfigurationNotReady`.
        """
        row = self._fleet.row(configuration)
        if row.process is None or not row.is_up:
            raise RetryError("ConfigurationNotReady", f"{configuration} is not ready: {row.reason or row.readiness}")
        url = f"http://127.0.0.1:{row.process.port}{exchange.path}"
        version, begun = row.configuration.version, time.monotonic()
        with self._fleet.using(configuration):
            try:
                reply = await self._send(url, exchange, limit=timeout)
            except httpx.TimeoutException:
                reply = Reply(504, body=f"the model did not answer within {timeout:g} s\n".encode())
            except httpx.ConnectError:
                reply = Reply(502, body=b"the scorer cannot be reached\n", unreachable=True)
            except httpx.TransportError as error:
                reply = Reply(502, body=f"the scorer broke the connection: {error}\n".encode(), broken=True)
        return replace(reply, version=version, seconds=time.monotonic() - begun)

    async def _send(self, url: str, exchange: Exchange, *, limit: float) -> Reply:
        headers = [(name, value) for name, value in exchange.headers if name not in _NOT_SENT]
        request = self._client.build_request(
            exchange.method, url, headers=headers, content=exchange.body, timeout=httpx.Timeout(limit, connect=5.0)
        )
        answer = await self._client.send(request, stream=True)
        try:
            # Raw, so that a compressed body goes on as it came.
            body = b"".join([chunk async for chunk in answer.aiter_raw()])
        finally:
            await answer.aclose()
        kept = tuple((name, value) for name, value in answer.headers.multi_items() if name not in _NOT_RETURNED)
        return Reply(answer.status_code, kept, body)

    async def _ask_older(self, older: str, exchange: Exchange) -> Reply | None:
        """Return the good answer of the version before an unproven one; None when it has none either."""
        if not older:
            return None
        try:
            reply = await self.ask(older, exchange, timeout=self._limits.request)
        except (NotFoundError, RetryError):
            return None
        return reply if reply.status in _GOOD else None

    async def _await_live(self, endpoint: str, deadline: float) -> str:
        """Return the live configuration once its scorer answers."""
        while True:
            route = self._traffic.find(endpoint)
            if not route.live:
                raise RetryError("NoLiveVersion", f"{endpoint} has no live version: {route.failure or route.status}")
            if self._fleet.row(route.live).is_up:
                return route.live
            left = deadline - time.monotonic()
            if left <= 0:
                raise RetryError("ScorerRestarting", f"the scorer of {endpoint} is being restarted", after=5.0)
            await self._fleet.wait_change(left)

    async def _tries_again(self, endpoint: str, name: str, *, reply: Reply, progress: _Progress) -> bool:
        """Decide whether this answer stays between us and the version that gave it."""
        if not reply.is_fault:
            return False
        if self._traffic.hear_fault(endpoint, name, what=reply.what, body=reply.text):
            progress.moves += 1
            progress.deadline = time.monotonic() + self._limits.wait
            return progress.moves <= _MOVES
        if reply.unreachable and time.monotonic() < progress.deadline:
            await self._fleet.recheck(name)
            return True
        if reply.broken and not progress.replayed:
            # A scorer that died takes its requests with it; each gets one more try, so that no request kills for ever.
            progress.replayed = True
            progress.deadline = time.monotonic() + self._limits.wait
            await self._fleet.recheck(name)
            return True
        return False


async def read_exchange(request: Request, path: str, *, limit: int) -> Exchange:
    """Read a request whole.

    Raises:
        BodyTooLargeError: when it is longer than the limit, known from its header or counted.
        ClientDisconnect: when the client left before its end.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLargeError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLargeError
    query = f"?{request.url.query}" if request.url.query else ""
    return Exchange(request.method, path + query, tuple(request.headers.items()), bytes(body))


def to_response(reply: Reply) -> Response:
    """Return a scorer's answer, marked with the version that gave it."""
    response = Response(reply.body, reply.status)
    for name, value in reply.headers:
        response.headers.append(name, value)
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["x-launchpin-version"] = quote(reply.version)
    response.headers["x-launchpin-seconds"] = f"{reply.seconds:.6f}"
    return response
