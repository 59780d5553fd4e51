"""Git as a person has it, run in that person's clone with their settings; for the command line alone.

What the service itself asks of repositories goes through `process`, which trusts neither them nor this machine.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gitops.errors import RetryError, StalledError

_PATIENCE = 60.0
# Set inside hooks and by wrappers; they would point git at another repository. What they configure is the person's.
_ELSEWHERE = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    )
)


def run_own_git(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder and return what came of it, whatever that is.

    Args:
        environment: variables beside the person's own.

    Raises:
        StalledError: `NoGit` when there is none.
        RetryError: `GitTimeout` after a minute.
    """
    program = shutil.which("git")
    if program is None:
        raise StalledError("NoGit", "git is not installed: install it, 2.28 or newer")
    own = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    try:
        return subprocess.run(  # noqa: S603 - our own fixed commands
            [program, *arguments],
            cwd=folder,
            env=own | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"} | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RetryError("GitTimeout", f"git did not end within {_PATIENCE:.0f} s") from error
