"""The door for webhooks: check, store durably, answer. Raw ASGI; parses nothing, publishes nothing.

The order of checks is fixed: method, path, size, content type, headers, signature, delivery id, replay. Before the
signature holds nothing is written, nothing of the body reaches a log, and what is held of strangers is bounded.
"""

import asyncio
import hmac
import itertools
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex

from gitops.errors import RetryError
from gitops.failpoints import failpoint
from gitops.ports import Received
from gitops.telemetry.context import bound
from webhooks.budgets import FREE_BYTES, LONGEST_BODY, Budgets, Strikes, to_address
from webhooks.deadlines import Deadlines, Limit
from webhooks.inbox import Inbox
from webhooks.replies import TWO_LENGTHS, Receive, Refusal, Reply, Scope, Send, send_last_reply, send_reply
from webhooks.saving import PATIENCE, STOPPING, Arrival, Keeper
from webhooks.security import SecurityLog
from webhooks.signature import is_signed

BODY_SECONDS = 9.0
ANSWER_SECONDS = 9.5
"""From the request's head to the answer, whatever happens; GitHub waits for ten."""

_LONGEST_HEADER = 8 * 1024
_USUAL_HEADERS = 4 * 1024
_LONGEST_NUMBER = 12
_LARGE = 1024 * 1024
_GUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EVENT = re.compile(rb"[a-z_]{1,64}")
_ONCE = frozenset(
    (
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"transfer-encoding",
        b"x-hub-signature-256",
        b"x-github-delivery",
        b"x-github-event",
    )
)
_log = logging.getLogger("launchpin.receive")
_PROCESS = token_hex(4)
_requests = itertools.count(1)

Told = Callable[[Scope, str, float], None]
"""What hears of each request: the answer's code, `none` where none went out, and the seconds that it took."""

_NOT_POST = Reply(405, "method_not_allowed", "deliver with POST", allow="POST")
_NOT_HERE = Reply(404, "not_found", "nothing is here")
_LONG_HEADER = Reply(431, "header_too_large", "a header is too long", limit=_LONGEST_HEADER)
_TOO_LARGE = Reply(413, "body_too_large", "the body is too large: subscribe to fewer events", limit=LONGEST_BODY)
_COMPRESSED = Reply(415, "content_encoding", "send the body as it is, not compressed")
_NOT_JSON = Reply(415, "content_type", "set content type to application/json in the webhook's settings")
_TOO_SLOW = Reply(408, "too_slow", f"the body took longer than {BODY_SECONDS:.0f} s")
_CUT_SHORT = Reply(400, "incomplete", "the body ended early")
_UNSIGNED = Reply(401, "signature_invalid", "the body is not signed with this webhook's secret")
_TOO_MANY = Reply(429, "too_many_failures", "too many wrong signatures came from this address", retry_after=5)
_FULL = Reply(503, "queue_full", "too much is under way at once: deliver this again", retry_after=5)
_BUSY = Reply(503, "busy", "the database is busy: deliver this again", retry_after=5)
_STOPPING = Reply(503, "stopping", "this part is going down: deliver this again", retry_after=5)
_NOT_STORED = Reply(500, "not_stored", "the database does not take this delivery; the log says why")
_PONG = Reply(200, "pong", "this webhook works")
_OTHER_BODY = Reply(409, "delivery_conflict", "this delivery id is known with another body")


class Receiver:
    """Receives GitHub's deliveries on one unguessable path.

    Args:
        keeper: what makes deliveries durable.
        path: the whole path, `/webhook/<random>`.
        secrets: at least one; there is no way to run without.
        told: hears of each answer, once it went out.

    Raises:
        ValueError: when there is no secret.
    """

    def __init__(self, keeper: Keeper, *, path: str, secrets: Sequence[str], told: Told | None = None) -> None:
        if not secrets or not all(secrets):
            raise ValueError("a webhook secret is required")
        self._keeper = keeper
        self._told = told
        self._deadlines = Deadlines()
        self._inbox = Inbox(keeper, self._deadlines)
        self._path = path.encode()
        self._secrets = tuple(secrets)
        self._budgets = Budgets()
        self._strikes = Strikes()
        self._security = SecurityLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begun = time.monotonic()
        code = "none"
        try:
            with bound(request_id=f"{_PROCESS}-{next(_requests)}"):
                code = await self._serve(scope, receive, send, begun=begun)
        finally:
            if self._told is not None:
                self._told(scope, code, time.monotonic() - begun)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, begun: float) -> str:
        """Answer one request, and return the answer's code."""
        until = begun + ANSWER_SECONDS
        address = to_address(scope["client"])
        body = _Body(receive, self._budgets, address, Limit(self._deadlines, begun + BODY_SECONDS))
        if self._budgets.enter(address):
            try:
                reply = await self._answer(scope, body, address, until=until)
            except Refusal as refusal:
                reply = refusal.reply
            except asyncio.CancelledError:
                reply = _STOPPING
            finally:
                self._budgets.leave(address, body.counted)
        else:
            reply = _FULL
        failpoint("receive.before_reply")
        if body.is_read:
            await send_reply(send, reply)
        else:
            await send_last_reply(receive, send, reply)
        failpoint("receive.after_reply")
        return reply.code

    async def open(self) -> None:
        """Be ready; needed where deliveries are stored by another process."""
        await self._keeper.open()

    async def close(self) -> None:
        """Store what was taken, and end."""
        await self._inbox.close()
        self._security.close()

    async def _answer(self, scope: Scope, body: "_Body", address: str, *, until: float) -> Reply:
        if scope["method"] != "POST":
            raise Refusal(_NOT_POST)
        if not hmac.compare_digest(scope["path"].encode("utf-8", "surrogateescape"), self._path):
            raise Refusal(_NOT_HERE)
        headers = _read_headers(scope)
        unverified_body = await self._read_signed(headers, body, address)
        failpoint("receive.verified")
        guid = _check_form(headers, b"x-github-delivery", _GUID, code="bad_delivery_id", field="X-GitHub-Delivery")
        event = _check_form(headers, b"x-github-event", _EVENT, code="bad_event", field="X-GitHub-Event")
        if event == "ping":
            return _PONG
        patience = min(PATIENCE, until - time.monotonic())
        reply = await self._store_delivery(guid.lower(), event, unverified_body, patience=patience)
        if reply is _OTHER_BODY:
            self._security.note(reply.code, address)
        return reply

    async def _read_signed(self, headers: Mapping[bytes, bytes], body: "_Body", address: str) -> bytes:
        """Return the body when it is ours.

        Who signed wrongly too often is still heard out as far as a usual body goes, because a proxy or a network in
        front of many has one address: a right signature is always taken.
        """
        is_out = self._strikes.is_out(address)
        if is_out and int(headers.get(b"content-length", b"0")) > FREE_BYTES:
            self._security.note(_TOO_MANY.code, address)
            raise Refusal(_TOO_MANY)
        try:
            unverified_body = await body.read(FREE_BYTES if is_out else LONGEST_BODY)
        except _OverLimit:
            raise Refusal(_TOO_MANY if is_out else _TOO_LARGE) from None
        signature = headers.get(b"x-hub-signature-256", b"")
        if len(unverified_body) > _LARGE:  # Milliseconds of hashing would hold up everybody else.
            is_ours = await asyncio.to_thread(is_signed, unverified_body, signature, secrets=self._secrets)
        else:
            is_ours = is_signed(unverified_body, signature, secrets=self._secrets)
        if is_ours:
            return bytes(unverified_body)
        self._strikes.add(address)
        reply = _TOO_MANY if is_out else _UNSIGNED
        self._security.note(reply.code, address)
        raise Refusal(reply)

    async def _store_delivery(self, guid: str, event: str, body: bytes, *, patience: float) -> Reply:
        try:
            received = await self._inbox.put(Arrival(guid, event, body), patience=patience)
        except RetryError as error:
            return _STOPPING if error.reason == STOPPING else _BUSY
        except Exception:  # noqa: BLE001 - whatever it is, the sender must hear that nothing was acknowledged
            _log.exception("delivery %s cannot be stored", guid)
            return _NOT_STORED
        match received:
            case Received.NEW:
                return Reply(202, "accepted", guid)
            case Received.DUPLICATE:
                return Reply(200, "duplicate", guid)
            case Received.CONFLICT:
                return _OTHER_BODY


def _read_headers(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the headers, refused by size, type and doubled ones before a byte of the body is read."""
    pairs: Sequence[tuple[bytes, bytes]] = scope["headers"]
    headers = dict(pairs)
    size = sum(map(len, headers)) + sum(map(len, headers.values()))
    if len(headers) < len(pairs) or size > _USUAL_HEADERS:
        _check_headers(pairs)
    declared = headers.get(b"content-length")
    if declared is not None:
        if not declared.isdigit() or len(declared) > _LONGEST_NUMBER or int(declared) > LONGEST_BODY:
            raise Refusal(_TOO_LARGE)
        if b"transfer-encoding" in headers:
            raise Refusal(TWO_LENGTHS)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refusal(_COMPRESSED)
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
        raise Refusal(_NOT_JSON)
    return headers


def _check_headers(pairs: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse what is too long, and what came twice and must not."""
    seen: set[bytes] = set()
    for name, value in pairs:
        if len(name) + len(value) > _LONGEST_HEADER:
            raise Refusal(_LONG_HEADER)
        if name in seen and name in _ONCE:
            raise Refusal(Reply(400, "duplicate_header", "a header came twice", field=name.decode()))
        seen.add(name)


def _check_form(headers: Mapping[bytes, bytes], name: bytes, form: re.Pattern[bytes], *, code: str, field: str) -> str:
    value = headers.get(name, b"")
    if not form.fullmatch(value):
        raise Refusal(Reply(400, code, f"{field} is missing or malformed", field=field))
    return value.decode()


class _OverLimit(Exception):  # noqa: N818 - only says which way the reading ended
    """More came than is taken."""


class _Body:
    """A request's body as it comes in, counted against the budgets.

    Args:
        counted: bytes that the budgets hold for it.
        is_read: whether it came to its end.
    """

    def __init__(self, receive: Receive, budgets: Budgets, address: str, limit: Limit) -> None:
        self._receive = receive
        self._limit = limit
        self._budgets = budgets
        self._address = address
        self.counted = 0
        self.is_read = False

    async def read(self, most: int) -> bytes | bytearray:
        """Return the whole body, read within the time that is left for an answer.

        Raises:
            _OverLimit: it is longer than `most`.
        """
        body: bytes | bytearray = b""
        try:
            with self._limit:
                while not self.is_read:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(_CUT_SHORT)
                    chunk: bytes = message.get("body", b"")
                    self._count(len(body) + len(chunk), most)
                    if not body:
                        body = chunk
                    elif isinstance(body, bytearray):
                        body += chunk
                    else:  # It grows in place: what a stranger sends is never in memory twice.
                        body = bytearray(body + chunk)
                    self.is_read = not message.get("more_body", False)
        except TimeoutError:
            raise Refusal(_TOO_SLOW) from None
        return body

    def _count(self, size: int, most: int) -> None:
        if size > most:
            raise _OverLimit
        more = size - FREE_BYTES - self.counted
        if more > 0:
            if not self._budgets.hold(self._address, more):
                raise Refusal(_FULL)
            self.counted += more
