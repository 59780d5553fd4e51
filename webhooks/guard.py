"""Refuses what is not meant for us: another host's requests, for names can be rebound, and bodies with two lengths."""

from collections.abc import Collection

from webhooks.replies import TWO_LENGTHS, App, Receive, Reply, Scope, Send, send_last_reply

_WRONG_HOST = Reply(421, "wrong_host", "this part does not answer for that host")


class HostGuard:
    """Lets only known hosts pass, and only what every proxy reads alike.

    Args:
        app: what is guarded.
        allowed: values of the Host header, with the port where it is not the scheme's own.
    """

    def __init__(self, app: App, *, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(host.encode() for host in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "http":
            names = [name for name, _ in scope["headers"]]
            if names.count(b"host") != 1 or scope["headers"][names.index(b"host")][1].lower() not in self._allowed:
                await send_last_reply(receive, send, _WRONG_HOST)
                return
            if b"transfer-encoding" in names and b"content-length" in names:
                await send_last_reply(receive, send, TWO_LENGTHS)
                return
        await self._app(scope, receive, send)
