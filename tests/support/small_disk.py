"""A file system so small that it can be filled: the only honest way to meet a full disk."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import require

MIB = 1024 * 1024
_MISSING = "a test mounts a small file system, which needs root or `sudo -n`"


@contextmanager
def small_disk(folder: Path, *, size: int, mode: str = "0700") -> Iterator[Path]:
    """Mount a file system of that many bytes on a new folder, for the length of the block."""
    folder.mkdir(parents=True)
    owner = f"uid={os.getuid()},gid={os.getgid()},mode={mode}"
    _as_root("mount", "-t", "tmpfs", "-o", f"size={size},{owner}", "none", str(folder))
    try:
        yield folder
    finally:
        _as_root("umount", "--lazy", str(folder))


def _as_root(*command: str) -> None:
    sudo = () if os.getuid() == 0 else ("sudo", "-n")
    program = shutil.which((*sudo, *command)[0])
    if program is None:
        _give_up("there is no such program")
        return
    done = subprocess.run([program, *(*sudo, *command)[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        _give_up(done.stderr.strip())


def _give_up(why: str) -> None:
    """Fail where everything must be there; say at home what is missing."""
    require(None, f"{_MISSING}: {why}")


def fill(disk: Path, *, leave: int) -> Path:
    """Fill a disk but for so many bytes, and return the file that does; at the end it can be removed."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        left = shutil.disk_usage(disk).free - leave
        while left > 0:
            left -= file.write(b"\0" * min(left, MIB))
    return ballast


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Give small disks of as many bytes as a test asks for."""
    with ExitStack() as stack:
        yield lambda size: stack.enter_context(small_disk(tmp_path / f"disk-{size}", size=size))
