"""The tutorial's files, written as its reader would write them, come to what the tutorial shows."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gitops.cli.init import init_deploy, init_model
from gitops.cli.validate import check_path
from gitops.config.launchpin import parse_launchpin
from gitops.config.mlproject import compute_command, parse_mlproject
from tests.support import docs

TUTORIAL = "docs/tutorial.md"
TRACKING = "http://127.0.0.1:5000"


def shown(name: str) -> str:
    return next(block.text for block in docs.blocks() if block.page == TUTORIAL and block.name == name)


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    folder = tmp_path / "wine"
    folder.mkdir()
    for name in ("train.py", "requirements.txt"):
        (folder / name).write_text(shown(name), encoding="utf-8")
    return folder


def test_init_writes_the_launchpin_file_that_the_tutorial_shows_but_its_gates(wine: Path) -> None:
    result = init_model(wine, model="wine", deploy="")
    written = parse_launchpin((wine / "launchpin.yaml").read_bytes(), file="launchpin.yaml")
    tutorial = parse_launchpin(shown("launchpin.yaml").encode(), file="launchpin.yaml")
    assert set(result.written) == {"MLproject", "launchpin.yaml"}
    assert result.kept == ()
    assert result.warnings == ()
    assert written.register.gates == ()
    assert replace(written, register=tutorial.register) == tutorial


def test_commands_that_init_says_come_next_are_those_that_the_tutorial_types(
    wine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(wine)
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main"], check=True)
    result = init_model(Path(), model="", deploy="")
    typed = next(block.text for block in docs.blocks(language="sh") if "\nlaunchpin init deploy" in block.text)
    assert list(result.following) == typed.splitlines()


def test_parameter_that_the_tutorial_sets_reaches_the_script(wine: Path) -> None:
    init_model(wine, model="wine", deploy="")
    snippet = next(
        block.text
        for block in docs.blocks(language="yaml")
        if block.page == TUTORIAL and "parameters:" in block.text and not block.name
    )
    changed = shown("launchpin.yaml").replace("train:\n", f"train:\n{snippet}")
    file = parse_launchpin(changed.encode(), file="launchpin.yaml")
    project = parse_mlproject((wine / "MLproject").read_bytes(), file="MLproject")
    command = compute_command(project, file.train.entry_point, parameters=file.train.parameters)
    assert command == "python train.py --max-depth 1"


def test_init_writes_the_environments_that_the_tutorial_shows(tmp_path: Path) -> None:
    folder = tmp_path / "wine-deploy"
    init_deploy(folder, model="wine", tracking_uri=TRACKING)
    for name in ("staging/buildspec.yml", "staging/endpoint.yaml"):
        assert (folder / name).read_text(encoding="utf-8") == shown(name)


def test_validate_finds_nothing_wrong_with_what_the_tutorial_makes(wine: Path) -> None:
    init_model(wine, model="wine", deploy="")
    (wine / "launchpin.yaml").write_text(shown("launchpin.yaml"), encoding="utf-8")
    init_deploy(wine.parent / "wine-deploy", model="wine", tracking_uri=TRACKING)
    findings = [*check_path(wine), *check_path(wine.parent / "wine-deploy")]
    assert len(findings) >= 6
    assert [finding for finding in findings if finding.error] == []
