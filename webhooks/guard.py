"""Refuses requests for a host that this part was not given: the defence against rebound names."""

from collections.abc import Awaitable, Callable, Collection

from webhooks.receive import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]
_BODY = b'{"status": 421, "code": "wrong_host", "detail": "this part does not answer for that host"}'


class HostGuard:
    """Lets only known hosts pass.

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
            hosts = [value.lower() for name, value in scope["headers"] if name.lower() == b"host"]
            if len(hosts) != 1 or hosts[0] not in self._allowed:
                headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(_BODY))]
                await send({"type": "http.response.start", "status": 421, "headers": headers})
                await send({"type": "http.response.body", "body": _BODY})
                return
        await self._app(scope, receive, send)
