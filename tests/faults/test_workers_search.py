"""Searches whose workers come to grief: a lost one costs the trial that it ran, and no process is left.

The workers, the trainer and the runner are the real ones; the script's project, environment and runs are in folders.
"""

import signal
from collections.abc import Callable

import pytest

from gitops.records import Training
from gitops.trials import Trial
from tests.faults.tally import Tally, choose
from tests.faults.workers_rig import Rig, Worker, on_databases, rigs, survivors, wait_until

__all__ = ["rigs"]

pytestmark = pytest.mark.timeout(1200)  # everything, on a busy machine

OpenTally = Callable[[str], Tally]

_SEARCH = """
search:
  objective: {metric: accuracy}
  max_parallel: 2
  space: {depth: {min: 1, max: 4}}
"""
# The deeper, the better: trial 4 is the best.
_WELL = "finish('0.9' + sys.argv[-1])\n"


def _start(rig: Rig, *, threads: int = 2) -> Worker:
    """Start a worker with so many places, of which a look at the control queue takes one for a moment."""
    return rig.start(queues="control,training", threads=threads)


def _trials(rig: Rig, training: Training) -> list[Trial]:
    return list(rig.store.trials(training.id))


def _check(rig: Rig, training: Training, *, begun: tuple[int, ...], losses: tuple[int, ...]) -> None:
    """Check that the best trial was chosen, how often each was begun and lost, and that nothing is left of any."""
    over = rig.end_training(training, seconds=180)
    assert (over.phase, over.facts.trial) == ("Succeeded", 4), over.message
    trials = _trials(rig, training)
    assert [trial.phase for trial in trials] == ["Succeeded"] * 4
    assert tuple(len(rig.begun(trial.id)) for trial in trials) == begun
    assert tuple(trial.facts.losses or 0 for trial in trials) == losses
    wait_until(lambda: not any(map(survivors, trials)), what="no process survives")
    for trial, times in zip(trials, begun, strict=True):
        for number in range(1, times + 1):
            assert len(rig.outside.notes("run", f"{trial.id}/{number}")) == 1, f"run {number} was not made once"
            said = "succeeded" if number == times else "failed"
            assert rig.outside.notes(said, f"{trial.id}/{number}"), f"run {number} has not {said}"
    assert len(rig.outside.notes("run", f"{training.id}/1")) == 1


def _one_worker_is_enough(rig: Rig) -> None:
    """The search itself takes no place of a worker: with one place, the trials have it."""
    _start(rig, threads=1)
    _check(rig, rig.train(_WELL, search=_SEARCH), begun=(1, 1, 1, 1), losses=(0, 0, 0, 0))


def _worker_killed(rig: Rig) -> None:
    first = _start(rig)
    training = rig.train("if is_first() and sys.argv[-1] == '2': hang()\n" + _WELL, search=_SEARCH)
    rig.await_begun(f"{training.id}.2")
    _start(rig)
    first.kill()
    over = rig.end_training(training, seconds=180)
    assert over.facts.trial == 4, over.message
    # Of the others that it ran at that moment, each may have been begun twice.
    assert len(rig.begun(f"{training.id}.2")) == 2
    assert len(rig.begun(training.id)) == 0
    assert max(len(rig.begun(trial.id)) for trial in _trials(rig, training)) == 2
    wait_until(lambda: not any(map(survivors, _trials(rig, training))), what="no process survives")


def _every_trial_loses_its_worker_once(rig: Rig) -> None:
    """Four workers are lost, twice as many as one training may lose."""
    worker = _start(rig, threads=1)
    training = rig.train(
        "if is_first(): hang()\n" + _WELL, search=_SEARCH.replace("max_parallel: 2", "max_parallel: 1")
    )
    for number in (1, 2, 3, 4):
        rig.await_begun(f"{training.id}.{number}")
        successor = _start(rig, threads=1)
        worker.kill()
        worker = successor
    over = rig.end_training(training, seconds=180)
    assert (over.phase, over.facts.trial) == ("Succeeded", 4), over.message
    assert [trial.facts.attempt for trial in _trials(rig, training)] == [2, 2, 2, 2]
    wait_until(lambda: not any(map(survivors, _trials(rig, training))), what="no process survives")


def _worker_drained(rig: Rig) -> None:
    first = _start(rig, threads=1)
    training = rig.train("if is_first() and sys.argv[-1] == '1': hang()\n" + _WELL, search=_SEARCH)
    rig.await_begun(f"{training.id}.1")
    first.signal(signal.SIGTERM)
    assert first.wait(30) == 0
    assert survivors(_trials(rig, training)[0]) == []
    _start(rig, threads=1)
    _check(rig, training, begun=(2, 1, 1, 1), losses=(0, 0, 0, 0))


def _called_off(rig: Rig) -> None:
    _start(rig, threads=3)
    training = rig.train("hang()\n", search=_SEARCH)
    for number in (1, 2):
        rig.await_begun(f"{training.id}.{number}")
    rig.end(rig.ask("cancel", training=training.id, reason="wrong data"))
    over = rig.training(training)
    assert (over.phase, over.message) == ("Cancelled", "mona called it off: wrong data")
    trials = _trials(rig, training)
    assert [(trial.number, trial.phase) for trial in trials] == [(1, "Cancelled"), (2, "Cancelled")]
    wait_until(lambda: not any(map(survivors, trials)), what="no process survives it", seconds=20)
    for key in (f"{training.id}/1", f"{training.id}.1/1", f"{training.id}.2/1"):
        wait_until(lambda key=key: rig.outside.notes("killed", key), what=f"{key} is ended as killed")  # type: ignore[misc]
    # And the workers go on.
    _check(rig, rig.train(_WELL, search=_SEARCH), begun=(1, 1, 1, 1), losses=(0, 0, 0, 0))
    assert _trials(rig, training) == trials


CASES: dict[str, Callable[[Rig], None]] = {
    "one worker with one place has all of it": _one_worker_is_enough,
    "one of its workers is killed": _worker_killed,
    "every trial loses its worker once": _every_trial_loses_its_worker_once,
    "its worker is drained": _worker_drained,
    "a person calls it off": _called_off,
}


def test_a_lost_worker_costs_a_search_one_trial_and_no_process_survives(
    rigs: Callable[[str], Rig], tally: OpenTally
) -> None:
    row = tally("I9 a lost worker costs a search one trial, and no process survives it")
    for database, name in choose(on_databases(*CASES), of=5):
        with row.case(f"{name} on {database}"):
            CASES[name](rigs(database))
    row.check()
