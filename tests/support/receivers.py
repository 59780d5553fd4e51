"""Receivers of messages over loopback: a web server and a mail server that keep what they get, and can misbehave."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Answer = Callable[[BaseHTTPRequestHandler], None]


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Return what answers with this."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer: the message was taken, and nobody knows."""
    handler.close_connection = True


@dataclass(frozen=True)
class Post:
    """A post that came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebReceiver:
    """What a receiver got, and how it answers: in turn, the last answer for ever."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=lambda: [reply(200, b"ok")])

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: WebReceiver

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that went away is what some tests are about."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        receiver = self.server.receiver
        receiver.posts.append(Post(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        receiver.next_answer()(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def web_receiver() -> Iterator[WebReceiver]:
    """Run a web server on a port of its own."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = WebReceiver(f"http://127.0.0.1:{server.server_port}/hook?token=abc")
    with _serving(server):
        yield server.receiver


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    """Give a web server."""
    with web_receiver() as receiver:
        yield receiver


@contextlib.contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass(frozen=True)
class Mail:
    """A mail that came in."""

    sender: str
    to: tuple[str, ...]
    content: bytes


@dataclass
class MailReceiver:
    """What a mail server got, and what it says to some commands instead of yes; to `RCPT ADDRESS` for one alone.

    Args:
        on_quit: what it does when a client says goodbye, instead of answering so.
    """

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    says: dict[str, str] = field(default_factory=dict)
    on_quit: Callable[[Callable[[bytes], object]], object] | None = None


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    receiver: MailReceiver

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing, as the web server."""
        del request, client_address


class _Conversation(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a client needs to hand over a mail."""

    server: _MailServer

    def handle(self) -> None:
        receiver = self.server.receiver
        sender, to = "", list[str]()
        self._say(receiver.says.get("HELLO", "220 mail.test"))
        while line := self.rfile.readline().decode():
            verb, _, rest = line.strip().partition(" ")
            address = rest.partition("<")[2].partition(">")[0]
            match verb.upper():
                case word if word in receiver.says:
                    self._say(receiver.says[word])
                    continue
                case word if f"{word} {address}" in receiver.says:
                    self._say(receiver.says[f"{word} {address}"])
                    continue
                case "MAIL":
                    sender = address
                case "RCPT":
                    to.append(address)
                case "DATA":
                    self._say("354 go on")
                    receiver.mails.append(Mail(sender, tuple(to), b"".join(self._lines())))
                    self._say(receiver.says.get("END", "250 taken"))
                    continue
                case "QUIT":
                    if receiver.on_quit is not None:
                        receiver.on_quit(self.wfile.write)
                        return
                    self._say("221 bye")
                    return
            self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def _lines(self) -> Iterator[bytes]:
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            yield line


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    """Run a mail server on a port of its own."""
    server = _MailServer(("127.0.0.1", 0), _Conversation)
    server.receiver = MailReceiver(port=server.server_address[1])
    with _serving(server):
        yield server.receiver


def write_secret(folder: Path, name: str, text: str) -> Path:
    """Write a file that its owner alone may read."""
    file = folder / name
    file.touch(mode=0o600)
    file.write_text(f"{text}\n")
    return file


def write_notify(folder: Path, channels: str, *, rules: str = "", allow: str = "") -> Path:
    """Write a notify.yaml whose channels may be on this machine.

    Args:
        channels: YAML in flow style, without the braces around it.
        rules: likewise, a list's entries; none by default.
        allow: instead of loopback without TLS.
    """
    allowed = allow or "networks: [127.0.0.0/8], http: true"
    file = folder / "notify.yaml"
    told = f"rules: [{rules}]\n" if rules else ""
    file.write_text(f"version: 1\nallow: {{{allowed}}}\nchannels: {{{channels}}}\n{told}")
    return file
