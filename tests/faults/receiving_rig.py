"""Senders that remember what was acknowledged, a web process that may die at any moment, and the check of both."""

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import bindparam, create_engine, text

from tests.support.mlflow import free_port
from tests.support.processes import ROOT
from tests.support.web import Knock

_ZYGOTE = "tests.faults.receiving_zygote"
_HOST = b"Host: 127.0.0.1"
DICE = random.Random()  # noqa: S311 - chooses moments, guards nothing
PACE = threading.Event()
"""Never set: waiting on it is how long to look away."""


@dataclass
class Post:
    """What senders sent and heard.

    Args:
        acknowledged: digest of the body of each delivery that was answered with 2xx.
        doubtful: sent, and not acknowledged: sent again.
        wrong: answers that no delivery should get.
        later: answers of 503, each with its Retry-After.
        unanswered: connections that ended, or were silent for half a minute, before an answer was whole.
    """

    acknowledged: dict[str, str] = field(default_factory=dict)
    doubtful: deque[Knock] = field(default_factory=deque)
    wrong: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    unanswered: int = 0
    slowest: float = 0.0
    resent: int = 0


class Sender(threading.Thread):
    """Delivers one thing after the other on a connection that is kept while the server lives.

    Args:
        size: of the largest body.
    """

    def __init__(self, port: int, post: Post, *, size: int = 2048) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._post = post
        self._size = size
        self._over = threading.Event()
        self._connection: socket.socket | None = None

    def stop(self) -> None:
        """End after what is under way."""
        self._over.set()

    def run(self) -> None:
        """Send until told to stop."""
        while not self._over.is_set():
            knock = self._next()
            try:
                self._hear(knock, self._send(knock))
            except OSError:
                self._hang_up()
                self._post.unanswered += 1
                self._post.doubtful.append(knock)
                PACE.wait(0.002)
        self._hang_up()

    def _next(self) -> Knock:
        with contextlib.suppress(IndexError):
            knock = self._post.doubtful.popleft()
            self._post.resent += 1
            return knock
        body = b'{"filler": "%s"}' % (b"x" * DICE.randrange(self._size))
        return Knock(body=body, guid=str(uuid.uuid4()), without=(b"connection", b"host"))

    def _send(self, knock: Knock) -> bytes:
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.monotonic()
        head, rest = knock.raw().split(b"\r\n", 1)
        self._connection.sendall(b"%s\r\n%s:%d\r\n%s" % (head, _HOST, self._port, rest))
        received = b""
        while not received.endswith(b"}"):
            piece = self._connection.recv(4096)
            if not piece:
                raise ConnectionResetError
            received += piece
        self._post.slowest = max(self._post.slowest, time.monotonic() - begun)
        return received

    def _hear(self, knock: Knock, received: bytes) -> None:
        status = received[9:12]
        if status in {b"202", b"200"}:
            self._post.acknowledged[knock.guid] = hashlib.sha256(knock.body).hexdigest()
            return
        self._post.doubtful.append(knock)
        head = received.partition(b"\r\n\r\n")[0].lower()
        if status == b"503" and b"\r\nretry-after: " in head:
            self._post.later.append(head.partition(b"\r\nretry-after: ")[2].partition(b"\r")[0].decode())
        else:
            self._post.wrong.append(received.decode(errors="replace"))
        if b"connection: close" in head:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextlib.contextmanager
def sending(port: int, post: Post, *, senders: int = 4, size: int = 2048) -> Iterator[None]:
    """Let senders send for the length of the block."""
    threads = [Sender(port, post, size=size) for _ in range(senders)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join(timeout=40)


class Nursery:
    """Web processes on one port, each forked out of a process that has imported everything."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.port = free_port()
        self._last = 0
        self._log = (folder / "web.log").open("ab")
        self._zygote = subprocess.Popen(
            [sys.executable, "-P", "-m", _ZYGOTE],
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(folder), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=folder,
            text=True,
        )

    def bear(self, failpoints: str = "") -> int:
        """Start a web process and return its pid; it is not ready yet."""
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(f"{self.port} {failpoints}\n")
        self._zygote.stdin.flush()
        self._last = int(self._zygote.stdout.readline())
        return self._last

    def wait_ready(self) -> None:
        """Wait until the port is listened on."""
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            except OSError:
                assert time.monotonic() < deadline, "the web process did not start"
                PACE.wait(0.002)
            else:
                return

    def close(self) -> None:
        """End the process that forks, and its last child: the others were killed before that was born."""
        with contextlib.suppress(psutil.NoSuchProcess):
            last = psutil.Process(self._last)
            if _ZYGOTE in last.cmdline():
                last.kill()
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        self._zygote.wait(timeout=10)
        assert self._zygote.stdout is not None
        self._zygote.stdout.close()
        self._log.close()


def kill(pid: int) -> None:
    """Kill a process and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_gone(pid)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


def wait_gone(pid: int) -> None:
    """Wait until a process has ended; the zygote lets nobody linger."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() if sys.platform == "linux" else _is_there(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        PACE.wait(0.001)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Ledger:
    """Looks into the database past all code of ours, and compares it with what was acknowledged."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        self._checked: set[str] = set()

    @property
    def kind(self) -> str:
        """The database's name for people."""
        return "PostgreSQL" if self._engine.dialect.name == "postgresql" else "SQLite"

    def check_new(self, acknowledged: Mapping[str, str]) -> int:
        """Check what was acknowledged since the last time: one row, its body as sent, one job. Returns how many."""
        new = [guid for guid in acknowledged if guid not in self._checked]
        self._checked.update(new)  # Before anything is found wrong, so that it is counted as one breach.
        for start in range(0, len(new), 400):
            self._check(new[start : start + 400], acknowledged)
        return len(new)

    def check_all(self, acknowledged: Mapping[str, str]) -> int:
        """Check everything, and that every row, acknowledged or not, has one job. Returns the number of rows."""
        self._checked.clear()
        self.check_new(acknowledged)
        with self._engine.connect() as connection:
            rows, guids = connection.execute(text("SELECT count(*), count(DISTINCT id) FROM deliveries")).one()
            assert rows == guids, "a delivery has two rows"
            jobs = text(
                "SELECT d.id, count(j.id) FROM deliveries d"
                " LEFT JOIN jobs j ON j.kind = 'delivery' AND j.subject = d.id GROUP BY d.id HAVING count(j.id) <> 1"
            )
            assert connection.execute(jobs).all() == [], "a delivery without its one job"
        return int(rows)

    def _check(self, guids: list[str], acknowledged: Mapping[str, str]) -> None:
        query = text(
            "SELECT d.id, d.body, d.body_sha256, (SELECT count(*) FROM jobs j WHERE j.kind = 'delivery'"
            " AND j.subject = d.id) FROM deliveries d WHERE d.id IN :guids"
        ).bindparams(bindparam("guids", expanding=True))
        with self._engine.connect() as connection:
            found = {row[0]: row[1:] for row in connection.execute(query, {"guids": guids})}
        lost = [guid for guid in guids if guid not in found]
        assert not lost, f"{len(lost)} acknowledged deliveries are lost: {lost[:3]}"
        for guid, (body, digest, jobs) in found.items():
            assert hashlib.sha256(bytes(body)).hexdigest() == digest == acknowledged[guid], f"{guid} has another body"
            assert jobs == 1, f"{guid} has {jobs} jobs"

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def wait_for_more(known: Sized, count: int) -> None:
    """Wait until there are so many more than now."""
    enough = len(known) + count
    wait_until(lambda: len(known) >= enough)


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait for a condition, four minutes at most."""
    deadline = time.monotonic() + 240
    while not is_true():
        assert time.monotonic() < deadline, "it did not come to that in time"
        PACE.wait(0.01)
