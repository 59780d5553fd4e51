"""What a folder with code holds: its script, its requirements, its branch. Reads files, runs nothing of theirs."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops.cli.scaffold import PLAIN_MODEL
from gitops.cli.scripts import Script, read_script
from gitops.config.files import find_one
from gitops.config.mlproject import EntryPoint, MLproject, parse_mlproject
from gitops.config.text import did_you_mean, show
from gitops.errors import InputError, RefusedError, StalledError

_USUAL = ("train.py", "main.py")
_USUAL_POINTS = ("main", "train")
_LARGEST = 1024 * 1024
_ENVIRONMENTS = ("uv.lock", "requirements.txt", "python_env.yaml", "python_env.yml", "conda.yaml", "conda.yml")
_NAMED_BY_MLPROJECT = {"python_env": ("python_env.yaml", "python_env.yml"), "conda_env": ("conda.yaml", "conda.yml")}


@dataclass(frozen=True)
class Found:
    """What was found in a folder.

    Args:
        script: the script's name; empty when an entry point of the MLproject says what to run.
        reading: what the text of the script that trains says.
        project: the MLproject that is there already.
        point: its entry point that trains; None when it has none, or there is no MLproject.
        environment: the file that says which packages are needed, empty when there is none.
        launchpin: the launchpin.yaml that is there already, empty when there is none.
        has_pyproject: whether there is a pyproject.toml, which says what is needed once it is locked.
        trouble: why the environment that is asked for cannot be made on this machine; empty when it can, so far.
    """

    script: str
    reading: Script
    project: MLproject | None
    environment: str
    launchpin: str
    has_pyproject: bool = False
    point: EntryPoint | None = None
    trouble: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """The parameters that must be given a value."""
        if self.point:
            return tuple(one.name for one in self.point.parameters if one.default is None)
        return tuple(option.name for option in self.reading.options if option.default is None)

    @property
    def registers(self) -> str:
        """The name by which the script registers its model, where that is one that any model may have."""
        names = self.reading.registers
        return names[0] if len(names) == 1 and PLAIN_MODEL.fullmatch(names[0]) else ""

    @property
    def environment_key(self) -> str:
        """The MLproject key that names the environment's file, empty when it is found without."""
        return next((key for key, names in _NAMED_BY_MLPROJECT.items() if self.environment in names), "")


def look_into(folder: Path, *, script: str = "", entry_point: str = "") -> Found:
    """Look at a folder with code.

    Args:
        folder: the folder.
        script: the script that a person named, empty to find it.
        entry_point: the entry point of the MLproject that a person named, empty to find it.

    Raises:
        RefusedError: `NoScript` or `ScriptUnclear`, naming what to do.
        InputError: a file there that cannot be read.
    """
    names = sorted(one.name for one in folder.iterdir() if one.is_file())
    project = None
    if "MLproject" in names:
        project = parse_mlproject((folder / "MLproject").read_bytes(), file="MLproject")
    point = choose_entry_point(project, named=entry_point)
    found = _read_scripts(folder, names)
    chosen = script or ("" if point else choose_script(found, names=names))
    if chosen and chosen not in found:
        near = did_you_mean(chosen, found)
        raise RefusedError("NoScript", f"there is no script {show(chosen)} in {folder}{near}")
    return Found(
        script=chosen,
        reading=found.get(chosen, Script()) if chosen else _read_behind(folder, point),
        project=project,
        environment=next((name for name in _ENVIRONMENTS if name in names), ""),
        launchpin=find_one(names, "launchpin") or "",
        has_pyproject="pyproject.toml" in names,
        point=point,
        trouble=_find_trouble(folder, (project.python_env or project.conda_env) if project else ""),
    )


def choose_entry_point(project: MLproject | None, *, named: str = "") -> EntryPoint | None:
    """Return the entry point that trains: the named one, main, the only one, or train.

    Raises:
        RefusedError: `NoScript` when the named one is not there, `ScriptUnclear` when several could be meant.
    """
    points = {point.name: point for point in project.entry_points} if project else {}
    if named:
        if named not in points:
            has = ", ".join(points) or "none"
            raise RefusedError("NoScript", f"MLproject has no entry point {show(named)}; it has {has}")
        return points[named]
    if len(points) == 1:
        return next(iter(points.values()))
    usual = next((name for name in _USUAL_POINTS if name in points), "")
    if points and not usual:
        listed = ", ".join(list(points)[:10])
        message = f"which entry point of MLproject trains: {listed}? name it: --entry-point {next(iter(points))}"
        raise RefusedError("ScriptUnclear", message)
    return points.get(usual)


def _read_behind(folder: Path, point: EntryPoint | None) -> Script:
    """Read the script that an entry point's command starts, as far as it can be told; what is unclear says nothing."""
    try:
        words = shlex.split(point.command if point else "")
        file = folder / next((word for word in words if word.endswith(".py")), "")
        if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()) or file.stat().st_size > _LARGEST:
            return Script()
        return read_script(file.read_bytes(), file=file.name)
    except (ValueError, InputError):
        return Script()


def _find_trouble(folder: Path, declared: str) -> str:
    """Return why what the project asks for cannot be had here, as far as its files and the interpreters tell."""
    from gitops.environments.interpreters import Interpreters  # noqa: PLC0415 - only to look into a folder
    from gitops.environments.sources import read_project  # noqa: PLC0415

    try:
        asked = read_project(folder, declared=declared or None)
        Interpreters().choose(asked.python, file=asked.file)
    except (RefusedError, StalledError) as error:
        return str(error) if declared or error.reason != "NoEnvironment" else ""
    return ""


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
