"""Write a commit's tree into a folder, by ourselves: no index, no attributes, filters, hooks, links or submodules.

The files are written into a hidden folder beside the target, which gets its name only when it is complete.
"""

import fcntl
import os
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gitops.errors import ConflictError, RefusedError
from gitops.failpoints import failpoint
from gitops.forge.objects import CommitObject, Entry, ObjectReader

_PART_BYTES = 255  # NAME_MAX of every file system we write to
_PATH_BYTES = 1024  # PATH_MAX of macOS, for what is below the folder
_DEPTH = 100
# Code points that HFS+ leaves out when it compares names, so that `.g<U+200C>it` is `.git` there.
_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


@dataclass(frozen=True)
class TreeLimits:
    """What a checkout may hold.

    Args:
        total: bytes of all files.
        file: bytes of one file.
        files: files and folders.
    """

    total: int = 2 * 1024**3
    file: int = 512 * 1024**2
    files: int = 100_000


@dataclass
class Names:
    """The names of one folder, compared as the least careful file system would."""

    seen: dict[str, bytes] = field(default_factory=dict)

    def add(self, path: bytes, name: str) -> None:
        """Take a name.

        Raises:
            RefusedError: `name_not_canonical` when some system takes it for another one of the folder.
        """
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
        other = self.seen.get(folded)
        self.seen[folded] = path
        if other is not None:
            raise RefusedError(
                "name_not_canonical",
                f"{shown_path(other)} and {shown_path(path)} differ only by case or Unicode form: rename one of them",
            )


def write_tree(reader: ObjectReader, commit: CommitObject, into: Path, *, limits: TreeLimits) -> None:
    """Write a commit's files into a new folder, or nothing at all.

    A link becomes a small file that holds its target, as git does where links are off; submodules are left out.
    Every file has the commit's time.

    Raises:
        ConflictError: `checkout_exists` when the folder is there already.
        RefusedError: `repo_too_large`, `path_unsafe` or `name_not_canonical`.
    """
    if os.path.lexists(into):
        raise ConflictError("checkout_exists", f"{into.name} is there already")
    with private_folder(into) as folder:
        entries = list(_checked(reader, commit, limits=limits))
        for entry in entries:
            if entry.is_tree:
                (folder / os.fsdecode(entry.path)).mkdir(mode=0o700)
        left = limits.total
        for entry in entries:
            if entry.is_file or entry.is_link:
                left -= _write_file(reader, entry, folder, limits=limits, left=left)
        _set_times(folder, entries, when=commit.time)
        failpoint("checkout.before")
        folder.rename(into)
        failpoint("checkout.after")


@contextmanager
def private_folder(beside: Path) -> Iterator[Path]:
    """Make a hidden folder beside a path, removed at the end unless it was renamed.

    What a killed process left behind there is removed first: a living one holds a lock on its folder.
    """
    beside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in beside.parent.glob(f".{beside.name}.*.partial"):
        with _lock(stale) as ours:
            if ours:
                shutil.rmtree(stale, ignore_errors=True)
    folder = beside.parent / f".{beside.name}.{secrets.token_hex(8)}.partial"
    folder.mkdir(mode=0o700)
    try:
        with _lock(folder) as ours:
            if not ours:
                raise ConflictError("checkout_exists", f"{beside.name} is being made by somebody else")
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _checked(reader: ObjectReader, commit: CommitObject, *, limits: TreeLimits) -> Iterator[Entry]:
    for folder in reader.walk(commit, files=limits.files):
        names = Names()
        for entry in folder:
            name = check_path(entry.path)
            names.add(entry.path, name)
            yield entry


def check_path(path: bytes) -> str:
    """Return the last part of a path that is safe to write on every system, as text.

    Raises:
        RefusedError: `name_not_canonical` or `path_unsafe`.
    """
    part = path.rsplit(b"/", 1)[-1]
    try:
        name = part.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("name_not_canonical", f"{shown_path(path)} is no UTF-8: rename it") from None
    if len(part) > _PART_BYTES or len(path) > _PATH_BYTES or path.count(b"/") > _DEPTH:
        raise RefusedError("path_unsafe", f"{shown_path(path)} is longer or deeper than any system we write to allows")
    if part in {b"", b".", b".."} or any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in name) or "\\" in name:
        raise RefusedError("path_unsafe", f"{shown_path(path)} is no path that we write: rename it")
    if _is_git_folder(name):
        raise RefusedError("path_unsafe", f"{shown_path(path)} would be a repository's own folder")
    return name


def _is_git_folder(name: str) -> bool:
    """Return whether some system takes this name for `.git`: by case, ignored characters, or the short name."""
    bare = unicodedata.normalize("NFKC", name.translate(_IGNORED)).casefold()
    return bare.split(":", 1)[0].rstrip(" .") in {".git", "git~1"}


def _write_file(reader: ObjectReader, entry: Entry, folder: Path, *, limits: TreeLimits, left: int) -> int:
    mode = 0o700 if entry.is_file and entry.mode & 0o100 else 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    written = 0
    with os.fdopen(os.open(folder / os.fsdecode(entry.path), flags, mode), "wb") as file:
        for piece in reader.stream(entry.name, limit=limits.file, what=shown_path(entry.path)):
            written += file.write(piece)
            if written > left:
                raise RefusedError("repo_too_large", f"the commit's files have more than limit={limits.total} bytes")
    return written


def _set_times(folder: Path, entries: list[Entry], *, when: int) -> None:
    for path in [*(folder / os.fsdecode(entry.path) for entry in reversed(entries)), folder]:
        if path.exists():
            os.utime(path, (when, when), follow_symlinks=False)


def shown_path(path: bytes) -> str:
    """Return a path as it stands in a message."""
    return ascii(path.decode("utf-8", "replace")[:200])
