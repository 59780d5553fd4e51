"""`launchpin runs`: trainings, newest first, and what became of them."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import duration, print_json, table
from gitops.cli.suggest import models, offers
from gitops.cli.trainings import recent_trainings
from gitops.ports import Store
from gitops.records import Delivery, Training
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut, number, short

_TEXT = 74
_METRICS = 6
_FAR = 50
_HEAD = ("TRAINING", "MODEL", "PHASE", "VERSION", "COMMIT", "TOOK", "BEGAN")


@click.command()
@click.argument("model", required=False, default="", shell_complete=offers(models))
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 500), help="How many.")
@stack_dir_option
@json_option
def runs(model: str, *, limit: int, stack_dir: Path, as_json: bool) -> None:
    """List trainings, of MODEL where given, newest first."""
    with opened(stack_dir) as (_, store):
        found = recent_trainings(store, model=model, limit=limit)
        wrong = _wrong_pushes(store, found)
        now = store.now()
    if as_json:
        print_json({"ok": True, "trainings": [_to_json(one) for one in found], "wrong_pushes": wrong})
        return
    for sentence in wrong:
        click.echo(f"A later push trained nothing: {show_controls(sentence)}")
    click.echo(_show(found, now) if found else "Nothing was trained yet: push to a model repository.")


def _wrong_pushes(store: Store, found: Sequence[Training]) -> list[str]:
    """Return what is wrong with the files of pushes that came after the newest training."""
    since = found[0].created_at if found else None
    return [
        one.facts.detail
        for one in store.recent("delivery", limit=_FAR)
        if isinstance(one, Delivery) and one.facts.reason == "config" and one.facts.detail
        if since is None or (one.created_at is not None and one.created_at > since)
    ]


def _show(trainings: Sequence[Training], now: datetime) -> str:
    head, *rows = table(_HEAD, [_cells(one, now) for one in trainings]).splitlines()
    lines = [head]
    for training, row in zip(trainings, rows, strict=True):
        texts = (metrics_line(training.facts.metrics), sentence_of(training))
        lines += [row, *(f"    {show_controls(cut(text, _TEXT))}" for text in texts if text)]
    return "\n".join(lines)


def _cells(training: Training, now: datetime) -> tuple[str, ...]:
    took = _seconds(training)
    return (
        training.id,
        cut(training.model, 16),
        training.phase,
        f"v{training.facts.version}" if training.facts.version else "-",
        short(training.commit),
        duration(took) if took is not None else "-",
        f"{age(training.created_at, now)} ago",
    )


def sentence_of(training: Training) -> str:
    """Return the one sentence that says why a training is where it is."""
    waits = training.message or training.reason
    return waits if not training.phase.is_final else training.facts.sentence or waits


def metrics_line(metrics: dict[str, str]) -> str:
    """Return metrics on one line, the first ones by name."""
    shown = [f"{name} {number(value)}" for name, value in sorted(metrics.items())[:_METRICS]]
    more = [f"{len(metrics) - _METRICS} more"] if len(metrics) > _METRICS else []
    return ", ".join([*shown, *more])


def _seconds(training: Training) -> float | None:
    """Return how long a training that is over took; None while it goes on."""
    if not training.phase.is_final or training.created_at is None or training.updated_at is None:
        return None
    return (training.updated_at - training.created_at).total_seconds()


def _to_json(training: Training) -> dict[str, object]:
    row = training.model_dump(mode="json")
    return {**row, "sentence": sentence_of(training), "seconds": _seconds(training)}
