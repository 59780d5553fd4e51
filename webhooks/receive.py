"""The door for webhooks: check, store durably, answer. Raw ASGI; parses nothing, publishes nothing.

The order of checks is fixed: method, path, size, content type, headers, signature, delivery id, replay. Before the
signature holds nothing is written and nothing of the body reaches a log.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitops.errors import RetryError
from gitops.ports import Received, Store
from gitops.records import Cause, Delivery
from webhooks.signature import is_signed

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

LONGEST_BODY = 25 * 1024 * 1024
_LONGEST_HEADER = 8 * 1024
_BODY_SECONDS = 10.0
_GUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EVENT = re.compile(rb"[a-z_]{1,64}")
_log = logging.getLogger("launchpin.receive")


@dataclass(frozen=True)
class Reply:
    """An answer: a status, and a problem (RFC 9457) or a receipt."""

    status: int
    code: str
    detail: str
    field: str = ""
    limit: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Refusal(Exception):  # noqa: N818 - not an error of ours: an answer that ends the checks
    """Carries the reply out of the checks."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.code)
        self.reply = reply


_UNSIGNED = Reply(401, "signature_invalid", "the body is not signed with this webhook's secret")
_NOT_HERE = Reply(404, "not_found", "nothing is here")


class Receiver:
    """Receives GitHub's deliveries on one unguessable path.

    Args:
        path: the whole path, `/webhook/<random>`.
        secrets: at least one; there is no way to run without.

    Raises:
        ValueError: when there is no secret.
    """

    def __init__(self, store: Store, *, path: str, secrets: Sequence[str]) -> None:
        if not secrets or not all(secrets):
            raise ValueError("a webhook secret is required")
        self._store = store
        self._path = path.encode()
        self._secrets = tuple(secrets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            reply = await self._answer(scope, receive)
        except Refusal as refusal:
            reply = refusal.reply
        await _send(send, reply)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        headers: Headers = tuple(scope["headers"])
        _check_method(scope)
        if not hmac.compare_digest(scope["path"].encode("utf-8", "surrogateescape"), self._path):
            raise Refusal(_NOT_HERE)
        _check_headers(headers)
        unverified_body = await _read_body(receive)
        if not is_signed(unverified_body, _one(headers, b"x-hub-signature-256"), secrets=self._secrets):
            _log.warning("a delivery's signature is wrong", extra={"bytes": len(unverified_body)})
            raise Refusal(_UNSIGNED)
        guid = _check_form(_one(headers, b"x-github-delivery"), _GUID, "bad_delivery_id", "X-GitHub-Delivery")
        event = _check_form(_one(headers, b"x-github-event"), _EVENT, "bad_event", "X-GitHub-Event")
        if event == "ping":
            return Reply(200, "pong", "this webhook works")
        return await self._store_delivery(guid.lower(), event, unverified_body)

    async def _store_delivery(self, guid: str, event: str, body: bytes) -> Reply:
        digest = hashlib.sha256(body).hexdigest()
        cause = Cause(kind="delivery", id=guid, body_sha256=digest)
        delivery = Delivery(id=guid, cause=cause, event=event, body_sha256=digest, body=body)
        try:
            received = await asyncio.to_thread(self._store.save_delivery, delivery)
        except RetryError:
            _log.exception("a delivery could not be stored")
            later = ((b"retry-after", b"5"),)
            return Reply(503, "busy", "the database is busy: deliver this again", headers=later)
        match received:
            case Received.NEW:
                return Reply(202, "accepted", guid)
            case Received.DUPLICATE:
                return Reply(200, "duplicate", guid)
            case Received.CONFLICT:
                _log.error("delivery %s came again with another body", guid)
                return Reply(409, "delivery_conflict", "this delivery id is known with another body")


def _check_method(scope: Scope) -> None:
    if scope["method"] != "POST":
        raise Refusal(Reply(405, "method_not_allowed", "deliver with POST", headers=((b"allow", b"POST"),)))


def _check_headers(headers: Headers) -> None:
    """Refuse by size, type and doubled headers, before a byte of the body is read."""
    if any(len(name) + len(value) > _LONGEST_HEADER for name, value in headers):
        raise Refusal(Reply(431, "header_too_large", "a header is too long", limit=_LONGEST_HEADER))
    declared = _one(headers, b"content-length")
    if declared and (not declared.isdigit() or int(declared) > LONGEST_BODY):
        raise Refusal(_too_large())
    if _one(headers, b"content-encoding") not in (b"", b"identity"):
        raise Refusal(Reply(415, "content_encoding", "send the body as it is, not compressed"))
    if _one(headers, b"content-type").split(b";")[0].strip().lower() != b"application/json":
        raise Refusal(Reply(415, "content_type", "set content type to application/json in the webhook's settings"))


def _too_large() -> Reply:
    return Reply(413, "body_too_large", "the body is too large: subscribe to fewer events", limit=LONGEST_BODY)


def _one(headers: Headers, name: bytes) -> bytes:
    """Return the only header of that name, empty when there is none."""
    values = [value for key, value in headers if key.lower() == name]
    if len(values) > 1:
        raise Refusal(Reply(400, "duplicate_header", "a header came twice", field=name.decode()))
    return values[0] if values else b""


def _check_form(value: bytes, form: re.Pattern[bytes], code: str, field: str) -> str:
    if not form.fullmatch(value):
        raise Refusal(Reply(400, code, f"{field} is missing or malformed", field=field))
    return value.decode()


async def _read_body(receive: Receive) -> bytes:
    """Return the whole body, read within the time and size that GitHub itself keeps."""
    chunks = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(Reply(400, "incomplete", "the body ended early"))
                chunks += message.get("body", b"")
                if len(chunks) > LONGEST_BODY:
                    raise Refusal(_too_large())
                more = message.get("more_body", False)
    except TimeoutError:
        raise Refusal(Reply(408, "too_slow", "the body took longer than 10 s")) from None
    return bytes(chunks)


async def _send(send: Send, reply: Reply) -> None:
    is_problem = reply.status >= 400  # noqa: PLR2004 - HTTP's own border between answers and problems
    document: dict[str, object] = {"status": reply.status, "code": reply.code, "detail": reply.detail}
    if reply.field:
        document["field"] = reply.field
    if reply.limit:
        document["limit"] = reply.limit
    body = json.dumps(document).encode()
    kind = b"application/problem+json" if is_problem else b"application/json"
    # A refused body may still be under way: the connection cannot be used for another request.
    closing = ((b"connection", b"close"),) if is_problem else ()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *reply.headers, *closing]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
