"""What runs by itself, and when: the workflows name what is there, and each promise of theirs has a job."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from gitops.cli.scaffold import Template
from tests.support.docs import ROOT

WORKFLOWS: dict[str, dict[str, Any]] = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))
    for file in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}


def steps_of(name: str) -> Iterator[dict[str, Any]]:
    return (step for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_and_keeps_no_token_beside_what_it_checks_out(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    used = [step for step in steps_of(name) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]) for step in used)
    checkouts = [step for step in used if step["uses"].startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_a_workflow_runs_is_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    runs = " ".join(step["run"] for step in steps_of(name) if "run" in step)
    assert set(re.findall(r"\bmake ([a-z]+)", runs)) <= targets
    files = re.findall(r"(?:^|\s)((?:infra|\.ci)/[\w./-]+)", runs)
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_both_examples_are_played_from_a_clone_that_nothing_was_installed_for() -> None:
    job = WORKFLOWS["ci"]["jobs"]["demo"]
    assert job["strategy"]["matrix"]["example"] == [template.value for template in Template]
    assert [step["run"] for step in job["steps"] if "run" in step] == [
        'make demo EXAMPLE=${{ matrix.example }} ARGS="--no-wait"'
    ]


def test_every_part_of_the_image_is_started_with_each_run() -> None:
    runs = [step.get("run", "") for step in WORKFLOWS["ci"]["jobs"]["image"]["steps"]]
    assert any(run.startswith("sudo infra/image/try.sh ") for run in runs)


def test_strangers_come_as_they_are_in_the_release_of_the_client_that_is_locked() -> None:
    (theirs,) = (step["with"] for step in steps_of("strangers") if "sparse-checkout" in step.get("with", {}))
    client = re.search(r"^mlflow==([\d.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert client is not None
    assert (theirs["repository"], theirs["ref"]) == ("mlflow/mlflow", f"v{client[1]}")


def test_strangers_come_each_week_and_by_hand() -> None:
    # YAML 1.1 reads the key `on` as true.
    told: Any = WORKFLOWS["strangers"]
    ((cron,),) = (list(one.values()) for one in told[True]["schedule"])
    assert cron.split()[-1].isdecimal()
    assert "workflow_dispatch" in told[True]
