"""`launchpin versions`: how the versions of a model were judged, and where each serves now. Reads only."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.runs import metrics_line
from gitops.cli.show import print_json, table
from gitops.cli.suggest import models, offers
from gitops.records import Environment, Version
from gitops.telling.library import Library
from gitops.telling.lists import read_versions, serving, tell_versions
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut, short

_HEAD = ("VERSION", "VERDICT", "COMMIT", "JUDGED", "SERVES")
_TEXT, _PLACES, _TIER = 74, 38, 12


@click.command()
@click.argument("model", shell_complete=offers(models))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="How many.")
@stack_dir_option
@json_option
def versions(model: str, *, limit: int, stack_dir: Path, as_json: bool) -> None:
    """List the versions of MODEL, newest first: verdict, tier, metrics, commit, and where each serves."""
    with opened(stack_dir) as (_, store):
        library = Library(store)
        if as_json:
            print_json({"ok": True, **tell_versions(library, model, limit=limit).model_dump(mode="json")})
            return
        found = read_versions(library, model, limit=limit + 1)
        environments = library.environments
        now = store.now()
    none = f"No version of {model} was judged yet: push to its model repository."
    click.echo(_show(found[:limit], environments, now) if found else show_controls(none))
    if len(found) > limit:
        click.echo("There are older ones: --limit shows more.")


def _show(found: Sequence[Version], environments: Sequence[Environment], now: datetime) -> str:
    has_tiers = any(one.tiers for one in found)
    titles = (*_HEAD[:2], "TIER", *_HEAD[2:]) if has_tiers else _HEAD
    head, *rows = table(titles, [_cells(one, environments, now, has_tiers=has_tiers) for one in found]).splitlines()
    lines = [head]
    for one, row in zip(found, rows, strict=True):
        metrics = metrics_line(one.metrics)
        lines += [row, *([f"    {show_controls(cut(metrics, _TEXT))}"] if metrics else [])]
    return "\n".join(lines)


def _cells(one: Version, environments: Sequence[Environment], now: datetime, *, has_tiers: bool) -> tuple[object, ...]:
    places = ", ".join(place.endpoint or place.name for place in serving(one, environments))
    cells = (
        one.version,
        f"{one.verdict}, quarantined" if one.quarantined else one.verdict,
        short(one.commit),
        f"{age(one.created_at, now)} ago",
        cut(places or "-", _PLACES - (_TIER if has_tiers else 0)),
    )
    return (*cells[:2], cut(one.tier or "-", _TIER), *cells[2:]) if has_tiers else cells
