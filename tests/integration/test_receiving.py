"""The way from the door into the store: groups, a row that is not taken, and the end of the process."""

import contextlib
import hashlib
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from gitops import failpoints
from gitops.store import SqlStore
from tests.support.processes import make_home, running_web
from tests.support.web import PATH, SECRET, Knock, Reply, knock, serving
from webhooks.receive import Receiver
from webhooks.saving import ThreadKeeper


@pytest.fixture
def door(store: SqlStore) -> Iterator[int]:
    with serving(Receiver(ThreadKeeper(store), path=PATH, secrets=(SECRET,))) as port:
        yield port


@pytest.fixture
def passed() -> Iterator[Counter[str]]:
    """Give how often each failpoint was come by."""
    seen = Counter[str]()
    failpoints.watch(lambda name: seen.update((name,)))
    yield seen
    failpoints.watch(None)
    failpoints.arm("")


def knock_at_once(port: int, knocks: list[Knock]) -> list[Reply]:
    with ThreadPoolExecutor(len(knocks)) as pool:
        return list(pool.map(lambda one: knock(port, one), knocks))


def test_what_comes_while_a_commit_runs_is_stored_by_the_next_one(
    door: int, store: SqlStore, passed: Counter[str]
) -> None:
    failpoints.arm("receive.before_commit=sleep:1@1")
    replies = knock_at_once(door, [Knock() for _ in range(16)])

    assert [reply.status for reply in replies] == [202] * 16
    assert len(store.recent("delivery", limit=50)) == 16
    assert passed["receive.verified"] == 16
    assert passed["receive.after_commit"] <= 3, "each waited for a commit of its own"


def test_a_lone_delivery_waits_for_no_company(door: int, passed: Counter[str]) -> None:
    for number in range(1, 4):
        assert knock(door, Knock()).status == 202
        assert passed["receive.after_commit"] == number


def refuse_poison(url: str) -> None:
    """Make the database itself refuse one kind of row."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE deliveries ADD CONSTRAINT healthy CHECK (event <> 'poison')"))
        else:
            refuse = "SELECT RAISE(ABORT, 'no poison')"
            when = "BEFORE INSERT ON deliveries WHEN NEW.event = 'poison'"
            connection.execute(text(f"CREATE TRIGGER healthy {when} BEGIN {refuse}; END"))
    engine.dispose()


def test_a_row_that_the_database_does_not_take_fails_alone(
    door: int, store: SqlStore, database_url: str, passed: Counter[str]
) -> None:
    refuse_poison(database_url)
    failpoints.arm("receive.before_commit=sleep:1@1")
    knocks = [Knock(event="poison" if number == 5 else "push") for number in range(12)]
    replies = knock_at_once(door, knocks)

    assert [reply.status for reply in replies] == [500 if one.event == "poison" else 202 for one in knocks]
    refused = next(reply for reply in replies if reply.status == 500)
    assert refused.json()["code"] == "not_stored"
    assert {kept.id for kept in store.recent("delivery", limit=50)} == {
        one.guid for one in knocks if one.event == "push"
    }
    assert passed["receive.verified"] == 12


def test_a_known_delivery_in_a_group_is_told_so_and_takes_nothing_from_the_others(
    door: int, store: SqlStore, passed: Counter[str]
) -> None:
    known = Knock()
    assert knock(door, known).status == 202
    failpoints.arm("receive.before_commit=sleep:1@1")
    other = Knock(guid=known.guid, body=b'{"other": 1}')
    replies = knock_at_once(door, [known, other, *(Knock() for _ in range(6))])

    assert [reply.status for reply in replies] == [200, 409, *[202] * 6]
    assert len(store.recent("delivery", limit=50)) == 7
    assert passed["receive.verified"] == 9


def test_a_slow_body_is_refused_when_the_process_is_told_to_end(tmp_path: Path, sqlite_url: str) -> None:
    with running_web(tmp_path, make_home(tmp_path, database_url=sqlite_url)) as web:
        host = (b"Host", b"127.0.0.1:%d" % web.port)
        slow = Knock(body=b"", headers=(host, (b"Content-Length", b"9")), without=(b"host", b"content-length"))
        with socket.create_connection(("127.0.0.1", web.port), timeout=20) as connection:
            connection.sendall(slow.raw())
            taken = Knock(headers=(host,), without=(b"host",))
            assert knock(web.port, taken).status == 202
            web.process.terminate()
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(4096):
                    received += piece
        assert web.process.wait(timeout=20) == -signal.SIGTERM
    assert received.startswith(b"HTTP/1.1 503 ")
    assert b'"stopping"' in received


def test_a_body_of_the_largest_size_is_stored_whole(door: int, store: SqlStore) -> None:
    body = b'{"x": "%s"}' % (b"y" * (25 * 1024 * 1024 - 9))
    assert len(body) == 25 * 1024 * 1024
    request = Knock(body=body)
    assert knock(door, request).status == 202
    kept = store.delivery(request.guid)
    assert kept is not None
    assert kept.body_sha256 == hashlib.sha256(body).hexdigest() == hashlib.sha256(kept.body).hexdigest()
    assert knock(door, Knock(body=body + b" ")).status == 413
