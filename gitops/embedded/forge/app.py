"""The forge as one ASGI application: who may talk to it at all, and which room answers.

A request must name a host of ours (else a page elsewhere could reach it by DNS rebinding). The API and git want a
token and know no cookie; the pages want a session and know no token.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gitops.embedded.forge.accounts import GHOST, load_accounts
from gitops.embedded.forge.api.router import PREFIX, serve_api
from gitops.embedded.forge.deliveries import fail_interrupted, forget_old
from gitops.embedded.forge.events import announce
from gitops.embedded.forge.git import make_repository
from gitops.embedded.forge.pages.views import page_routes
from gitops.embedded.forge.smart import serve_git
from gitops.embedded.forge.state import Forge

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def build_app(forge: Forge, *, port: int) -> ASGIApp:
    """Put the rooms together.

    Args:
        forge: the forge to serve.
        port: where it listens: only Host headers of this port on loopback, or of the public URL, are answered.
    """

    async def healthz(request: Request) -> Response:  # noqa: ARG001 - Starlette's form
        await run_in_threadpool(forge.db.row, "SELECT 1")
        return JSONResponse({"status": "ok"})

    async def api(request: Request) -> Response:
        return await serve_api(forge, request)

    async def git(request: Request) -> Response:
        return await serve_git(forge, request)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:  # noqa: ARG001 - Starlette's form
        await run_in_threadpool(recover, forge)
        yield
        await run_in_threadpool(forge.close)

    routes = [
        Route("/healthz", healthz),
        Route(f"{PREFIX}{{rest:path}}", api, methods=_METHODS),
        Route("/{owner}/{repo}.git/{rest:path}", git, methods=["GET", "POST"]),
        *page_routes(forge),
    ]
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")} | {urlsplit(forge.url).netloc.lower()}
    return Guard(Starlette(routes=routes, lifespan=lifespan), frozenset(hosts))


def open_forge(home: Path, url: str) -> Forge:
    """Open the forge in a data directory that `make_tokens` has prepared.

    Raises:
        InputError: when its accounts cannot be read.
    """
    return Forge(home, url, load_accounts(home))


def recover(forge: Forge) -> None:
    """Finish what a process that died has left: unsent deliveries, unannounced refs, missing folders.

    Who moved an unannounced ref is not known any more, so GitHub's `ghost` stands for it.
    """
    fail_interrupted(forge.db)
    forget_old(forge.db)
    for repo in forge.repositories():
        make_repository(forge.path(repo), repo.default_branch)
        with forge.lock(repo):
            announce(forge, repo, GHOST)


class Guard:
    """Refuses foreign Host headers, and puts the security headers on every answer.

    Args:
        app: what answers the others.
        hosts: the Host headers that are ours.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 421 before anything is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        named = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(named) == 1 and named[0] in self._hosts:
            await self._app(scope, receive, send_guarded)
            return
        refusal = JSONResponse({"message": "This host name is not served here."}, HTTPStatus.MISDIRECTED_REQUEST)
        await refusal(scope, receive, send_guarded)
