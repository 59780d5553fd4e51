"""Workers that are asked to stop at any place of their work: gone within 30 s, nothing lost and nothing counted."""

import random
import signal
import time
from collections.abc import Callable

import pytest

from gitops.records import Command
from gitops.settings import Settings
from gitops.steps import Phase
from tests.faults.tally import Tally, choose, scale
from tests.faults.workers_rig import Rig, Worker, check_done, databases, on_databases, rigs, wait_until

__all__ = ["rigs"]

pytestmark = pytest.mark.timeout(1200)  # everything, on a busy machine

OpenTally = Callable[[str], Tally]

# Places in the two steps of a command, and at which hit.
PLACES = (
    *(f"{name}@{hit}" for name in ("claim.after", "finish.before", "finish.after") for hit in (1, 2)),
    *("make.before@1", "make.after@1"),
    *(f"commit.{side}@{hit}" for hit in range(1, 7) for side in ("before", "after")),
)
_LIMIT = 30.0


def _drain(worker: Worker) -> float:
    """Ask a worker to stop and return the seconds until it is gone."""
    begin = time.monotonic()
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGCONT)
    assert worker.wait(_LIMIT) == 0
    return time.monotonic() - begin


def _check_uncounted(rig: Rig, command: Command) -> None:
    """Check that the stop cost the command none of its tries."""
    if not rig.command(command).phase.is_final:
        (job,) = (job for job in rig.store.jobs() if job.subject == command.id)
        assert job.state != "leased", "the job was not given back"
        assert job.tries == 0


def test_i31_nothing_is_lost_or_counted_when_a_worker_is_asked_to_stop_at_any_place(
    rigs: Callable[[str], Rig], tally: OpenTally
) -> None:
    row = tally("I31 a worker asked to stop (SIGTERM) at any place is gone within 30 s and loses nothing")
    longest = 0.0
    for database, place in choose(on_databases(*PLACES, *["a step that hangs"] * 2)):
        with row.case(f"{place} on {database}"):
            rig = rigs(database)
            worker, command = (_hang if place == "a step that hangs" else _come_by)(rig, place)
            longest = max(longest, _drain(worker))
            _check_uncounted(rig, command)
            rig.start()
            check_done(rig, command)
    row.figures["slowest"] = f"{longest:.1f} s"
    row.check()


def _come_by(rig: Rig, place: str) -> tuple[Worker, Command]:
    """Have a worker stop right at a place, so that it is asked to leave there."""
    worker = rig.start(FAILPOINTS=place.replace("@", "=stop@"))
    command = rig.ask("nothing")
    wait_until(lambda: worker.is_stopped, what=f"the worker comes by {place}")
    return worker, command


def _hang(rig: Rig, _: str) -> tuple[Worker, Command]:
    """Have a worker hang in a step for ever; it waits for that as long as one that nobody configured."""
    worker = rig.start(DRAIN=f"{Settings.model_fields['drain'].default.total_seconds():g}s")
    command = rig.ask("hang")
    rig.await_begun(command.id)
    return worker, command


def test_i31_rolling_stops_under_load_lose_and_count_nothing(rigs: Callable[[str], Rig], tally: OpenTally) -> None:
    row = tally("I31 workers stopped one after the other under load lose nothing")
    chance = random.Random(31)  # noqa: S311 - spreads the stops, guards nothing
    for database in databases():
        rig = rigs(database)
        worker = rig.start(threads=4)
        for turn in range(scale(3, slice_=1)):
            with row.case(f"stop {turn + 1} on {database}"):
                commands = [rig.ask("nothing") for _ in range(scale(40, slice_=20))]
                done = chance.randrange(1, 12)
                wait_until(lambda: _count_done(rig, commands) >= done, what="some are done")  # noqa: B023 - asked at once
                _drain(worker)
                left = len(commands) - _count_done(rig, commands)
                for command in commands:
                    _check_uncounted(rig, command)
                worker = rig.start(threads=4)
                for command in commands:
                    check_done(rig, command)
                row.figures["left by the last"] = f"{left} of {len(commands)}"
    row.check()


def _count_done(rig: Rig, commands: list[Command]) -> int:
    return sum(rig.command(command).phase is Phase.SUCCEEDED for command in commands)
