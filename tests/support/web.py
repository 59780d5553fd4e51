"""The webhook door on a real server over loopback, and deliveries to knock with."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn

SECRET = "a secret for tests"
PATH = "/webhook/f00d"


@dataclass(frozen=True)
class Reply:
    """A raw answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass(frozen=True)
class Knock:
    """One request to the door, right unless a test says otherwise."""

    body: bytes = b"{}"
    event: str = "push"
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    method: str = "POST"
    path: str = PATH
    signature: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    without: tuple[bytes, ...] = ()

    def raw(self) -> bytes:
        signature = self.signature if self.signature is not None else sign(self.body)
        headers = [
            (b"Host", b"127.0.0.1"),
            (b"Content-Type", b"application/json"),
            (b"X-GitHub-Event", self.event.encode()),
            (b"X-GitHub-Delivery", self.guid.encode()),
            (b"X-Hub-Signature-256", signature),
            (b"Content-Length", str(len(self.body)).encode()),
            (b"Connection", b"close"),
        ]
        kept = [pair for pair in headers if pair[0].lower() not in self.without] + list(self.headers)
        lines = [f"{self.method} {self.path} HTTP/1.1".encode(), *(name + b": " + value for name, value in kept)]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def sign(body: bytes, secret: str = SECRET) -> bytes:
    return b"sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def knock(port: int, request: Knock) -> Reply:
    """Send the bytes as they are; no client library tidies them up."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(request.raw())
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Reply(int(first.split()[1]), headers, body)


@contextlib.contextmanager
def serving(app: Callable[..., Awaitable[None]]) -> Iterator[int]:
    """Serve an ASGI application on a free loopback port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        _wait_until(lambda: server.started)
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def _wait_until(is_done: Callable[[], bool]) -> None:
    happened = threading.Event()
    for _ in range(1000):
        if is_done():
            return
        happened.wait(0.01)
    raise TimeoutError("the server did not start")
