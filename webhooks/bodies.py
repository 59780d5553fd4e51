"""Reads a request's body before the framework does, and no more of it than any of our routes takes."""

from collections.abc import MutableMapping
from typing import Any

from webhooks.replies import App, Receive, Reply, Scope, Send, send_last_reply

LONGEST = 64 * 1024
"""Bytes; what people and programs ask for is short. Deliveries have a door of their own."""

_TOO_LARGE = Reply(413, "body_too_large", "a request to the API or a page has at most 64 KiB; send less", limit=LONGEST)


class SmallBodies:
    """An ASGI middleware.

    Args:
        app: gets the whole body as one message.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that is too large, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        is_more = True
        while is_more:
            message = await receive()
            if message["type"] != "http.request":
                return  # whoever asked is gone
            body += message.get("body", b"")
            is_more = message.get("more_body", False)
            if len(body) > LONGEST:
                await send_last_reply(receive, send, _TOO_LARGE)
                return
        await self._app(scope, _whole(bytes(body), receive), send)


def _whole(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body once, and then waits for the end of the connection."""
    left = [body]

    async def give() -> MutableMapping[str, Any]:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return give
