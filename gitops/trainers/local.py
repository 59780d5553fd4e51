"""Training on this machine: one runner process for each training, which dies with the worker that started it.

This process only starts it, asks for its lease, and collects. It never runs repository code, and hands the runner
nothing of its own environment but PATH.
"""

import hashlib
import os
import re
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from gitops.disk.space import free_bytes
from gitops.ends import End
from gitops.errors import NotFoundError
from gitops.failpoints import failpoint
from gitops.ports import LOG_PREFIX, Lease, TrainingEnd, TrainingSpec
from gitops.telemetry.tracing import Span, span
from gitops.trainers import processes
from gitops.trainers.wire import RunnerJob, RunnerRecord, RunnerResult

TAIL_LINES = 40
_TAIL_WIDTH = 2000
# Enough of the file's end for the tail: lines longer than the width are cut anyway.
_TAIL_BYTES = 256 * 1024
# What a runner may take beyond the timeout, and after its end was asked for, to end the tree; seconds.
_GRACE = 60.0
# With less than so many bytes free the disk was full: what a training says of it may not have reached its log.
_FULL = 1024 * 1024
_FULL_NOTE = "launchpin: No space left on device when the training ended"
_REAP_PATIENCE = 30.0
_LINE = 4096
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class LocalTrainer:
    """Runs trainings as processes of this machine.

    Args:
        root: our folder for logs, scratch space and the records of who runs.
        poll: seconds between two looks at the lease; at each the runner is told that this process lives.
        silence: seconds after which a runner that is told nothing ends its training.
    """

    def __init__(self, root: Path, *, poll: float = 0.5, silence: float = 60.0) -> None:
        self._root = root.absolute()
        self._poll = poll
        self._silence = silence
        for name in ("logs", "scratch", "trainings", "empty"):
            (self._root / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def run(self, spec: TrainingSpec, *, lease: Lease) -> TrainingEnd:
        """Run to the end; no process of the tree is alive when it returns. Ends the tree when the lease is lost.

        Raises:
            NotFoundError: `NoCheckout` when the folder to start in is not there.
        """
        if not spec.checkout.is_dir():
            raise NotFoundError("NoCheckout", f"the checkout of training {spec.training_id} is gone")
        self.reap(spec.training_id)
        log = self.log_path(spec.training_id, spec.attempt)
        job = self._job(spec, log)
        started = time.monotonic()
        try:
            failpoint("training_process.before")
            with span("training process", {"training": spec.training_id, "attempt": spec.attempt}) as told:
                with self._runner(job) as runner:
                    failpoint("training_process.after")
                    result = self._attend(runner, lease=lease, deadline=started + job.timeout + _GRACE)
                _tell(told, result)
            is_full = free_bytes(job.scratch) < _FULL
        finally:
            self.reap(spec.training_id)
            _remove(job.scratch)
        seconds = time.monotonic() - started
        lost = RunnerResult(end=End.LOST, exit_code=runner.returncode, seconds=seconds, peak_memory=0)
        return _end(result or lost, log, note=_FULL_NOTE if is_full else "")

    def reap(self, training_id: str) -> None:
        """End whatever an earlier attempt on this machine may have left running, and remove its scratch folder."""
        path = self._record_path(training_id)
        try:
            record = RunnerRecord.from_line(path.read_bytes())
        except FileNotFoundError:
            return
        _end_remains(record)
        _remove(record.scratch)
        path.unlink(missing_ok=True)

    def log_path(self, training_id: str, attempt: int) -> Path:
        """Return where the log of an attempt is written while it runs."""
        return self._root / "logs" / f"{_checked(training_id)}-{attempt:d}.log"

    def _record_path(self, training_id: str) -> Path:
        return self._root / "trainings" / f"{_checked(training_id)}.json"

    def _job(self, spec: TrainingSpec, log: Path) -> RunnerJob:
        scratch = Path(tempfile.mkdtemp(prefix="", dir=self._root / "scratch"))
        log.unlink(missing_ok=True)
        log.touch(mode=0o600)
        return RunnerJob(
            checkout=spec.checkout.absolute(),
            command=spec.command,
            python=spec.python,
            variables=dict(spec.variables),
            secrets=dict(spec.secrets),
            timeout=spec.timeout.total_seconds(),
            silence=self._silence,
            memory=spec.memory,
            tasks=spec.tasks,
            log=log,
            scratch=scratch,
            record=self._record_path(spec.training_id),
        )

    @contextmanager
    def _runner(self, job: RunnerJob) -> Iterator[subprocess.Popen[bytes]]:
        """Start the runner; its standard input stays open, and closing it is the order to end the tree.

        It starts in an empty folder with `-P`: a folder named `workers` or `gitops` elsewhere cannot replace ours.
        """
        with job.log.open("ab") as complaints:
            runner = subprocess.Popen(
                [sys.executable, "-P", "-m", "workers.runner"],
                cwd=self._root / "empty",
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
            )
        with runner:
            try:
                with suppress(BrokenPipeError):
                    _pipe(runner.stdin).write(job.to_line() + b"\n")
                    _pipe(runner.stdin).flush()
                yield runner
            finally:
                self._dismiss(runner)

    def _attend(self, runner: subprocess.Popen[bytes], *, lease: Lease, deadline: float) -> RunnerResult | None:
        """Wait for the result; None when the runner died without one.

        Its output is waited for, and ends with it: to ask for its status would be to ask again and again.
        """
        output, line = _pipe(runner.stdout), b""
        while True:
            if not lease.is_held() or time.monotonic() > deadline:
                self._dismiss(runner)
            _say_alive(runner)
            if select.select([output], [], [], self._poll)[0]:
                part = os.read(output.fileno(), _LINE)
                if not part:
                    break
                line += part
        return RunnerResult.from_line(line) if line.endswith(b"\n") else None

    def _dismiss(self, runner: subprocess.Popen[bytes]) -> None:
        """Let the runner end its tree and itself; kill it when it does not."""
        with suppress(BrokenPipeError):
            _pipe(runner.stdin).close()
        try:
            runner.wait(_GRACE)
        except subprocess.TimeoutExpired:
            runner.kill()
            runner.wait()


def _say_alive(runner: subprocess.Popen[bytes]) -> None:
    """Write a byte, unless the runner does not read: a stopped one must not stop this process, too."""
    pipe = _pipe(runner.stdin)
    if pipe.closed:
        return  # it was told to end
    os.set_blocking(pipe.fileno(), False)
    with suppress(BrokenPipeError, BlockingIOError):
        os.write(pipe.fileno(), b"\n")


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise AssertionError("opened as a pipe above")
    return end


def _checked(training_id: str) -> str:
    """Return the id; it becomes part of paths."""
    if not _SAFE_ID.fullmatch(training_id):
        raise ValueError(f"not a training id: {training_id!r}")
    return training_id


def _end_remains(record: RunnerRecord) -> None:
    """End the tree first, then its runner: killed first, it would let its children out of the tree."""
    runner = processes.find(record.pid)
    known = runner if runner and runner.started == record.started else None

    def members() -> Sequence[processes.Process]:
        everybody = processes.snapshot()
        tree = processes.descendants(record.pid, everybody) if known else []
        strays = processes.carriers(str(record.scratch), everybody)
        return [*{process.pid: process for process in (*tree, *strays) if process.pid != record.pid}.values()]

    def runner_itself() -> Sequence[processes.Process]:
        still = processes.find(record.pid)
        return [still] if still and still.started == record.started else []

    for find in (members, runner_itself, members):
        processes.end_all(find, reap=lambda: None, patience=_REAP_PATIENCE)


def _end(result: RunnerResult, log: Path, *, note: str) -> TrainingEnd:
    with log.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()[-TAIL_LINES:]
    lines += [note] if note else []
    return TrainingEnd(
        end=result.end,
        exit_code=result.exit_code,
        seconds=result.seconds,
        peak_memory=result.peak_memory,
        tail=tuple(LOG_PREFIX.sub("", line)[:_TAIL_WIDTH] for line in lines),
        log=log,
        log_sha256=digest,
    )


def _tell(told: Span, result: RunnerResult | None) -> None:
    end = result.end if result else End.LOST
    told.note(end=end.value, exit_code=result.exit_code if result else -1)
    if end is not End.EXITED or (result and result.exit_code):
        told.fail(end.value)


def _remove(folder: Path) -> None:
    """Remove a scratch folder, folders in it that were made read-only included."""

    def unlock_and_retry(function: Callable[[str], object], path: str, _: object) -> None:
        with suppress(OSError):
            Path(path).parent.chmod(stat.S_IRWXU)
            Path(path).chmod(stat.S_IRWXU, follow_symlinks=False)
        with suppress(OSError):
            function(path)

    # onexc came with Python 3.12; one retry removes a locked file, the second walk what lay in a locked folder.
    for _ in range(2):
        shutil.rmtree(folder, onerror=unlock_and_retry)
