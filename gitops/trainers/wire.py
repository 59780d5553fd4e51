"""What a trainer and its runner process tell each other: one JSON line each way, and the record of who runs.

The job goes over standard input, never as arguments: it holds the granted secrets, and anybody may read arguments.
A runner starts with each training, so that what it loads is small: no pydantic, and nothing that our ports need.
"""

from pathlib import Path
from typing import Any, Self

import msgspec

from gitops.ends import End


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that is one line of JSON; an error about it names the field, and never what stands in it."""

    def to_line(self) -> bytes:
        """Return the line, without its end."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Return what a line says.

        Raises:
            MsgspecError: it is none of these.
        """
        return msgspec.json.decode(line, type=cls, dec_hook=_path)


def _path(kind: type, value: Any) -> Path:  # noqa: ANN401 - as msgspec calls it
    if kind is not Path or not isinstance(value, str):
        raise TypeError(f"no line holds a {kind.__name__}")
    return Path(value)


class RunnerJob(_Line, frozen=True, kw_only=True):
    """What a runner is to do; see `TrainingSpec`, too.

    Args:
        timeout: seconds.
        silence: seconds without a byte on standard input after which the worker counts as lost.
        log: the file to write; its folder exists.
        scratch: a private folder that exists; HOME and TMPDIR lie in it, and it marks the tree's processes.
        record: where the runner says who it is, before it starts anything.
    """

    checkout: Path
    command: str
    python: Path
    variables: dict[str, str]
    secrets: dict[str, str]
    timeout: float
    silence: float
    memory: int
    tasks: int
    log: Path
    scratch: Path
    record: Path

    def __repr__(self) -> str:
        """Show which job it is, and no secret."""
        return f"RunnerJob(record={str(self.record)!r})"


class RunnerRecord(_Line, frozen=True, kw_only=True):
    """Which process runs a training: enough to end exactly it."""

    pid: int
    started: str
    scratch: Path


class RunnerResult(_Line, frozen=True, kw_only=True):
    """How it ended; see `TrainingEnd`."""

    end: End
    exit_code: int
    seconds: float
    peak_memory: int
