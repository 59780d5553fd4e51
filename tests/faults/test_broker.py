"""I6: the broker is a doorbell. Whatever becomes of it, or of a worker, every job runs, and soon."""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from gitops.audit.entry import Actor, Event
from gitops.steps import Queue
from gitops.store import SqlStore
from tests.faults.broker_rig import KIND, PROMISED, Rig, loading, rig_on, wait
from tests.faults.tally import Tally, is_full, scale, turn
from tests.support.store import Clock
from tests.support.valkey import running_valkey
from workers.broker import Broker
from workers.publisher import MOST, Publisher

OpenTally = Callable[[str], Tally]
FULL = {"sqlite": 100, "postgres": 10}
"""How often each thing is done to the broker; which database is behind makes little difference to it."""

BOTH = ["sqlite", "postgres"] if is_full() else turn(["sqlite", "postgres"])


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with rig_on(request.param, request, tmp_path) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rig", BOTH, indirect=True)
def test_i06_no_job_is_lost_when_the_broker_forgets_or_dies_under_load(
    rig: Rig, tally: OpenTally, request: pytest.FixtureRequest
) -> None:
    database = request.node.callspec.params["rig"]
    row = tally(f"I6 FLUSHALL and kill -9 of the broker under load, {database}: every job starts within 60 s")
    rig.relay()
    for name in ("one", "two"):
        rig.ready_worker(name, threads=2)
    rig.warm_up()
    slowest = dict.fromkeys(("FLUSHALL", "kill -9"), 0.0)
    with loading(rig, every=0.02) as load:
        for number in range(scale(FULL[database], slice_=3)):
            for what in slowest:
                with row.case(f"{what} {number}"):
                    back = strike(rig, what)
                    (job,) = rig.wake(1, prefix=f"{what}-{number}")
                    slowest[what] = max(slowest[what], rig.start_of(job, seconds=PROMISED) - back)
    with row.case("every job ran, and ran once"):
        wait("every job to be over", lambda: rig.open_jobs() == 0, seconds=PROMISED)
        claims = [claim.job for claim in rig.journal.claims()]
        assert set(load.committed) <= set(claims)
        assert len(claims) == len(set(claims))
    with row.case("nothing is left over"):
        wait("the broker to be empty", lambda: rig.messages() == 0, seconds=10)
    row.figures |= {f"slowest start after {what}": f"{seconds:.1f} s" for what, seconds in slowest.items()}
    row.figures["jobs"] = f"{len(load.committed):,}"
    row.check()


def strike(rig: Rig, what: str) -> float:
    """Do that to the broker, and return when it was back."""
    if what == "FLUSHALL":
        with rig.broker.client() as client:
            client.flushall()
    else:
        rig.broker.kill()
        rig.broker.start()
    return time.time()


@pytest.mark.slow
@pytest.mark.parametrize("rig", BOTH, indirect=True)
def test_no_job_waits_behind_a_long_one_while_another_worker_idles(rig: Rig, tally: OpenTally) -> None:
    row = tally("No job waits behind a long training while another worker idles")
    rig.relay()
    long = 0.8
    for name in ("one", "two"):
        rig.ready_worker(name, Queue.TRAINING, failpoints=f"claim.after=sleep:{long}")
    for job in rig.wake(4, prefix="warm", queue=Queue.TRAINING):
        rig.start_of(job)
    wait("the end of it", lambda: rig.open_jobs() == 0)
    longest = 0.0
    for number in range(scale(15, slice_=3)):
        with row.case(f"round {number}"):
            jobs = rig.wake(2, prefix=f"pair-{number}", queue=Queue.TRAINING)
            made = time.time()
            claims = [rig.journal.claims(job=job)[0] for job in jobs if rig.start_of(job)]
            wait("the end of it", lambda: rig.open_jobs() == 0)
            assert len({claim.worker for claim in claims}) == 2, "one worker had both"
            longest = max(longest, *(claim.at - made for claim in claims))
    with row.case("the broker holds what nobody has begun, and no worker holds more than one"):
        jobs = rig.wake(6, prefix="row", queue=Queue.TRAINING)
        wait("four to lie there", lambda: rig.ready(Queue.TRAINING) == rig.messages(Queue.TRAINING) == 4)
        wait("the end of it", lambda: rig.open_jobs() == 0)
        claims = [claim for claim in rig.journal.claims() if claim.job in set(jobs)]
        for worker in {claim.worker for claim in claims}:
            starts = [claim.at for claim in claims if claim.worker == worker]
            assert len(starts) == 3, "one worker had more"
            assert all(later - earlier < 2 * long for earlier, later in pairwise(starts)), "one idled"
    row.figures["longest wait"] = f"{longest:.2f} s"
    row.check()


def be_away(rig: Rig, row: Tally) -> None:
    """Take the broker away for long."""
    rig.relay()
    rig.ready_worker("one", threads=2)
    rig.warm_up()
    rig.broker.kill()
    away = scale(40, slice_=4)
    deadline = time.monotonic() + away
    jobs = set(rig.wake(200, prefix="while-away"))
    rig.store.append_audit(Event(kind="session.begun", actor=Actor(type="user", login="mona")))
    wanted = rig.store.ask_checkpoint()
    with row.case("heads are signed without the broker"):
        wait("a head", lambda: any(head.size >= wanted for head in rig.store.checkpoints()), seconds=20)
    wait("the time to be over", lambda: time.monotonic() >= deadline, seconds=away + 5)
    # A worker that was at work when the broker went may have taken some: it goes on until none is ready.
    left = (jobs | set(rig.wake(20, prefix="at-the-end"))) - rig.journal.claimed()
    with row.case("jobs wait for its return"):
        assert left
    most = 0
    rig.broker.start()
    back = time.time()
    with row.case("every job starts within 60 s of the broker's return"):
        while rig.open_jobs():
            most = max(most, rig.messages())
            assert time.time() - back < PROMISED
        assert left <= rig.journal.claimed()
    with row.case("no flood"):
        assert most <= MOST
    starts = [claim.at for claim in rig.journal.claims() if claim.job in left and claim.at >= back]
    row.figures |= {"away": f"{away} s", "first start after": f"{min(starts, default=back) - back:.1f} s"}


def die_with_a_message(rig: Rig, row: Tally) -> None:
    """Kill workers between taking a message and claiming its job, under steady load."""
    rig.relay()
    rig.ready_worker("healthy", threads=1)
    rig.warm_up()
    with loading(rig, every=0.03) as load:
        for number in range(scale(15, slice_=3)):
            with row.case(f"death {number}"):
                mortal = rig.worker(f"mortal-{number}", failpoints="wake.before=kill")
                wait("it to die", lambda part=mortal: not part.is_alive(), seconds=60)  # type: ignore[misc]
                assert mortal.process.returncode == -signal.SIGKILL
    with row.case("every job ran"):
        wait("every job to be over", lambda: rig.open_jobs() == 0, seconds=PROMISED)
        assert set(load.committed) <= rig.journal.claimed()
    row.figures |= {"jobs": str(len(load.committed)), "longest wait": f"{load.waits()[-1]:.1f} s"}


def die_with_the_only_message(rig: Rig, row: Tally) -> None:
    """Kill the only worker with the only message: nothing else wakes anybody."""
    rig.relay()
    mortal = rig.ready_worker("mortal", failpoints="wake.before=kill")
    (job,) = rig.wake(1, prefix="only")
    made = time.time()
    with row.case("the job starts within 60 s"):
        wait("it to die", lambda: not mortal.is_alive(), seconds=60)
        rig.ready_worker("healthy")
        row.figures["started after"] = f"{rig.start_of(job, seconds=PROMISED) - made:.1f} s"


TROUBLES: dict[str, Callable[[Rig, Tally], None]] = {
    "I6 the broker is away for long": be_away,
    "I6 kill -9 between taking a message and claiming its job, under steady load": die_with_a_message,
    "I6 kill -9 with the only message": die_with_the_only_message,
}
CASES = [(trouble, database) for database in ("sqlite", "postgres") for trouble in TROUBLES]


@pytest.mark.slow
@pytest.mark.parametrize(("trouble", "rig"), turn(CASES), indirect=["rig"])
def test_i06_every_job_runs_whatever_happens(rig: Rig, tally: OpenTally, trouble: str) -> None:
    row = tally(trouble)
    TROUBLES[trouble](rig, row)
    row.check()


@pytest.mark.parametrize("takers", ["none", "dying"])
def test_i06_200_jobs_that_wait_for_an_hour_cost_fewer_than_500_messages(
    tmp_path: Path, sqlite_url: str, tally: OpenTally, takers: str
) -> None:
    row = tally(f"I6 200 waiting jobs for a virtual hour, workers: {takers}: fewer than 500 messages")
    clock = Clock()
    store = SqlStore(sqlite_url, clock=clock)
    for number in range(200):
        store.wake(KIND, str(number), queue=Queue.TRAINING)
    pause = scale(1, slice_=6)
    sent = held = 0
    with running_valkey(tmp_path) as server, server.client() as client:
        outside = Broker(server.url)
        publisher = Publisher(outside)
        for second in range(0, 3600, pause):
            clock.advance(timedelta(seconds=pause))
            publisher.tell(store.depth(), float(second))
            now = int(client.llen(Queue.TRAINING.value))
            sent, held = sent + max(0, now - held), now
            if takers == "dying":
                client.delete(Queue.TRAINING.value)
                held = 0
        outside.close()
    store.close()
    with row.case("an hour"):
        assert MOST <= sent < 500
    row.figures["messages"] = str(sent)
    row.check()
