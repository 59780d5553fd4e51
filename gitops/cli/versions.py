"""`launchpin versions`: how the versions of a model were judged, and where each serves now. Reads only."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.main import fail_unknown, json_option, stack_dir_option
from gitops.cli.runs import metrics_line
from gitops.cli.show import print_json, table
from gitops.cli.status import model_names
from gitops.cli.suggest import models, offers
from gitops.ports import Store
from gitops.records import Environment, Version
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
        found = _read(store, model, limit)
        environments = store.environments(model=model)
        now = store.now()
    if as_json:
        print_json({"ok": True, "model": model, "versions": [_to_json(one, environments) for one in found]})
        return
    none = f"No version of {model} was judged yet: push to its model repository."
    click.echo(_show(found, environments, now) if found else show_controls(none))


def _read(store: Store, model: str, limit: int) -> Sequence[Version]:
    found = store.versions(model, limit=limit)
    if not found and model not in (known := model_names(store)):
        fail_unknown("model", model, known)
    return found


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
    places = ", ".join(place.endpoint or place.name for place in _serving(one, environments))
    cells = (
        one.version,
        f"{one.verdict}, quarantined" if one.quarantined else one.verdict,
        short(one.commit),
        f"{age(one.created_at, now)} ago",
        cut(places or "-", _PLACES - (_TIER if has_tiers else 0)),
    )
    return (*cells[:2], cut(one.tier or "-", _TIER), *cells[2:]) if has_tiers else cells


def _serving(one: Version, environments: Sequence[Environment]) -> Sequence[Environment]:
    return [place for place in environments if place.model == one.model and place.serving == one.version]


def _to_json(one: Version, environments: Sequence[Environment]) -> dict[str, object]:
    names = ("version", "verdict", "quarantined", "metrics", "commit", "repository", "training_id", "run_id")
    row = one.model_dump(mode="json", include={*names, "manifest_sha256", "gates", "tier", "tiers", "created_at"})
    serves = [{"endpoint": place.endpoint, "environment": place.name} for place in _serving(one, environments)]
    return {**row, "serves": serves}
