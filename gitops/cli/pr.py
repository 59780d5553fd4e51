"""`launchpin pr`: the person's own view of pull requests, with the person's own token: list, show, merge.

The one verb that speaks to the forge, because a merge is a person's act and not Launchpin's.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.exits import ExitCode
from gitops.cli.groups import NearestGroup
from gitops.cli.installed import Installed, find_stack
from gitops.cli.main import fail_unknown, json_option, stack_dir_option
from gitops.cli.pulls import Check, ForgeOfPerson, Pull, connect
from gitops.cli.show import print_json, table
from gitops.cli.suggest import offers, pull_numbers, repositories
from gitops.errors import InputError, NotFoundError, RefusedError
from gitops.records import Role
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut

_TITLE, _REPOSITORY = 36, 24

_repo_option = click.option(
    "--repo",
    "repository",
    default="",
    metavar="OWNER/NAME",
    shell_complete=offers(repositories),
    help="Its repository, where several could be meant.",
)


@click.group(cls=NearestGroup)
def pr() -> None:
    """List, show or merge pull requests, as yourself."""


@pr.command("list")
@_repo_option
@click.option(
    "--state", default="open", show_default=True, type=click.Choice(["open", "closed", "all"]), help="Which ones."
)
@stack_dir_option
@json_option
def list_pulls(repository: str, *, state: str, stack_dir: Path, as_json: bool) -> None:
    """List the pull requests of the deploy repositories, or of one repository."""
    layout = find_stack(stack_dir, instead=_say_where)
    names = _repositories(stack_dir, repository)
    with connect(layout) as forge:
        found = [pull for name in names for pull in forge.pulls(name, state=state)]
    if as_json:
        print_json({"ok": True, "pulls": [_to_json(pull) for pull in found]})
    elif found:
        click.echo(_show_list(found))
    else:
        click.echo(f"No pull request is {state}." if state != "all" else "There is no pull request.")


@pr.command()
@click.argument("number", type=click.IntRange(1), shell_complete=offers(pull_numbers))
@_repo_option
@stack_dir_option
@json_option
def show(number: int, *, repository: str, stack_dir: Path, as_json: bool) -> None:
    """Show pull request NUMBER with its checks."""
    layout = find_stack(stack_dir, instead=_say_where)
    names = _repositories(stack_dir, repository)
    with connect(layout) as forge:
        pull = find_pull(forge, names, number)
        checks = forge.checks(pull)
    if as_json:
        print_json({"ok": True, "pull": _to_json(pull), "checks": [asdict(check) for check in checks]})
        return
    click.echo(_show_pull(pull, checks))


@pr.command()
@click.argument("number", type=click.IntRange(1), shell_complete=offers(pull_numbers))
@_repo_option
@stack_dir_option
@json_option
def merge(number: int, *, repository: str, stack_dir: Path, as_json: bool) -> int:
    """Merge pull request NUMBER: the rollout follows by itself."""
    layout = find_stack(stack_dir, instead=_say_where)
    names = _repositories(stack_dir, repository)
    with connect(layout) as forge:
        pull = find_pull(forge, names, number)
        if pull.state == "closed":
            raise RefusedError("PullRequestClosed", f"{pull.repository}#{number} was closed without a merge")
        was_merged = pull.state == "merged"
        sha = pull.merge_sha if was_merged else forge.merge(pull)
    if as_json:
        print_json({"ok": True, "pull": _to_json(pull) | {"state": "merged"}, "sha": sha, "was_merged": was_merged})
        return ExitCode.OK
    done = "was merged already" if was_merged else "is merged"
    click.echo(show_controls(f"{pull.repository}#{number} {done}: {pull.title}"))
    click.echo(f"  commit {sha}\nNext: launchpin status")
    return ExitCode.OK


def _say_where(service: Installed) -> str:
    return (
        f"`launchpin pr` works on the forge that `launchpin up` starts: look at these pull requests and merge them on "
        f"{service.forge_address}; `launchpin explain` lists those that wait for a merge"
    )


def find_pull(forge: ForgeOfPerson, repositories: Sequence[str], number: int) -> Pull:
    """Return the pull request that a person means by its number.

    Raises:
        NotFoundError: `NoPull` when no repository has it.
        InputError: `repository_unclear` when several have it open, or none has but several had.
    """
    found = [pull for name in repositories if (pull := forge.pull(name, number)) is not None]
    meant = [pull for pull in found if pull.state == "open"] or found
    if len(meant) > 1:
        listed = ", ".join(pull.repository for pull in meant)
        raise InputError("repository_unclear", f"#{number} is in {listed}: name one with --repo")
    if not meant:
        where = ", ".join(repositories) or "no repository: none is connected"
        message = f"there is no pull request #{number} in {where}; `launchpin pr list` shows the open ones"
        raise NotFoundError("NoPull", message)
    return meant[0]


def _repositories(stack_dir: Path, given: str) -> list[str]:
    """Return where to look: the given repository, or all deploy repositories."""
    with opened(stack_dir) as (_, store):
        known = store.repositories()
    if not given:
        return [one.full_name for one in known if one.role is Role.DEPLOY]
    names = {one.full_name.lower(): one.full_name for one in known}
    if given.lower() not in names:
        fail_unknown("repository", given, sorted(names.values()))
    return [names[given.lower()]]


def _show_list(pulls: Sequence[Pull]) -> str:
    now = datetime.now(UTC)
    rows = [
        (pull.number, cut(pull.repository, _REPOSITORY), cut(pull.title, _TITLE), pull.state, age(pull.updated_at, now))
        for pull in pulls
    ]
    return table(("#", "REPOSITORY", "TITLE", "STATE", "AGE"), rows)


def _show_pull(pull: Pull, checks: Sequence[Check]) -> str:
    lines = [
        f"{pull.repository}#{pull.number}: {pull.title}",
        f"{pull.state}, by {pull.author}, {pull.head} into {pull.base}",
        pull.url,
        *(f"  {check.state:<10} {check.name}: {check.text}" for check in checks),
        "",
        *pull.body.splitlines(),
    ]
    return "\n".join(show_controls(line) for line in lines).rstrip("\n")


def _to_json(pull: Pull) -> dict[str, object]:
    return {**asdict(pull), "updated_at": pull.updated_at.isoformat()}
