"""`launchpin endpoints`: what serves where, and whether that is what Git pins. Reads only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.installed import is_up
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import print_json, table
from gitops.cli.status import as_last_seen
from gitops.cli.suggest import models, offers
from gitops.holding import is_pause
from gitops.records import Environment, Hold
from gitops.telling.library import Library
from gitops.telling.lists import endpoints_of, tell_endpoints
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut, tiered

_HEAD = ("ENDPOINT", "ENVIRONMENT", "SERVING", "PINNED", "SYNC", "HEALTH", "SINCE")
_NAME, _PLACE, _TEXT = 18, 11, 74

Place = tuple[int, str]


@click.command()
@click.argument("model", required=False, default="", shell_complete=offers(models))
@stack_dir_option
@json_option
def endpoints(model: str, *, stack_dir: Path, as_json: bool) -> None:
    """List the endpoints, of MODEL where given: what serves, what Git pins, health, since when, and who holds it."""
    with opened(stack_dir) as (layout, store):
        found = endpoints_of(Library(store), model)
        found = found if is_up(layout) else as_last_seen(found)
        holds = store.holds()
        now = store.now()
    pause = next(filter(is_pause, holds), None)
    # The newest hold of a place is the last of them.
    own: Mapping[Place, Hold] = {(one.repository_id, one.path): one for one in holds if not is_pause(one)}
    if as_json:
        print_json({"ok": True, **tell_endpoints(found, holds, pause).model_dump(mode="json")})
        return
    click.echo(_show(found, own, pause, now) if found else "No endpoint is known yet: push a deploy repository.")


def _show(found: Sequence[Environment], own: Mapping[Place, Hold], pause: Hold | None, now: datetime) -> str:
    head, *rows = table(_HEAD, [_cells(one, now) for one in found]).splitlines()
    lines = [head]
    for one, row in zip(found, rows, strict=True):
        holds = (pause, own.get((one.repository_id, one.path)))
        lines += [row, *(f"    {show_controls(cut(_held(hold), _TEXT))}" for hold in holds if hold)]
    return "\n".join(lines)


def _cells(one: Environment, now: datetime) -> Sequence[object]:
    return (
        cut(one.endpoint or f"{one.repository}:{one.path}", _NAME),
        cut(one.name, _PLACE),
        tiered(one.serving, one.tier) or "-",
        one.pinned or "-",
        one.sync,
        one.health,
        age(one.serving_since, now) if one.serving else "-",
    )


def _held(hold: Hold) -> str:
    return f"{'paused' if is_pause(hold) else 'held'} by {hold.author}: {hold.message}"
