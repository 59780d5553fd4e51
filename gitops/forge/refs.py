"""The branches of a bare mirror, read from its files: no process is started for what a few small files say.

Loose refs first, then the packed ones behind them: git writes a ref to the packed file before it removes the loose one,
so that whoever reads in this order misses none.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gitops.errors import RetryError

_HEADS = "refs/heads/"
_LOOSE = re.compile(rb"([0-9a-f]{40})\n?")
_PACKED = re.compile(rb"([0-9a-f]{40}) (refs/.+)")


def read_heads(mirror: Path) -> dict[str, str]:
    """Return the commit of each `refs/heads/...`, by name.

    Raises:
        RetryError: `MirrorBroken` when a file does not say what git writes there, `MirrorBusy` while the mirror is made
            anew: one that is not there says nothing about branches.
    """
    before = _identity(mirror)
    loose = dict(_loose(mirror))
    heads = dict(sorted({**dict(_packed(mirror)), **loose}.items()))
    if _identity(mirror) != before:
        raise RetryError("MirrorBusy", "the mirror was made anew while it was read")
    return heads


def _identity(mirror: Path) -> tuple[int, int]:
    try:
        seen = mirror.stat()
    except OSError as error:
        raise RetryError("MirrorBusy", f"the mirror is not there: {error.strerror}") from error
    return seen.st_dev, seen.st_ino


def _loose(mirror: Path) -> Iterator[tuple[str, str]]:
    for folder, _, names in os.walk(mirror / _HEADS.rstrip("/"), onerror=_refuse):
        for name in names:
            file = Path(folder) / name
            if name.endswith(".lock"):
                continue  # no ref may be named so: one that is being written
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue  # deleted, or packed, at this moment
            found = _LOOSE.fullmatch(content)
            if not found:
                raise RetryError("MirrorBroken", f"{name!a} names no commit")
            yield file.relative_to(mirror).as_posix(), found[1].decode()


def _refuse(error: OSError) -> None:
    """Let folders go that vanish while they are read; git removes those that are empty."""
    if not isinstance(error, FileNotFoundError):
        raise RetryError("MirrorBroken", f"its refs cannot be read: {error.strerror}") from error


def _packed(mirror: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = (mirror / "packed-refs").read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        if line.startswith((b"#", b"^")):
            continue
        found = _PACKED.fullmatch(line)
        if not found:
            raise RetryError("MirrorBroken", "packed-refs holds a line that is none")
        name = found[2].decode("utf-8", "surrogateescape")
        if name.startswith(_HEADS):
            yield name, found[1].decode()
