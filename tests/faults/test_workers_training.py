"""Trainings whose worker, runner or script comes to grief: each ends with a named reason, and no process is left.

The worker, the trainer and the runner are the real ones; the script's project, environment and runs are in folders.
"""

import signal
from collections.abc import Callable

import pytest

from gitops.records import Training
from gitops.steps import Phase
from tests.faults.freezing import freeze
from tests.faults.tally import Tally, choose
from tests.faults.workers_rig import Rig, Worker, on_databases, rigs, survivors, wait_until

__all__ = ["rigs"]

pytestmark = pytest.mark.timeout(1200)  # everything, on a busy machine

OpenTally = Callable[[str], Tally]

# Leaves the tree as a daemon does: forks, makes a session, forks again; the middle process ends at once.
_DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        tell("daemon")
        hang()
    os._exit(0)
os.wait()
"""
_FIRST_HANGS = _DAEMON + "if is_first(): hang()\nfinish()\n"
_ALWAYS_HANGS = _DAEMON + "hang()\n"


def _start(rig: Rig, *, memory: int = 0, tasks: int = 0, threads: int = 2) -> Worker:
    limits = {"TRAINING_MEMORY": str(memory), "TRAINING_TASKS": str(tasks)}
    return rig.start(queues="control,training", threads=threads, ready=True, **limits)


def _check(rig: Rig, training: Training, end: str, *, attempts: int, losses: int = 0) -> None:
    """Check how a training ended, that nothing is left of it, and that each of its attempts had one run."""
    over = rig.end_training(training)
    assert (f"{over.phase} {over.reason}".strip(), over.facts.losses or 0) == (end, losses), over.message
    wait_until(lambda: not survivors(training), what="no process survives")
    assert len(rig.begun(training.id)) == attempts
    for number in range(1, attempts + 1):
        assert len(rig.outside.notes("run", f"{training.id}/{number}")) == 1, f"run {number} was not made once"
    last = "succeeded" if over.phase is not Phase.ERRORED else "failed"
    ends = ["failed"] * (attempts - 1) + [last]
    for number, said in enumerate(ends, start=1):
        assert rig.outside.notes(said, f"{training.id}/{number}"), f"run {number} has not {said}"


# ------------------------------------------------------------ infrastructure


def _worker_killed(rig: Rig) -> None:
    first = _start(rig)
    training = rig.train(_FIRST_HANGS)
    rig.await_begun(training.id)
    _start(rig)
    first.kill()
    _check(rig, training, "Succeeded", attempts=2)


def _worker_killed_twice(rig: Rig) -> None:
    worker = _start(rig)
    training = rig.train(_ALWAYS_HANGS)
    for time in (1, 2):
        rig.await_begun(training.id, time)
        successor = _start(rig)
        worker.kill()
        worker = successor
    _check(rig, training, "Errored WorkerLost", attempts=2, losses=2)


def _worker_and_runner_killed(rig: Rig) -> None:
    first = _start(rig)
    training = rig.train(_FIRST_HANGS)
    rig.await_begun(training.id)
    wait_until(lambda: rig.outside.notes("daemon", training.id), what="the daemon is there")
    runner = rig.runner_of(training)
    first.signal(signal.SIGSTOP)
    runner.kill()
    first.kill()
    _start(rig)
    _check(rig, training, "Succeeded", attempts=2)


def _runner_killed(rig: Rig) -> None:
    _start(rig)
    training = rig.train(_FIRST_HANGS)
    rig.await_begun(training.id)
    rig.runner_of(training).kill()
    _check(rig, training, "Succeeded", attempts=2, losses=1)


def _runner_killed_twice(rig: Rig) -> None:
    _start(rig)
    training = rig.train(_ALWAYS_HANGS)
    for time in (1, 2):
        rig.await_begun(training.id, time)
        rig.runner_of(training).kill()
    _check(rig, training, "Errored WorkerLost", attempts=2, losses=2)


def _worker_stopped(rig: Rig) -> None:
    first = _start(rig)
    training = rig.train(_FIRST_HANGS)
    rig.await_begun(training.id)
    freeze(first.signal, rig.folder / "home")
    _start(rig)
    _check(rig, training, "Succeeded", attempts=2)
    over = rig.training(training)
    first.signal(signal.SIGCONT)
    wait_until(lambda: "is no longer held" in first.said, what="the stopped worker notices")
    assert rig.training(training) == over


def _worker_stopped_alone(rig: Rig) -> None:
    """Nobody else is there to look for the training's processes: the runner hears nothing more, and ends them."""
    first = _start(rig, threads=1)
    training = rig.train(_FIRST_HANGS)
    rig.await_begun(training.id)
    freeze(first.signal, rig.folder / "home")
    wait_until(lambda: not survivors(training), what="the runner ends the training of a silent worker")
    first.signal(signal.SIGCONT)
    _check(rig, training, "Succeeded", attempts=2, losses=1)


# ------------------------------------------------------------ drains


def _drained(rig: Rig) -> None:
    first = _start(rig)
    training = rig.train(_FIRST_HANGS)
    rig.await_begun(training.id)
    first.signal(signal.SIGTERM)
    assert first.wait(30) == 0
    assert survivors(training) == []
    waits = rig.training(training)
    assert (waits.reason, waits.facts.attempt, waits.facts.losses) == ("HandedBack", 1, 0)
    _start(rig)
    _check(rig, training, "Succeeded", attempts=2)


def _drained_twice_and_killed(rig: Rig) -> None:
    """Two drains and one loss are one loss: the fourth attempt may still succeed."""
    training = rig.train(_DAEMON + "if os.environ['ATTEMPT'][-1] in '123': hang()\nfinish()\n")
    for attempt, number in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM), start=1):
        worker = _start(rig)
        rig.await_begun(training.id, attempt)
        worker.signal(number)
        worker.wait(30)
    _start(rig)
    _check(rig, training, "Succeeded", attempts=4, losses=1)


def _drained_when_almost_done(rig: Rig) -> None:
    first = _start(rig)
    training = rig.train("time.sleep(1)\nfinish()\n")
    rig.await_begun(training.id)
    first.signal(signal.SIGTERM)
    assert first.wait(30) == 0
    assert rig.training(training).facts.exit_code == 0
    _start(rig)
    _check(rig, training, "Succeeded", attempts=1)


# ------------------------------------------------------------ a person


def _called_off(rig: Rig) -> None:
    """With the lease that everybody has: its worker hears of it long before the next heartbeat."""
    worker = rig.start(queues="control,training", threads=2, ready=True, LEASE="60s")
    training = rig.train(_ALWAYS_HANGS)
    rig.await_begun(training.id)
    wait_until(lambda: rig.outside.notes("daemon", training.id), what="the daemon is there")
    rig.end(rig.ask("cancel", training=training.id, reason="wrong data"))
    over = rig.training(training)
    assert (over.phase, over.reason, over.message) == ("Cancelled", "Cancelled", "mona called it off: wrong data")
    wait_until(lambda: not survivors(training), what="no process survives it", seconds=8)
    wait_until(lambda: "is no longer held" in worker.said, what="its worker lets go of it")
    wait_until(lambda: rig.outside.notes("killed", f"{training.id}/1"), what="its run is ended as killed")
    assert rig.outside.notes("failed", f"{training.id}/1") == []
    assert rig.training(training) == over
    # And the worker goes on.
    _check(rig, rig.train("finish()\n"), "Succeeded", attempts=1)


def _called_off_when_its_worker_is_gone(rig: Rig) -> None:
    """Nobody is left to hear of it but the runner, which has ended; whoever comes next finds nothing to do."""
    first = _start(rig)
    training = rig.train(_ALWAYS_HANGS)
    rig.await_begun(training.id)
    first.kill()
    wait_until(lambda: not survivors(training), what="the runner ends the training of a lost worker")
    second = rig.start(queues="control", threads=2, ready=True)
    rig.end(rig.ask("cancel", training=training.id))
    _start(rig)
    wait_until(lambda: rig.outside.notes("killed", f"{training.id}/1"), what="its run is ended as killed")
    over = rig.training(training)
    assert (over.phase, over.message) == ("Cancelled", "mona called it off")
    assert len(rig.begun(training.id)) == 1
    assert not second.is_over


# ------------------------------------------------------------ the script


def _ends(script: str, end: str, *, timeout: str = "10m", memory: int = 0, tasks: int = 0) -> Callable[[Rig], None]:
    """Return a case in which nothing but the script is at fault, so that it runs once."""

    def run(rig: Rig) -> None:
        _start(rig, memory=memory, tasks=tasks)
        _check(rig, rig.train(script, timeout=timeout), end, attempts=1)

    return run


CASES: dict[str, Callable[[Rig], None]] = {
    "its worker is killed": _worker_killed,
    "its worker is killed twice": _worker_killed_twice,
    "its worker and its runner are killed": _worker_and_runner_killed,
    "its runner is killed": _runner_killed,
    "its runner is killed twice": _runner_killed_twice,
    "its worker is stopped, another one takes over": _worker_stopped,
    "its worker is stopped, nobody takes over": _worker_stopped_alone,
    "its worker is drained": _drained,
    "its workers are drained, killed and drained": _drained_twice_and_killed,
    "its worker is drained and it ends in time": _drained_when_almost_done,
    "a person calls it off": _called_off,
    "a person calls it off when its worker is gone": _called_off_when_its_worker_is_gone,
    "it eats memory": _ends(
        _DAEMON + "hoard = []\nwhile True: hoard.append(b'x' * (8 << 20)); time.sleep(0.01)\n",
        "Errored OutOfMemory",
        memory=256 << 20,
    ),
    # Should ending it ever fail, it stops growing by itself after half a second.
    "it is a fork bomb": _ends(
        "end = time.monotonic() + 0.5\nwhile time.monotonic() < end: os.fork()\nhang()\n",
        "Errored TooManyProcesses",
        tasks=100,
    ),
    "it sleeps for ever": _ends(_ALWAYS_HANGS, "Errored TrainingTimedOut", timeout="2s"),
    "it ignores being asked to end": _ends(
        "for number in (15, 1, 2): signal.signal(number, signal.SIG_IGN)\nhang()\n",
        "Errored TrainingTimedOut",
        timeout="2s",
    ),
    "it exits with 0 and no model": _ends("", "Refused NoModel"),
    "it fails": _ends(_DAEMON + "sys.exit(3)\n", "Errored TrainingFailed"),
    "it leaves a daemon behind": _ends(_DAEMON + "finish()\n", "Succeeded"),
    "it dies of a signal": _ends("os.kill(os.getpid(), 9)\n", "Errored TrainingFailed"),
}


def test_i9_every_training_ends_with_a_named_reason_and_no_process_survives(
    rigs: Callable[[str], Rig], tally: OpenTally
) -> None:
    row = tally("I9 every training ends with a named reason, and no process survives it")
    for database, name in choose(on_databases(*CASES)):
        with row.case(f"{name} on {database}"):
            CASES[name](rigs(database))
    row.check()
