"""`launchpin gc`: what nobody needs any more goes, and a person sees what, how much and why."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import click

from gitops.cli.asking import ask, opened, require_up, show_outcome, timeout_option, wait_for
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import Console
from gitops.disk.space import say_bytes
from gitops.logins import this_user
from gitops.steps import Phase


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@timeout_option
@stack_dir_option
@json_option
def gc(*, dry_run: bool, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Remove what nobody needs any more: old bodies, logs, environments, models, mirrors, configurations.

    The same happens by itself once a day. Nothing in use goes, nor what serves or may be gone back to.
    """
    console = Console(sys.stderr if as_json else sys.stdout)
    with opened(stack_dir) as (layout, store):
        require_up(layout)
        command = ask(store, "gc", {"dry_run": "yes" if dry_run else ""}, actor=this_user())
        ended = wait_for(store, command, console=console, timeout=timeout)
        if not as_json and ended.phase is Phase.SUCCEEDED:
            for line in _lines(ended.facts.result):
                click.echo(line)
        return show_outcome(ended, as_json=as_json, more={"dry_run": dry_run})


def _lines(result: Mapping[str, object]) -> Iterable[str]:
    """Give a line for each kind, and how much is free."""
    for row in cast("list[dict[str, object]]", result.get("kinds", [])):
        size = say_bytes(cast("int", row["bytes"])).rjust(9)
        yield f"  {row['kind']!s:<15}{row['count']!s:>7}  {size}  {row['rule']}"
    yield f"  {'free now':<15}{'':>7}  {say_bytes(cast('int', result.get('free', 0))).rjust(9)}"
