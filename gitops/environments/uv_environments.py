"""Environments by uv: resolved to a hashed lock, built in place under a file lock, complete when their marker is there.

    resolutions/<digest>.txt   what a resolution came to, by its inputs: unchanged projects need no network
    locks/<key>.txt            the lock of each environment ever built here; stays when the environment goes
    built/<key>/               the environment, read-only
    built/<key>.complete       its marker, written last
    built/<key>.lock           the file lock under which it is built

Only wheels are used: building from source would run the packages' own code in this process's place.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import uv

from gitops.disk.locks import shared
from gitops.environments.interpreters import Interpreter, Interpreters
from gitops.environments.requirements import UNRESOLVABLE, Requirements, read_requirements
from gitops.environments.sources import UvLock, read_project
from gitops.environments.uv import Uv
from gitops.errors import RefusedError, RetryError, StalledError
from gitops.failpoints import failpoint
from gitops.lockfile import LARGEST, Lock
from gitops.ports import BuiltEnvironment

_KEY = re.compile(r"[0-9a-f]{32}")
_HEADER = "# python "
_PATIENCE = 1800.0  # seconds, for one call of uv and for another builder of the same environment
_PAUSE = 0.1
_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
# An environment shares no file with uv's cache: one that shares inodes (uv's hard links, also its fallback where a
# file system cannot clone) would carry a change in one environment into the cache and from there into every other.
# APFS clones for certain; elsewhere the copy costs seconds, once for each lock.
_LINK_MODE = "clone" if sys.platform == "darwin" else "copy"


class UvEnvironments:
    """Locks, builds and keeps Python environments.

    Args:
        root: our folder.
        program: the uv program; by default the one of the package.
        candidates: interpreters to choose from; by default those installed on this machine.
    """

    def __init__(self, root: Path, *, program: str | None = None, candidates: Sequence[Path] | None = None) -> None:
        self._root = root.absolute()
        self._uv = Uv(program or uv.find_uv_bin(), patience=_PATIENCE)
        self._interpreters = Interpreters(candidates)
        for name in ("resolutions", "locks", "built"):
            (self._root / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def lock(self, project: Path, *, declared: str | None = None) -> Lock:
        """Resolve what a project folder asks for.

        Args:
            declared: the file that its MLproject names, relative to the folder.

        Raises:
            StalledError: `NoInterpreter` when the asked minor version is not installed.
            RefusedError: `EnvironmentUnresolvable` with the resolver's last lines, `NoEnvironment`, or
                `lock_too_large`.
            RetryError: `IndexUnavailable` when the package index does not answer.
        """
        asked = read_project(project, declared=declared)
        interpreter = self._interpreters.choose(asked.python, file=asked.file)
        if isinstance(asked.packages, UvLock):
            return _lock(self._export(asked.packages, interpreter), interpreter)
        return _lock(self._resolve(asked.packages, interpreter), interpreter)

    def lock_requirements(self, requirements: str, *, python: str) -> Lock:
        """Resolve the text of a requirements file, of a model that was not trained here for example.

        Raises:
            StalledError: `NoInterpreter` when the asked minor version is not installed.
            RefusedError: `EnvironmentUnresolvable` with the resolver's last lines, or `lock_too_large`.
            RetryError: `IndexUnavailable` when the package index does not answer.
        """
        interpreter = self._interpreters.choose(python)
        asked = read_requirements(requirements, file="requirements.txt", include=_refuse_include)
        return _lock(self._resolve(asked, interpreter), interpreter)

    def build(self, lock: Lock) -> BuiltEnvironment:
        """Return the environment of a lock, built when it is not there yet; concurrent builders build once.

        Raises:
            StalledError: `NoInterpreter` when the interpreter is not here, `EnvironmentMismatch` when the lock comes to
                another environment with those that are.
            RefusedError: `EnvironmentUnresolvable` when a package of the lock cannot be had.
            RetryError: `EnvironmentBusy` when another builder does not end, and what uv meets.
        """
        if found := self.find(lock.key):
            return found
        interpreter = self._interpreter_of(lock)
        with self._alone(lock.key) as held:
            if not self._is_built(lock.key):
                failpoint("build_environment.before")
                try:
                    self._build(lock, interpreter, held=held)
                except BaseException:
                    # Half an environment is of no use to anybody, and a full disk wants its room back.
                    _remove(self._root / "built" / lock.key)
                    raise
                failpoint("build_environment.after")
        return BuiltEnvironment(key=lock.key, python=self._python(lock.key))

    def _interpreter_of(self, lock: Lock) -> Interpreter:
        """Return the interpreter with which the text of a lock comes to the environment that the lock names."""
        digest = _sha256(lock.text)
        here: list[str] = []
        for interpreter in self._interpreters.fitting(lock.python):
            if _key(digest, interpreter) == lock.key:
                return interpreter
            here.append(" ".join(_identity(interpreter)))
        what = f"environment {lock.key[:12]} was locked for {lock.interpreter or f'Python {lock.python}'}"
        other = f"its lock comes to another one with what is installed here ({', '.join(dict.fromkeys(here))})"
        way_out = "let a machine like the one that locked it do this, or train the commit anew on one like this"
        raise StalledError("EnvironmentMismatch", f"{what}, and {other}: {way_out}")

    def find(self, key: str) -> BuiltEnvironment | None:
        """Return an environment that was built already, and whose interpreter is still there.

        It counts as used now, so that it is not removed under whoever is about to use it.
        """
        with shared(self._lock_file(key)) as is_ours:
            if not is_ours or not self._is_built(key):
                return None
            with suppress(OSError):
                os.utime(self._marker(key))
        return BuiltEnvironment(key=key, python=self._python(key))

    def _is_built(self, key: str) -> bool:
        return self._marker(key).is_file() and self._python(key).is_file()

    def lock_of(self, key: str) -> Lock | None:
        """Return the lock an environment was built from here; its file stays when the environment is removed."""
        path = self._root / "locks" / f"{_checked(key)}.txt"
        if not path.is_file():
            return None
        header, _, text = path.read_text(encoding="utf-8").partition("\n")
        python, _, interpreter = header.removeprefix(_HEADER).partition(" ")
        return Lock(text=text, digest=_sha256(text), python=python, key=key, interpreter=interpreter)

    def _export(self, asked: UvLock, interpreter: Interpreter) -> str:
        """Return a uv.lock as requirements; uv sees these two files only, and no settings of theirs."""
        with tempfile.TemporaryDirectory(prefix="export-", dir=self._root) as name:
            folder = Path(name)
            (folder / "uv.lock").write_bytes(asked.lock)
            (folder / "pyproject.toml").write_bytes(asked.project)
            command = [
                "export",
                "--frozen",
                "--no-config",
                "--no-dev",
                "--no-emit-local",
                "--no-header",
                "--no-annotate",
            ]
            text = self._uv.run([*command, "--python", interpreter.path], folder=folder)
        packages = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
        if unhashed := [line.split(" ")[0] for line in packages if "--hash=" not in line]:
            names = ", ".join(unhashed)
            raise RefusedError(
                UNRESOLVABLE, f"uv.lock has no hash of {names}: name released versions of an index instead"
            )
        return _lines([*asked.options, *text.splitlines()])

    def _resolve(self, asked: Requirements, interpreter: Interpreter) -> str:
        if asked.is_hashed:
            return _lines([*asked.options, *asked.lines])
        inputs = [asked.options, asked.lines, asked.constraints, _identity(interpreter)]
        path = self._root / "resolutions" / f"{_sha256(json.dumps(inputs))}.txt"
        if not path.is_file():
            failpoint("resolve_environment.before")
            _write(path, self._compile(asked, interpreter))
            failpoint("resolve_environment.after")
        return path.read_text(encoding="utf-8")

    def _compile(self, asked: Requirements, interpreter: Interpreter) -> str:
        with tempfile.TemporaryDirectory(prefix="resolve-", dir=self._root) as name:
            folder = Path(name)
            (folder / "requirements.in").write_text(_lines([*asked.options, *asked.lines]), encoding="utf-8")
            (folder / "constraints.txt").write_text(_lines(asked.constraints), encoding="utf-8")
            command = ["pip", "compile", "requirements.in", "-c", "constraints.txt", "-o", "lock.txt"]
            flags = ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-build"]
            self._uv.run([*command, *flags, "--python", interpreter.path], folder=folder)
            # The index options stand in front: without them the environment could not be built again.
            return _lines([*asked.options, *(folder / "lock.txt").read_text(encoding="utf-8").splitlines()])

    def _build(self, lock: Lock, interpreter: Interpreter, *, held: int) -> None:
        started = time.monotonic()
        path = self._root / "built" / lock.key
        self._marker(lock.key).unlink(missing_ok=True)
        _remove(path)
        _write(self._root / "locks" / f"{lock.key}.txt", f"{_header(lock)}\n{lock.text}")
        with tempfile.TemporaryDirectory(prefix="build-", dir=self._root) as name:
            folder = Path(name)
            (folder / "lock.txt").write_text(lock.text, encoding="utf-8")
            self._uv.run(["venv", "--no-project", "--python", interpreter.path, path], folder=folder, held=held)
            failpoint("fill_environment.before")
            command = ["pip", "sync", "lock.txt", "--python", str(self._python(lock.key)), "--allow-empty-requirements"]
            # Hashes decide, so the best match over several indexes is safe. Byte code now: later it is read-only.
            flags = ["--require-hashes", "--no-build", "--index-strategy", "unsafe-best-match", "--compile-bytecode"]
            self._uv.run([*command, *flags, "--link-mode", _LINK_MODE], folder=folder, held=held)
            failpoint("fill_environment.after")
        _make_read_only(path)
        os.sync()
        facts = {"python": interpreter.version, "lock": lock.digest, "seconds": round(time.monotonic() - started, 1)}
        _write(self._marker(lock.key), json.dumps(facts))

    @contextmanager
    def _alone(self, key: str) -> Iterator[int]:
        """Hold the file lock of an environment; the kernel takes it back when we, and a uv we started, are gone."""
        deadline = time.monotonic() + _PATIENCE
        with self._lock_file(key).open("wb") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        message = f"another process has been building environment {key} for {_PATIENCE:.0f} s"
                        raise RetryError("EnvironmentBusy", message) from None
                    time.sleep(_PAUSE)
            yield file.fileno()

    def _python(self, key: str) -> Path:
        return self._root / "built" / _checked(key) / "bin" / "python"

    def _lock_file(self, key: str) -> Path:
        return self._root / "built" / f"{_checked(key)}.lock"

    def _marker(self, key: str) -> Path:
        return self._root / "built" / f"{_checked(key)}.complete"


def _lock(text: str, interpreter: Interpreter) -> Lock:
    size = len(text.encode())
    if size > LARGEST:
        message = f"the lock of the environment has {size} bytes, and may have {LARGEST}: ask for fewer packages"
        raise RefusedError("lock_too_large", message)
    digest = _sha256(text)
    return Lock(
        text=text,
        digest=digest,
        python=interpreter.minor,
        key=_key(digest, interpreter),
        interpreter=" ".join(_identity(interpreter)),
    )


def _key(digest: str, interpreter: Interpreter) -> str:
    return _sha256(json.dumps(["1", digest, _identity(interpreter)]))[:32]


def _header(lock: Lock) -> str:
    return f"{_HEADER}{lock.python} {lock.interpreter}".rstrip()


def _identity(interpreter: Interpreter) -> list[str]:
    """Return what wheels depend on.

    Not the patch version: an environment follows its system's interpreter anyway, and a security update must not take
    away the environment of every version that could be rolled back to.
    """
    return [interpreter.implementation, interpreter.minor, interpreter.platform]


def _refuse_include(file: str, included: str) -> str:
    raise RefusedError(UNRESOLVABLE, f"{file} includes {included}, which did not come with it")


def _checked(key: str) -> str:
    """Return the key; it becomes part of paths."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not an environment's key: {key!r}")
    return key


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _make_read_only(folder: Path) -> None:
    """Take every write bit: an import writes no byte code, an installation fails. Links are left alone."""
    for name, _, files in os.walk(folder, topdown=False):
        for path in (*(Path(name) / file for file in files), Path(name)):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode):
                path.chmod(stat.S_IMODE(mode) & ~_WRITE_BITS)


def _remove(folder: Path) -> None:
    """Remove an environment, whole or half-built."""
    for name, _, _ in os.walk(folder):
        Path(name).chmod(stat.S_IRWXU)
    if folder.exists():
        shutil.rmtree(folder)
