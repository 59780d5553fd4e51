"""`launchpin validate`: reads the files of a repository as the service will, before they are pushed. No network."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gitops.buildspec import read_pin
from gitops.cli.exits import ExitCode
from gitops.cli.main import json_option
from gitops.cli.show import print_json
from gitops.config.endpoint import parse_endpoint
from gitops.config.files import find_all, find_one
from gitops.config.launchpin import LaunchpinFile, parse_launchpin
from gitops.config.mlproject import compute_command, parse_mlproject
from gitops.config.notify import parse_notify
from gitops.config.parameters import VARIABLES, fill
from gitops.config.search import check_declared
from gitops.errors import InputError
from gitops.layout import lay_out
from gitops.trainers.redaction import show_controls

_OURS = ("launchpin", "endpoint", "buildspec")
_FOREIGN = {"node_modules", "__pycache__", "site-packages", "mlruns", "mlartifacts"}
_LARGEST = 256 * 1024 + 1  # one byte more than the readers accept, so that they say so themselves


@dataclass(frozen=True)
class Finding:
    """What was found out about one file.

    Args:
        file: as a person finds it from here.
        error: None when it is right.
    """

    file: str
    error: InputError | None = None


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@json_option
def validate(paths: tuple[Path, ...], *, as_json: bool) -> int:
    """Check every launchpin.yaml, endpoint.yaml, pin and MLproject at or below PATHS (this folder by default)."""
    findings = [finding for path in paths or (Path(),) for finding in check_path(path)]
    if not findings:
        raise click.UsageError("nothing to check: there is no launchpin.yaml, endpoint.yaml or MLproject here")
    wrong = [finding for finding in findings if finding.error]
    if as_json:
        print_json({"ok": not wrong, "files": [_to_json(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(show_controls(str(finding.error) if finding.error else f"{finding.file}: ok"))
        if wrong:
            click.echo(f"{len(wrong)} of {len(findings)} files would be refused", err=True)
    return ExitCode.REFUSED if wrong else ExitCode.OK


def check_path(path: Path) -> list[Finding]:
    """Check a file, or every file of ours below a folder."""
    if path.is_dir():
        return [finding for folder, names in _walk(path) for finding in _check_folder(folder, names)]
    return [_check_file(path.parent, path.name)]


def _walk(top: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    for folder, below, names in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _FOREIGN)
        yield Path(folder), sorted(names)


def _check_folder(folder: Path, names: Sequence[str]) -> Iterator[Finding]:
    found = {}
    for stem in _OURS:
        try:
            found[stem] = find_one(names, stem)
        except InputError as error:
            yield _placed(folder / (error.file or stem), error)
            found[stem] = find_all([name for name in names if name.endswith(".yaml")], stem)[0]
    if found["launchpin"]:
        yield _check_file(folder, found["launchpin"])
    if "MLproject" in names:
        yield _check_file(folder, "MLproject")
    if found["endpoint"]:  # a buildspec without one beside it is not ours
        yield _check_file(folder, found["endpoint"])
        if found["buildspec"]:
            yield _check_file(folder, found["buildspec"])
        else:
            message = "there is no buildspec.yml beside it, which holds the pin; `launchpin init deploy` shows one"
            yield _placed(folder / found["endpoint"], InputError("pin_missing", message))


def _check_file(folder: Path, name: str) -> Finding:
    file = folder / name
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST)
        _read(folder, name, content)
    except InputError as error:
        return _placed(file, error)
    except OSError as error:
        return _placed(file, InputError("file_unreadable", f"it cannot be read: {error.strerror}"))
    return Finding(str(file))


def _read(folder: Path, name: str, content: bytes) -> None:
    stem = name.partition(".")[0]
    match stem:
        case "launchpin":
            _check_command(folder, parse_launchpin(content, file=name))
        case "endpoint":
            parse_endpoint(content, file=name)
        case "buildspec":
            read_pin(content, file=name)
        case "MLproject":
            parse_mlproject(content, file=name)
        case "notify":
            parse_notify(content, file=name, folder=folder)
        case _:
            known = "launchpin.yaml, endpoint.yaml, buildspec.yml, MLproject and notify.yaml"
            raise InputError("file_unknown", f"this is no file of ours; {known} are")


def _check_command(folder: Path, file: LaunchpinFile) -> None:
    """Make sure that the training's command can be made, if the MLproject itself is right."""
    project = folder / file.train.project / "MLproject"
    if not project.is_file():
        message = f"there is no MLproject in {file.train.project}; `launchpin init model DIR` writes one"
        raise InputError("project_missing", message, field="train.project")
    try:
        parsed = parse_mlproject(project.read_bytes(), file="MLproject")
    except InputError:
        return  # reported for that file
    tried = lay_out(file.search)[0] if file.search else {}
    values = fill({**file.train.parameters, **tried}, {name: f"https://{name}.example" for name in VARIABLES})
    if file.search:
        check_declared(file.search, parsed, file.train.entry_point)
    try:
        compute_command(parsed, file.train.entry_point, parameters=values)
    except InputError as error:
        raise InputError(error.reason, error.message, field="train") from None


def _placed(file: Path, error: InputError) -> Finding:
    """Name the file as it is found from here, not from its folder."""
    placed = InputError(
        error.reason, error.message, file=str(file), field=error.field, line=error.line, column=error.column
    )
    return Finding(str(file), placed)


def _to_json(finding: Finding) -> dict[str, object]:
    error = finding.error
    if error is None:
        return {"file": finding.file, "ok": True}
    place = {"line": error.line, "column": error.column, "field": error.field}
    return {"file": finding.file, "ok": False, "reason": error.reason, "message": error.message, **place}
