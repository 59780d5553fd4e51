"""A sender in a process of its own: as many deliveries as a server takes on some connections, or at a steady pace.

`python -m tests.support.load` prints what it saw as JSON; `deliver`, or `begin` and `end`, start it and read that.
"""

import argparse
import itertools
import json
import os
import secrets
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.web import PATH, sign

ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0


@dataclass(frozen=True)
class Load:
    """What is sent.

    Args:
        size: bytes of each body.
        pace: deliveries a second; 0 for as many as are answered.
        source: the address to come from.
        wrong: sign with another secret.
    """

    port: int
    seconds: float
    connections: int = 16
    size: int = 8192
    pace: float = 0.0
    source: str = "127.0.0.1"
    wrong: bool = False


@dataclass(frozen=True)
class Heard:
    """What came back.

    Args:
        rate: answers a second.
        p50: seconds from the delivery's first byte to its whole answer.
        statuses: how often each status came.
        cpu: the share of a core that the sender itself used; near 1 it is the sender that is measured.
    """

    rate: float
    p50: float
    p99: float
    statuses: dict[str, int]
    cpu: float = 0.0


class _Line:
    """One connection with one delivery under way."""

    def __init__(self, load: Load) -> None:
        self.socket = socket.create_connection(("127.0.0.1", load.port), source_address=(load.source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begun = 0.0
        self.received = b""

    def send(self, request: bytes) -> None:
        """Send the next delivery."""
        self.begun = time.perf_counter()
        self.received = b""
        self.socket.sendall(request)

    def hear(self) -> str:
        """Return the status once the answer is whole; it is JSON, so it ends with a brace."""
        piece = self.socket.recv(8192)
        if not piece:
            raise ConnectionResetError
        self.received += piece
        return self.received[9:12].decode() if self.received.endswith(b"}") else ""


def _requests(load: Load) -> Iterator[bytes]:
    body = b'{"filler": "%s"}' % (b"x" * max(0, load.size - 14))
    signature = b"sha256=" + b"0" * 64 if load.wrong else sign(body)
    head = (
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\n"
        b"Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Hook-ID: 292430182\r\n"
        b"X-GitHub-Hook-Installation-Target-ID: 79929171\r\nX-GitHub-Hook-Installation-Target-Type: repository\r\n"
        b"X-Hub-Signature: sha1=%s\r\nX-Hub-Signature-256: %s\r\nContent-Length: %d\r\nX-GitHub-Delivery: "
        % (PATH.encode(), load.port, b"0" * 40, signature, len(body))
    )
    # GUIDs as random as GitHub's, so that an index is met in no order.
    guids = (secrets.token_hex(4) + "-0000-4000-8000-" + secrets.token_hex(6) for _ in itertools.count())
    return (head + guid.encode() + b"\r\n\r\n" + body for guid in guids)


def send_load(load: Load) -> Heard:
    """Send until the time is over; the first answers only warm up."""
    requests = _requests(load)
    selector = selectors.DefaultSelector()
    idle = [_Line(load) for _ in range(load.connections)]
    for line in idle:
        selector.register(line.socket, selectors.EVENT_READ, line)
    seconds: list[float] = []
    statuses = Counter[str]()
    begun = time.perf_counter()
    cpu = time.process_time()
    sent = 0
    # On a busy machine the first answer may come after the time is over: a rate needs one.
    while (now := time.perf_counter() - begun) < load.seconds or (not seconds and now < _PATIENCE):
        while idle and (not load.pace or sent < now * load.pace):
            idle.pop().send(next(requests))
            sent += 1
        for key, _ in selector.select(0.002 if load.pace else 0.1):
            answered: _Line = key.data
            if status := answered.hear():
                statuses[status] += 1
                seconds.append(time.perf_counter() - answered.begun)
                idle.append(answered)
    took = time.perf_counter() - begun
    cpu = time.process_time() - cpu
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    seconds.sort()
    return Heard(
        rate=len(seconds) / took,
        p50=seconds[len(seconds) // 2],
        p99=seconds[int(len(seconds) * 0.99)],
        statuses=dict(statuses),
        cpu=cpu / took,
    )


def begin(load: Load) -> "subprocess.Popen[str]":
    """Start sending in a process of its own; give it to `end`."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.support.load", json.dumps(asdict(load))],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def end(sender: "subprocess.Popen[str]") -> Heard:
    """Wait until it has sent, and return what it heard."""
    told, _ = sender.communicate(timeout=300)
    assert sender.returncode == 0
    return Heard(**json.loads(told))


def deliver(load: Load) -> Heard:
    """Send from a process of its own and return what was heard."""
    return end(begin(load))


def main() -> None:
    """Send what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("load")
    sys.stdout.write(json.dumps(asdict(send_load(Load(**json.loads(parser.parse_args().load))))))


if __name__ == "__main__":
    main()
