"""The process in which a training lives: starts it, watches its tree of processes, and ends all of it.

Started as `python -P -m workers.runner` by a trainer, in an empty folder and with an empty environment. The job comes
as one JSON line on standard input, which then stays open: its end means that the worker is gone, or wants the end, and
silence on it that the worker is stopped, so that another one has the training by now.
The result goes as one JSON line to standard output. This keeps a worker in order, and mistakes in training code away
from it; it is no boundary against hostile code, which runs as the same user.
"""

import ctypes
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gitops.ends import End
from gitops.trainers import processes
from gitops.trainers.redaction import Redactor
from gitops.trainers.wire import RunnerJob, RunnerRecord, RunnerResult
from workers.runner_log import TrainingLog

# Seconds between two looks at the tree.
_PACE = 0.1
_PATIENCE = 30.0
_ADOPTS = sys.platform == "linux"
_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
# The training yields to the process that watches it, and the kernel takes it first when memory runs out.
_NICENESS = 5
_OOM_SCORE = "500"


class Runner:
    """One training: its first process, and what its tree has used.

    Args:
        job: what to run.
        log: where its output goes.
    """

    def __init__(self, job: RunnerJob, log: TrainingLog) -> None:
        self._job = job
        self._started = time.monotonic()
        self._peak = 0
        self._status: int | None = None
        self._asked_to_end = False
        self._heard = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_end)
        self._child = _start(job, log)

    def run(self) -> RunnerResult:
        """Watch until the training ends or must end, end every process of it, and say how it went."""
        while (end := self._look()) is None:
            self._pause()
        seconds = time.monotonic() - self._started
        processes.end_all(self._tree, reap=self._reap, patience=_PATIENCE)
        self._reap()
        code = os.waitstatus_to_exitcode(self._status) if self._status is not None else -signal.SIGKILL
        self._child.returncode = code  # collected by us; Popen must not wait for it
        return RunnerResult(end=end, exit_code=code, seconds=seconds, peak_memory=max(self._peak, _largest_child()))

    def _look(self) -> End | None:
        self._reap()
        if self._status is not None:
            return End.EXITED
        tree = self._tree()
        memory = sum(process.memory for process in tree)
        self._peak = max(self._peak, memory)
        if 0 < self._job.memory < memory:
            return End.OUT_OF_MEMORY
        if 0 < self._job.tasks < sum(process.threads for process in tree):
            return End.TOO_MANY_TASKS
        if time.monotonic() - self._started > self._job.timeout:
            return End.TIMED_OUT
        return End.LOST if self._asked_to_end else None

    def _tree(self) -> Sequence[processes.Process]:
        everybody = processes.snapshot()
        tree = processes.descendants(os.getpid(), everybody)
        if _ADOPTS:
            return tree
        known = {process.pid for process in tree}
        strays = processes.carriers(str(self._job.scratch), everybody) if self._status is not None else []
        return [*tree, *(process for process in strays if process.pid not in known)]

    def _reap(self) -> None:
        """Collect dead children: the first one's status is kept, the orphans that came to us only leave the table."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._child.pid:
                    self._status = status

    def _pause(self) -> None:
        """Wait for the next look, or for the end of standard input."""
        if self._asked_to_end:
            return
        readable, _, _ = select.select([0], [], [], _PACE)
        if readable:
            self._heard = time.monotonic()
            self._asked_to_end = not os.read(0, 4096)
        elif time.monotonic() - self._heard > self._job.silence:
            self._asked_to_end = True

    def _ask_to_end(self, number: int, frame: object) -> None:
        del number, frame
        self._asked_to_end = True


def main() -> int:
    """Read the job, run it, and print the result."""
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    job = RunnerJob.from_line(line)
    _adopt_orphans()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _record(job)
    with TrainingLog(job.log, Redactor(job.secrets.values())) as log:
        result = Runner(job, log).run()
        if result.end is not End.EXITED:
            log.note(f"ended after {result.seconds:.1f} s: {result.end}")
    with suppress(BrokenPipeError):
        os.write(1, result.to_line() + b"\n")
    return 0


def _start(job: RunnerJob, log: TrainingLog) -> subprocess.Popen[bytes]:
    """Start the command as MLflow does, in a session of its own: `kill 0` in it does not reach us."""
    child = subprocess.Popen(  # noqa: S603 - the repository's command; running it is what this process is for
        [shutil.which("bash") or "/bin/sh", "-c", job.command],
        cwd=job.checkout,
        env=_environment(job),
        stdin=subprocess.DEVNULL,
        stdout=log.write_end,
        stderr=log.write_end,
        start_new_session=True,
    )
    log.close_write_end()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, child.pid, _NICENESS)
        Path(f"/proc/{child.pid}/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    return child


def _environment(job: RunnerJob) -> dict[str, str]:
    """Return all that the training's processes get; nothing is inherited but the folders of PATH that are not ours."""
    folders = {"HOME": job.scratch / "home", "TMPDIR": job.scratch / "tmp"}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
    ours = Path(sys.executable).parent
    path = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part and Path(part) != ours]
    return {
        # Written as it is printed: what sits in a buffer is lost when a training is killed.
        "PYTHONUNBUFFERED": "1",
        **job.variables,
        **job.secrets,
        **{name: str(folder) for name, folder in folders.items()},
        "PATH": os.pathsep.join([str(job.python.parent), *path]),
        "LANG": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8",
    }


def _adopt_orphans() -> None:
    """Become the parent of every process in the tree that loses its own (Linux, prctl(2)): none can slip away."""
    if _ADOPTS:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _record(job: RunnerJob) -> None:
    """Say who we are before anything starts, so that a reaper can end exactly us."""
    ourselves = processes.find(os.getpid())
    if ourselves is None:
        raise AssertionError("we are alive")
    record = RunnerRecord(pid=ourselves.pid, started=ourselves.started, scratch=job.scratch)
    new = job.record.with_suffix(".new")
    new.write_bytes(record.to_line())
    new.replace(job.record)


def _largest_child() -> int:
    """Return the peak of the largest process in bytes: one that came and went between two looks counts too."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


if __name__ == "__main__":
    sys.exit(main())
