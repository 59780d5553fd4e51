"""The few git commands that verbs run in a person's own clone, with that person's git and settings."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gitops.errors import InputError, RetryError, StalledError

_PATIENCE = 60.0
_FALLBACK = {"NAME": "Launchpin", "EMAIL": "launchpin@localhost"}


def run_git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run git in a folder and return what it printed, without the line's end.

    Raises:
        StalledError: `NoGit` when there is none.
        InputError: `git_failed` with git's own words.
        RetryError: `GitTimeout` after a minute.
    """
    answer = _run(folder, arguments, environment or {})
    if answer.returncode:
        raise InputError("git_failed", f"git {arguments[0]}: {_text(answer.stderr) or _text(answer.stdout)}")
    return _text(answer.stdout)


def ask_git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it printed; empty when it says no."""
    answer = _run(folder, arguments, {})
    return "" if answer.returncode else _text(answer.stdout)


def start_repository(folder: Path, message: str) -> None:
    """Make a repository on branch `main` of everything in a new folder."""
    run_git(folder, "init", "--quiet", "--initial-branch", "main")
    run_git(folder, "add", "--all")
    # A first commit of our files asks nobody for a passphrase and runs no hook of the person's.
    arguments = ("-c", "commit.gpgSign=false", "commit", "--quiet", "--no-verify", "--message", message)
    run_git(folder, *arguments, environment=_identity(folder))


def current_branch(folder: Path) -> str:
    """Return the branch that is checked out; empty outside a repository, or on no branch."""
    return ask_git(folder, "symbolic-ref", "--quiet", "--short", "HEAD")


def top_of(folder: Path) -> Path | None:
    """Return the top folder of the clone around a folder; None outside of one."""
    found = ask_git(folder, "rev-parse", "--show-toplevel")
    return Path(found) if found else None


def _identity(folder: Path) -> dict[str, str]:
    """Return a name to commit under where git knows none."""
    missing: dict[str, str] = {}
    for part, value in _FALLBACK.items():
        if ask_git(folder, "config", f"user.{part.lower()}"):
            continue
        for role in ("AUTHOR", "COMMITTER"):
            name = f"GIT_{role}_{part}"
            missing[name] = os.environ.get(name, value)
    return missing


def _run(folder: Path, arguments: tuple[str, ...], more: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("git")
    if program is None:
        raise StalledError("NoGit", "git is not installed: install it, 2.28 or newer")
    environment = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8", **more}
    try:
        return subprocess.run(  # noqa: S603 - our own fixed commands
            [program, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RetryError("GitTimeout", f"git {arguments[0]} did not end within {_PATIENCE:.0f} s") from error


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace").strip()


# Set inside hooks and by wrappers; they would point our commands at another repository.
_LOCAL = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"})
