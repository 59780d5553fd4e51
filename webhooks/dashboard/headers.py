"""Puts the headers on every answer that keep a page from loading, framing or leaking anything."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_RULES = (
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
)
POLICY = "; ".join(_RULES)
"""What a page may load and do; the browser holds it to that."""

_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not `no-referrer`: with it browsers send `Origin: null`, and a change needs an Origin of ours.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

# For a year. Of this host alone: what else there is below its name is not ours to decide.
_BY_TLS_ALONE = (b"strict-transport-security", b"max-age=31536000")


class SecureHeaders:
    """An ASGI middleware.

    Args:
        is_tls: whether people reach us by TLS: their browsers never come without it again then.
    """

    def __init__(self, app: App, *, is_tls: bool) -> None:
        self._app = app
        self._headers = (*_HEADERS, _BY_TLS_ALONE) if is_tls else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add to its answer's headers."""

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        await self._app(scope, receive, send_more)
