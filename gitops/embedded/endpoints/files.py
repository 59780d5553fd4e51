"""Proves that a model's files on disk are those that were judged, before any of them is loaded."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from gitops.errors import RefusedError, RetryError
from gitops.manifest import Manifest, ManifestFile, build_manifest, compare_manifests

_SHOWN = 10
_CHUNK = 1024 * 1024


def check_files(folder: Path, manifest: Manifest, *, is_stopping: Callable[[], bool] = bool) -> None:
    """Hash every file below a folder and compare it with a manifest.

    Args:
        is_stopping: asked for every MiB, because a large model must not hold up the host's end.

    Raises:
        RefusedError: `digest_mismatch` naming each file that changed, is missing or was added.
        RetryError: `EndpointHostStopping`.
    """
    differences = compare_manifests(manifest, scan_folder(folder, is_stopping=is_stopping))
    if differences:
        more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        named = ", ".join(differences[:_SHOWN])
        raise RefusedError("digest_mismatch", f"the files are not those that were judged: {named}{more}")


def scan_folder(folder: Path, *, is_stopping: Callable[[], bool] = bool) -> Manifest:
    """Return the manifest of what is in a folder; links and devices are listed with no digest, so they never match.

    Raises:
        RefusedError: `digest_mismatch` when a file cannot be read.
        RetryError: `EndpointHostStopping`.
    """
    try:
        files = [Path(parent) / name for parent, name in _walk(folder)]
        return build_manifest(_scan_file(folder, file, is_stopping) for file in files)
    except OSError as error:
        raise RefusedError("digest_mismatch", f"a file cannot be read: {error}") from error


def _walk(folder: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        found += [(parent, name) for name in files]
        # A linked folder is not walked into, and must not hide.
        found += [(parent, name) for name in folders if (Path(parent) / name).is_symlink()]
    return found


def _raise(error: OSError) -> None:
    raise error


def _scan_file(folder: Path, file: Path, is_stopping: Callable[[], bool]) -> ManifestFile:
    path = file.relative_to(folder).as_posix()
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode):
        return ManifestFile(path, size=-1, sha256="")
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            if is_stopping():
                raise RetryError("EndpointHostStopping", "the endpoint host is being stopped")
            digest.update(chunk)
    return ManifestFile(path, size=status.st_size, sha256=digest.hexdigest())
