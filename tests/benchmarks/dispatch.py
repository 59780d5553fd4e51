"""From a delivery's commit to the beginning of its job, while deliveries arrive steadily; beside it, Celery by itself.

Store, relay, broker and worker are as shipped, each in its process; the job's only step notes when it began.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops.identifiers import new_id
from gitops.records import Cause, Delivery
from tests.benchmarks.figures import Measured, Must, Reach, Result, Row, Scale
from tests.benchmarks.waiting import await_that
from tests.faults.broker_rig import running_rig
from tests.support.postgres import running_postgres
from tests.support.valkey import Valkey, running_valkey

_A_SECOND = 50
# Of the embedded stack's control worker.
_THREADS = 4
_WARM = 20
_P50, _P99 = 15.0, 60.0
_NOTES = "started"
_BODY = b'{"filler": "%s"}' % (b"x" * 8178)


def measure(scale: Scale) -> Result:
    """Measure on both databases, then Celery acknowledging early and late, on one broker."""
    seconds = scale.pick(30, quick=2)
    with tempfile.TemporaryDirectory() as folder, running_valkey(Path(folder)) as broker:
        with running_postgres(is_durable=True) as postgres:
            ours = {
                name: _measure_ours(Path(folder), broker, url, name=name, seconds=seconds)
                for name, url in (("SQLite", ""), ("PostgreSQL", postgres.make_database()))
            }
        with _running_celery(Path(folder), broker) as publish:
            beside = {
                "Celery alone": publish("note", seconds / 2),
                "Celery, acks_late": publish("note_late", seconds / 2),
            }
    rows = [row for name, waits in ours.items() for row in _rows(name, waits, beside)]
    return Result(tuple(rows))


@dataclass(frozen=True)
class _Waits:
    """How long each task did not begin, since it was handed over, and since that began."""

    since: Measured
    whole: Measured


def _rows(name: str, ours: _Waits, beside: dict[str, _Waits]) -> tuple[Row, ...]:
    what = f"delivery committed to task started, {name}, {_A_SECOND} deliveries a second"
    alone = "; ".join(f"{other} {waits.since.percentile(99):.1f} ms" for other, waits in beside.items())
    since, whole = ({other: getattr(waits, kind) for other, waits in beside.items()} for kind in ("since", "whole"))
    told = "from the end of the commit; Celery's from the end of its `delay()`"
    return (
        Row(f"{what}, p50", ours.since, since, Reach(Must.AT_MOST, _P50), note=told),
        Row(
            f"{what}, p99",
            ours.since,
            {},
            Reach(Must.AT_MOST, _P99),
            figure=ours.since.percentile(99),
            note=f"p99 beside: {alone}",
        ),
        Row(f"the same with the commit, or `delay()`, {name}, p50", ours.whole, whole),
    )


def _measure_ours(folder: Path, broker: Valkey, url: str, *, name: str, seconds: float) -> _Waits:
    home = folder / name
    home.mkdir()
    # The rig shows its parts' logs at the end, for a test that failed.
    with redirect_stdout(io.StringIO()), running_rig(home, broker, url) as rig:
        rig.relay()
        rig.ready_worker("control", threads=_THREADS, application="tests.benchmarks.dispatch_worker")
        body_sha256 = "0" * 64

        def deliver() -> str:
            guid = new_id("d")
            cause = Cause(kind="delivery", id=guid, body_sha256=body_sha256)
            rig.store.save_delivery(Delivery(id=guid, cause=cause, event="push", body_sha256=body_sha256, body=_BODY))
            return guid

        return _follow(deliver, rig.settings.home / _NOTES, seconds=seconds)


@contextmanager
def _running_celery(folder: Path, broker: Valkey) -> Iterator[Callable[[str, float], _Waits]]:
    """Run a worker of Celery's own with as many threads, and give what publishes to it."""
    notes = folder / "celery.notes"
    variables = {"PEER_BROKER": broker.url, "PEER_NOTES": str(notes)}
    os.environ.update(variables)
    from tests.benchmarks import peer_tasks  # noqa: PLC0415 - reads its broker when it is imported

    pool = ("--pool", "threads", "--concurrency", str(_THREADS), "--loglevel", "WARNING")
    command = (sys.executable, "-m", "celery", "-A", peer_tasks.__name__, "worker", "-Q", peer_tasks.QUEUE, *pool)
    with (folder / "celery.log").open("ab") as log:
        worker = subprocess.Popen(command, env=os.environ | variables, stdout=log, stderr=log)

    def publish(task: str, seconds: float) -> _Waits:
        send: Any = getattr(peer_tasks, task)

        def deliver() -> str:
            name = new_id("d")
            send.delay(name)
            return name

        return _follow(deliver, notes, seconds=seconds)

    try:
        yield publish
    finally:
        worker.terminate()
        worker.wait(60)


def _follow(deliver: Callable[[], str], notes: Path, *, seconds: float) -> _Waits:
    """Deliver at the pace, and return the milliseconds until each began.

    Args:
        deliver: gives a name of its own each time.
        notes: where names and moments of beginning are written.
    """
    for _ in range(_WARM):
        _await_all(notes, {deliver()})
    sent: dict[str, tuple[float, float]] = {}
    begun = time.monotonic()
    for number in range(int(seconds * _A_SECOND)):
        time.sleep(max(0.0, begun + number / _A_SECOND - time.monotonic()))  # the pace that is measured
        moment = time.monotonic()
        name = deliver()
        sent[name] = (moment, time.monotonic())
    started = _await_all(notes, sent.keys())
    # A worker may begin before we hear that our commit is done: that is no wait at all.
    whole, since = (
        Measured(tuple(max(started[name] - moments[at], 1e-6) * 1000 for name, moments in sent.items()), "ms")
        for at in (0, 1)
    )
    return _Waits(since, whole)


def _await_all(notes: Path, names: AbstractSet[str]) -> dict[str, float]:
    """Wait until all have begun, and return when each did for the first time."""
    started: dict[str, float] = {}

    def have_begun() -> bool:
        if notes.exists():
            for line in notes.read_text(encoding="utf-8").splitlines():
                name, _, moment = line.partition(" ")
                started.setdefault(name, float(moment))
        return names <= started.keys()

    await_that(have_begun, what="every task begins")
    return started
