"""What every request must pass before it is read: the Host that we were given, and for the management API its token."""

import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from gitops.embedded.endpoints.wire import problem


def known_hosts(port: int, public_url: str) -> frozenset[bytes]:
    """Return the values of Host that name us."""
    names = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", urlsplit(public_url).netloc.lower()]
    return frozenset(name.encode() for name in names if name)


def is_known_host(headers: Iterable[tuple[bytes, bytes]], hosts: frozenset[bytes]) -> bool:
    """Return whether there is one Host, and it is one of ours; a page that rebinds its name to us has another."""
    given = [value.strip().lower() for name, value in headers if name == b"host"]
    return len(given) == 1 and given[0] in hosts


def is_authorized(headers: Iterable[tuple[bytes, bytes]], token: str) -> bool:
    """Return whether there is one Authorization, and it is our token; takes the same time wherever they differ."""
    given = [value for name, value in headers if name == b"authorization"]
    return len(given) == 1 and hmac.compare_digest(given[0], b"Bearer " + token.encode())


class Guards:
    """Refuses strangers before anything of their request is read.

    Args:
        hosts: what `known_hosts` returned.
        token: of the management API, everything below `/api/`.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[bytes], token: str) -> None:
        self._app = app
        self._hosts = hosts
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421 or 401."""
        app = self._app
        if scope["type"] == "http":
            if not is_known_host(scope["headers"], self._hosts):
                app = problem(421, "unknown_host", "this host was not given that name")
            elif scope["path"].startswith("/api/") and not is_authorized(scope["headers"], self._token):
                app = problem(401, "unauthorized", "the management API wants its token")
        await app(scope, receive, send)
