"""A real embedded forge on loopback, for any test that needs GitHub's shape: `with running_forge(tmp_path) as forge:`.

It runs under uvicorn in a thread; a `ForgeProcess` is the same in a process of its own, to be killed.
"""

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from github import Auth, Github
from github.Repository import Repository

from gitops.embedded.forge.accounts import make_tokens, mint_link
from gitops.embedded.forge.app import build_app, open_forge
from gitops.embedded.forge.server import server_config

T = TypeVar("T")
_WAIT = 20.0


@dataclass(frozen=True)
class ForgeUnderTest:
    """Where a forge is and how to get in.

    Args:
        home: its data directory.
        url: its base URL; the API is below `/api/v3`.
        bot: Launchpin's token.
        user: the person's token.
    """

    home: Path
    url: str
    bot: str
    user: str
    _clients: ExitStack = field(default_factory=ExitStack)

    @property
    def api(self) -> str:
        """The API's base URL."""
        return f"{self.url}/api/v3"

    def github(self, token: str = "") -> Github:
        """Return PyGithub as the bot, or as whoever the token is; without its waits between requests."""
        auth = Auth.Token(token or self.bot)
        client = Github(auth=auth, base_url=self.api, seconds_between_requests=0, seconds_between_writes=0, retry=None)
        self._clients.callback(client.close)
        return client

    def repository(self, *, owner: str = "acme", token: str = "") -> Repository:
        """Make a repository of a name of its own, with one commit on `main`; return PyGithub's view of it."""
        name = f"repo-{secrets.token_hex(4)}"
        return self.github(token).get_organization(owner).create_repo(name, auto_init=True)

    def http(self, token: str = "") -> httpx.Client:
        """Return a client of the API as the bot, or as whoever the token is."""
        headers = {"Authorization": f"Bearer {token or self.bot}"}
        # A connection that is kept may be closed by a slow forge in the very moment in which it is used again.
        limits = httpx.Limits(max_keepalive_connections=0)
        return self._clients.enter_context(httpx.Client(base_url=self.api, headers=headers, timeout=30, limits=limits))

    def browser(self, *, signed_in: bool = True) -> httpx.Client:
        """Return a client of the pages, with a session of the person unless told otherwise."""
        unopened = httpx.Client(base_url=self.url, follow_redirects=True, timeout=30)
        client = self._clients.enter_context(unopened)
        if signed_in:
            client.get(mint_link(self.home)).raise_for_status()
        return client

    def close_clients(self) -> None:
        """Close the clients that were made here."""
        self._clients.close()

    def git(self, *arguments: str, cwd: Path, token: str = "", check: bool = True) -> str:
        """Run git as a person would, with a token in a header; return its output."""
        basic = base64.b64encode(f"x:{token or self.user}".encode()).decode()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.com",
        }
        command = ("git", "-c", f"http.extraHeader=Authorization: Basic {basic}", *arguments)
        finished = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, timeout=60, check=False)
        if check and finished.returncode:
            raise AssertionError(finished.stderr.decode("utf-8", "replace"))
        return (finished.stdout + (b"" if check else finished.stderr)).decode("utf-8", "replace")


@contextmanager
def running_forge(home: Path, *, port: int = 0) -> Iterator[ForgeUnderTest]:
    """Serve a forge from this process until the block ends.

    Args:
        home: its data directory; what an earlier one left there is kept.
        port: where to listen; a free one when 0.
    """
    tokens = make_tokens(home)
    # The protocol must be named: asyncio sets TCP_NODELAY only where it is, and git would wait 40 ms for each answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = uvicorn.Server(server_config(build_app(open_forge(home, url), port=port), host="127.0.0.1", port=port))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    forge = ForgeUnderTest(home, url, tokens["bot"], tokens["user"])
    try:
        wait_for(lambda: server.started or not thread.is_alive(), "the forge to start")
        yield forge
    finally:
        forge.close_clients()
        server.should_exit = True
        thread.join(_WAIT)
        listener.close()


class ForgeProcess:
    """A forge in a process of its own.

    Args:
        home: its data directory.
        failpoints: what to arm in it, as `gitops.failpoints.arm` reads it.
    """

    def __init__(self, home: Path, *, failpoints: str = "") -> None:
        tokens = make_tokens(home)
        port = free_port()
        self.forge = ForgeUnderTest(home, f"http://127.0.0.1:{port}", tokens["bot"], tokens["user"])
        command = (sys.executable, "-m", "gitops.embedded.forge", "--home", str(home), "--port", str(port))
        environment = os.environ | {"LAUNCHPIN_FAILPOINTS": failpoints}
        self.process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2])

    def wait_ready(self) -> ForgeUnderTest:
        """Wait until it answers."""
        wait_for(self._is_ready, "the forge's process to answer")
        return self.forge

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "the forge's process ended"
        try:
            return httpx.get(f"{self.forge.url}/healthz").is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """End it as a power cut would, and wait."""
        self.forge.close_clients()
        self.process.kill()
        self.process.wait(_WAIT)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], T], what: str, *, seconds: float = _WAIT) -> T:
    """Return what the condition returns once it is true; fail when it stays false."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Received:
    """One webhook as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> str:
        """GitHub's event name."""
        return self.headers["x-github-event"]

    @property
    def payload(self) -> dict[str, Any]:
        """The body, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class HookReceiver:
    """A tiny server that keeps the webhooks it gets.

    Args:
        status: what it answers.
    """

    def __init__(self, status: int = 202) -> None:
        self.received: list[Received] = []
        self.status = status
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def wait(self, event: str, *, action: str = "", count: int = 1) -> list[Received]:
        """Wait for so many webhooks of one event, and of one action if given; return them, oldest first."""

        def matching() -> list[Received]:
            found = [hook for hook in list(self.received) if hook.event == event]
            found = [hook for hook in found if not action or hook.payload.get("action") == action]
            return found if len(found) >= count else []

        return wait_for(matching, f"{count} {event} {action}")

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_WAIT)
