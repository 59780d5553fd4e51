"""The manifest of a model version: every file with its size and SHA-256, and one digest over them all. Pure.

The digest is the identity of what is judged, pinned and served; the registry's own tags are never asked.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class ManifestFile:
    """One regular file of a model.

    Args:
        path: relative, `/` between the parts, no `.` or `..`.
        size: bytes.
        sha256: 64 lower-case hex digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All files of a model version, sorted by path, and their digest."""

    files: tuple[ManifestFile, ...]

    @property
    def digest(self) -> str:
        r"""SHA-256 over one line a file: `<sha256> <size> <path>`, newline-ended, sorted by path as UTF-8 bytes.

        A backslash or newline in a path is written `\\` or `\n`, so that one odd name is never two files.
        """
        text = "".join(f"{file.sha256} {file.size} {_escape(file.path)}\n" for file in self.files)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace("\n", "\\n")


def build_manifest(files: Iterable[ManifestFile]) -> Manifest:
    """Return the manifest of these files, in whatever order they come."""
    return Manifest(tuple(sorted(files, key=lambda file: file.path.encode("utf-8", "surrogateescape"))))


def compare_manifests(recorded: Manifest, found: Manifest) -> tuple[str, ...]:
    """Name each difference between what was judged and what is there now; empty when there is none."""
    was = {file.path: file for file in recorded.files}
    now = {file.path: file for file in found.files}
    changed = [f"{path} changed" for path in was.keys() & now.keys() if was[path] != now[path]]
    missing = [f"{path} is missing" for path in was.keys() - now.keys()]
    added = [f"{path} was added" for path in now.keys() - was.keys()]
    return tuple(sorted(changed + missing + added))
