"""An HTTP server whose answers a test writes: status, headers, body, and the ways in which a connection can break."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Scripted:
    """One answer.

    Args:
        body: JSON, or text as it is.
        breaks: `before` closes the connection without an answer, `half` in the middle of the body.
    """

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: str = ""


@dataclass
class ScriptedServer:
    """Where it listens, what it answers next (the last answer again and again), and what it was asked by whom."""

    base: str
    answers: list[Scripted]
    asked: list[tuple[str, str, object]] = field(default_factory=list)
    askers: list[str] = field(default_factory=list)

    def next(self) -> Scripted:
        """Return the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def play(self, *answers: Scripted) -> None:
        """Set what is answered from now on, and forget what was asked."""
        self.answers = list(answers)
        self.asked.clear()


@contextmanager
def serve_script() -> Iterator[ScriptedServer]:
    """Serve until the block is left."""
    state = ScriptedServer("", [Scripted()])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.asked.append((self.command, self.path, json.loads(raw) if raw else None))
            state.askers.append(self.headers.get("Authorization", ""))
            answer = state.next()
            if answer.breaks == "before":
                self.close_connection = True
                return
            content = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            sent = content.encode()
            self.send_response_only(answer.status)
            for name, value in {"Content-Length": str(len(sent)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.breaks == "half":
                sent = sent[: len(sent) // 2]
                self.close_connection = True
            self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 - the library's names

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
