"""Attacks 11, 13 and 19: too much, too slowly, too often. Against the real server, from other addresses than ours."""

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from gitops.store import SqlStore
from tests.support.processes import make_home, running_web
from tests.support.web import PATH, SECRET, Knock, knock, serving, talk
from webhooks.budgets import LONGEST_BODY, MOST_BYTES_EACH, MOST_REQUESTS_EACH
from webhooks.receive import ANSWER_SECONDS, Receiver
from webhooks.saving import ThreadKeeper
from webhooks.server import HEAD_SECONDS, allow_connections

STRANGER = "127.0.0.2"
MIB = 1024 * 1024


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_url)
    yield store
    store.close()


@pytest.fixture
def door(store: SqlStore) -> Iterator[int]:
    with serving(Receiver(ThreadKeeper(store), path=PATH, secrets=(SECRET,))) as port:
        yield port


def peak_of_both(pid: int) -> int:
    """Return the most bytes that a web process and its scribe ever had in memory (Linux)."""
    both = (pid, *(child.pid for child in psutil.Process(pid).children()))
    lines = [line for one in both for line in Path(f"/proc/{one}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def chunked(port: int) -> bytes:
    """Return the head of a delivery whose length nobody is told."""
    headers = ((b"Transfer-Encoding", b"chunked"), (b"Host", b"127.0.0.1:%d" % port))
    return Knock(body=b"", headers=headers, without=(b"content-length", b"host")).raw()


def endless() -> Iterator[bytes]:
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    return itertools.repeat(piece)


def test_attack_11_an_endless_body_is_cut_at_the_limit_and_costs_little_memory(tmp_path: Path) -> None:
    with running_web(tmp_path, make_home(tmp_path)) as web:
        host = ((b"Host", b"127.0.0.1:%d" % web.port),)
        assert knock(web.port, Knock(headers=host, without=(b"host",))).status == 202
        before = peak_of_both(web.process.pid)
        (reply,) = talk(web.port, itertools.chain([chunked(web.port)], endless()), source=STRANGER)
        grown = peak_of_both(web.process.pid) - before
        assert knock(web.port, Knock(headers=host, without=(b"host",))).status == 202

    assert (reply.status, reply.json()["code"]) == (413, "body_too_large")
    assert reply.json()["limit"] == LONGEST_BODY
    assert LONGEST_BODY // 2 < grown < 64 * MIB, f"{grown / MIB:.0f} MiB"


def test_attack_11_large_bodies_at_once_stay_within_the_budget_of_their_address(door: int) -> None:
    large = Knock(body=b"x" * LONGEST_BODY)
    with contextlib.ExitStack() as held:
        for _ in range(MOST_BYTES_EACH // LONGEST_BODY):
            address = ("127.0.0.1", door)
            connection = socket.create_connection(address, timeout=30, source_address=(STRANGER, 0))
            held.enter_context(connection).sendall(large.raw()[:-1])
        one_more = knock(door, large, source=STRANGER)
        assert (one_more.status, one_more.json()["code"], one_more.headers["retry-after"]) == (503, "queue_full", "5")
        assert knock(door, Knock(body=b"x" * 60_000), source=STRANGER).status == 202
        assert knock(door, Knock(body=b"x" * MIB)).status == 202


SLOW_BODY = Knock(without=(b"content-length",), headers=((b"Content-Length", b"1000"),), body=b"").raw()
SLOW_HEAD = b"POST /webhook HTTP/1.1\r\nX-Slow: "


class Slow:
    """Connections that send a byte a second until each has its answer, or until the block ends."""

    def __init__(self, port: int, count: int, *, begin: bytes = SLOW_BODY) -> None:
        self._port = port
        self._count = count
        self._begin = begin
        self._ready = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers: list[tuple[float, bytes]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    @property
    def is_going_on(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        begun: dict[socket.socket, float] = {}
        for _ in range(self._count):
            connection = socket.create_connection(("127.0.0.1", self._port), source_address=(STRANGER, 0))
            connection.sendall(self._begin)
            connection.settimeout(0)
            begun[connection] = time.monotonic()
        self._ready.set()
        while begun and not self._over.wait(1.0):
            for connection in list(begun):
                self._go_on(connection, begun)
        for connection in begun:
            connection.close()

    def _go_on(self, connection: socket.socket, begun: dict[socket.socket, float]) -> None:
        try:
            received = connection.recv(4096)
        except BlockingIOError:
            connection.send(b"x")
            return
        self.answers.append((time.monotonic() - begun.pop(connection), received))
        connection.close()


def test_attack_13_slow_heads_and_bodies_are_ended_in_time_and_hold_nobody_up(door: int) -> None:
    seconds: list[float] = []
    with Slow(door, 200) as bodies, Slow(door, 20, begin=SLOW_HEAD) as heads:
        while bodies.is_going_on or heads.is_going_on:
            begun = time.monotonic()
            assert knock(door, Knock()).status == 202
            seconds.append(time.monotonic() - begun)

    assert [received.split(b" ")[1] for _, received in bodies.answers] == [b"408"] * 200
    assert [received for _, received in heads.answers] == [b""] * 20
    # They are looked at once a second.
    assert max(took for took, _ in bodies.answers) < ANSWER_SECONDS + 2
    assert max(took for took, _ in heads.answers) < HEAD_SECONDS + 2
    assert len(seconds) > 100
    assert sorted(seconds)[int(len(seconds) * 0.99)] < 1.0


def test_attack_13_one_address_gets_half_of_the_places(door: int) -> None:
    allow_connections()
    with Slow(door, MOST_REQUESTS_EACH):
        full = knock(door, Knock(), source=STRANGER)
        assert (full.status, full.json()["code"], full.headers["retry-after"]) == (503, "queue_full", "5")
        assert knock(door, Knock()).status == 202


def test_attack_19_wrong_signatures_become_too_many_for_their_address_alone(
    door: int, store: SqlStore, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = Knock(signature=b"sha256=" + b"0" * 64)
    codes = Counter[str]()
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING, "launchpin.security"):
        for number in range(500):
            codes[knock(door, wrong, source=STRANGER).json()["code"]] += 1
            if number % 100 == 0:
                assert knock(door, Knock()).status == 202
        took = time.monotonic() - begun
        _wait_until_told(caplog, 500)

    assert codes["signature_invalid"] >= 20
    assert codes["too_many_failures"] > 400
    late = knock(door, wrong, source=STRANGER)
    assert (late.status, late.headers["retry-after"]) == (429, "5")
    lines = [record for record in caplog.records if record.name == "launchpin.security"]
    assert len(lines) <= took + 3, "more than a line a second"
    assert all(STRANGER in record.getMessage() for record in lines)
    assert store.audit_size() == 0
    # A right signature is heard even there: many may share an address, and a large body is not read any more.
    assert knock(door, Knock(), source=STRANGER).status == 202
    assert knock(door, Knock(body=b"x" * 100_000), source=STRANGER).status == 429


def _wait_until_told(caplog: pytest.LogCaptureFixture, events: int) -> None:
    """Wait until the log has accounted for every event: each line stands for itself, or for those left out."""
    deadline = time.monotonic() + 30
    told = 0
    while told < events:
        assert time.monotonic() < deadline, f"{told} of {events} events were told"
        records = [record for record in caplog.records if record.name == "launchpin.security"]
        told = sum(record.__dict__["left_out"] or 1 for record in records)


def test_attack_19_no_header_changes_whom_a_request_is_counted_for(door: int) -> None:
    wrong = Knock(signature=b"sha256=" + b"0" * 64)
    for number in range(40):
        claimed = ((b"X-Forwarded-For", b"10.0.0.%d" % number), (b"Forwarded", b"for=10.0.0.%d" % number))
        last = knock(door, Knock(signature=wrong.signature, headers=claimed), source=STRANGER)
    assert last.status == 429
