"""Bare repositories served over loopback by `git http-backend`, with the faults that a mirror must survive."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_NAME = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com"}
_COMMITTER = {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com"}
_ENVIRONMENT = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *arguments: str, given: bytes = b"", when: int = 1_700_000_000) -> str:
    """Run git as a person would, and return what it printed."""
    dates = {"GIT_AUTHOR_DATE": f"{when} +0000", "GIT_COMMITTER_DATE": f"{when} +0000"}
    ran = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=given,
        capture_output=True,
        check=False,
        env={**_ENVIRONMENT, **_NAME, **_COMMITTER, **dates, "HOME": str(folder)},
    )
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    return ran.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


@dataclass
class Origin:
    """A bare repository that tests write commits into without a work tree, so that any name and mode can occur."""

    path: Path
    times: int = 0

    @classmethod
    def make(cls, path: Path) -> "Origin":
        """Make an empty one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        git(path.parent, "init", "--bare", "--quiet", "--initial-branch=main", str(path))
        return cls(path)

    def blob(self, content: bytes) -> str:
        """Store a file's bytes."""
        return git(self.path, "hash-object", "-w", "--stdin", given=content)

    def raw_tree(self, *entries: tuple[int, bytes, str]) -> str:
        """Store a tree from modes, names and object names as they are, however hostile."""
        raw = b"".join(b"%o %s\0" % (mode, name) + bytes.fromhex(oid) for mode, name, oid in entries)
        return git(self.path, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", given=raw)

    def tree(self, files: dict[str, bytes | tuple[int, bytes]]) -> str:
        """Store a tree from paths; a plain value is a regular file, a pair gives its mode."""
        here: list[tuple[int, bytes, str]] = []
        below: dict[str, dict[str, bytes | tuple[int, bytes]]] = {}
        for path, value in files.items():
            name, _, rest = path.partition("/")
            if rest:
                below.setdefault(name, {})[rest] = value
                continue
            mode, content = value if isinstance(value, tuple) else (0o100644, value)
            oid = content.decode() if mode == 0o160000 else self.blob(content)
            here.append((mode, os.fsencode(name), oid))
        here += [(0o40000, os.fsencode(name), self.tree(inner)) for name, inner in below.items()]
        here.sort(key=lambda one: one[1] + (b"/" if one[0] == 0o40000 else b""))
        return self.raw_tree(*here)

    def commit(
        self,
        files: dict[str, bytes | tuple[int, bytes]] | str,
        *,
        branch: str = "main",
        message: str = "A change",
        parents: tuple[str, ...] | None = None,
        ref: str = "",
    ) -> str:
        """Commit files, or a tree made before, and move the branch there; returns the commit."""
        tree = files if isinstance(files, str) else self.tree(files)
        ref = ref or f"refs/heads/{branch}"
        if parents is None:
            head = git(self.path, "for-each-ref", "--format=%(objectname)", ref)
            parents = (head,) if head else ()
        self.times += 1
        options = [part for parent in parents for part in ("-p", parent)]
        made = git(self.path, "commit-tree", tree, *options, "-m", message, when=1_700_000_000 + self.times)
        git(self.path, "update-ref", ref, made)
        return made


@dataclass
class GitServer:
    """What serves: its address, the token it wants, the fault it plays and what it was asked."""

    root: Path
    base: str
    token: str = ""
    fault: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def api(self) -> str:
        """The forge's API, as a setting would name it."""
        return f"{self.base}/api/v3"

    def url(self, name: str) -> str:
        """The clone URL of a repository below `root`."""
        return f"{self.base}/{name}.git"


@contextmanager
def serve_git(root: Path, *, token: str = "") -> Iterator[GitServer]:
    """Serve every bare repository below a folder until the block is left."""
    state = GitServer(root, "", token)
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        state.base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            state.release.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: GitServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self._body()
        state = self.state
        state.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        wanted = "Basic " + base64.b64encode(f"x-access-token:{state.token}".encode()).decode()
        match state.fault:
            case "redirect":
                self._plain(302, {"Location": "http://127.0.0.1:1/elsewhere"})
            case "unavailable":
                self._plain(503, {})
            case "stall":
                state.release.wait(60)
                self.close_connection = True
            case "drop":
                self.close_connection = True
            case _ if state.token and self.headers.get("Authorization") != wanted:
                self._plain(401, {"WWW-Authenticate": 'Basic realm="git"'})
            case _:
                self._backend(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _backend(self, body: bytes) -> None:
        url = urlsplit(self.path)
        variables = {
            **_ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.state.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        ran = subprocess.run(["git", "http-backend"], input=body, capture_output=True, check=False, env=variables)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200 OK").split()[0])
        self._plain(status, {**headers, "Content-Length": str(len(content))})
        try:
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
