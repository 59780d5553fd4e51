"""Loopback servers for what a real tracking server will not do on demand: lose an answer, answer nonsense, ask who."""

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


@dataclass(frozen=True)
class Reply:
    """What the odd server answers to everything."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the name and type of the base class
        pass

    def read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def pass_on(self, upstream: str) -> Reply:
        """Ask another server the same, and return its answer."""
        target, body = urlsplit(upstream), self.read_body()
        connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
        return Reply(answer.status, content, kept)


@contextmanager
def _serving(handler: type[_Quiet]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def odd_server(reply: Callable[[str, str], Reply]) -> Iterator[str]:
    """Run a server that answers what `reply(method, path with query)` says."""

    class Odd(_Quiet):
        def do_GET(self) -> None:
            self.read_body()
            self.answer(reply(self.command, self.path))

        do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815 - the base class asks for these names

    with _serving(Odd) as uri:
        yield uri


@contextmanager
def losing_proxy(upstream: str, loses: Callable[[str, str], bool]) -> Iterator[str]:
    """Run a proxy that passes every request on, and drops the answers that `loses(method, path)` names."""

    class Losing(_Quiet):
        def do_GET(self) -> None:
            answer = self.pass_on(upstream)
            if loses(self.command, self.path):
                self.close_connection = True
                return
            self.answer(answer)

        do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815 - the base class asks for these names

    with _serving(Losing) as uri:
        yield uri


@contextmanager
def guarded_proxy(upstream: str, authorization: str) -> Iterator[str]:
    """Run a proxy that passes on what says who asks, and refuses the rest as MLflow's own authentication does."""

    class Guarded(_Quiet):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == authorization:
                self.answer(self.pass_on(upstream))
                return
            self.read_body()
            words = b"You are not authenticated. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            self.answer(Reply(401, words, {"WWW-Authenticate": 'Basic realm="mlflow"'}))

        do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815 - the base class asks for these names

    with _serving(Guarded) as uri:
        yield uri
