"""What the tests of trainers and environments share: leases, specs, and looking at processes."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from gitops.ports import TrainingSpec
from gitops.trainers import processes


@dataclass
class HeldLease:
    """A lease that is held until `ends` says otherwise, by a worker that `stops` or does not."""

    ends: Callable[[], bool] = lambda: False
    lost: int = 0
    stops: bool = False

    def is_held(self) -> bool:
        return not self.ends()

    def is_stopping(self) -> bool:
        return self.stops


def make_spec(checkout: Path, command: str, **changes: Any) -> TrainingSpec:  # noqa: ANN401 - any field of a spec
    """Return a spec that runs a command with this test's own interpreter."""
    checkout.mkdir(parents=True, exist_ok=True)
    spec = TrainingSpec(
        training_id="t1",
        attempt=1,
        checkout=checkout,
        command=command,
        python=Path(sys.executable),
        variables={},
        secrets={},
        timeout=timedelta(seconds=60),
    )
    return replace(spec, **changes)


def write_script(checkout: Path, text: str) -> str:
    """Write a training script and return the command that runs it."""
    checkout.mkdir(parents=True, exist_ok=True)
    (checkout / "train.py").write_text(text, encoding="utf-8")
    return "python train.py"


def wait_until(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait for a condition, and fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Return whether a process lives; a zombie does not."""
    return processes.find(pid) is not None


def pids_in(file: Path) -> list[int]:
    """Return the process ids a script wrote, one a line; the last line counts once it is whole."""
    text = file.read_text(encoding="ascii") if file.exists() else ""
    return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
