"""The few git commands that verbs run in a person's own clone, with that person's git and settings."""

import os
from collections.abc import Mapping
from pathlib import Path

from gitops.errors import InputError
from gitops.forge.own_git import run_own_git

_FALLBACK = {"NAME": "Launchpin", "EMAIL": "launchpin@localhost"}


def run_git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run git in a folder and return what it printed, without the line's end.

    Raises:
        StalledError: `NoGit` when there is none.
        InputError: `git_failed` with git's own words.
        RetryError: `GitTimeout` after a minute.
    """
    answer = run_own_git(folder, *arguments, environment=environment)
    if answer.returncode:
        raise InputError("git_failed", f"git {arguments[0]}: {_text(answer.stderr) or _text(answer.stdout)}")
    return _text(answer.stdout)


def ask_git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it printed; empty when it says no."""
    answer = run_own_git(folder, *arguments)
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


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace").strip()
