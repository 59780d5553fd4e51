"""I27 and I29: the database dies, is locked, is full, or tells another time than the hosts do."""

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitops.audit import merkle
from gitops.errors import RetryError
from gitops.ports import Exit, Received
from gitops.steps import Done, Queue
from gitops.store import SqlStore, check_audit_joins
from gitops.writes import OpenRollout, StartTraining
from tests.faults.database_load import Load, check, loaded
from tests.faults.holding import holding
from tests.faults.tally import Tally, scale
from tests.support.postgres import Postgres, require, running_postgres
from tests.support.store import LEASE, Clock, answer, make_delivery, make_rollout, make_training, take, write

if TYPE_CHECKING:
    import psycopg

OpenRow = Callable[[str], Tally]


@pytest.fixture(scope="module")
def durable() -> Iterator[Postgres]:
    """Give a PostgreSQL that waits for its disk, as in production."""
    with running_postgres(is_durable=True) as server:
        yield server


def test_i27_nothing_is_lost_or_done_twice_when_postgresql_is_killed_under_load(
    durable: Postgres, tally: OpenRow
) -> None:
    row = tally("I27 PostgreSQL killed under load: nothing lost, nothing twice")
    kills = scale(50, slice_=4)
    healed: list[float] = []
    store = SqlStore(durable.make_database())
    with loaded(store) as load:
        for number in range(kills):
            load.wait_for_more(3 + number * 7 % 12)
            (durable.kill if number % 3 else durable.stop)()
            durable.start()
            begun = time.monotonic()
            load.wait_for_more(1)
            healed.append(time.monotonic() - begun)
    check(load, row)
    _tell(row, load, kills=kills, healed=f"{max(healed):.1f} s at most")
    store.close()
    row.check()


def test_i27_nothing_is_lost_or_done_twice_when_connections_to_postgresql_are_ended_in_their_commits(
    durable: Postgres, tally: OpenRow
) -> None:
    row = tally("I27 connections ended in their commit: nothing lost, nothing twice")
    wanted = scale(300, slice_=20)
    url = durable.make_database()
    store = SqlStore(url)
    with loaded(store) as load, durable.admin(url.rpartition("/")[2]) as admin:
        ended = _end_commits(admin, load, wanted)
    check(load, row)
    with row.case("enough connections were ended"):
        assert ended >= wanted
    _tell(row, load, ended=ended)
    store.close()
    row.check()


def _end_commits(admin: "psycopg.Connection[tuple[object, ...]]", load: Load, wanted: int) -> int:
    """End the connections that are in a commit just now, until there were so many."""
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COMMIT%' "
        "AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    ended, deadline = 0, time.monotonic() + 240
    while ended < wanted and time.monotonic() < deadline:
        hit = admin.execute(query).rowcount
        ended += hit
        if hit:
            load.wait_for_more(1)
    return ended


def _tell(row: Tally, load: Load, **figures: object) -> None:
    row.figures |= {name: str(value) for name, value in figures.items()}
    row.figures["deliveries"] = f"{len(load.journal.acknowledged):,}"
    row.figures["finishes"] = f"{len(load.journal.finishes):,}"
    row.figures["refused"] = f"{sum(load.journal.refusals.values()):,}"
    row.figures["unknown"] = f"{load.journal.refusals['UnknownOutcomeError DatabaseUnavailable']:,}"


# ---- SQLite: locked, full


def test_i27_sqlite_is_written_again_by_itself_when_another_process_lets_it_go(sqlite_url: str, tally: OpenRow) -> None:
    row = tally("I27 SQLite locked by another process: refused in time, heals by itself")
    store = SqlStore(sqlite_url)
    for _ in range(scale(5, slice_=1)):
        with loaded(store) as load:
            load.wait_for_more(3)
            with holding(sqlite_url) as release:
                _wait_until(lambda here=load: here.journal.refusals["RetryError DatabaseBusy"] >= 6)  # type: ignore[misc]  # a default binds it
                release()
            load.wait_for_more(3)
        check(load, row)
        with row.case("refused by one reason"):
            assert set(load.journal.refusals) <= {"RetryError DatabaseBusy", "StaleEpoch"}
    _tell(row, load)
    store.close()
    row.check()


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.01)  # the pace of looking


def fill_until_refused(url: str, file: str) -> None:
    """Deliver in this process until its files may not grow, and tell on stdout what came of it."""
    store = SqlStore(url)
    store.save_delivery(make_delivery())
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    sizes = [one.stat().st_size for one in Path(file).parent.glob(f"{Path(file).name}*")]
    told: dict[str, list[str]] = {"kept": [], "refused": [], "later": []}
    for room in (20_000, 50_000, 90_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) + room, hard))
        told["refused"] += _deliver_until_refused(store, told["kept"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        sizes.append(max(one.stat().st_size for one in Path(file).parent.glob(f"{Path(file).name}*")))
        for guid in told["refused"][-1:]:
            told["later"].append(store.save_delivery(make_delivery(b"x" * 9_000, id=guid)))
    store.close()
    print(json.dumps(told))  # noqa: T201 - told to the test


def _deliver_until_refused(store: SqlStore, kept: list[str]) -> list[str]:
    for _ in range(1_000):
        delivery = make_delivery(b"x" * 9_000)
        try:
            store.save_delivery(delivery)
        except RetryError as error:
            return [delivery.id] if error.reason == "DatabaseUnavailable" else []
        kept.append(delivery.id)
    return []


def test_i27_nothing_is_half_written_when_the_disk_is_full_and_sqlite_works_on_when_there_is_room(
    sqlite_url: str, tmp_path: Path, tally: OpenRow
) -> None:
    row = tally("I27 SQLite on a full disk: refused, nothing half written, works on")
    code = "import sys; from tests.faults.test_database import fill_until_refused; fill_until_refused(*sys.argv[1:])"
    command = (sys.executable, "-c", code, sqlite_url, str(tmp_path / "launchpin.sqlite3"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    with row.case("the process lives"):
        assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    store = SqlStore(sqlite_url)
    with row.case("it was refused each time"):
        assert len(told["refused"]) == 3
    for guid in told["kept"]:
        with row.case(f"delivery {guid}"):
            assert store.delivery(guid) is not None
    with row.case("what was refused was not there, and was taken when there was room"):
        assert told["later"] == [Received.NEW] * 3
    with row.case("one job for each delivery"):
        assert len(store.jobs(limit=10_000)) == len(store.recent("delivery", limit=10_000))
    row.figures["kept"] = str(len(told["kept"]))
    store.close()
    row.check()


# ---- clocks


def work_under_another_clock(url: str, name: str) -> None:
    """Work until every training is over, and tell on stdout what was claimed and what time this host believes it is."""
    store = SqlStore(url)
    claims = []
    while any(job.kind == "training" for job in store.jobs()):
        claim = store.claim(Queue.CONTROL, owner=name, lease=LEASE)
        if claim is None:
            continue
        claims.append([claim.job, claim.epoch, claim.lost])
        record = store.training(claim.subject)
        if record is not None:
            step, following = (record.step or "judge"), ("" if record.step == "hand_over" else "hand_over")
            store.finish(claim, Exit(record, Done(), step=step, next_step=following))
        else:
            store.finish(claim, Exit(None, Done(), recurring=True))
    store.close()
    print(json.dumps({"claims": claims, "time": time.time()}))  # noqa: T201 - told to the test


def test_i29_leases_and_order_are_the_servers_when_hosts_are_an_hour_ahead_and_an_hour_behind(
    postgres_url: str, tally: OpenRow
) -> None:
    require(shutil.which("faketime"), "faketime is missing: apt-get install faketime")
    row = tally("I29 hosts an hour ahead and an hour behind: leases and order are the server's")
    store = SqlStore(postgres_url)
    begun = store.now()
    store.wake("poll", "held")
    held = take(store)
    write(store, *(StartTraining(make_training()) for _ in range(scale(300, slice_=40))))
    told = _run_hosts(postgres_url, {"+1h": 3600, "-1h": -3600})
    for shift, (skew, said) in told.items():
        with row.case(f"the host at {shift} believed so"):
            assert abs(said["time"] - time.time() - skew) < 120
        with row.case(f"the host at {shift} got work"):
            assert said["claims"]
    claims = [tuple(claim) for _, said in told.values() for claim in said["claims"]]
    with row.case("each epoch was given once, and no lease was taken for over"):
        assert len({claim[:2] for claim in claims}) == len(claims)
        assert all(lost == 0 for _, _, lost in claims)
    with row.case("the job that was held stayed so"):
        assert held.job not in {job for job, _, _ in claims}
        assert store.renew(held, lease=LEASE)
    _check_times(store, row, begun=begun)
    row.figures["claims"] = f"{len(claims):,}"
    store.close()
    row.check()


def _run_hosts(url: str, shifts: dict[str, int]) -> dict[str, tuple[int, dict[str, Any]]]:
    """Run a worker under each clock, all at once."""
    code = "import sys; from tests.faults.test_database import work_under_another_clock as work; work(*sys.argv[1:])"
    hosts = {
        shift: subprocess.Popen(
            ("faketime", "--exclude-monotonic", "-f", shift, sys.executable, "-c", code, url, f"host {shift}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for shift in shifts
    }
    told = {}
    for shift, host in hosts.items():
        output, errors = host.communicate(timeout=120)
        assert host.returncode == 0, errors
        told[shift] = (shifts[shift], json.loads(output))
    return told


def _check_times(store: SqlStore, row: Tally, *, begun: datetime) -> None:
    entries = [row.entry for row in reversed(store.audit_recent(10_000))]
    ended = store.now()
    with row.case("every entry carries the server's time"):
        assert all(begun <= entry.time <= ended for entry in entries)
    with row.case("of each story the entries stand in the order of their times"):
        for training_id in {entry.subject.training_id for entry in entries}:
            times = [entry.time for entry in entries if entry.subject.training_id == training_id]
            assert times == sorted(times)
    with row.case("states and entries agree"):
        assert check_audit_joins(store) == []


@pytest.mark.parametrize("step", [timedelta(minutes=10), timedelta(hours=1)])
def test_i29_no_job_is_held_twice_and_positions_rise_when_the_clock_is_set_back(
    database_url: str, tally: OpenRow, step: timedelta
) -> None:
    row = tally(f"I29 the database's clock set back by {step}: no job held twice, positions rise")
    clock = Clock()
    store = SqlStore(database_url, clock=clock)
    write(store, *(StartTraining(make_training()) for _ in range(4)))
    held = [take(store), take(store)]
    size = store.audit_size()
    clock.advance(-step)
    with row.case("what was ready waits until its time comes again, and what is held stays so"):
        assert store.claim(Queue.CONTROL, owner="other", lease=LEASE) is None
    store.save_delivery(make_delivery())
    with row.case("what comes now is worked on now"):
        assert take(store).kind == "delivery"
    rollouts = [make_rollout(commit=f"{number:040x}") for number in range(3)]
    for rollout in rollouts:
        write(store, OpenRollout(rollout))
        clock.advance(-step)
        with row.case("the rollout that was opened last is the newest"):
            newest = store.newest_rollout(rollout.repository_id, rollout.path)
            assert newest is not None
            assert newest.id == rollout.id
    for claim in held:
        with row.case("whoever held a job may finish it"):
            answer(store, claim, Done(), step="judge")
    clock.advance(step * 5)
    claims = [take(store) for _ in range(2)]
    with row.case("each job is given once more"):
        assert not {claim.job for claim in claims} & {claim.job for claim in held}
    with row.case("positions rise without a gap, and the tree is that of its entries"):
        entries = store.audit_entries(0, 1_000)
        assert (len(entries), len(entries) > size) == (store.audit_size(), True)
        assert store.audit_root(len(entries)) == merkle.root_of([merkle.hash_leaf(entry) for entry in entries])
        assert check_audit_joins(store) == []
    store.close()
    row.check()
