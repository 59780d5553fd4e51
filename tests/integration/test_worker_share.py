"""How many jobs a worker runs at a time, and that the trainings among them share the machine's memory."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.store import make_url, sqlite_template, sqlite_url

__all__ = ["sqlite_template", "sqlite_url"]

ROOT = Path(__file__).parents[2]
# What `main` does up to the worker's start, and what its first wake builds.
PROGRAM = """
import sys
from workers import start, tasks
from gitops.leasing import Shift
queue, threads = start.read_arguments(sys.argv[1:])
worker = start.make_worker(start.app, name=queue.value, queues=[queue.value], threads=threads)
print(queue.value, worker.concurrency, tasks.build_loop(Shift()).deps.service.memory)
"""


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str) -> Path:
    """Give the folder of a worker that has a database and secrets."""
    assert sqlite_url == make_url(tmp_path)
    for name, text in {"redis": "redis://:secret@127.0.0.1:1/0", "hook": "a secret", "token": "a token"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def start(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Make a worker in a process of its own, as the command line does."""
    files = {
        "LAUNCHPIN_HOME": str(home),
        "LAUNCHPIN_REDIS_URL_FILE": str(home / "redis"),
        "LAUNCHPIN_FORGE_TOKEN_FILE": str(home / "token"),
        "LAUNCHPIN_ENDPOINT_TOKEN_FILE": str(home / "token"),
        "LAUNCHPIN_HOOK_SECRET_FILES": f'["{home / "hook"}"]',
    }
    return subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *arguments],
        cwd=home,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(home), **files, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "slots", "count"),
    [
        ((), "", 1),
        ((), "4", 4),
        (("--threads", "3"), "", 3),
        (("--threads", "3"), "4", 3),
    ],
    ids=["neither", "slots", "threads", "both"],
)
def test_a_training_gets_its_share_of_the_memory_among_those_that_really_run_at_a_time(
    home: Path, arguments: tuple[str, ...], slots: str, count: int
) -> None:
    settings = {"LAUNCHPIN_TRAINING_SLOTS": slots} if slots else {}
    made = start(home, "--queue", "training", *arguments, **settings)
    assert made.returncode == 0, made.stderr
    share = psutil.virtual_memory().total * 80 // 100 // count
    assert made.stdout.splitlines()[-1] == f"training {count} {share}"


def test_a_limit_that_was_set_is_shared_by_nobody(home: Path) -> None:
    made = start(home, "--queue", "training", "--threads", "3", LAUNCHPIN_TRAINING_MEMORY="1048576")
    assert made.stdout.splitlines()[-1] == "training 3 1048576", made.stderr


@pytest.mark.parametrize("threads", ["0", "-1", "65", "two"])
def test_a_number_of_jobs_that_no_worker_can_run_at_a_time_is_refused(home: Path, threads: str) -> None:
    made = start(home, "--queue", "training", f"--threads={threads}")
    assert made.returncode == 2
    assert f"argument --threads: {threads!r} is no number from 1 to 64" in made.stderr
