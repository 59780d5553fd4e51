"""The places of a home folder where things gather: what lies there, and how one of them goes.

A thing is renamed, in its place, to a name that nobody looks for, and deleted then. Killed in between, a collection
leaves trash, which the next one takes away.
"""

import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from os import walk
from pathlib import Path

from gitops.disk.locks import alone, is_held_alone
from gitops.failpoints import failpoint
from gitops.retention import Kind, Thing

_TRASH = ".trash-"


@dataclass(frozen=True)
class Storeroom:
    """One place, and the things of one kind in it.

    Args:
        root: the folder.
        form: which of its entries are such things; the group `name` is the thing's name.
        lock: the file that whoever makes or takes such a thing locks; None where nobody does.
        mark: the file that says that a thing is whole; it goes first.
        is_busy: whether an entry must not be touched now.
        remove: what ends an entry instead of its deletion.
    """

    kind: Kind
    root: Path
    form: re.Pattern[str]
    lock: Callable[[Path], Path] | None = None
    mark: Callable[[Path], Path] | None = None
    is_busy: Callable[[Path], bool] = lambda _: False
    remove: Callable[[Path], None] | None = None

    def things(self) -> Sequence[Thing]:
        """Return what lies there; what is being made or taken is left out. Changes nothing."""
        return tuple(self._found())

    def _found(self) -> Iterator[Thing]:
        now = time.time()
        for entry in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            match = self.form.fullmatch(entry.name)
            if match is None or self.is_busy(entry) or (self.lock and is_held_alone(self.lock(entry))):
                continue
            with suppress(FileNotFoundError):
                stamp = self._stamp(entry)
                idle = timedelta(seconds=max(0.0, now - stamp / 1e9))
                yield Thing(self.kind, match["name"], measure(entry), idle, stamp=stamp, entry=entry.name)

    def discard(self, thing: Thing) -> bool:
        """Remove a thing, unless it was used since it was looked at; False when it stays or is gone already."""
        entry = self.root / thing.entry
        with alone(self.lock(entry)) if self.lock and self.root.is_dir() else nullcontext(enter_result=True) as ours:
            try:
                if not ours or self.is_busy(entry) or self._stamp(entry) != thing.stamp:
                    return False
                trash = self._set_aside(entry)
            except FileNotFoundError:
                return False
        if self.remove is not None:
            self.remove(entry)
            return True
        failpoint("discard.before")
        remove_tree(trash)
        failpoint("discard.after")
        return True

    def _set_aside(self, entry: Path) -> Path:
        if self.remove is not None or self.kind is Kind.TRASH:
            return entry
        trash = entry.with_name(f"{_TRASH}{secrets.token_hex(4)}-{entry.name}")
        if self.mark is not None:
            self.mark(entry).unlink(missing_ok=True)
            failpoint("discard_mark.after")
        entry.rename(trash)
        return trash

    def _stamp(self, entry: Path) -> int:
        """Return when it was last used, in nanoseconds since 1970."""
        if self.mark is not None:
            with suppress(FileNotFoundError):
                return self.mark(entry).stat().st_mtime_ns
        return entry.lstat().st_mtime_ns


def storerooms(home: Path, *, reap: Callable[[str], None]) -> tuple[Storeroom, ...]:
    """Return every place of a home folder where things gather.

    Args:
        reap: ends what is left of a training whose id it gets, its scratch folder included.
    """
    environments, trainings, models = home / "environments", home / "trainings", home / "models"
    built, mirrors = environments / "built", home / "mirrors"
    scratch = trainings / "scratch"
    rooms = (
        Storeroom(Kind.LOGS, trainings / "logs", re.compile(r"(?P<name>[^.].*)-\d+\.log")),
        Storeroom(Kind.WORKSPACES, home / "workspace", re.compile(r"(?P<name>[^.].*)")),
        Storeroom(
            Kind.WORKSPACES,
            trainings / "trainings",
            re.compile(r"(?P<name>[^.].*)\.json"),
            remove=lambda record: reap(record.stem),
        ),
        Storeroom(
            Kind.ENVIRONMENTS,
            built,
            re.compile(r"(?P<name>[0-9a-f]{32})"),
            lock=lambda entry: entry.with_name(f"{entry.name}.lock"),
            mark=lambda entry: entry.with_name(f"{entry.name}.complete"),
        ),
        Storeroom(Kind.MODELS, models, re.compile(r"(?P<name>[0-9a-f]{64})"), lock=lambda _: model_lock(models)),
        Storeroom(
            Kind.MIRRORS,
            mirrors,
            re.compile(r"(?P<name>\d+)\.git"),
            lock=lambda entry: entry.with_name(f"{entry.stem}.lock"),
        ),
        Storeroom(Kind.LEFTOVERS, environments, re.compile(r"(?P<name>(build|resolve|export)-.+)")),
        Storeroom(Kind.LEFTOVERS, models, re.compile(r"(?P<name>\.+fetch-.+)")),
        # Whoever makes such a folder holds a lock on it while it lives.
        Storeroom(Kind.LEFTOVERS, mirrors, re.compile(r"(?P<name>\.(?!trash-).+\.partial)"), lock=lambda entry: entry),
        Storeroom(
            Kind.LEFTOVERS,
            scratch,
            re.compile(r"(?P<name>[^.].*)"),
            is_busy=lambda entry: _is_recorded(entry, trainings),
        ),
    )
    roots = dict.fromkeys(room.root for room in rooms)
    return (*rooms, *(Storeroom(Kind.TRASH, root, re.compile(rf"(?P<name>{re.escape(_TRASH)}.+)")) for root in roots))


def model_lock(models: Path) -> Path:
    """Return the lock of the folder of model files: shared by whoever takes one, held alone to remove one."""
    return models / ".lock"


def _is_recorded(scratch: Path, trainings: Path) -> bool:
    """Return whether a training's record names this scratch folder; its runner may live for days."""
    name = str(scratch).encode()
    for record in (trainings / "trainings").glob("*.json"):
        with suppress(FileNotFoundError):
            if name in record.read_bytes():
                return True
    return False


def measure(entry: Path) -> int:
    """Return the bytes of a file, or of everything in a folder; links are not followed."""
    if entry.is_symlink() or not entry.is_dir():
        return entry.lstat().st_size
    total = 0
    for folder, _, files in walk(entry):
        for file in files:
            with suppress(OSError):
                total += (Path(folder) / file).lstat().st_size
    return total


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with what is in it, read-only ones included; what is gone already is well."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in walk(path):
        with suppress(OSError):
            Path(folder).chmod(stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)
