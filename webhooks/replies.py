"""Answers of the door: receipts, and problems as RFC 9457 has them. And the forms of raw ASGI that go with them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_FIRST_PROBLEM = 400
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 1024 * 1024
_RECEIPT = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_CLOSE = (b"connection", b"close")


class Reply(NamedTuple):
    """An answer: a status, and a problem or a receipt.

    Args:
        detail: what was wrong, which limit, what to do; nothing that a stranger sent.
        retry_after: seconds after which to come again, 0 to say nothing of it.
    """

    status: int
    code: str
    detail: str
    field: str = ""
    limit: int = 0
    allow: str = ""
    retry_after: int = 0

    def body(self) -> bytes:
        """Return the answer as JSON."""
        field = f', "field": {json.dumps(self.field)}' if self.field else ""
        limit = f', "limit": {self.limit}' if self.limit else ""
        told = f'"status": {self.status}, "code": "{self.code}", "detail": {json.dumps(self.detail)}{field}{limit}'
        return f"{{{told}}}".encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers, without the length."""
        told = [_PROBLEM if self.status >= _FIRST_PROBLEM else _RECEIPT]
        if self.allow:
            told.append((b"allow", self.allow.encode()))
        if self.retry_after:
            told.append((b"retry-after", b"%d" % self.retry_after))
        return told


TWO_LENGTHS = Reply(400, "ambiguous_length", "give the body's length once: by content-length, or in chunks")
"""A proxy before us may have read the other one, and take for one request what is two (request smuggling)."""


class Refusal(Exception):  # noqa: N818 - not an error of ours: an answer that ends the checks
    """Carries the reply out of the checks."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.code)
        self.reply = reply


async def send_reply(send: Send, reply: Reply) -> None:
    """Answer a request whose body was read to its end."""
    body = reply.body()
    await send({"type": "http.response.start", "status": reply.status, "headers": _framed(reply, body)})
    await send({"type": "http.response.body", "body": body})


async def send_last_reply(receive: Receive, send: Send, reply: Reply) -> None:
    """Answer a request of which more may be under way, and end the connection.

    The rest is thrown away for a moment first: closing on bytes that nobody read resets the connection, and the sender
    would lose the answer (RFC 9112, 9.6).
    """
    body = reply.body()
    headers = [*_framed(reply, body), _CLOSE]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            is_more = True
            while is_more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                is_more = message.get("more_body", False)
    except TimeoutError:
        pass  # Whoever still sends has had the time to read the answer.
    await send({"type": "http.response.body", "body": b""})


def _framed(reply: Reply, body: bytes) -> list[tuple[bytes, bytes]]:
    return [*reply.headers(), (b"content-length", b"%d" % len(body))]
