"""The demo as a newcomer starts it: its exit code, its report, what it leaves running, and its unhappy acts."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gitops.audit.verify import Code, verify_bundle
from gitops.cli.demo.ends import OVERTAKEN
from gitops.cli.demo.kills import PARTS
from gitops.steps import Phase
from tests.faults.tally import Tally, choose, is_slice

_LONGEST = 600
_FIRST = 2  # the first step that a picture shows, after the start and the repositories
_GOOD = (
    "start",
    "Write and connect a model and a deploy repository",
    "Push a commit to the model repository",
    "Its signed webhook arrives",
    "A worker builds the commit's environment",
    "It trains, and MLflow holds the run",
    "The gates judge",
    "A version is registered",
    "A pull request pins it in staging",
    "Launchpin merges it: its checks are green",
    "The merge rolls staging out",
    "A pull request pins it in production",
    "You merge it",
    "The merge rolls production out",
    "The endpoint answers a prediction",
)


def play(folder: Path, act: str, *options: str) -> dict[str, Any]:
    """Run the demo to its end in a folder, and return its report."""
    report, picture = folder / f"{act}.json", folder / f"{act}.svg"
    files = ("--report", str(report), "--picture", str(picture))
    arguments = ("demo", "--dir", str(folder / "stack"), "--no-wait", *files, "--act", act, *options)
    done = subprocess.run(
        (sys.executable, "-P", "-m", "gitops.cli", *arguments),
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith(("LAUNCHPIN_", "GIT_"))},
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    document: dict[str, Any] = json.loads(report.read_text())
    assert all(step["name"] in drawn_steps(picture) for step in document["steps"][_FIRST:])
    return document


def drawn_steps(picture: Path) -> str:
    """Return what a picture says to who does not see it."""
    found = ET.parse(picture).getroot().findtext("{http://www.w3.org/2000/svg}desc")  # noqa: S314 - our own file
    assert found
    return found


def left_running(folder: Path) -> list[str]:
    """Return the processes that still have to do with a folder."""
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if str(folder) in line]


def registered(folder: Path) -> list[tuple[str, str]]:
    """Return the versions of the model in MLflow's own database, each with its run."""
    (file,) = folder.rglob("mlflow.db")
    with contextlib.closing(sqlite3.connect(file)) as mlflow:
        return mlflow.execute("SELECT version, run_id FROM model_versions WHERE name = 'iris'").fetchall()


def run_keys(folder: Path) -> list[str]:
    """Return the key of each run that was made for an attempt of a training."""
    (file,) = folder.rglob("mlflow.db")
    with contextlib.closing(sqlite3.connect(file)) as mlflow:
        return [key for (key,) in mlflow.execute("SELECT value FROM tags WHERE key = 'launchpin.run_key'")]


def facts(document: dict[str, Any], name: str) -> dict[str, str]:
    (found,) = (step for step in document["steps"] if step["name"] == name)
    known: dict[str, str] = found["facts"]
    return known


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one folder for every test here: a demo goes on where an earlier one ended."""
    return tmp_path_factory.mktemp("demo")


@pytest.mark.slow
@pytest.mark.timeout(2 * _LONGEST)
def test_the_demo_and_its_acts_come_to_their_end_in_one_folder(folder: Path) -> None:
    broken = play(folder, "broken")
    assert broken["ok"] is True
    names = [step["name"] for step in broken["steps"]]
    assert tuple(names[: len(_GOOD)]) == _GOOD
    assert all(step["seconds"] >= 0 and step["started"] for step in broken["steps"])
    asked = facts(broken, "A client asked all the time")
    assert int(asked["good answers"]) > 0
    assert asked["errors"] == "0"
    assert left_running(folder) == []

    # The same folder again: a second push of the same model or another one beside it, and all that was there before.
    # The runs between these kill every part instead.
    if is_slice(1, 3, 5, 7):
        _play_worse(folder, "iris", "accuracy 0.6667 is not above 0.9", before=broken)
    if is_slice(9):
        _play_worse(folder, "churn", "is not above 0.7", before=broken)


def _play_worse(folder: Path, example: str, why: str, *, before: dict[str, Any]) -> None:
    worse = play(folder, "worse", "--example", example)
    assert worse["ok"] is True
    assert tuple(step["name"] for step in worse["steps"])[: len(_GOOD)] == _GOOD
    assert facts(worse, "A version is registered")["version"].startswith(f"{example} ")
    # Both models are trained in one environment: nothing is built for the second.
    environment = "A worker builds the commit's environment"
    assert facts(worse, environment) == facts(before, environment)
    sentence = facts(worse, "The gates refuse it, and no pull request is opened")["on the commit"]
    assert why in sentence
    assert set(worse["urls"]) == {"pull_request", "endpoint", "dashboard", "forge", "mlflow", "endpoints"}
    assert worse["audit"]["size"] > before["audit"]["size"]
    found = verify_bundle(Path(worse["audit"]["bundle"]), key=worse["audit"]["key"])
    assert (found.code, found.size) == (Code.INTACT, worse["audit"]["size"])
    assert left_running(folder) == []


@pytest.mark.slow
@pytest.mark.slices(0, 2, 4, 6, 8)
@pytest.mark.timeout(2 * _LONGEST)
def test_parts_die_in_turn_and_the_end_is_the_same_as_without(folder: Path, tally: Callable[[str], Tally]) -> None:
    parts = choose(PARTS, of=5)
    row = tally("every part killed in turn while pushes go on: the same end, predictions but for the host's own death")
    killed = play(folder, "kill", *(f"--part={part}" for part in parts))
    assert killed["ok"] is True
    deaths = {part: facts(killed, f"Kill {part}, push, and see it come back") for part in parts}
    asked = facts(killed, "A client asked all the time")
    for part, death in deaths.items():
        with row.case(part):
            assert float(death["back after"].removesuffix(" s")) > 0
            assert part == "endpoints" or asked[part].endswith(", 0 failed")
    row.check()
    assert len({death["pushed"] for death in deaths.values()}) == len(parts)
    last = facts(killed, "The last push is trained and judged")
    assert last["commit"] == deaths[parts[-1]]["pushed"]
    kept = facts(killed, "Nothing was lost on the way")
    ends = dict(end.split(" ") for end in kept["trainings"].split(", "))
    assert list(ends)[-len(parts) :] == [deaths[part]["pushed"][:12] for part in parts]
    assert set(ends.values()) <= {Phase.SUCCEEDED, Phase.SUPERSEDED, OVERTAKEN}
    assert ends[last["commit"][:12]] == Phase.SUCCEEDED
    assert (kept["holds"], kept["pinned and serving"]) == ("0", last["version"])
    versions, keys = registered(folder), run_keys(folder)
    assert len({run for _, run in versions}) == len(versions), "a run was registered twice"
    assert len(set(keys)) == len(keys), "an attempt has two runs"
    assert facts(killed, "No other pull request for production is open")["pull request"].isdecimal()
    found = verify_bundle(Path(killed["audit"]["bundle"]), key=killed["audit"]["key"])
    assert (found.code, found.size) == (Code.INTACT, killed["audit"]["size"])
    assert left_running(folder) == []
