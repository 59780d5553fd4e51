"""The files of model versions on this machine, kept by the digest of their manifest and never trusted twice."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from gitops.disk.locks import patiently
from gitops.disk.storerooms import model_lock
from gitops.errors import RefusedError
from gitops.failpoints import failpoint
from gitops.manifest import Manifest, ManifestFile, build_manifest, compare_manifests
from gitops.ports import Deps
from gitops.records import Version

_PIECE = 1 << 20
_SHOWN = 5


def fetch_version(deps: Deps, model: str, version: str) -> Manifest:
    """Fetch a version, hash every byte of it, and keep it under its digest.

    Returns:
        What was found in the registry's store now.
    """
    scratch = deps.service.models / f".fetch-{uuid.uuid4().hex}"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    try:
        manifest = deps.registry.fetch(model, version, scratch)
        with patiently(model_lock(deps.service.models)):
            failpoint("keep_model.before")
            _keep(scratch, model_folder(deps, manifest.digest), manifest)
            failpoint("keep_model.after")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def model_folder(deps: Deps, digest: str) -> Path:
    """Return where the files of a manifest are kept."""
    return deps.service.models / digest


def _keep(scratch: Path, place: Path, manifest: Manifest) -> None:
    """Put fetched files in their place, where somebody else may have put them before; they count as used now.

    What was kept is hashed again: a machine that lost its power may have kept a file's name without its bytes.
    """
    try:
        scratch.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        if not _is_intact(place, manifest):
            _replace(place, scratch)
    os.utime(place)


def _is_intact(place: Path, manifest: Manifest) -> bool:
    try:
        return hash_folder(place) == manifest
    except RefusedError:
        return False


def _replace(place: Path, scratch: Path) -> None:
    """Put fetched files where damaged ones are; whoever has those open keeps them."""
    damaged = scratch.with_name(f"{scratch.name}.damaged")
    place.rename(damaged)
    scratch.rename(place)
    shutil.rmtree(damaged, ignore_errors=True)


def hold_folder(deps: Deps, digest: str) -> bool:
    """Return whether a version's files are kept here; they count as used now, and stay for whoever asked."""
    place = model_folder(deps, digest)
    if not deps.service.models.is_dir():
        return False
    with patiently(model_lock(deps.service.models)):
        try:
            os.utime(place)
        except FileNotFoundError:
            return False
    return True


def is_kept(deps: Deps, version: Version) -> bool:
    """Return whether a version's files are kept here, each byte as it was judged; they count as used now."""
    if not hold_folder(deps, version.manifest_sha256):
        return False
    try:
        verify_folder(model_folder(deps, version.manifest_sha256), parse_manifest(version.manifest))
    except RefusedError:
        return False
    return True


def verify_kept(deps: Deps, version: Version) -> None:
    """Hash the files that are kept of a version, or fetch it where there are none.

    Raises:
        RefusedError: `digest_mismatch`, naming what changed, is missing or was added.
    """
    if hold_folder(deps, version.manifest_sha256):
        verify_folder(model_folder(deps, version.manifest_sha256), parse_manifest(version.manifest))
    else:
        fetch_judged(deps, version)


def fetch_judged(deps: Deps, version: Version) -> None:
    """Fetch a version that was judged and keep its files; damaged ones here are replaced.

    Raises:
        RefusedError: `digest_mismatch` when the registry's store holds other files, naming them.
    """
    found = fetch_version(deps, version.model, version.version)
    judged = parse_manifest(version.manifest)
    if found.digest != version.manifest_sha256:
        verify_folder(model_folder(deps, found.digest), judged)
        raise RefusedError("digest_mismatch", f"the registry holds other files for {version.model} {version.version}")
    verify_folder(model_folder(deps, version.manifest_sha256), judged)


def verify_folder(folder: Path, recorded: Manifest) -> None:
    """Hash a kept version again.

    Raises:
        RefusedError: `digest_mismatch`, naming what changed, is missing or was added.
    """
    differences = compare_manifests(recorded, hash_folder(folder))
    if differences:
        shown = "; ".join(differences[:_SHOWN])
        raise RefusedError("digest_mismatch", f"the files are not those that were judged: {shown}")


def hash_folder(folder: Path) -> Manifest:
    """Return the manifest of a folder's regular files.

    Raises:
        RefusedError: `not_regular_file` for a link or anything else that is no regular file.
    """
    return build_manifest(_hash_files(folder))


def _hash_files(folder: Path) -> Iterator[ManifestFile]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise RefusedError("not_regular_file", f"{relative} is neither a folder nor a regular file")
        if path.is_file():
            yield ManifestFile(relative, path.stat().st_size, _hash_file(path))


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def manifest_text(manifest: Manifest) -> str:
    """Return a manifest as it is stored: one JSON list of path, size and digest."""
    return json.dumps([[file.path, file.size, file.sha256] for file in manifest.files], ensure_ascii=True)


def parse_manifest(text: str) -> Manifest:
    """Return a stored manifest."""
    return build_manifest(ManifestFile(path, size, sha256) for path, size, sha256 in json.loads(text))
