"""The webhook door on a real server over loopback, and deliveries to knock with."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from webhooks.server import make_server

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


def knock(port: int, request: Knock, *, source: str = "127.0.0.1") -> Reply:
    """Send the bytes as they are, and return the one answer; no client library tidies them up."""
    (reply,) = talk(port, [request.raw()], source=source)
    return reply


def talk(port: int, pieces: Iterable[bytes], *, source: str = "127.0.0.1") -> list[Reply]:
    """Send pieces until they or the server end, and return every answer that came until the connection was closed.

    Args:
        source: the address to come from; on Linux, all of 127.0.0.0/8 is this machine.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0)) as connection:
        sender = threading.Thread(target=_send, args=(connection, pieces), daemon=True)
        sender.start()
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sender.join(timeout=30)
    return list(_read_replies(received))


def _send(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    with contextlib.suppress(OSError):  # The server may hang up at any time.
        for piece in pieces:
            connection.sendall(piece)


def _read_replies(received: bytes) -> Iterator[Reply]:
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", len(rest)))
        yield Reply(int(first.split()[1]), headers, rest[:length])
        received = rest[length:]


@contextlib.contextmanager
def serving(app: Callable[..., Awaitable[None]]) -> Iterator[int]:
    """Serve an ASGI application on a free loopback port."""
    # Named as TCP, or its connections would wait for acknowledgements (Nagle) between an answer's head and body.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        server = make_server(app, lifespan=False)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def wait_until(is_done: Callable[[], bool], *, what: str = "the server did not start", seconds: float = 10) -> None:
    """Wait until something has happened."""
    happened = threading.Event()
    for _ in range(round(seconds * 100)):
        if is_done():
            return
        happened.wait(0.01)
    raise TimeoutError(what)
