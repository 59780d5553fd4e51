"""What a trainer and its runner process tell each other: one JSON line each way, and the record of who runs.

The job goes over standard input, never as arguments: it holds the granted secrets, and anybody may read arguments.
"""

from pathlib import Path

from pydantic import ConfigDict, Field

from gitops.ports import End
from gitops.records import Frozen


class RunnerJob(Frozen):
    """What a runner is to do; see `TrainingSpec`, too.

    Args:
        timeout: seconds.
        silence: seconds without a byte on standard input after which the worker counts as lost.
        log: the file to write; its folder exists.
        scratch: a private folder that exists; HOME and TMPDIR lie in it, and it marks the tree's processes.
        record: where the runner says who it is, before it starts anything.
    """

    # An error about a job must not print it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    checkout: Path
    command: str
    python: Path
    variables: dict[str, str]
    secrets: dict[str, str] = Field(repr=False)
    timeout: float
    silence: float
    memory: int
    tasks: int
    log: Path
    scratch: Path
    record: Path


class RunnerRecord(Frozen):
    """Which process runs a training: enough to end exactly it."""

    pid: int
    started: str
    scratch: Path


class RunnerResult(Frozen):
    """How it ended; see `TrainingEnd`."""

    end: End
    exit_code: int
    seconds: float
    peak_memory: int
