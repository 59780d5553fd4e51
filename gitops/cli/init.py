"""`launchpin init`: writes a new repository, or what yours is missing. Overwrites nothing, runs none of your code."""

import difflib
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import click

from gitops.cli.completion import complete, warn
from gitops.cli.discovery import look_into
from gitops.cli.git import current_branch, start_repository, top_of
from gitops.cli.installed import Installed, find_layout
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.scaffold import Kind, Names, Template, fill_template, model_name, write_missing
from gitops.cli.show import print_json
from gitops.errors import InputError, NotFoundError, RefusedError

_CODE = {".py", ".ipynb"}
_NO_CODE = "deploy repositories hold no code"


@dataclass(frozen=True)
class Result:
    """What was done.

    Args:
        written: paths of new files.
        kept: paths that were there already.
        diff: the new files as a unified diff, where a person has code of their own to compare with.
        warnings: what is missing, a sentence each.
        following: commands to type next.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]
    diff: str = ""
    warnings: tuple[str, ...] = ()
    following: tuple[str, ...] = ()


class Said(TypedDict):
    """What was typed beside the kind and the folder."""

    model: str
    deploy: str
    no_deploy: bool
    script: str
    entry_point: str
    template: str | None
    tracking_uri: str


@click.command()
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", default="", help="The registered model's name; found in the code, or the folder's name.")
@click.option(
    "--deploy",
    default="",
    metavar="OWNER/NAME",
    help="The deploy repository of a model; `local/MODEL-deploy` by default.",
)
@click.option("--no-deploy", is_flag=True, help="With code of your own: register the model, deploy it nowhere.")
@click.option("--script", default="", help="With code of your own: the script that trains.")
@click.option("--entry-point", default="", help="With an MLproject of your own: its entry point that trains.")
@click.option(
    "--template",
    type=click.Choice([template.value for template in Template]),
    help="Without code of your own: the example that a model begins as, iris by default.",
)
@click.option("--tracking-uri", default="", help="The MLflow server that pins name; the stack's by default.")
@stack_dir_option
@json_option
def init(kind: str, folder: Path, *, stack_dir: Path, as_json: bool, **said: Unpack[Said]) -> None:
    """Write a model or deploy repository into DIR, or, where DIR holds code, what is missing there.

    Nothing is overwritten, and no code of yours is run.
    """
    if kind == Kind.DEPLOY:
        given = [said["script"], said["entry_point"], said["deploy"], said["no_deploy"], said["template"]]
        if any(given):
            names = "--script, --entry-point, --deploy, --no-deploy and --template"
            raise click.UsageError(f"{names} go with `init model`")
        tracking_uri = said["tracking_uri"] or _tracking_uri(stack_dir)
        result = init_deploy(folder, model=said["model"], tracking_uri=tracking_uri)
    else:
        result = init_model(
            folder,
            model=said["model"],
            deploy=said["deploy"],
            has_deploy=not said["no_deploy"],
            script=said["script"],
            entry_point=said["entry_point"],
            template=Template(said["template"]) if said["template"] else None,
        )
    _show(result, folder, as_json=as_json)


def init_model(
    folder: Path,
    *,
    model: str,
    deploy: str,
    has_deploy: bool = True,
    script: str = "",
    entry_point: str = "",
    template: Template | None = None,
) -> Result:
    """Write a model repository, or what a folder with code lacks.

    Args:
        model: the registered model; when empty the name by which the code registers it, else the folder's.
        deploy: the deploy repository, `local/<model>-deploy` when empty.
        has_deploy: False when the model is only registered.
        script: the script that trains, found when empty.
        entry_point: the entry point of an MLproject that trains, found when empty.
        template: what a folder without code begins as, iris when it is not said.

    Raises:
        InputError: a name, or a file there, that cannot be read.
        RefusedError: `NoScript` or `ScriptUnclear`; `NotEmpty` when a template is named where code is.
    """
    _check_folder(folder)
    if not _has_code(folder):
        if script or entry_point:
            field = "--script" if script else "--entry-point"
            raise InputError("no_script", f"there is no code in {folder}", field=field)
        names = _name(folder, model, deploy)
        files = fill_template(Kind.MODEL, names, template=template or Template.IRIS)
        is_new, written = _write(folder, files, message=f"Begin the model {names.model}")
        following = (*_start(folder, is_new=is_new), *_deploy_next(folder, names), f"launchpin add {_shown(folder)}")
        return Result(written, _rest(files, written), following=following)
    if template:
        message = f"{folder} holds code, and a template is mixed with none: name a new folder, or leave --template out"
        raise RefusedError("NotEmpty", message)
    found = look_into(folder, script=script, entry_point=entry_point)
    names = _name(folder, model or found.registers, deploy)
    branch = current_branch(folder) or "main"
    files = complete(found, names, branch=branch, has_deploy=has_deploy)
    written = write_missing(folder, files)
    kept = tuple(name for name in ("MLproject", found.launchpin or "launchpin.yaml") if name not in written)
    diff = "".join(_diff(name, files[name]) for name in written)
    following = (
        *_commit_next(folder, written, branch=branch),
        *(_deploy_next(folder, names) if has_deploy and "launchpin.yaml" in written else ()),
        f"launchpin add {_shown(folder)}",
    )
    return Result(written, kept, diff, warn(found, files, names), following)


def _name(folder: Path, model: str, deploy: str) -> Names:
    name = model or model_name(folder)
    return Names(name, deploy or f"local/{name}-deploy")


def init_deploy(folder: Path, *, model: str, tracking_uri: str) -> Result:
    """Write a deploy repository.

    Args:
        model: the registered model; by default the folder's name without `-deploy`.
        tracking_uri: the MLflow server that its pins name.

    Raises:
        InputError: a name that cannot stand there.
        RefusedError: `NotEmpty` when the folder holds code.
    """
    _check_folder(folder)
    if _has_code(folder):
        raise RefusedError("NotEmpty", f"{folder} holds code, and {_NO_CODE}: name a new folder")
    names = Names(model or model_name(folder).removesuffix("-deploy"), "local/x", tracking_uri)
    files = fill_template(Kind.DEPLOY, names)
    is_new, written = _write(folder, files, message=f"Begin the environments of {names.model}")
    following = (*_start(folder, is_new=is_new), f"launchpin add {_shown(folder)}")
    return Result(written, _rest(files, written), following=following)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError("no_folder", f"{folder} is a file; name a folder")


def _tracking_uri(stack_dir: Path) -> str:
    with suppress(NotFoundError):
        layout = find_layout(stack_dir)
        if not isinstance(layout, Installed) or layout.is_set("tracking_uri"):
            return layout.url("mlflow")
    message = f"there is no stack in {stack_dir}: start one with `launchpin up`, name one with --dir, or "
    raise InputError("tracking_uri", message + "give the MLflow server with --tracking-uri")


def _has_code(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = [one.name for one in folder.iterdir()]
    ours = {"MLproject", "launchpin.yaml", "launchpin.yml"}
    return any(name in ours or Path(name).suffix in _CODE for name in names)


def _write(folder: Path, files: Mapping[str, bytes], *, message: str) -> tuple[bool, tuple[str, ...]]:
    """Write a template, and commit it when the folder was new or empty; returns whether it was, and the paths."""
    is_new = not folder.exists() or not any(folder.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    written = write_missing(folder, files)
    if is_new:
        start_repository(folder, message)
    return is_new, written


def _rest(files: Mapping[str, bytes], written: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in files if name not in written)


def _start(folder: Path, *, is_new: bool) -> tuple[str, ...]:
    if is_new:
        return ()
    return _commit_next(folder, (".",), branch=current_branch(folder) or "main")


def _commit_next(folder: Path, paths: Sequence[str], *, branch: str) -> tuple[str, ...]:
    if not paths:
        return ()
    git = "git" if _shown(folder) == "." else f"git -C {_shown(folder)}"
    begin = () if top_of(folder) else (f"{git} init -b {shlex.quote(branch)}",)
    added = "." if begin else " ".join(map(shlex.quote, paths))
    return (*begin, f'{git} add {added} && {git} commit -m "Train with Launchpin"')


def _deploy_next(folder: Path, names: Names) -> tuple[str, ...]:
    """Return the command that makes the deploy repository beside the model's, unless it is there."""
    beside = folder.absolute().resolve().parent / names.deploy.partition("/")[2]
    if not names.deploy.startswith("local/") or beside.exists():
        return ()
    shown = _shown(beside)
    return (f"launchpin init deploy {shown} --model {shlex.quote(names.model)} && launchpin add {shown}",)


def _shown(folder: Path) -> str:
    """Return a folder as it is typed from here."""
    here = Path.cwd()
    absolute = folder.absolute().resolve()
    if absolute == here:
        return "."
    below = absolute.is_relative_to(here)
    beside = absolute.parent == here.parent
    return shlex.quote(str(absolute.relative_to(here)) if below else f"../{absolute.name}" if beside else str(absolute))


def _diff(name: str, content: bytes) -> str:
    lines = content.decode().splitlines(keepends=True)
    return "".join(difflib.unified_diff([], lines, "/dev/null", name))


def _show(result: Result, folder: Path, *, as_json: bool) -> None:
    if as_json:
        document = {"ok": True, "folder": str(folder.absolute()), "written": result.written, "kept": result.kept}
        print_json({**document, "warnings": result.warnings, "next": result.following})
        return
    if result.diff:
        click.echo(result.diff)
    else:
        for name in result.written:
            click.echo(f"  wrote  {folder / name}")
    for name in result.kept:
        click.echo(f"  kept   {folder / name}")
    if not result.written:
        click.echo("Nothing was missing.")
    for warning in result.warnings:
        click.echo(f"Note: {warning}")
    click.echo("Next:")
    for command in result.following:
        click.echo(f"  {command}")
