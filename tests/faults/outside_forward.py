"""A reverse proxy as an ASGI application."""

from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.faults.outside_exchange import read_body

_HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade"}


def forward_to(base_url: str, *, public_url: str = "") -> ASGIApp:
    """Return an application that passes every request on to a server, and its answers back.

    Args:
        base_url: of the server.
        public_url: takes the server's place in JSON answers and their headers, so that a client stays with us.
    """
    clients: list[httpx.AsyncClient] = []

    async def forward(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send, clients)
            return
        url = httpx.URL(base_url).copy_with(raw_path=scope["raw_path"] + _query(scope))
        headers = [(name, value) for name, value in scope["headers"] if name not in _HOP_BY_HOP | {b"host"}]
        asked = clients[0].build_request(scope["method"], url, headers=headers, content=await read_body(receive))
        answer = await clients[0].send(asked, stream=True)
        try:
            await _give_back(answer, send, old=base_url.encode(), new=public_url.encode())
        finally:
            await answer.aclose()

    return forward


async def _live(receive: Receive, send: Send, clients: list[httpx.AsyncClient]) -> None:
    await receive()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=None, trust_env=False, limits=limits) as client:  # noqa: S113 - the client decides
        clients.append(client)
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _give_back(answer: httpx.Response, send: Send, *, old: bytes, new: bytes) -> None:
    headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in _HOP_BY_HOP]
    start: dict[str, Any] = {"type": "http.response.start", "status": answer.status_code}
    if new and answer.headers.get("content-type", "").startswith("application/json"):
        body = (await answer.aread()).replace(old, new)
        kept = [(name, value.replace(old, new)) for name, value in headers]
        kept = [pair for pair in kept if pair[0] not in {b"content-length", b"content-encoding"}]
        await send({**start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})
        return
    await send({**start, "headers": headers})
    async for piece in answer.aiter_raw():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _query(scope: Scope) -> bytes:
    query: bytes = scope["query_string"]
    return b"?" + query if query else b""
