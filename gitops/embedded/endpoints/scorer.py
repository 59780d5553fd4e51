"""One scorer: MLflow's scoring app under uvicorn, in the configuration's own Python environment and session.

It outlives this host on purpose. Nothing of the host's environment reaches it but a short list of names.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections import deque
from pathlib import Path

import psutil

from gitops.embedded.endpoints.state import Process
from gitops.failpoints import failpoint
from gitops.serving import Configuration

_APP = "mlflow.pyfunc.scoring_server.app:app"
_LOG_LIMIT = 64 * 1024 * 1024
_TAIL_LINES = 40
_TAIL_BYTES = 64 * 1024
_LINE_LIMIT = 500
_INHERITED = (
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CUDA_VISIBLE_DEVICES",
)


def start_scorer(configuration: Configuration, folder: Path) -> tuple[Process, subprocess.Popen[bytes]]:
    """Start a configuration's scorer and return at once; it answers `/ping` when its model is loaded.

    Args:
        folder: the configuration's own; gets `scorer.log` and the empty folder that the scorer starts in.

    Raises:
        OSError: when the interpreter cannot be started.
    """
    start_folder = folder / "empty"
    start_folder.mkdir(parents=True, exist_ok=True)
    failpoint("endpoint_host.start_scorer.before")
    # Bound here and listening there: until the model is loaded a connection is refused, not left waiting.
    with socket.socket() as listener, (folder / "scorer.log").open("ab") as log:
        # asyncio sets this only on sockets whose family it knows, and uvicorn says AF_UNIX of what it inherits:
        # without it every answer waits 40 ms for a delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        child = subprocess.Popen(  # noqa: S603 - the interpreter of an environment that we built, fixed arguments
            _command(configuration.python, listener.fileno()),
            cwd=start_folder,
            env=_environment(configuration, folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(listener.fileno(),),
            start_new_session=True,
        )
    failpoint("endpoint_host.start_scorer.after")
    try:
        return Process(child.pid, psutil.Process(child.pid).create_time(), port), child
    except psutil.Error as error:
        child.kill()
        raise OSError(f"the interpreter ended at once with exit code {child.wait()}") from error


def _command(python: Path, descriptor: int) -> list[str]:
    # Connections are kept longer than the proxy keeps them, so that the proxy never writes into a closing one.
    options = ["--fd", str(descriptor), "--no-access-log", "--timeout-keep-alive", "75"]
    return [str(python), "-m", "uvicorn", *options, "--timeout-graceful-shutdown", "2", _APP]


def _environment(configuration: Configuration, folder: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {
        "PATH": f"{configuration.python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONUNBUFFERED": "1",
        # Byte code written into the model's folder would be an added file at the next check.
        "PYTHONDONTWRITEBYTECODE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # The name that MLflow's own `models serve` passes the model's folder by.
        "__pyfunc_model_path__": configuration.model_dir.as_uri(),
    }


def is_alive(process: Process) -> bool:
    """Return whether this very process still runs; another one that got its number is not it."""
    try:
        found = psutil.Process(process.pid)
        # Clocks are stepped; two processes do not get one number within the same two seconds.
        is_same = abs(found.create_time() - process.started) < 2.0  # noqa: PLR2004 - said above
        return is_same and found.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.Error:
        return False


def end_scorer(process: Process, *, grace: float) -> None:
    """End a scorer with everything it started, and return when it is gone.

    Args:
        grace: seconds between asking and killing; 0 kills at once.
    """
    tree = _descendants(process)
    if grace and is_alive(process):
        _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while is_alive(process) and time.monotonic() < deadline:
            time.sleep(0.02)
    _signal_group(process, signal.SIGKILL)
    for child in tree:
        with contextlib.suppress(psutil.Error):
            child.kill()
    deadline = time.monotonic() + 2.0
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.01)


def _descendants(process: Process) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True) if is_alive(process) else []
    except psutil.Error:
        return []


def _signal_group(process: Process, number: signal.Signals) -> None:
    """Signal the scorer's group; what a dead scorer left behind in it is reached as well."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if abs(psutil.Process(process.pid).create_time() - process.started) >= 2.0:  # noqa: PLR2004 - see is_alive
            return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def end_strays(home: Path, *, known: frozenset[int]) -> list[int]:
    """End scorers that run in our folders and are in no record: the host died between start and save.

    Args:
        known: recorded scorers; those younger than this process are its own.
    """
    ended = []
    born = psutil.Process().create_time()
    for found in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if found.pid in known or found.create_time() > born or _APP not in found.cmdline():
                continue
            if home not in Path(found.cwd()).parents:
                continue
            end_scorer(Process(found.pid, found.create_time(), 0), grace=0)
            ended.append(found.pid)
    return ended


def read_tail(folder: Path) -> tuple[str, ...]:
    """Return the last lines of a scorer's log, with control characters shown."""
    try:
        with (folder / "scorer.log").open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ()
    return tuple(show_controls(line)[:_LINE_LIMIT] for line in deque(lines, maxlen=_TAIL_LINES))


def show_controls(text: str) -> str:
    """Return text in which no character can move a cursor or hide another."""
    return "".join(char if char.isprintable() or char == "\t" else repr(char)[1:-1] for char in text)


def limit_log(folder: Path) -> None:
    """Empty a log that grew past its limit; the scorer appends, so it goes on at the start."""
    log = folder / "scorer.log"
    with contextlib.suppress(OSError):
        if log.stat().st_size > _LOG_LIMIT:
            os.truncate(log, 0)
