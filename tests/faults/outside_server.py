"""How an outside is served: uvicorn in a thread, whose socket can be closed and opened and whose connections be cut."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.faults.outside_exchange import TRANSPORT

_PATIENCE = 60.0


class _Abrupt(H11Protocol):
    """Uvicorn's protocol, which gives the application its transport, so that it can be cut."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        plain = cast("ASGIApp", self.app)

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await plain({**scope, TRANSPORT: transport}, receive, send)

        self.app = cast("Any", with_transport)


class Server:
    """Uvicorn in a thread, whose listening socket can be closed and opened again."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._port = port
        config = uvicorn.Config(
            app,
            http=_Abrupt,
            ws="none",
            lifespan="on",
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            # What ends a connection is a case, never the moment in which a slow machine uses one again.
            timeout_keep_alive=600,
            h11_max_incomplete_event_size=64 * 1024,
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name=f"outside-{self._port}", daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + _PATIENCE
            while not self._server.started:
                assert thread.is_alive(), "the outside did not start"
                assert time.monotonic() < deadline, "the outside did not start in time"
                time.sleep(0.005)  # the pace of looking, not the condition
            yield
        finally:
            self._server.should_exit = True
            thread.join(_PATIENCE)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve(sockets=[_listening(self._port)]))

    def close(self) -> None:
        """Refuse connections, and cut those that are there."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_PATIENCE)

    def open(self) -> None:
        """Take connections again."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(_PATIENCE)

    async def _close(self) -> None:
        for listener in self._server.servers:
            listener.close()
        self._server.servers.clear()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    async def _open(self) -> None:
        if self._server.servers:
            return

        def protocol() -> asyncio.Protocol:
            server = self._server
            return _Abrupt(server.config, server.server_state, server.lifespan.state)

        listener = await self._loop.create_server(protocol, sock=_listening(self._port))
        self._server.servers.append(listener)


def bound(port: int) -> socket.socket:
    # The protocol must be named: asyncio sets TCP_NODELAY only where it is, and every answer would wait 40 ms without.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _listening(port: int) -> socket.socket:
    listener = bound(port)
    listener.listen(128)
    return listener
