"""Artifacts through the tracking server's proxy: listed and downloaded with bounds, never trusted in name or size.

The proxy's protocol is MLflow's `mlflow-artifacts` service: `GET .../artifacts?path=FOLDER` lists one folder,
`GET .../artifacts/PATH` streams one file. Nothing is unpickled or interpreted here.
"""

import hashlib
import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from gitops.errors import ConflictError, RefusedError, RetryError, StalledError
from gitops.failpoints import failpoint
from gitops.manifest import Manifest, ManifestFile, build_manifest
from gitops.registry.replies import bad_reply, translated

if TYPE_CHECKING:
    from gitops.registry.calls import Caller

_SERVICE = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 1 << 18
_LISTING_BYTES = 8 << 20
_NAME_BYTES = 255
_PATH_BYTES = 1024
_DEPTH = 20
_AT_ONCE = 4


@dataclass(frozen=True)
class Limits:
    """What one download may take at most.

    Args:
        files: files and folders together.
        size: bytes over all files.
        seconds: wall time over all files.
        timeout: seconds without a byte before a call is given up.
    """

    files: int = 10_000
    size: int = 20 << 30
    seconds: float = 3600.0
    timeout: float = 20.0


@dataclass(frozen=True)
class Entry:
    """One name in a listed folder; `size` is None where the store does not tell."""

    path: str
    is_folder: bool
    size: int | None


def check_path(path: str) -> str:
    """Return a relative artifact path that is safe to write below a folder of ours, unchanged.

    Raises:
        RefusedError: `unsafe_path`: absolute, `.` or `..` in any encoding, backslash, drive, control character or
            over 1024 bytes.
    """
    plain = _unquote_fully(path)
    unsafe = (
        any(part in {"", ".", ".."} for text in (path, plain) for part in text.split("/"))
        or "\\" in plain
        or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", plain)
        or re.match(r"[A-Za-z]:", plain)
        or _is_too_long(path)
    )
    if unsafe:
        raise RefusedError("unsafe_path", f"the artifact path {ascii(path)[:120]} is not safe to write")
    return path


def _unquote_fully(path: str) -> str:
    for _ in range(8):
        plain = unquote(path)
        if plain == path:
            return path
        path = plain
    return ".."  # still encoded after so many rounds: nobody names a file so


def _is_too_long(path: str) -> bool:
    parts = [part.encode("utf-8", "surrogatepass") for part in path.split("/")]
    return len(b"/".join(parts)) > _PATH_BYTES or any(len(part) > _NAME_BYTES for part in parts)


class ProxiedArtifacts:
    """The artifact proxy of one tracking server.

    Args:
        tracking_uri: `http(s)://host[:port][/prefix]`.
        caller: sends what is asked.
    """

    def __init__(self, tracking_uri: str, caller: "Caller", *, limits: Limits) -> None:
        self._tracking_uri = tracking_uri.rstrip("/")
        self._caller = caller
        self._limits = limits

    def locate(self, uri: str) -> str:
        """Return the path below the proxy's root that an artifact location names.

        Raises:
            StalledError: `ArtifactsNotProxied` for a store that is reached without this server.
            RefusedError: `unsafe_path`.
        """
        parts = urlsplit(uri)
        own = urlsplit(self._tracking_uri)
        prefix = f"{self._tracking_uri}{_SERVICE}/"
        if uri.startswith(prefix):
            return check_path(uri.removeprefix(prefix).rstrip("/"))
        if parts.scheme == "mlflow-artifacts" and parts.netloc in {"", own.netloc}:
            return check_path(uri.split(":", 1)[1].removeprefix(f"//{parts.netloc}").strip("/"))
        raise StalledError(
            "ArtifactsNotProxied",
            f"artifacts are at {uri[:200]}, which {self._tracking_uri} does not serve; start the tracking server with"
            " --serve-artifacts and an experiment whose artifact location is mlflow-artifacts:/",
        )

    def list_folder(self, folder: str) -> list[Entry]:
        """Return what stands in one folder, given and answered as paths below the proxy's root."""
        what = f"list artifacts of {folder}"
        with translated(what), self._caller.open("GET", _SERVICE, params={"path": folder}) as answer:
            body = self._caller.read(answer, limit=_LISTING_BYTES)
        try:
            found = [(str(item["path"]), item.get("is_dir"), item.get("file_size")) for item in _files(body)]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise bad_reply(what, f"no listing: {body[:80]!r}") from error
        names = [(_check_name(name), is_folder, size) for name, is_folder, size in found]
        return [
            Entry(f"{folder}/{name}", bool(is_folder), int(size) if isinstance(size, int | str) else None)
            for name, is_folder, size in names
        ]

    def upload(self, file: Path, folder: str) -> None:
        """Store a file in a folder below the proxy's root; the same name again replaces it."""
        what = f"store {file.name}"
        endpoint = f"{_SERVICE}/{quote(check_path(f'{folder}/{file.name}'))}"
        headers = {"Content-Type": "application/octet-stream"}
        with file.open("rb") as content, translated(what):
            asked = self._caller.open("PUT", endpoint, headers=headers, data=content)
            with asked as answer:
                self._caller.parse(self._caller.read(answer))

    def download(self, folder: str, into: Path) -> Manifest:
        """Download everything below a folder into a new one; nothing is left of it when this raises.

        Raises:
            RefusedError: `unsafe_path`, `model_too_large`, or `EmptyModel` when there is no file.
            ConflictError: when the new folder has contents already.
            RetryError: when the server fails, or a file changed between listing and download.
        """
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise ConflictError("FolderExists", f"{into.name} exists already")
        into.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
        try:
            manifest = build_manifest(self._download_all(folder, partial))
            partial.chmod(0o755)
            partial.rename(into)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return manifest

    def _download_all(self, folder: str, into: Path) -> Iterator[ManifestFile]:
        """Download a few files at a time: most are small, and what they cost is the way there and back."""
        entries = list(self._walk(folder))
        if not entries:
            raise RefusedError("EmptyModel", f"there is no file below {folder}")
        names = [check_path(entry.path.removeprefix(f"{folder}/")) for entry in entries]
        room = _Room(self._limits)
        with ThreadPoolExecutor(min(_AT_ONCE, len(entries)), thread_name_prefix="download") as pool:
            # Each in a context of its own, so that its call stands in the trace below what asked for it.
            asked = [
                pool.submit(copy_context().run, self._download_file, entry, into / name, room=room)
                for entry, name in zip(entries, names, strict=True)
            ]
            done, rest = wait(asked, return_when=FIRST_EXCEPTION)
            if rest:
                # Where one failed the others are of no use.
                room.close()
                pool.shutdown(cancel_futures=True)
                raise next(error for one in asked if one in done and (error := one.exception()) is not None)
        for name, one in zip(names, asked, strict=True):
            file = one.result()
            yield ManifestFile(name, file.size, file.sha256)

    def _walk(self, folder: str) -> Iterator[Entry]:
        waiting = [folder]
        seen = 0
        while waiting:
            for entry in self.list_folder(waiting.pop()):
                seen += 1
                if seen > self._limits.files or entry.path.count("/") - folder.count("/") > _DEPTH:
                    raise RefusedError(
                        "model_too_large", f"more than {self._limits.files} files, or {_DEPTH} folders deep"
                    )
                if entry.is_folder:
                    waiting.append(entry.path)
                else:
                    yield entry

    def _download_file(self, entry: Entry, to: Path, *, room: "_Room") -> ManifestFile:
        what = f"download {entry.path}"
        digest = hashlib.sha256()
        size = 0
        asked = self._caller.open("GET", f"{_SERVICE}/{quote(entry.path)}")
        with translated(what), asked as answer, _created(to) as file:
            for chunk in iter(partial(self._caller.read_piece, answer, _CHUNK), b""):
                room.take(len(chunk), what=what)
                size += len(chunk)
                digest.update(chunk)
                file.write(chunk)
        if entry.size not in {None, size}:
            raise bad_reply(what, f"{size} bytes where {entry.size} were listed")
        failpoint("artifact_file.after")
        return ManifestFile(entry.path, size, digest.hexdigest())


class _Room:
    """What one download may still take, whichever thread takes it.

    Args:
        limits: over all its files.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._deadline = time.monotonic() + limits.seconds
        self._left = limits.size
        self._is_closed = False
        self._lock = threading.Lock()

    def take(self, size: int, *, what: str) -> None:
        """Count bytes that came.

        Raises:
            RefusedError: `model_too_large`.
            RetryError: when the time is over, or the download was given up.
        """
        with self._lock:
            self._left -= size
            is_over = self._left < 0
        if is_over:
            raise RefusedError("model_too_large", f"the model has more than {self._limits.size} bytes")
        if self._is_closed:
            raise RetryError("RegistryUnavailable", f"{what}: another file of the model failed")
        if time.monotonic() > self._deadline:
            raise RetryError("RegistryUnavailable", f"{what}: over {self._limits.seconds:g} s for the model")

    def close(self) -> None:
        """Let nothing more be taken."""
        self._is_closed = True


def _files(body: bytes) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads(body).get("files", [])
    return files


def _check_name(name: str) -> str:
    if "/" in name:
        raise RefusedError("unsafe_path", f"the artifact listing names {ascii(name)[:120]} instead of a plain name")
    return check_path(name)


@contextmanager
def _created(path: Path) -> Iterator[Any]:
    """Open a new file; two names that are one here (letter case, Unicode forms, file and folder) are refused."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise RefusedError("unsafe_path", f"{path.name!r} collides with another artifact on this machine") from error
    with file:
        yield file
