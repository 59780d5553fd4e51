"""The HTTP server of the web process: uvicorn with the deadlines it lacks, believing no header about the sender."""

import gitops.telemetry.lean_uvicorn  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import asyncio
import resource

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from webhooks.replies import App

HEAD_SECONDS = 10.0
_GRACE_SECONDS = 5
_CONNECTIONS = 8192


class Protocol(H11Protocol):
    """HTTP/1.1 on one connection; uvicorn by itself waits for ever for the head of a request."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on; a head that has begun must end in time, and so must the next one."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _hang_up(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


def make_server(app: App, *, host: str = "127.0.0.1", port: int = 0, lifespan: bool = True) -> uvicorn.Server:
    """Return the server for an application.

    Args:
        port: 0 for any that is free.
        lifespan: whether the application is told of the start and the end.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        lifespan="on" if lifespan else "off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # By itself uvicorn takes X-Forwarded-For from anybody on this machine.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def allow_connections() -> None:
    """Raise this process's limit of open files, as far as it may: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, _CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
