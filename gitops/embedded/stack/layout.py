"""Where everything of one embedded stack lies: folders, ports and addresses. Knows no process.

Ports are chosen once. Pins, clones, webhooks and plans hold addresses, so only the broker's port may ever move.
"""

import os
import random
import socket
import uuid
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import psutil

from gitops.embedded.stack.record import Record, read_record, write_record
from gitops.errors import InputError, NotFoundError, StalledError
from gitops.private_files import write_private

DEFAULT_DIR = Path(".launchpin-stack")
LOOPBACK = "127.0.0.1"
# Below the ports that Linux (32768) and macOS (49152) give to outgoing connections, which would take ours now and then.
_PORTS = range(20_000, 32_000)
_MOVABLE = "valkey"


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one stack."""

    valkey: int
    mlflow: int
    forge: int
    endpoints: int
    web: int


@dataclass(frozen=True)
class Layout:
    """One stack's folder and addresses.

    Args:
        dir: absolute.
        id: marks this stack's processes.
    """

    dir: Path
    id: str
    ports: Ports

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Return the layout of a folder, made where there is none; of two callers both get the same.

        Raises:
            InputError: `stack_dir` when the folder cannot be a stack's.
        """
        folder = folder.absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(folder / ".gitignore", "*\n")
        except OSError as error:
            message = f"{folder} cannot be used: {error.strerror}; name another folder with --dir"
            raise InputError("stack_dir", message) from error
        if not (folder / "stack.json").exists():
            _claim(folder / "stack.json", Record(id=uuid.uuid4().hex, ports=_choose_ports()))
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the layout of a folder that was a stack's before.

        Raises:
            NotFoundError: `NoStack` when it was not.
            InputError: `stack_unreadable` when its record is damaged.
        """
        folder = folder.absolute()
        record = read_record(folder / "stack.json")
        if record is None:
            raise NotFoundError("NoStack", f"there is no stack in {folder}: `launchpin up` makes one, --dir names one")
        try:
            ports = Ports(**{field.name: record.ports[field.name] for field in fields(Ports)})
        except KeyError as error:
            raise InputError("stack_unreadable", f"no port for {error.args[0]}", file="stack.json") from error
        return cls(folder, record.id, ports)

    def save(self, record: Record) -> None:
        """Write what is known about the stack, whole or not at all."""
        write_record(self.stack_file, record)

    def with_free_ports(self) -> Self:
        """Return this layout if every port can be had, with another port for the broker if that one cannot.

        Raises:
            StalledError: `PortTaken`, naming the part, the port and who has it.
        """
        layout = self
        for field in fields(Ports):
            port = getattr(self.ports, field.name)
            if is_free(port):
                continue
            if field.name != _MOVABLE:
                raise StalledError("PortTaken", f"port {port} of {field.name} is taken by {_name_holder(port)}: end it")
            layout = replace(self, ports=replace(self.ports, valkey=choose_port(set(self.ports.__dict__.values()))))
        return layout

    @property
    def stack_file(self) -> Path:
        """What the supervisor knows, for other processes to read."""
        return self.dir / "stack.json"

    @property
    def lock_file(self) -> Path:
        """Held by the supervisor while it lives."""
        return self.dir / "up.lock"

    @property
    def secrets(self) -> Path:
        """The folder of secrets, for its owner only."""
        return self.dir / "secrets"

    @property
    def forge_home(self) -> Path:
        """The forge's data, its tokens among them."""
        return self.dir / "forge"

    def mark(self, part: str = "") -> str:
        """Return what stands in the environment of every process of a part, or of the stack."""
        return f"LAUNCHPIN_STACK={self.id}/{part}"

    def empty_folder(self, part: str) -> Path:
        """Return where a part starts: no folder of the user's can stand in for a package there."""
        return self.dir / "run" / part

    def log(self, part: str) -> Path:
        """Return the log of a part."""
        return self.dir / "logs" / f"{part}.log"

    def url(self, part: str) -> str:
        """Return the base address of a part."""
        return f"http://{LOOPBACK}:{getattr(self.ports, part)}"


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _claim(file: Path, record: Record) -> None:
    """Write the first record of a stack, unless somebody else was faster."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    write_record(beside, record)
    try:
        file.hardlink_to(beside)
    except FileExistsError:
        return
    finally:
        beside.unlink()


def _choose_ports() -> dict[str, int]:
    chosen: dict[str, int] = {}
    for field in fields(Ports):
        chosen[field.name] = choose_port(set(chosen.values()))
    return chosen


def choose_port(taken: set[int]) -> int:
    """Return a loopback port that is free now and is none of these.

    Raises:
        StalledError: `PortTaken` when there is none.
    """
    candidates = [port for port in _PORTS if port not in taken]
    random.SystemRandom().shuffle(candidates)
    port = next(filter(is_free, candidates), None)
    if port is None:
        raise StalledError("PortTaken", f"no loopback port from {_PORTS.start} to {_PORTS.stop} is free")
    return port


def _name_holder(port: int) -> str:
    """Return who listens on a port, as far as we may see it."""
    try:
        connections = psutil.net_connections("tcp")
        pid = next((one.pid for one in connections if one.laddr and one.laddr.port == port and one.pid), None)
        return f"{psutil.Process(pid).name()} (pid {pid})" if pid else "another process"
    except psutil.Error:
        return "another process"
