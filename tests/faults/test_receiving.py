"""I2 and I3: what was acknowledged is durable, once; what was not may come again. Under every fault of the door."""

import hashlib
import os
import re
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gitops.store import SqlStore
from tests.faults.holding import holding
from tests.faults.receiving_rig import (
    DICE,
    PACE,
    Ledger,
    Nursery,
    Post,
    children,
    kill,
    sending,
    wait_for_more,
    wait_gone,
    wait_until,
)
from tests.faults.tally import Tally, is_full, scale
from tests.support.load import Load, begin, deliver, end
from tests.support.processes import Web, make_home, running_web
from tests.support.web import PATH, SECRET, Knock, knock, serving
from webhooks.receive import Receiver
from webhooks.saving import ThreadKeeper

SENDERS = 16
FAILPOINTS = (
    "receive.verified",
    "receive.before_commit",
    "commit.before",
    "commit.after",
    "receive.after_commit",
    "receive.before_reply",
    "receive.after_reply",
)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    ledger = Ledger(database_url)
    yield ledger
    ledger.close()


@pytest.fixture
def nursery(tmp_path: Path, database_url: str) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path, make_home(tmp_path, database_url=database_url))
    yield nursery
    nursery.close()


def die(nursery: Nursery, pid: int, *, traps: str) -> None:
    """Wait for the death that is laid out, or kill one of its two processes at any moment from its first on."""
    if traps:
        wait_gone(pid)
        return
    if DICE.random() < 0.9:
        nursery.wait_ready()
    PACE.wait(DICE.uniform(0, 0.04))
    scribes = children(pid)
    if scribes and DICE.random() < 0.5:
        # The two have one fate: who serves must end by itself.
        kill(scribes[0])
        wait_gone(pid)
    else:
        kill(pid)


@pytest.mark.timeout(900)
def test_i2_i3_no_acknowledged_delivery_is_lost_when_the_web_process_is_killed(
    nursery: Nursery, ledger: Ledger, post: Post, tally: Callable[[str], Tally]
) -> None:
    row = tally(f"I2 I3 kill -9 of the web process on {ledger.kind} loses no acknowledged delivery")
    kills = scale(1200, slice_=120) if ledger.kind == "SQLite" else scale(800, slice_=80)
    begun = time.monotonic()
    pid = nursery.bear()
    traps = ""
    rows = 0
    with sending(nursery.port, post):
        for number in range(kills):
            die(nursery, pid, traps=traps)
            known = dict(post.acknowledged)
            label = f"kill {number} at {traps or 'any moment'}"
            traps = DICE.choice(["", f"{DICE.choice(FAILPOINTS)}=kill@{DICE.randint(1, 12)}"])
            pid = nursery.bear(traps)
            with row.case(label):
                ledger.check_new(known)
                assert not post.wrong, post.wrong[0]
        kill(pid)
        nursery.bear()
        nursery.wait_ready()
    with row.case("everything at the end"):
        rows = ledger.check_all(post.acknowledged)
    row.figures["acknowledged"] = f"{len(post.acknowledged):,} of {rows:,} rows"
    row.figures["a kill"] = f"{(time.monotonic() - begun) / kills * 1000:.0f} ms"
    row.check()


def test_i2_i3_no_acknowledged_delivery_is_lost_when_the_command_itself_is_killed(
    tmp_path: Path, sqlite_url: str, post: Post, tally: Callable[[str], Tally]
) -> None:
    row = tally("I2 I3 kill -9 of `python -m webhooks.serve`, started anew each time, loses nothing")
    ledger = Ledger(sqlite_url)
    variables = make_home(tmp_path, database_url=sqlite_url)
    for number in range(scale(10, slice_=1)):
        with running_web(tmp_path, variables) as web, sending(web.port, post):
            wait_for_more(post.acknowledged, 20)
            web.process.kill()
            web.process.wait(timeout=30)
        with row.case(f"kill {number}"):
            ledger.check_new(post.acknowledged)
            assert not post.wrong, post.wrong[0]
    ledger.close()
    row.check()


def test_i2_i31_every_row_was_acknowledged_when_the_web_process_is_told_to_end(
    nursery: Nursery, ledger: Ledger, post: Post, tally: Callable[[str], Tally]
) -> None:
    row = tally(f"I2 I31 SIGTERM under load on {ledger.kind}: what was taken is kept, and nobody is left unanswered")
    for number in range(scale(50, slice_=5)):
        pid = nursery.bear()
        nursery.wait_ready()
        with sending(nursery.port, post, senders=8):
            wait_for_more(post.acknowledged, DICE.randrange(1, 100))
            both = [pid, *children(pid)]
            os.kill(pid, signal.SIGTERM)
            for one in both:
                wait_gone(one)
        with row.case(f"end {number}"):
            # A row more would be one that was stored while its sender was told nothing.
            assert ledger.check_all(post.acknowledged) == len(post.acknowledged)
            assert not post.wrong, post.wrong[0]
    row.check()


def test_i2_every_answer_comes_in_time_while_another_process_holds_the_database(
    tmp_path: Path, database_url: str, ledger: Ledger, post: Post, tally: Callable[[str], Tally]
) -> None:
    row = tally(f"I2 {ledger.kind} locked by another process: 503 in time, and nothing is lost")
    seconds = scale(60, slice_=8)
    variables = make_home(tmp_path, database_url=database_url)
    with running_web(tmp_path, variables) as web, sending(web.port, post, senders=SENDERS):
        wait_for_more(post.acknowledged, 50)
        with holding(database_url) as release:
            before = len(post.later)
            # Until then answers may be under way whose rows were stored before.
            wait_for_more(post.later, 1)
            taken = len(post.acknowledged)
            PACE.wait(seconds)
            stored = len(post.acknowledged) - taken
            refused = len(post.later) - before
            release()
        wait_for_more(post.acknowledged, 100)
        wait_until(lambda: not post.doubtful)
    with row.case("answers"):
        assert not post.wrong, post.wrong[0]
        assert post.unanswered == 0, "somebody was told nothing"
        assert set(post.later) == {"5"}, "no Retry-After"
        assert refused >= SENDERS * (seconds // 4 - 1), f"{refused} answers of 503"
        assert stored == 0, "something was acknowledged while the database was locked"
        assert post.slowest < 10, f"an answer took {post.slowest:.1f} s"
    with row.case("rows"):
        ledger.check_all(post.acknowledged)
    row.figures["slowest answer"] = f"{post.slowest:.1f} s"
    row.figures["503"] = str(len(post.later))
    row.check()


def test_i3_of_a_crowd_of_duplicates_one_is_taken(
    store: SqlStore, ledger: Ledger, tally: Callable[[str], Tally]
) -> None:
    row = tally(f"I3 each delivery five times at once on {ledger.kind}: one 202, the others 200, another body 409")
    knocks = [Knock(body=b'{"number": %d}' % number) for number in range(scale(1000, slice_=60))]
    with (
        serving(Receiver(ThreadKeeper(store), path=PATH, secrets=(SECRET,))) as port,
        ThreadPoolExecutor(20) as pool,
    ):
        crowd = [one for one in knocks for _ in range(5)]
        statuses = list(pool.map(lambda one: knock(port, one).status, crowd))
        others = [replace(one, body=one.body + b" ") for one in knocks]
        conflicts = list(pool.map(lambda one: knock(port, one).status, others))
    for number, one in enumerate(knocks):
        with row.case(one.guid):
            assert sorted(statuses[5 * number : 5 * number + 5]) == [200, 200, 200, 200, 202]
            assert conflicts[number] == 409
    with row.case("rows"):
        sent = {one.guid: hashlib.sha256(one.body).hexdigest() for one in knocks}
        assert ledger.check_all(sent) == len(knocks)
    row.check()


def test_attack_19_wrong_signatures_take_nothing_from_the_deliveries_of_others(
    tmp_path: Path, sqlite_url: str, tally: Callable[[str], Tally]
) -> None:
    row = tally("Attack 19: 500 wrong signatures a second, and others at 0.8 of their rate alone at least")
    ratios: list[float] = []
    with running_web(tmp_path, make_home(tmp_path, database_url=sqlite_url)) as web:
        most = deliver(Load(web.port, 2.0)).rate
        usual = Load(web.port, 2.0, connections=4, pace=most / 3)
        for _ in range(scale(5, slice_=1)):
            alone = deliver(usual)
            attack = begin(Load(web.port, 4.0, connections=8, pace=500.0, source="127.0.0.2", wrong=True))
            wait_for_refusals(web)
            beside = deliver(usual)
            attackers = end(attack)
            ratios.append(beside.rate / alone.rate)
            with row.case(f"{beside.rate:.0f} of {alone.rate:.0f} a second"):
                assert set(alone.statuses) == set(beside.statuses) == {"202"}
                assert set(attackers.statuses) <= {"401", "429"}
                assert attackers.statuses["429"] > 9 * attackers.statuses.get("401", 0)
        lines = [line for line in web.log.read_text().splitlines() if "127.0.0.2" in line]
    if is_full():
        # A ratio of rates means something only where little else runs.
        with row.case("their rate"):
            assert statistics.median(ratios) >= 0.8
    with row.case("the log"):
        assert 0 < len(lines) < 6 * len(ratios), "more than a line a second"
    row.figures["ratio"] = f"{statistics.median(ratios):.2f}"
    row.check()


def wait_for_refusals(web: Web) -> None:
    """Wait until more is refused for too many wrong signatures than was before."""
    before = refusals(web)
    wait_until(lambda: refusals(web) > before)


def refusals(web: Web) -> float:
    found = re.search(r'^launchpin_ingest_total\{code="too_many_failures"\} (\S+)$', web.scrape(), re.MULTILINE)
    return float(found[1]) if found else 0.0
