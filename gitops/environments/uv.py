"""The uv program: started with little of our environment, its failures sorted into ours."""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gitops.disk.space import disk_low, speaks_of_full_disk
from gitops.environments.requirements import UNRESOLVABLE
from gitops.errors import LaunchpinError, RefusedError, RetryError

# Where uv finds its cache, its settings, proxies and certificates; nothing secret of ours.
_PASSED_ON = re.compile(
    r"PATH|HOME|TMPDIR|NETRC|XDG_(CACHE|CONFIG|DATA)_HOME|SSL_CERT_(FILE|DIR)|(https?|no|all)_proxy|UV_.*",
    re.IGNORECASE,
)
_OVERRIDES = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
_LAST_LINES = 15
# How uv says that the index, not the request, was the trouble.
_UNREACHABLE = re.compile(
    r"Failed to fetch|Request failed after|error sending request|dns error|[Cc]onnection (refused|reset)|timed? ?out"
    r"|5\d\d (Internal|Bad Gateway|Service|Gateway)|429 Too Many"
)


class Uv:
    """Runs uv.

    Args:
        program: its path.
        patience: seconds after which a call is ended.
    """

    def __init__(self, program: str, *, patience: float) -> None:
        self._program = program
        self._patience = patience

    def run(self, arguments: Sequence[str | Path], *, folder: Path, held: int | None = None) -> str:
        """Run a command and return its standard output.

        Args:
            folder: where it starts: nothing of the project lies there, so no settings or `.venv` of it are used.
            held: a file descriptor that the process keeps open: a lock on it outlives us as long as uv does.

        Raises:
            RefusedError: `EnvironmentUnresolvable` with uv's last lines.
            RetryError: `IndexUnavailable` or `EnvironmentTimeout`.
            StalledError: `DiskLow`.
        """
        call = subprocess.Popen(  # noqa: S603 - the uv program with arguments of ours
            [self._program, *arguments],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=() if held is None else (held,),
            start_new_session=True,
        )
        with call:
            try:
                output, complaint = call.communicate(timeout=self._patience)
            except subprocess.TimeoutExpired as error:
                raise RetryError("EnvironmentTimeout", f"uv took longer than {self._patience:.0f} s") from error
            finally:
                if call.returncode is None:
                    os.killpg(call.pid, signal.SIGKILL)
        if call.returncode:
            raise _failure(complaint)
        return output


def _environment() -> dict[str, str]:
    passed_on = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    return {**passed_on, **_OVERRIDES}


def _failure(complaint: str) -> LaunchpinError:
    lines = "\n".join([line.rstrip() for line in complaint.splitlines() if line.strip()][-_LAST_LINES:])
    if speaks_of_full_disk(lines):
        return disk_low(lines)
    if _UNREACHABLE.search(lines):
        return RetryError("IndexUnavailable", lines)
    return RefusedError(UNRESOLVABLE, lines)
