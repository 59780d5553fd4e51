"""File locks that the kernel takes back when their holder is gone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared(file: Path) -> Iterator[bool]:
    """Hold a lock together with others; gives False at once where somebody holds it alone."""
    with _locked(file, fcntl.LOCK_SH) as is_ours:
        yield is_ours


@contextmanager
def alone(file: Path) -> Iterator[bool]:
    """Hold a lock alone; gives False at once where somebody else holds it."""
    with _locked(file, fcntl.LOCK_EX) as is_ours:
        yield is_ours


@contextmanager
def patiently(file: Path) -> Iterator[None]:
    """Hold a lock together with others, after waiting for whoever holds it alone: a moment, as a rule."""
    descriptor = _open(file)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def is_held_alone(file: Path) -> bool:
    """Return whether somebody holds a lock alone; makes no file where there is none."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _locked(file: Path, how: int) -> Iterator[bool]:
    descriptor = _open(file)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        is_ours = True
    except BlockingIOError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    """Open a lock's file, made where there is none; a folder can be locked as it is."""
    if file.is_dir():
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
