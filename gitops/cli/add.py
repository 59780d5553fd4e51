"""`launchpin add`: puts a repository under Launchpin's care, and sets its clone up for pushing."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gitops.cli.asking import ask, opened, require_up, show_outcome, timeout_option, wait_for
from gitops.cli.clones import OWNER, REMOTE, Clone, choose_name, read_clone, set_helper, set_remote
from gitops.cli.installed import Installed, find_stack
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import Console
from gitops.config.names import BadNameError, check_secret
from gitops.embedded.stack.keys import GRANTED
from gitops.embedded.stack.layout import Layout
from gitops.errors import InputError
from gitops.logins import this_user
from gitops.records import Repository, Role
from gitops.steps import Phase
from gitops.trainers.redaction import show_controls


@dataclass(frozen=True)
class Advice:
    """What a person should know and type next."""

    warnings: tuple[str, ...]
    following: tuple[str, ...]


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--as", "name", default="", metavar="OWNER/NAME", help=f"Its name; the one it had before, or {OWNER}/FOLDER."
)
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME", help="A secret its trainings may use, of `secrets/granted`."
)
@timeout_option
@stack_dir_option
@json_option
def add(folder: Path, *, name: str, secrets: tuple[str, ...], timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Connect the repository in DIR, and give its clone the remote `launchpin`. Twice is harmless."""
    console = Console(sys.stderr if as_json else sys.stdout)
    find_stack(stack_dir, instead=_say_how)
    clone = read_clone(folder)
    with opened(stack_dir) as (layout, store):
        _check_secrets(secrets, layout)
        full_name = choose_name(clone, name, forge_url=layout.url("forge"))
        require_up(layout)
        arguments = {"repository": full_name, "role": clone.role.value, "secrets": ",".join(secrets)}
        command = ask(store, "connect", arguments, actor=this_user())
        done = wait_for(store, command, console=console, timeout=timeout)
        repositories = store.repositories()
    if done.phase is not Phase.SUCCEEDED:
        return show_outcome(done, as_json=as_json)
    clone_url = str(done.facts.result["clone_url"])
    set_remote(clone.folder, clone_url)
    set_helper(clone.folder, clone_url, token_file=layout.forge_home / "user.token")
    advice = advise(clone, repositories)
    more = {"remote": REMOTE, "warnings": advice.warnings, "next": advice.following}
    code = show_outcome(done, as_json=as_json, more=more)
    if not as_json:
        _show(clone, clone_url, advice)
    return code


def _say_how(service: Installed) -> str:
    base = service.addresses.get("web", "")
    return (
        "`launchpin add` puts a clone on the forge that `launchpin up` starts: connect OWNER/NAME here by the API, "
        f"POST {base}/api/v1/connect, with a token of `launchpin token create NAME --role admin`"
    )


def _check_secrets(names: Sequence[str], layout: Layout) -> None:
    """Refuse a secret that could not be granted.

    Raises:
        InputError: `name_invalid`, or `secret_missing` with the file to write.
    """
    for name in names:
        try:
            check_secret(name)
        except BadNameError as error:
            raise InputError(error.reason, f"{name}: {error}", field="--secret") from None
        file = layout.secrets / GRANTED / name
        if not file.is_file():
            message = f"write its value into {file}, chmod 600 it, and start the stack again"
            raise InputError("secret_missing", message, field=f"--secret {name}")


def advise(clone: Clone, repositories: Sequence[Repository]) -> Advice:
    """Return what is missing and what to type next.

    Args:
        repositories: all that are connected.
    """
    where = shlex.quote(str(clone.folder))
    branch = clone.branch or "main"
    commit = () if clone.has_commit else (f'git -C {where} add . && git -C {where} commit -m "Begin"',)
    push = f"git -C {where} push {REMOTE} {shlex.quote(branch)}"
    deploys = tuple(_deploys_missing(clone, repositories))
    warnings = [str(error) for error in clone.problems]
    for file in clone.launchpin:
        branches = file.on.push.branches
        if branch not in branches and not any("*" in pattern for pattern in branches):
            warnings.append(f"{file.file} trains on pushes to {', '.join(branches)}; {branch} is checked out")
    warnings += [f"the deploy repository {name} is not connected yet" for name, _ in deploys]
    return Advice(tuple(warnings), (*(how for _, how in deploys), *commit, push))


def _deploys_missing(clone: Clone, repositories: Sequence[Repository]) -> Iterator[tuple[str, str]]:
    """Give the deploy repositories that launchpin.yaml names and nobody has connected, each with how to."""
    connected = {one.full_name.lower() for one in repositories if one.role is Role.DEPLOY}
    seen: set[str] = set()
    for file in clone.launchpin:
        name = file.deploy.repository if file.deploy else ""
        if not name or name.lower() in connected | seen:
            continue
        seen.add(name.lower())
        beside = clone.folder.parent / name.partition("/")[2]
        where = shlex.quote(str(beside))
        begin = "" if beside.exists() else f"launchpin init deploy {where} --model {shlex.quote(file.model)} && "
        yield name, f"{begin}launchpin add {where} --as {name}"


def _show(clone: Clone, clone_url: str, advice: Advice) -> None:
    click.echo(show_controls(f"  {clone.folder} has the remote {REMOTE}: {clone_url}"))
    for warning in advice.warnings:
        click.echo(show_controls(f"Note: {warning}"))
    click.echo("Next:")
    for command in advice.following:
        click.echo(f"  {command}")
