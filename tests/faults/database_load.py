"""A steady load on a store from many threads, with a journal of what it was told: for tests that break the database.

Deliveries are saved until they are acknowledged; each is claimed, starts one training, which makes one effect and ends.
Everybody tries again as the web process and the loop do.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from gitops.audit import merkle
from gitops.errors import RetryError, StaleEpochError
from gitops.ports import Claim, Exit, Received
from gitops.records import Delivery
from gitops.steps import Done, Queue
from gitops.store import SqlStore, check_audit_joins
from gitops.writes import StartTraining
from tests.faults.tally import Tally
from tests.support.store import make_delivery, make_training

T = TypeVar("T")
LEASE = timedelta(seconds=5)
_PACE = 0.01  # of trying again while the database is away
_AGE = 10_000


@dataclass(frozen=True)
class Told:
    """One answer of the store about a job, with the moments between which it was given."""

    job: int
    epoch: int
    asked: float
    answered: float


@dataclass
class Journal:
    """What the store said, to all threads together."""

    acknowledged: dict[str, Received] = field(default_factory=dict)
    claims: list[Told] = field(default_factory=list)
    finishes: list[Told] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)


class Load:
    """Threads that deliver and threads that work.

    Args:
        store: shared by all of them.
    """

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.journal = Journal()
        self._delivering = threading.Event()
        self._working = threading.Event()
        self._delivering.set()
        self._working.set()
        work = [threading.Thread(target=self._guard, args=(self._work,), daemon=True) for _ in range(4)]
        deliver = [threading.Thread(target=self._guard, args=(self._deliver,), daemon=True) for _ in range(3)]
        self._deliverers, self._workers = deliver, work

    def start(self) -> None:
        for thread in (*self._deliverers, *self._workers):
            thread.start()

    def drain(self) -> None:
        """Deliver no more, wait until every story is over, and end."""
        self._delivering.clear()
        for thread in self._deliverers:
            thread.join(60)
        deadline = time.monotonic() + 120
        while self._persist(self.store.jobs, lambda: True) and time.monotonic() < deadline:
            time.sleep(_PACE)
        self._working.clear()
        for thread in self._workers:
            thread.join(60)

    def wait_for_more(self, number: int) -> None:
        """Wait until so many more deliveries were acknowledged and jobs finished."""
        acknowledged, finished = len(self.journal.acknowledged) + number, len(self.journal.finishes) + number
        deadline = time.monotonic() + 60
        while len(self.journal.acknowledged) < acknowledged or len(self.journal.finishes) < finished:
            assert not self.journal.surprises, self.journal.surprises
            assert time.monotonic() < deadline, "the load stands still"
            time.sleep(_PACE)

    def _guard(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - whatever ends a thread must be seen by the test
            self.journal.surprises.append(f"{run.__name__}: {type(error).__name__}: {error}")

    def _persist(self, ask: Callable[[], T], goes_on: Callable[[], bool]) -> T | None:
        """Ask until there is an answer, or nobody wants one any more."""
        while goes_on():
            try:
                return ask()
            except RetryError as error:
                self.journal.refusals[f"{type(error).__name__} {error.reason}"] += 1
                time.sleep(_PACE)
        return None

    def _deliver(self) -> None:
        while self._delivering.is_set():
            delivery = make_delivery(b"x" * 200)
            # Once begun it is repeated until it is acknowledged, as a sender does.
            told = self._persist(lambda one=delivery: self.store.save_delivery(one), lambda: True)  # type: ignore[misc]  # a default binds it
            assert told is not None
            self.journal.acknowledged[delivery.id] = told
            time.sleep(_PACE)

    def _work(self) -> None:
        while self._working.is_set():
            asked = time.monotonic()
            claim = self._persist(
                lambda: self.store.claim(Queue.CONTROL, owner="load", lease=LEASE), self._working.is_set
            )
            if claim is None:
                time.sleep(_PACE)
                continue
            self.journal.claims.append(Told(claim.job, claim.epoch, asked, time.monotonic()))
            try:
                self._carry_out(claim)
            except StaleEpochError:
                self.journal.refusals["StaleEpoch"] += 1

    def _carry_out(self, claim: Claim) -> None:
        end = self._run(claim)
        asked = time.monotonic()
        self._persist(lambda: self.store.finish(claim, end), lambda: True)
        self.journal.finishes.append(Told(claim.job, claim.epoch, asked, time.monotonic()))

    def _run(self, claim: Claim) -> Exit:
        if claim.kind == "delivery":
            delivery = self._persist(lambda: self.store.delivery(claim.subject), lambda: True)
            training = make_training(id=f"t-{claim.subject}")
            return Exit(delivery, Done(facts={"outcome": "woke"}, writes=(StartTraining(training),)), step="read")
        training_now = self._persist(lambda: self.store.training(claim.subject), lambda: True)
        assert training_now is not None
        if training_now.step == "judge":
            return Exit(training_now, Done(facts={"verdict": "pass"}), step="judge")
        key = f"run:{claim.subject}"
        was_intended, result = self._persist(lambda: self.store.intend(claim, key, "make_run"), lambda: True) or (0, 0)
        if result is None and not (was_intended and key in self.journal.made):
            self.journal.made.append(key)
        if result is None:
            self._persist(lambda: self.store.observe(claim, key, "{}"), lambda: True)
        return Exit(training_now, Done(facts={"run_id": key}), step="make_run", next_step="judge")


@contextmanager
def loaded(store: SqlStore) -> Iterator[Load]:
    """Keep a load on a store until the block ends; then let every story end."""
    load = Load(store)
    load.start()
    try:
        yield load
    finally:
        load.drain()


def check(load: Load, row: Tally) -> None:
    """Hold what the database has against what the threads were told."""
    journal, store = load.journal, load.store
    with row.case("no thread met what it does not know"):
        assert not journal.surprises, journal.surprises
    kept = {one.id: one for one in store.recent("delivery", limit=_AGE) if isinstance(one, Delivery)}
    for guid in journal.acknowledged:
        with row.case(f"delivery {guid}"):
            assert guid in kept, "acknowledged, but not there"
            assert kept[guid].phase.is_final, f"never handled: {kept[guid].phase}"
    with row.case("each delivery started one training"):
        assert {one.id for one in store.recent("training", limit=_AGE)} == {f"t-{guid}" for guid in kept}
    with row.case("each effect was made once"):
        assert [key for key, number in Counter(journal.made).items() if number > 1] == []
    with row.case("each epoch was given once"):
        given = Counter((told.job, told.epoch) for told in journal.claims)
        assert [one for one, number in given.items() if number > 1] == []
    taken = {(told.job, told.epoch): told.answered for told in journal.claims}
    for told in journal.finishes:
        with row.case(f"job {told.job} epoch {told.epoch}"):
            taken_over = taken.get((told.job, told.epoch + 1))
            assert taken_over is None or taken_over >= told.asked, "written by a worker that had lost the job before"
    with row.case("states and entries agree"):
        assert check_audit_joins(store) == []
    with row.case("the tree is that of its entries"):
        size = store.audit_size()
        leaves = [merkle.hash_leaf(entry) for entry in store.audit_entries(0, size + 1)]
        assert (len(leaves), merkle.root_of(leaves)) == (size, store.audit_root(size))
