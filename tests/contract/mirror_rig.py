"""What the tests of the Mirror port share: Git over loopback, a mirror of it, and a process that dies in a call."""

from pathlib import Path

from tests.support.mirrors import TOKEN, make_mirror, mirror, origin, repository, server

__all__ = ["TOKEN", "make_mirror", "mirror", "origin", "repository", "server"]


def disk(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
