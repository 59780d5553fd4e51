"""`launchpin plan`: what a version would do to an endpoint, before it is proposed or merged. Reads only."""

from collections.abc import Iterator
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.exits import ExitCode
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import print_json, table
from gitops.cli.suggest import endpoints, offers, versions
from gitops.telling.answers import Plan
from gitops.telling.library import Library
from gitops.telling.planning import tell_plan
from gitops.tiers import say_asked
from gitops.trainers.redaction import show_controls
from gitops.words import number


@click.command()
@click.argument("endpoint", shell_complete=offers(endpoints))
@click.option(
    "--version",
    default="",
    shell_complete=offers(versions),
    help="The version; by default the one that is proposed there.",
)
@stack_dir_option
@json_option
def plan(endpoint: str, *, version: str, stack_dir: Path, as_json: bool) -> int:
    """Say what a version would do to ENDPOINT: the change in Git, who merges it, the rollout, and what it waits for.

    Without --version it is the one that a pull request proposes, else the newest that passed its gates.
    """
    with opened(stack_dir) as (_, store):
        told = tell_plan(Library(store), endpoint, version)
    if as_json:
        print_json({"ok": told.refusal is None, **told.model_dump(mode="json")})
    else:
        click.echo("\n".join(show_controls(line) for line in _lines(told)))
    return ExitCode.OK if told.refusal is None else ExitCode.REFUSED


def _lines(told: Plan) -> Iterator[str]:
    planned = f" -> {told.version}" if told.changes else ""
    yield f"{told.endpoint or told.id}: {told.model} {told.serving or 'nothing'}{planned}"
    if told.min_tier and told.changes:
        yield f"  tier {told.tier or 'none'}, and {say_asked(told.min_tier, told.asked_by)}"
    yield from (f"  warning: {one}" for one in told.warnings)
    yield from (f"  {at}. {step}" for at, step in enumerate(told.steps, 1))
    yield from (f"  waits: {one}" for one in told.waits)
    if told.metrics and told.changes:
        yield ""
        yield from (f"  {line}" for line in table(*_metrics(told)).splitlines())
    if told.pull is not None and told.pull.plan_digest:
        yield f"  plan {told.pull.plan_digest}"


def _metrics(told: Plan) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the head and the rows of the table; the champion has a column where it is another one than what serves."""
    has_champion = told.champion not in {"", told.serving, told.version}
    head = ("METRIC", told.version, f"SERVING {told.serving or '-'}")
    rows = [(one.metric, one.planned, one.serving, *([one.champion] if has_champion else ())) for one in told.metrics]
    champion = (f"CHAMPION {told.champion}",) if has_champion else ()
    return (*head, *champion), [(name, *(number(value) or "-" for value in values)) for name, *values in rows]
