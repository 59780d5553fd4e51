"""What the endpoint host remembers beyond its own death: one JSON file, replaced whole and synced."""

import contextlib
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gitops.errors import InputError
from gitops.failpoints import failpoint
from gitops.serving import Configuration, EndpointStatus, Readiness


@dataclass(frozen=True)
class Process:
    """A scorer's process; its start time makes the number unique.

    Args:
        started: seconds since 1970, as psutil says.
        port: where it listens on loopback.
    """

    pid: int
    started: float
    port: int


@dataclass
class Prepared:
    """A configuration and what became of it.

    Args:
        number: rises with every configuration; the order of retirement.
        prepared_at: seconds since 1970.
        served_at: when it last got or gave up traffic, 0 when it never had any.
        wanted: a scorer of it should run.
    """

    configuration: Configuration
    number: int
    prepared_at: float
    served_at: float = 0.0
    wanted: bool = True
    readiness: Readiness = Readiness.STARTING
    reason: str = ""
    message: str = ""
    tail: tuple[str, ...] = ()
    process: Process | None = None

    @property
    def is_up(self) -> bool:
        """Whether its scorer answers now."""
        return self.process is not None and self.readiness is Readiness.READY


@dataclass
class Route:
    """An endpoint: which configuration answers, and which was asked for.

    Args:
        previous: the version before the live one, kept running; during a bake the one to go back to.
        unproven: the live configuration has not come through its bake.
        bake: seconds, of the desired configuration.
        bake_ends: seconds since 1970.
    """

    name: str
    status: EndpointStatus
    live: str = ""
    previous: str = ""
    desired: str = ""
    unproven: bool = False
    bake: float = 0.0
    bake_ends: float = 0.0
    failure: str = ""
    message: str = ""
    requests: int = 0
    errors: int = 0

    @property
    def is_moving(self) -> bool:
        """Whether the desired configuration still waits for its scorer."""
        return self.status in {EndpointStatus.CREATING, EndpointStatus.UPDATING, EndpointStatus.ROLLING_BACK}


@dataclass
class State:
    """Everything the host remembers.

    Args:
        host: this host's name for ever.
    """

    host: str
    last_number: int = 0
    configurations: dict[str, Prepared] = field(default_factory=dict)
    endpoints: dict[str, Route] = field(default_factory=dict)


_STATE = TypeAdapter(State)


class Memory:
    """The state in memory and its file.

    Args:
        file: `state.json` in the host's folder.

    Raises:
        InputError: `state_unreadable` when the file is not what this host wrote.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.state = _read_state(file)
        self.unsaved = ""

    def save(self) -> None:
        """Write the state; a full disk is remembered in `unsaved`, because traffic must move all the same."""
        try:
            failpoint("endpoint_host.save.before")
            _write_durably(self._file, _STATE.dump_json(self.state, indent=1))
            failpoint("endpoint_host.save.after")
            self.unsaved = ""
        except OSError as error:
            self.unsaved = f"the state file was not written: {error.strerror or error}"


def _read_state(file: Path) -> State:
    if not file.exists():
        return State(host=f"local-{secrets.token_hex(8)}")
    try:
        return _STATE.validate_json(file.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise InputError(
            "state_unreadable", f"{file} was altered at {place or 'its start'}: {fault['msg']}", file=file.name
        ) from error


def _write_durably(file: Path, content: bytes) -> None:
    """Replace a file so that after a crash it is the old one or the new one, whole."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
