"""The process that stores deliveries beside the one that serves: what both do when one is gone, stopped or refuses."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gitops.errors import RetryError
from gitops.store import SqlStore
from tests.integration.test_receiving import knock_at_once, refuse_poison
from tests.support.processes import Web, make_home, running_web
from tests.support.web import Knock, Reply
from webhooks.scribe import Scribe


@pytest.fixture
def web(tmp_path: Path, database_url: str) -> Iterator[Web]:
    with running_web(tmp_path, make_home(tmp_path, database_url=database_url)) as web:
        yield web


def scribe_of(web: Web) -> psutil.Process:
    (scribe,) = psutil.Process(web.process.pid).children()
    return scribe


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process is over, though nobody may have taken note: what becomes an orphan is init's."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def deliver(web: Web, *knocks: Knock) -> list[Reply]:
    host = ((b"Host", b"127.0.0.1:%d" % web.port),)
    named = [Knock(body=one.body, guid=one.guid, event=one.event, headers=host, without=(b"host",)) for one in knocks]
    return knock_at_once(web.port, named)


def wait_until(is_true: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)  # the pace of looking


def test_a_delivery_goes_through_the_scribe_whole_and_is_known_when_it_comes_again(web: Web, store: SqlStore) -> None:
    large = Knock(body=b'{"x": "%s"}' % (b"y" * (25 * 1024 * 1024 - 9)))
    assert [reply.status for reply in deliver(web, large, Knock())] == [202, 202]
    assert deliver(web, large)[0].status == 200
    other = Knock(guid=large.guid, body=b"{}")
    assert deliver(web, other)[0].status == 409

    kept = store.delivery(large.guid)
    assert kept is not None
    assert hashlib.sha256(kept.body).hexdigest() == hashlib.sha256(large.body).hexdigest() == kept.body_sha256
    assert len(store.recent("delivery", limit=10)) == 2


def test_what_the_database_refuses_is_told_to_its_own_sender_alone(
    web: Web, store: SqlStore, database_url: str
) -> None:
    refuse_poison(database_url)
    events = ["poison" if number == 3 else "push" for number in range(8)]
    replies = deliver(web, *(Knock(event=event) for event in events))

    assert [reply.status for reply in replies] == [500 if event == "poison" else 202 for event in events]
    assert len(store.recent("delivery", limit=50)) == 7
    assert "no poison" in web.log.read_text() or "healthy" in web.log.read_text(), "the log does not say why"


def test_the_web_process_ends_with_an_error_when_its_scribe_is_gone(web: Web) -> None:
    scribe = scribe_of(web)
    assert deliver(web, Knock())[0].status == 202
    scribe.kill()

    assert web.process.wait(timeout=30) == 1
    assert "the process that stores deliveries is gone" in web.log.read_text()


def test_the_scribe_ends_when_the_web_process_is_killed(web: Web) -> None:
    scribe = scribe_of(web)
    assert deliver(web, Knock())[0].status == 202
    web.process.kill()
    web.process.wait(timeout=30)

    wait_until(lambda: has_ended(scribe))


def test_the_scribe_ends_with_the_web_process_and_not_before(web: Web) -> None:
    scribe = scribe_of(web)
    scribe.send_signal(signal.SIGTERM)
    scribe.send_signal(signal.SIGINT)
    assert deliver(web, Knock())[0].status == 202, "it took a signal that was meant for the part"
    web.process.terminate()
    assert web.process.wait(timeout=30) == -signal.SIGTERM

    wait_until(lambda: has_ended(scribe))
    assert "Traceback" not in web.log.read_text()


def test_a_scribe_that_stands_still_does_not_outlive_the_web_process(web: Web) -> None:
    scribe = scribe_of(web)
    assert deliver(web, Knock())[0].status == 202
    scribe.suspend()
    web.process.terminate()

    assert web.process.wait(timeout=60) == -signal.SIGTERM
    wait_until(lambda: has_ended(scribe))
    assert "Traceback" not in web.log.read_text()


def test_a_scribe_that_stands_still_is_answered_for_in_time_and_loses_nothing(web: Web, store: SqlStore) -> None:
    scribe = scribe_of(web)
    assert deliver(web, Knock())[0].status == 202
    os.kill(scribe.pid, signal.SIGSTOP)
    late = Knock()
    begun = time.monotonic()
    (reply,) = deliver(web, late)
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert time.monotonic() - begun < 10, "GitHub would have hung up"

    os.kill(scribe.pid, signal.SIGCONT)
    wait_until(lambda: deliver(web, late)[0].status == 200)
    assert len(store.recent("delivery", limit=10)) == 2


def test_the_web_process_is_not_ready_while_its_scribe_stands_still(web: Web) -> None:
    scribe = scribe_of(web)
    assert web.get("/readyz")[0] == 200
    scribe.suspend()
    for _ in range(2):
        status, text = web.get("/readyz")
        assert (status, json.loads(text)) == (503, {"status": "not ready", "cause": "NotStoring"})
    assert web.get("/healthz")[0] == 200, "it would be ended for what ending it does not mend"

    scribe.resume()
    wait_until(lambda: web.get("/readyz")[0] == 200)


def test_a_scribe_that_is_gone_is_told_to_whoever_asks_for_it() -> None:
    async def ask() -> None:
        ours, its = socket.socketpair()
        scribe = Scribe(os.getpid(), ours)
        await scribe.open()
        under_way = asyncio.ensure_future(scribe.check())
        await asyncio.sleep(0)
        its.close()
        for asked in (under_way, scribe.check()):
            with pytest.raises(RetryError, match="is gone"):
                await asked

    asyncio.run(ask())


def test_a_web_process_without_a_database_says_so_and_leaves_no_scribe(tmp_path: Path, sqlite_url: str) -> None:
    variables = make_home(tmp_path, database_url=sqlite_url)
    variables["LAUNCHPIN_DATABASE_URL"] = f"sqlite:///{tmp_path}/nothing.sqlite3"
    with pytest.raises(AssertionError, match="the database's schema is missing"), running_web(tmp_path, variables):
        pass
    assert not [one for one in psutil.process_iter(["environ"]) if is_of(one, tmp_path)]


def is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        return str(folder) in process.environ().get("LAUNCHPIN_HOME", "")
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
