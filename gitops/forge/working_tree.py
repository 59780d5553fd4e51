"""A person's clone as a commit of it would be: what Git tracks or would take, as it lies there now.

Uncommitted changes are in it, ignored files are not, and names and sizes that a checkout refuses are refused. Git is
the person's own here, and nothing is written to the clone.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gitops.errors import InputError, RefusedError
from gitops.forge.checkout import Names, TreeLimits, check_path, private_folder, shown_path
from gitops.forge.own_git import run_own_git
from gitops.forge.process import plain
from gitops.records import Repository

_PIECE = 1 << 20
_LISTING = ("-c", "core.fsmonitor=false", "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def copy_working_tree(top: Path, into: Path, *, limits: TreeLimits | None = None) -> None:
    """Write what a commit of everything in a clone would hold into a new folder, or nothing at all.

    As in a checkout a link becomes a small file that holds its target, and submodules are left out. What Git's filters
    would change on the way into a commit is not changed.

    Args:
        top: the clone's top folder.

    Raises:
        RefusedError: `repo_too_large`, `path_unsafe` or `name_not_canonical`.
        InputError: `git_failed` with Git's own words.
        RetryError: `GitTimeout`.
    """
    limits = limits or TreeLimits()
    with private_folder(into) as folder:
        left = limits.total
        for count, path in enumerate(_checked(_listed(top), top), start=1):
            left -= _copy(top, path, folder, limits=limits)
            if count > limits.files:
                raise RefusedError("repo_too_large", f"the working tree has more than limit={limits.files} files")
            if left < 0:
                raise RefusedError("repo_too_large", f"the working tree has more than limit={limits.total} bytes")
        folder.rename(into)


@dataclass(frozen=True)
class Snapshot:
    """A copied working tree in the place of a mirror: whichever commit is asked for, it is these files.

    Args:
        folder: what `copy_working_tree` wrote; nobody changes it.
    """

    folder: Path

    def read(self, repository: Repository, commit: str, path: str) -> bytes | None:
        """Return a file's bytes; None when it is not there."""
        del repository, commit
        file = self.folder / path
        return file.read_bytes() if file.is_file() else None

    def checkout(self, repository: Repository, commit: str, into: Path) -> None:
        """Write the files into a new folder."""
        del repository, commit
        with private_folder(into) as folder:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
            folder.rename(into)


def _listed(top: Path) -> list[bytes]:
    """Return the paths that are tracked, and those that are neither tracked nor ignored."""
    answer = run_own_git(top, *_LISTING, environment={"GIT_OPTIONAL_LOCKS": "0"})
    if answer.returncode:
        raise InputError("git_failed", f"git ls-files: {plain(answer.stderr.decode('utf-8', 'replace'))}")
    return sorted(set(answer.stdout.split(b"\0")) - {b""})


def _checked(listed: list[bytes], top: Path) -> Iterator[bytes]:
    """Give the paths of what is there and is no folder, each after its own and its folders' names were checked.

    A folder that is listed is a submodule, or a clone within this one.
    """
    names: dict[bytes, Names] = {}
    links: dict[bytes, bool] = {}
    known: set[bytes] = set()
    for path in listed:
        parents = [path[:at] for at, byte in enumerate(path) if byte == ord("/")]
        if path.endswith(b"/") or any(_is_link(top, parent, links) for parent in parents) or not _is_there(top, path):
            continue
        for part in (*parents, path):
            if part not in known:
                known.add(part)
                names.setdefault(part.rpartition(b"/")[0], Names()).add(part, check_path(part))
        yield path


def _is_link(top: Path, folder: bytes, known: dict[bytes, bool]) -> bool:
    """Return whether a tracked folder was replaced by a link: what was below it is no longer there for Git."""
    if folder not in known:
        known[folder] = (top / os.fsdecode(folder)).is_symlink()
    return known[folder]


def _is_there(top: Path, path: bytes) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        mode = (top / os.fsdecode(path)).lstat().st_mode
        return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
    return False


def _copy(top: Path, path: bytes, folder: Path, *, limits: TreeLimits) -> int:
    """Copy one file, or the target that a link names, and return its size."""
    source, target = top / os.fsdecode(path), folder / os.fsdecode(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if source.is_symlink():
        return target.write_bytes(os.fsencode(source.readlink()))
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError("file_unreadable", f"{shown_path(path)} cannot be read: {error.strerror}") from error
    written = 0
    with os.fdopen(descriptor, "rb") as reader, target.open("xb") as writer:
        while piece := reader.read(_PIECE):
            written += writer.write(piece)
            if written > limits.file:
                raise RefusedError("repo_too_large", f"{shown_path(path)} has more than limit={limits.file} bytes")
        is_program = os.fstat(descriptor).st_mode & stat.S_IXUSR
    target.chmod(0o700 if is_program else 0o600)
    return written
