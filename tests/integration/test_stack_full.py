import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gitops.embedded.stack.environment import environment_for, settings_for
from gitops.embedded.stack.keys import make_secrets
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import PartState, State
from gitops.embedded.stack.supervisor import part_states
from gitops.settings import Settings
from gitops.trainers import processes
from tests.support.stack import wait_until

_CLI = (sys.executable, "-P", "-m", "gitops.cli")
_PARTS = {"mlflow", "database", "valkey", "forge", "endpoints", "control", "training", "web", "relay"}
_HOSTILE = "from pathlib import Path\nPath({canary!r}).touch()\nraise SystemExit('not ours')\n"


@pytest.mark.slow
def test_whole_stack_comes_up_survives_a_death_and_leaves_no_process(tmp_path: Path) -> None:
    folder, canary = tmp_path / "stack", tmp_path / "canary"
    with up(folder, cwd=make_hostile_folder(tmp_path / "hostile", canary)) as running:
        urls = json.loads(read_line(running, within=120))["urls"]
        layout = Layout.load(folder)
        assert {part.name for part in part_states(layout)} == _PARTS
        assert {part.state for part in part_states(layout)} == {State.READY, State.DONE}

        assert httpx.get(urls["dashboard"]).status_code == httpx.codes.SEE_OTHER
        assert httpx.get(urls["dashboard"]).status_code != httpx.codes.SEE_OTHER
        assert httpx.get(urls["forge"]).status_code == httpx.codes.SEE_OTHER
        assert httpx.get(f"{urls['mlflow']}/health").is_success

        again = subprocess.run([*_CLI, "up", "--dir", str(folder)], check=False, capture_output=True, text=True)
        assert again.returncode == 1
        assert f"pid {running.pid}: `launchpin down` stops it" in again.stderr

        process = part(layout, "web").process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: is_back(part(layout, "web")), "web is up again")
        assert httpx.get(f"{layout.url('web')}/readyz").is_success

        down = subprocess.run([*_CLI, "down", "--dir", str(folder)], check=True, capture_output=True, text=True)
        assert down.stdout == f"Stopped. All data stays in {folder}\n"
        assert running.wait(timeout=10) == 0
    assert not processes.carriers(layout.mark(), processes.snapshot())
    assert {one.state for one in part_states(layout)} == {State.STOPPED}
    assert not canary.exists()


def test_settings_of_a_command_are_those_of_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = make_layout_with_secrets(tmp_path)
    for name, value in environment_for(layout).items():
        monkeypatch.setenv(name, value)
    assert settings_for(layout) == Settings()


def make_layout_with_secrets(folder: Path) -> Layout:

    layout = Layout.make(folder)
    make_secrets(layout)
    return layout


def make_hostile_folder(folder: Path, canary: Path) -> Path:
    """Make a folder in which every package of ours, and some that parts import by name, is somebody else's."""
    for name in ("gitops", "workers", "webhooks", "celery", "mlflow", "uvicorn"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(_HOSTILE.format(canary=str(canary)))
    return folder


@contextmanager
def up(folder: Path, *, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `launchpin up` in a folder until the block ends."""
    command = [*_CLI, "up", "--dir", str(folder), "--json"]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=90)


def read_line(process: subprocess.Popen[str], *, within: float) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], within)
    assert readable, "nothing was printed"
    return process.stdout.readline()


def part(layout: Layout, name: str) -> PartState:
    return next(one for one in part_states(layout) if one.name == name)


def is_back(state: PartState) -> bool:
    return state.restarts == 1 and state.state is State.READY
