"""What it costs to start and to stand idle: the command line, the embedded stack's memory, and the whole demo."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import State
from gitops.embedded.stack.supervisor import part_states
from tests.benchmarks.figures import Measured, Must, Reach, Result, Row, Scale, time_in_turn

_BIN = Path(sys.executable).parent
_ROOT = Path(__file__).parents[2]
_IDLE = Reach(Must.AT_MOST, 330.0, "the design: 300 MB; ADR 19")
_ASIDE = {"mlflow"}


def measure(scale: Scale) -> Result:
    """Measure `launchpin --help`, the idle stack, and `make demo` again in an environment that is there."""
    rows = [_measure_help(times=scale.pick(15, quick=2)), _measure_idle(settle=scale.pick(20, quick=1))]
    if not scale.is_quick:
        rows.extend(_measure_demo())
    return Result(tuple(rows))


def _measure_help(*, times: int) -> Row:
    ours, bare = time_in_turn(
        lambda: subprocess.run((_BIN / "launchpin", "--help"), check=True, stdout=subprocess.DEVNULL),
        lambda: subprocess.run((sys.executable, "-c", "pass"), check=True),
        times=times,
    )
    return Row("launchpin --help", ours, {"python -c pass": bare}, Reach(Must.RATIO_AT_MOST, 6.0))


def _measure_idle(*, settle: int) -> Row:
    """Sum the proportional memory of every process of an idle stack, the MLflow server aside."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Path(folder) / "stack"
        command = (_BIN / "launchpin", "up", "--dir", stack)
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            layout = _await_ready(stack)
            time.sleep(settle)  # what is measured is rest: there is no condition that tells its beginning
            parts = {"supervisor": _own_pss(psutil.Process(running.pid)), **_part_sizes(layout)}
        finally:
            running.terminate()
            running.wait(60)
    told = ", ".join(f"{name} {size:.0f}" for name, size in sorted(parts.items()))
    total = Measured((sum(parts.values()),), "MB")
    return Row("embedded stack idle, PSS without MLflow's server", total, {}, _IDLE, note=told)


def _await_ready(stack: Path) -> Layout:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if (stack / "stack.json").is_file():
            states = part_states(Layout.load(stack))
            if states and all(part.state in {State.READY, State.DONE} for part in states):
                return Layout.load(stack)
        time.sleep(0.2)
    raise TimeoutError("the stack was not ready after 180 s")


def _part_sizes(layout: Layout) -> dict[str, float]:
    sizes = {}
    for part in part_states(layout):
        if part.name in _ASIDE or part.process is None or not part.process.is_alive():
            continue
        process = psutil.Process(part.process.pid)
        sizes[part.name] = sum(_own_pss(one) for one in (process, *process.children(recursive=True)))
    return sizes


def _own_pss(process: psutil.Process) -> float:
    """Return megabytes; where the system tells no proportional size, the resident one, which is larger."""
    info = process.memory_full_info()
    return float(getattr(info, "pss", 0) or info.rss) / 1e6


def _measure_demo() -> tuple[Row, Row]:
    """Run `make demo` in a fresh clone, which installs everything, and then again."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(("git", "clone", "--quiet", _ROOT, clone), check=True)
        first, again = (_play(clone) for _ in range(2))
    return (
        Row("make demo in a fresh clone, with installing", first, reach=Reach(Must.AT_MOST, 300.0)),
        Row("make demo again", again, {"the first time": first}, Reach(Must.AT_MOST, 90.0)),
    )


def _play(clone: Path) -> Measured:
    report = clone / "report.json"
    begun = time.monotonic()
    command = ("make", "demo", f"ARGS=--no-wait --report {report}")
    done = subprocess.run(command, check=False, cwd=clone, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()[-2000:]
    assert json.loads(report.read_text())["ok"]
    return Measured((time.monotonic() - begun,), "s")
