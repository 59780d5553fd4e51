"""Room on a disk: how much there is, and what is said when there is too little."""

import errno
import re
import shutil
from pathlib import Path

from gitops.errors import StalledError

DISK_LOW = "DiskLow"
_FULL = re.compile(r"No space left on device|Disk quota exceeded|\[Errno 28\]|database or disk is full")
_WAY_OUT = "launchpin gc makes room, and it goes on by itself when there is some"


def free_bytes(folder: Path) -> int:
    """Return what a process of ours may still write where this folder is, or will be; bytes."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def require_room(folder: Path, least: int) -> None:
    """Refuse to begin what needs room while there is too little.

    Args:
        least: bytes that must be free.

    Raises:
        StalledError: `DiskLow`, with what is free, what is needed, and the way out.
    """
    free = free_bytes(folder)
    if free < least:
        raise StalledError("DiskLow", f"{say_bytes(free)} are free where {say_bytes(least)} must be: {_WAY_OUT}")


def disk_low(what: str) -> StalledError:
    """Return the error for a disk that was full in the middle of something.

    Args:
        what: the words of whoever met it; of several lines the one that says so is told.
    """
    line = next((line.strip() for line in what.splitlines() if speaks_of_full_disk(line)), what)
    return StalledError("DiskLow", f"the disk is full: {line[-300:]}: {_WAY_OUT}")


def is_disk_full(error: OSError) -> bool:
    """Return whether the disk, or our share of it, was full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def speaks_of_full_disk(text: str) -> bool:
    """Return whether a program's words are those for a full disk."""
    return _FULL.search(text) is not None


def say_bytes(count: int) -> str:
    """Return a number of bytes for people: `1.5 GiB`."""
    size, units = float(count), ("bytes", "KiB", "MiB", "GiB", "TiB")
    for unit in units:
        if size < 1024 or unit == units[-1]:  # noqa: PLR2004 - the next unit
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:.1f} {unit}"  # noqa: PLR2004 - three digits
