"""A home folder as it looks after months: one thing of each kind, old ones and fresh ones, real files all of them."""

import hashlib
import os
import time
from datetime import timedelta
from pathlib import Path

DAY = timedelta(days=1)
OLD = 400 * DAY


def age(path: Path, by: timedelta) -> None:
    """Let a file or folder have been used last so long ago."""
    then = time.time() - by.total_seconds()
    os.utime(path, (then, then))


def write_file(path: Path, *, size: int = 100, old: timedelta = OLD) -> Path:
    """Write a file of that many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    age(path, old)
    return path


def write_folder(path: Path, *, size: int = 100, old: timedelta = OLD) -> Path:
    """Write a folder with a file in a folder."""
    write_file(path / "inner" / "file", size=size)
    age(path, old)
    return path


def write_environment(home: Path, key: str, *, size: int = 100, old: timedelta = OLD, complete: bool = True) -> Path:
    """Write an environment as a builder leaves it: read-only, with its marker, lock and the lock's file."""
    path = write_folder(home / "environments" / "built" / key, size=size, old=old)
    for folder, _, _ in os.walk(path, topdown=False):
        Path(folder).chmod(0o500)
    write_file(path.with_name(f"{key}.lock"), size=0)
    if complete:
        write_file(path.with_name(f"{key}.complete"), size=1, old=old)
    return path


def write_model(home: Path, digest: str, *, size: int = 100, old: timedelta = OLD) -> Path:
    """Write a version's files."""
    return write_folder(home / "models" / digest, size=size, old=old)


def tree_digest(folder: Path) -> str:
    """Return a digest of every name, mode, time and byte below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest.update(f"{path.relative_to(folder)} {status.st_mode} {status.st_mtime_ns}\n".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def names(folder: Path) -> set[str]:
    """Return what lies in a folder, but for locks."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")} if folder.is_dir() else set()
