"""Workers that are killed, stopped, hung or out of memory: one of them holds a job, and nothing is lost.

Real Celery workers with Launchpin's own configuration, on a real store, told by a real relay over a real Valkey. The
stories are small and made for the test; loop, leases, effects, trainer and runner are the real ones.
"""

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gitops import failpoints
from gitops.ports import Deps
from gitops.reconcile import Loop, run_next, run_until_idle
from gitops.records import Command, Delivery
from gitops.steps import Done, Outcome, Phase, Queue, Step, Story
from gitops.store import SqlStore
from tests.faults.freezing import freeze, is_locked
from tests.faults.tally import Tally, choose, scale
from tests.faults.workers_rig import (
    LEASE,
    Rig,
    Worker,
    check_done,
    databases,
    on_databases,
    rigs,
    wait_until,
)
from tests.support.deps import make_deps
from tests.support.postgres import Postgres
from tests.support.reconcile import QUIET, Made
from tests.support.store import LEASE as LONG_LEASE
from tests.support.store import Clock, make_command, make_delivery

__all__ = ["rigs"]

pytestmark = pytest.mark.timeout(1200)  # everything, on a busy machine

OpenTally = Callable[[str], Tally]

# Where a worker may end while it carries out the two steps of a command, and at which hit.
PLACES = (
    *("claim.after@1", "claim.after@2", "make.before@1", "make.after@1", "finish.before@1"),
    *("finish.before@2", "finish.after@1", "finish.after@2"),
    *(f"commit.{side}@{hit}" for hit in range(1, 4) for side in ("before", "after")),
)
# Where a worker may be stopped: with the claim, the intent of the effect, the effect, its result, and the answer.
AROUND = ("claim.after@1", "make.before@1", "make.after@1", "commit.after@3", "finish.before@1", "hang")


# ------------------------------------------------------------ killed


def test_i7_nothing_is_lost_or_made_twice_when_a_worker_is_killed_at_any_place(
    rigs: Callable[[str], Rig], tally: OpenTally
) -> None:
    row = tally("I7 a worker killed with SIGKILL loses nothing and repeats no effect")
    for database, place in choose(on_databases(*PLACES, *["in the step"] * 2)):
        with row.case(f"{place} on {database}"):
            (_kill_in_the_step if place == "in the step" else _kill_at)(rigs(database), place)
    row.check()


def _kill_at(rig: Rig, place: str) -> None:
    name, _, hit = place.partition("@")
    victim = rig.start(FAILPOINTS=f"{name}=kill@{hit}")
    command = rig.ask("nothing")
    assert victim.wait() == -signal.SIGKILL
    rig.start()
    check_done(rig, command)


def _kill_in_the_step(rig: Rig, _: str) -> None:
    first = rig.start()
    command = rig.ask("gate")
    rig.await_begun(command.id)
    second = rig.start()
    first.kill()
    rig.outside.open(command.id)
    assert check_done(rig, command).facts.result["acted_by"] == second.pid
    assert rig.begun(command.id) == [first.pid, second.pid]


# ------------------------------------------------------------ stopped, and going on


def test_i7_a_worker_that_was_stopped_beyond_its_lease_changes_nothing(
    rigs: Callable[[str], Rig], tally: OpenTally
) -> None:
    row = tally("I7 a worker stopped (SIGSTOP) in a step beyond its lease writes nothing when it goes on")
    for database in databases():
        rig = rigs(database)
        workers = {worker.pid: worker for worker in (rig.start(), rig.start())}
        for cycle in range(scale(5, slice_=1)):
            with row.case(f"cycle {cycle} on {database}"):
                _stop_and_go_on(rig, workers)
    row.check()


def _stop_and_go_on(rig: Rig, workers: dict[int, Worker]) -> None:
    """Stop whoever holds a job, let the other one do it, and let the first go on with the step."""
    command = rig.ask("gate")
    first = rig.await_begun(command.id)
    freeze(workers[first].signal, rig.folder / "home")
    try:
        second = rig.await_begun(command.id, 2)
        assert second != first
        rig.outside.open(command.id, second)
        end = check_done(rig, command)
    finally:
        workers[first].signal(signal.SIGCONT)
        rig.outside.open(command.id, first)
    said = f"command {command.id}: job"
    wait_until(lambda: said in workers[first].said, what="the first worker notices that it lost the job")
    assert rig.command(command) == end
    assert end.facts.result["acted_by"] == second


def test_i7_nothing_is_repeated_when_a_worker_is_stopped_around_an_effect_or_hangs_in_a_step(
    rigs: Callable[[str], Rig], tally: OpenTally
) -> None:
    row = tally("I7 a worker stopped around an effect, or hung in a step, repeats and overwrites nothing")
    for database, place in choose(on_databases(*AROUND, "hang", *AROUND)):
        with row.case(f"{place} on {database}"):
            rig = rigs(database)
            first, command = (_hang if place == "hang" else _stop_at)(rig, place)
            second = rig.start()
            end = check_done(rig, command)
            assert end.facts.result["acted_by"] == second.pid
            first.signal(signal.SIGCONT)
            rig.outside.open(command.id)
            wait_until(lambda: "is no longer held" in first.said, what="the first worker notices")  # noqa: B023 - asked at once
            assert check_done(rig, command) == end
    row.check()


def _stop_at(rig: Rig, place: str) -> tuple[Worker, Command]:
    first = rig.start(FAILPOINTS=place.replace("@", "=stop@"))
    command = rig.ask("nothing")
    wait_until(lambda: first.is_stopped, what=f"the worker stops at {place}")
    if not is_locked(rig.folder / "home"):
        return first, command
    # Its heart was in the middle of a beat, with SQLite's lock: let that one go, and try with another.
    first.signal(signal.SIGCONT)
    check_done(rig, command)
    first.kill()
    return _stop_at(rig, place)


def _hang(rig: Rig, _: str) -> tuple[Worker, Command]:
    first = rig.start(WORKERS_DEADLINE="1")
    command = rig.ask("hang")
    rig.await_begun(command.id)
    return first, command


# ------------------------------------------------------------ a thousand zombies


class Zombies:
    """Two workers in one process, of which the first is away for longer than its lease at a place of our choice.

    The first one's own clock stands still meanwhile, as that of a suspended machine: the database's alone goes on.
    """

    def __init__(self, store: SqlStore, clock: Clock, folder: Path) -> None:
        self._store, self._clock = store, clock
        self._made: list[str] = []
        self._place = ""
        steps: tuple[Step[Deps, Command], ...] = (Step("make", self._make), Step("rest", lambda *_: Done()))
        story: Story[Deps, Command] = Story("command", steps, lambda deps, subject: deps.store.command(subject))
        deps = make_deps(store, folder)
        self._zombie = Loop(deps, {"command": story}, "zombie", QUIET)
        self._heir = replace(self._zombie, owner="heir")
        self._is_heirs_turn = False

    def cycle(self, place: str) -> None:
        """Let the first worker be away at a place, and check that only the second one changed anything."""
        self._made.clear()
        self._place, self._is_heirs_turn = place, False
        command = self._store.save_command(make_command())
        failpoints.watch(self._come_by)
        try:
            assert run_next(self._zombie, Queue.CONTROL)
        finally:
            failpoints.watch(None)
        end = self._store.command(command.id)
        assert self._is_heirs_turn, f"nobody came by {place}"
        assert end is not None
        assert (end.phase, end.facts.result) == (Phase.SUCCEEDED, {"by": "heir"})
        assert self._made == ["thing"]

    def _come_by(self, name: str) -> None:
        if name != self._place or self._is_heirs_turn:
            return
        self._is_heirs_turn = True
        self._clock.advance(LONG_LEASE + timedelta(seconds=1))
        assert run_until_idle(self._heir, Queue.CONTROL) == len(("make", "rest"))

    def _make(self, deps: Deps, _command: Command) -> Outcome:
        who = "heir" if self._is_heirs_turn else "zombie"
        self._come_by("in the step")
        deps.effects.once("make", f"make:{_command.id}", look=self._look, act=self._act, result=Made)
        return Done(facts={"result": {"by": who}})

    def _look(self) -> Made | None:
        return Made(name=self._made[0]) if self._made else None

    def _act(self) -> Made:
        self._made.append("thing")
        self._come_by("in the effect")
        return Made(name="thing")


def test_i7_a_thousand_zombies_write_nothing(store: SqlStore, clock: Clock, tmp_path: Path, tally: OpenTally) -> None:
    row = tally("I7 zombies with two loops and one clock write nothing")
    zombies = Zombies(store, clock, tmp_path)
    places = ("claim.after", "in the step", "make.before", "in the effect", "make.after", "finish.before")
    for cycle in range(scale(500, slice_=30)):
        place = places[cycle % len(places)]
        with row.case(f"cycle {cycle}, {place}"):
            zombies.cycle(place)
    assert store.check_audit_joins() == []
    row.check()


# ------------------------------------------------------------ no memory, no database


def test_i9_i27_a_step_that_kills_its_worker_or_finds_no_memory_or_no_database_comes_to_its_end(
    rigs: Callable[[str], Rig], tally: OpenTally, request: pytest.FixtureRequest
) -> None:
    row = tally("I4, I9, I27 a step that kills its worker, or finds no memory or no database, comes to its end")
    kinds = [*POISONS, "away"]
    for database, kind in choose(on_databases(*[*kinds, *reversed(kinds)] * 2))[: scale(8, slice_=1)]:
        with row.case(f"{kind} on {database}"):
            rig = rigs(database)
            if kind == "away":
                _finish_while_away(rig, request.getfixturevalue("postgres") if database == "postgres" else None)
            else:
                POISONS[kind](rig)
    row.check()


def _lose_five_workers(rig: Rig) -> None:
    command = rig.ask("die")
    _serve_until(rig, lambda: rig.command(command).phase.is_final)
    end = rig.command(command)
    assert (end.phase, end.reason) == (Phase.ERRORED, "WorkerLost")
    assert len(rig.begun(command.id)) == 5


def _lose_three_workers(rig: Rig) -> None:
    delivery = make_delivery(event="die")
    rig.store.save_delivery(delivery)
    _serve_until(rig, lambda: _delivery(rig, delivery).phase.is_final)
    facts = _delivery(rig, delivery).facts
    assert (facts.outcome, facts.reason) == ("rejected", "handling_failed")
    assert len(rig.begun(delivery.id)) == 3


def _delivery(rig: Rig, known: Delivery) -> Delivery:
    found = rig.store.delivery(known.id)
    assert found is not None
    return found


def _serve_until(rig: Rig, is_over: Callable[[], bool]) -> None:
    """Start a worker whenever the last one died, as a supervisor does."""
    while not is_over():
        worker = rig.start()
        wait_until(lambda: worker.is_over or is_over(), what="the worker dies, or the story is over")  # noqa: B023 - asked at once


def _run_out_of_memory(rig: Rig) -> None:
    worker = rig.start()
    end = check_done(rig, rig.ask("hog"))
    assert end.facts.result["acted_by"] == worker.pid
    assert "MemoryError" in worker.said


POISONS = {"delivery": _lose_three_workers, "hog": _run_out_of_memory, "command": _lose_five_workers}


def _finish_while_away(rig: Rig, postgres: Postgres | None) -> None:
    """Let a step end while the database is away for longer than its lease; another worker stands by."""
    workers = rig.start(), rig.start()
    command = rig.ask("gate")
    rig.await_begun(command.id)
    with _postgres_down(postgres) if postgres else _sqlite_locked(rig):
        rig.outside.open(command.id)
        tell = "is not written yet"
        wait_until(lambda: any(tell in worker.said for worker in workers), what=tell)
        ends = time.monotonic() + LEASE * 1.5
        wait_until(lambda: time.monotonic() > ends, what="time passes")
    check_done(rig, command)
    assert len(rig.begun(command.id)) == 1, "the step was run again"


@contextmanager
def _sqlite_locked(rig: Rig) -> Iterator[None]:
    """Hold SQLite's write lock, as a long transaction of somebody else does."""
    with closing(sqlite3.connect(rig.folder / "home" / "launchpin.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _postgres_down(postgres: Postgres) -> Iterator[None]:
    """Kill PostgreSQL, and start it again."""
    postgres.kill()
    try:
        yield
    finally:
        postgres.start()
