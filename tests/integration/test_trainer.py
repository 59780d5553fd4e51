"""How a training ends, for real processes: every ending is named, and nothing of the tree is left alive."""

import hashlib
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.errors import NotFoundError
from gitops.failpoints import FailpointError, arm
from gitops.ports import End, Trainer
from gitops.trainers import processes
from gitops.trainers.local import LocalTrainer
from tests.support.training import HeldLease, is_alive, make_spec, pids_in, wait_until, write_script

# Says its process id, and those of the processes it starts, in a file of the checkout.
SAY = "import os, sys, time\ndef say():\n    open('pids', 'a').write(f'{os.getpid()}\\n')\n"
# Leaves the tree as a daemon does: forks, makes a session, forks again; the middle process ends at once.
DAEMON = SAY + textwrap.dedent(
    """
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            say()
            time.sleep(600)
        os._exit(0)
    os.wait()
    while not os.path.exists('pids'):
        time.sleep(0.01)
    """
)


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return LocalTrainer(tmp_path / "trainer", poll=0.1)


def test_training_exits_0_with_its_log_when_the_command_succeeds(trainer: Trainer, tmp_path: Path) -> None:
    end = trainer.run(make_spec(tmp_path / "checkout", "echo one; echo two >&2; pwd"), lease=HeldLease())

    assert (end.end, end.exit_code) == (End.EXITED, 0)
    assert end.tail == ("one", "two", str(tmp_path / "checkout"))
    assert end.log == trainer.log_path("t1", 1)
    assert end.log_sha256 == hashlib.sha256(end.log.read_bytes()).hexdigest()
    assert end.peak_memory > 0
    assert 0 < end.seconds < 60


def test_training_keeps_the_exit_code_and_the_last_lines_when_the_command_fails(
    trainer: Trainer, tmp_path: Path
) -> None:
    command = write_script(tmp_path / "checkout", "for i in range(100): print('line', i)\nraise SystemExit(3)")

    end = trainer.run(make_spec(tmp_path / "checkout", command), lease=HeldLease())

    assert (end.end, end.exit_code) == (End.EXITED, 3)
    assert end.tail == tuple(f"line {i}" for i in range(60, 100))
    assert b"line 0\n" in end.log.read_bytes()


def test_training_names_the_signal_when_one_ended_the_command(trainer: Trainer, tmp_path: Path) -> None:
    end = trainer.run(make_spec(tmp_path / "checkout", "kill -TERM $$"), lease=HeldLease())

    assert (end.end, end.exit_code) == (End.EXITED, -15)


def test_i9_training_is_timed_out_when_it_hangs(trainer: Trainer, tmp_path: Path) -> None:
    script = SAY + "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay()\nprint('hung')\ntime.sleep(600)"
    spec = make_spec(tmp_path / "checkout", write_script(tmp_path / "checkout", script), timeout=timedelta(seconds=1))

    end = trainer.run(spec, lease=HeldLease())

    assert end.end is End.TIMED_OUT
    assert end.seconds < 10
    assert end.tail[0] == "hung"
    assert "TimedOut" in end.tail[-1]
    (pid,) = pids_in(tmp_path / "checkout" / "pids")
    assert not is_alive(pid)


def test_i9_training_is_out_of_memory_when_its_tree_grows_beyond_the_limit(trainer: Trainer, tmp_path: Path) -> None:
    script = SAY + textwrap.dedent(
        """
        for _ in range(3):
            if os.fork() == 0:
                break
        say()
        hoard = []
        while True:
            hoard.append(b'x' * (4 << 20))
            time.sleep(0.01)
        """
    )
    limit = 256 << 20
    spec = make_spec(tmp_path / "checkout", write_script(tmp_path / "checkout", script), memory=limit)

    end = trainer.run(spec, lease=HeldLease())

    assert end.end is End.OUT_OF_MEMORY
    assert limit < end.peak_memory < 4 * limit
    pids = pids_in(tmp_path / "checkout" / "pids")
    assert len(pids) == 4
    assert not any(map(is_alive, pids))


def test_i9_training_has_too_many_tasks_when_it_is_a_fork_bomb(trainer: Trainer, tmp_path: Path) -> None:
    # Doubles without end; should ending it ever fail, it stops growing by itself after half a second.
    script = "import os, time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: os.fork()\ntime.sleep(600)"
    command = write_script(tmp_path / "checkout", script)
    spec = make_spec(tmp_path / "checkout", command, tasks=100, variables={"MARK": f"bomb {tmp_path}"})

    end = trainer.run(spec, lease=HeldLease())

    assert end.end is End.TOO_MANY_TASKS
    assert "TooManyTasks" in end.tail[-1]
    assert processes.carriers(f"bomb {tmp_path}", processes.snapshot()) == []


def test_i9_training_has_too_many_tasks_when_its_children_leave_its_session(trainer: Trainer, tmp_path: Path) -> None:
    script = SAY + textwrap.dedent(
        """
        for _ in range(300):
            if os.fork() == 0:
                os.setsid()
                say()
                time.sleep(600)
        time.sleep(600)
        """
    )
    spec = make_spec(tmp_path / "checkout", write_script(tmp_path / "checkout", script), tasks=100)

    end = trainer.run(spec, lease=HeldLease())

    pids = pids_in(tmp_path / "checkout" / "pids")
    assert end.end is End.TOO_MANY_TASKS
    assert len(pids) > 50
    assert not any(map(is_alive, pids))


def test_i9_training_has_too_many_tasks_when_its_threads_pass_the_limit(trainer: Trainer, tmp_path: Path) -> None:
    script = "import threading, time\nfor _ in range(80): threading.Thread(target=time.sleep, args=(600,)).start()"
    spec = make_spec(tmp_path / "checkout", write_script(tmp_path / "checkout", script), tasks=50)

    assert trainer.run(spec, lease=HeldLease()).end is End.TOO_MANY_TASKS


@pytest.mark.parametrize("code", [0, 3])
def test_i9_daemon_is_gone_when_the_training_that_left_it_behind_exits(
    trainer: Trainer, tmp_path: Path, code: int
) -> None:
    command = write_script(tmp_path / "checkout", DAEMON + f"sys.exit({code})")

    end = trainer.run(make_spec(tmp_path / "checkout", command), lease=HeldLease())

    (daemon,) = pids_in(tmp_path / "checkout" / "pids")
    assert (end.end, end.exit_code) == (End.EXITED, code)
    assert not is_alive(daemon)


def test_training_is_lost_when_its_lease_is(trainer: Trainer, tmp_path: Path) -> None:
    pids = tmp_path / "checkout" / "pids"
    command = write_script(tmp_path / "checkout", DAEMON + "say()\ntime.sleep(600)")

    end = trainer.run(make_spec(tmp_path / "checkout", command), lease=HeldLease(ends=lambda: len(pids_in(pids)) == 2))

    assert end.end is End.LOST
    assert not any(map(is_alive, pids_in(pids)))


def test_i9_tree_ends_when_the_training_kills_its_runner(trainer: Trainer, tmp_path: Path) -> None:
    command = write_script(tmp_path / "checkout", DAEMON + "say()\nos.kill(os.getppid(), 9)\ntime.sleep(600)")

    end = trainer.run(make_spec(tmp_path / "checkout", command), lease=HeldLease())

    pids = pids_in(tmp_path / "checkout" / "pids")
    assert end.end is End.LOST
    assert len(pids) == 2
    assert not any(map(is_alive, pids))


def start_worker(tmp_path: Path, command: str) -> subprocess.Popen[bytes]:
    """Start a process that runs a training, as a worker does."""
    code = textwrap.dedent(
        f"""
        from pathlib import Path
        from gitops.trainers.local import LocalTrainer
        from tests.support.training import HeldLease, make_spec
        trainer = LocalTrainer(Path({str(tmp_path / "trainer")!r}))
        trainer.run(make_spec(Path({str(tmp_path / "checkout")!r}), {command!r}), lease=HeldLease())
        """
    )
    return subprocess.Popen([sys.executable, "-c", code])


def test_i9_tree_ends_by_itself_when_the_worker_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "checkout" / "pids"
    command = write_script(tmp_path / "checkout", DAEMON + "say()\ntime.sleep(600)")
    with start_worker(tmp_path, command) as worker:
        wait_until(lambda: len(pids_in(pids)) == 2)
        worker.kill()

    wait_until(lambda: not any(map(is_alive, pids_in(pids))), seconds=10)


def test_i9_reap_ends_exactly_the_tree_when_worker_and_runner_were_killed(trainer: Trainer, tmp_path: Path) -> None:
    pids = tmp_path / "checkout" / "pids"
    command = write_script(
        tmp_path / "checkout", DAEMON + "say()\nopen('runner', 'w').write(str(os.getppid()))\ntime.sleep(600)"
    )
    with start_worker(tmp_path, command) as worker, subprocess.Popen(["sleep", "600"]) as bystander:
        wait_until((tmp_path / "checkout" / "runner").exists)
        wait_until(lambda: len(pids_in(pids)) == 2)
        runner = int((tmp_path / "checkout" / "runner").read_text())
        subprocess.run(["kill", "-9", str(worker.pid), str(runner)], check=True)
        wait_until(lambda: not is_alive(runner))
        assert all(map(is_alive, pids_in(pids)))

        trainer.reap("t1")

        assert not any(map(is_alive, pids_in(pids)))
        assert is_alive(bystander.pid)
        bystander.kill()
    assert list((tmp_path / "trainer" / "scratch").iterdir()) == []
    assert list((tmp_path / "trainer" / "trainings").iterdir()) == []


def test_reap_ends_nobody_when_the_process_id_belongs_to_another_process_now(trainer: Trainer, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        record = f'{{"pid": {bystander.pid}, "started": "before", "scratch": "{tmp_path}/trainer/scratch/none"}}'
        (tmp_path / "trainer" / "trainings" / "t1.json").write_text(record)

        trainer.reap("t1")

        assert is_alive(bystander.pid)
        bystander.kill()


def test_reap_does_nothing_when_no_attempt_was_left(trainer: Trainer) -> None:
    trainer.reap("never-ran")


def test_scratch_folder_is_removed_when_the_training_made_parts_of_it_read_only(
    trainer: Trainer, tmp_path: Path
) -> None:
    command = "mkdir -p $HOME/a/b && touch $HOME/a/b/c $TMPDIR/d && chmod -R a-w $HOME"

    end = trainer.run(make_spec(tmp_path / "checkout", command), lease=HeldLease())

    assert end.exit_code == 0
    assert list((tmp_path / "trainer" / "scratch").iterdir()) == []


def test_log_grows_while_the_training_runs_when_it_prints(trainer: Trainer, tmp_path: Path) -> None:
    log = trainer.log_path("t1", 1)
    command = write_script(tmp_path / "checkout", "import time\nprint('first')\ntime.sleep(600)")

    def is_shown() -> bool:
        return log.exists() and b"first" in log.read_bytes()

    assert trainer.run(make_spec(tmp_path / "checkout", command), lease=HeldLease(ends=is_shown)).end is End.LOST


def test_nothing_stays_behind_when_starting_fails(trainer: Trainer, tmp_path: Path) -> None:
    arm("training_process.after=raise")
    try:
        with pytest.raises(FailpointError):
            trainer.run(make_spec(tmp_path / "checkout", "sleep 600"), lease=HeldLease())
    finally:
        arm("")

    assert list((tmp_path / "trainer" / "scratch").iterdir()) == []


def test_training_is_refused_when_its_checkout_is_gone(trainer: Trainer, tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "checkout", "true")
    (tmp_path / "checkout").rmdir()

    with pytest.raises(NotFoundError, match="checkout"):
        trainer.run(spec, lease=HeldLease())


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "a\nb", "-x"])
def test_training_id_is_refused_when_it_could_leave_the_folder(trainer: Trainer, name: str) -> None:
    with pytest.raises(ValueError, match="not a training id"):
        trainer.log_path(name, 1)
