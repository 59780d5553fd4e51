"""What a folder with code holds: its script, its requirements, its branch. Reads files, runs nothing of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops.cli.scripts import Script, read_script
from gitops.config.files import find_one
from gitops.config.mlproject import MLproject, parse_mlproject
from gitops.config.text import did_you_mean, show
from gitops.errors import InputError, RefusedError

_USUAL = ("train.py", "main.py")
_LARGEST = 1024 * 1024
_ENVIRONMENTS = ("uv.lock", "requirements.txt", "python_env.yaml", "python_env.yml", "conda.yaml", "conda.yml")
_NAMED_BY_MLPROJECT = {"python_env": ("python_env.yaml", "python_env.yml"), "conda_env": ("conda.yaml", "conda.yml")}


@dataclass(frozen=True)
class Found:
    """What was found in a folder.

    Args:
        script: the script's name; empty when an MLproject says what to run.
        reading: what the script's text says.
        project: the MLproject that is there already.
        environment: the file that says which packages are needed, empty when there is none.
        launchpin: the launchpin.yaml that is there already, empty when there is none.
        has_pyproject: whether there is a pyproject.toml, which says what is needed once it is locked.
    """

    script: str
    reading: Script
    project: MLproject | None
    environment: str
    launchpin: str
    has_pyproject: bool = False

    @property
    def environment_key(self) -> str:
        """The MLproject key that names the environment's file, empty when it is found without."""
        return next((key for key, names in _NAMED_BY_MLPROJECT.items() if self.environment in names), "")


def look_into(folder: Path, *, script: str = "") -> Found:
    """Look at a folder with code.

    Args:
        folder: the folder.
        script: the script that a person named, empty to find it.

    Raises:
        RefusedError: `NoScript` or `ScriptUnclear`, naming what to do.
        InputError: a file there that cannot be read.
    """
    names = sorted(one.name for one in folder.iterdir() if one.is_file())
    project = None
    if "MLproject" in names:
        project = parse_mlproject((folder / "MLproject").read_bytes(), file="MLproject")
    found = _read_scripts(folder, names)
    chosen = script or ("" if project else choose_script(found, names=names))
    if chosen and chosen not in found:
        near = did_you_mean(chosen, found)
        raise RefusedError("NoScript", f"there is no script {show(chosen)} in {folder}{near}")
    return Found(
        script=chosen,
        reading=found.get(chosen, Script()),
        project=project,
        environment=next((name for name in _ENVIRONMENTS if name in names), ""),
        launchpin=find_one(names, "launchpin") or "",
        has_pyproject="pyproject.toml" in names,
    )


def _read_scripts(folder: Path, names: list[str]) -> dict[str, Script]:
    """Read every script of the folder; one that is no Python is none."""
    siblings = {name.removesuffix(".py") for name in names} | {one.name for one in folder.iterdir() if one.is_dir()}
    scripts: dict[str, Script] = {}
    for name in (one for one in names if one.endswith(".py")):
        file = folder / name
        if file.stat().st_size > _LARGEST:
            continue
        try:
            scripts[name] = read_script(file.read_bytes(), file=name, siblings=siblings)
        except InputError:
            if name in _USUAL:
                raise
    return scripts


def choose_script(scripts: Mapping[str, Script], *, names: list[str]) -> str:
    """Return the script that trains: train.py, main.py, the only one that uses MLflow, the only one that is a program.

    Args:
        scripts: by name.
        names: all files, to say what else could be meant.

    Raises:
        RefusedError: `NoScript` or `ScriptUnclear`.
    """
    for usual in _USUAL:
        if usual in scripts:
            return usual
    tracked = [name for name, script in scripts.items() if script.uses_mlflow]
    for candidates in (tracked, [name for name, script in scripts.items() if script.is_main], list(scripts)):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            listed = ", ".join(candidates[:10])
            raise RefusedError("ScriptUnclear", f"which of {listed} trains? name it: --script {candidates[0]}")
    notebook = next((name for name in names if name.endswith(".ipynb")), "")
    if notebook:
        how = f"jupyter nbconvert --to script --output train {notebook}"
        raise RefusedError("NoScript", f"a notebook is not trained from; make it a script first: {how}")
    raise RefusedError("NoScript", "there is no Python script here; put train.py here, or start with an empty folder")
