"""stack.json: what the supervisor tells other processes, written whole or not at all, by it alone."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from gitops.errors import InputError
from gitops.private_files import write_private
from gitops.trainers import processes

_VERSION = 1


class State(StrEnum):
    """What a part is doing."""

    WAITING = "Waiting"
    STARTING = "Starting"
    READY = "Ready"
    DONE = "Done"
    RESTARTING = "Restarting"
    STOPPING = "Stopping"
    STOPPED = "Stopped"


@dataclass(frozen=True)
class Identity:
    """A process that no later one can be taken for.

    Args:
        started: as `gitops.trainers.processes` reads it.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Return the identity of a living process."""
        found = processes.find(pid)
        return cls(pid, found.started) if found else None

    def is_alive(self) -> bool:
        """Return whether this very process lives."""
        return Identity.of(self.pid) == self


@dataclass(frozen=True)
class PartState:
    """What is known about one part.

    Args:
        process: its last process, None before the first.
        restarts: how often it died and was started again since `up`.
        log: its log's path.
        url: where it listens, empty for a part that does not.
        exit_code: of its last end, negative for a signal; None while it never ended.
    """

    name: str
    state: State
    process: Identity | None = None
    restarts: int = 0
    log: str = ""
    url: str = ""
    exit_code: int | None = None


@dataclass(frozen=True)
class Record:
    """The whole file."""

    id: str
    ports: Mapping[str, int]
    supervisor: Identity | None = None
    parts: tuple[PartState, ...] = field(default=())


def read_record(file: Path) -> Record | None:
    """Read a stack's record; None when there is none.

    Raises:
        InputError: `stack_unreadable`, as after a full disk or an edit by hand.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["version"] != _VERSION:
            raise InputError("stack_unreadable", f"version {found['version']} is not {_VERSION}", file=file.name)
        parts = tuple(_part(one) for one in found["parts"])
        ports = {str(name): int(port) for name, port in found["ports"].items()}
        return Record(str(found["id"]), ports, _identity(found["supervisor"]), parts)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError("stack_unreadable", f"not as the supervisor writes it: {error!r}", file=file.name) from error


def write_record(file: Path, record: Record) -> None:
    """Replace a stack's record."""
    write_private(file, json.dumps({"version": _VERSION} | asdict(record), indent=1) + "\n")


def _part(found: dict[str, object]) -> PartState:
    code = found["exit_code"]
    return PartState(
        name=str(found["name"]),
        state=State(str(found["state"])),
        process=_identity(found["process"]),
        restarts=int(str(found["restarts"])),
        log=str(found["log"]),
        url=str(found["url"]),
        exit_code=None if code is None else int(str(code)),
    )


def _identity(found: object) -> Identity | None:
    return Identity(int(found["pid"]), str(found["started"])) if isinstance(found, dict) else None
