"""`launchpin runs`: trainings, newest first, and what became of them."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import duration, print_json, table
from gitops.cli.suggest import models, offers
from gitops.records import Training
from gitops.telling.library import Library
from gitops.telling.runs import Asked, Found, Row, ask_mlflow, read_runs, sentence_of, tell_runs, took
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut, number, short

_TEXT = 74
_METRICS = 6
_NAME = 20
_HEAD = ("TRAINING", "MODEL", "PHASE", "VERSION", "COMMIT", "TOOK", "BEGAN")


@click.command()
@click.argument("model", required=False, default="", shell_complete=offers(models))
@click.option("--best", metavar="METRIC", default="", help="Sort by a metric, the highest first.")
@click.option("--lowest", is_flag=True, help="With --best: the lowest first.")
@click.option("--where", metavar="FILTER", default="", help="Only those that match, in MLflow's filter language.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 500), help="How many.")
@stack_dir_option
@json_option
def runs(model: str, *, best: str, lowest: bool, where: str, limit: int, stack_dir: Path, as_json: bool) -> None:
    """List trainings, of MODEL where given, newest first.

    --best and --where ask MLflow about the run of each: its candidate's, or its own where there is none.
    """
    if lowest and not best:
        raise click.UsageError("--lowest says which end of a metric is the best one: name it with --best METRIC")
    asked = Asked(model, best, lowest, where, limit)
    with opened(stack_dir) as (layout, store):
        found = read_runs(Library(store), asked, ask_mlflow(layout.url("mlflow")))
        now = store.now()
    if as_json:
        print_json({"ok": True, **tell_runs(found, asked).model_dump(mode="json")})
        return
    for sentence in found.wrong_pushes:
        click.echo(f"A later push trained nothing: {show_controls(sentence)}")
    none = _none_matches(best, where) if found.looked_at else "Nothing was trained yet: push to a model repository."
    click.echo(_show(found.rows, now, best=best) if found.rows else show_controls(none))
    if found.looked_at and (best or where):
        click.echo(_how_far(found))


def _how_far(found: Found) -> str:
    if not found.is_whole:
        return f"Of the {found.looked_at} newest trainings; older ones were not looked at."
    return f"Of all {found.looked_at} trainings." if found.looked_at > 1 else "Of the only training."


def _none_matches(best: str, where: str) -> str:
    missing = f"has {best} as a number" if best else ""
    matching = f"matches {where}" if where else ""
    return f"No run of a training {' and '.join(filter(None, (matching, missing)))}."


def _show(found: Sequence[Row], now: datetime, *, best: str) -> str:
    columns = (*_HEAD, cut(best, _NAME)) if best else _HEAD
    cells = [(*_cells(one.training, now), *([number(one.value)] if best else [])) for one in found]
    head, *rows = table(columns, cells).splitlines()
    lines = [head]
    for one, row in zip(found, rows, strict=True):
        texts = (metrics_line(one.training.facts.metrics), sentence_of(one.training))
        lines += [row, *(f"    {show_controls(cut(text, _TEXT))}" for text in texts if text)]
    return "\n".join(lines)


def _cells(training: Training, now: datetime) -> tuple[str, ...]:
    seconds = took(training)
    return (
        training.id,
        cut(training.model, 16),
        training.phase,
        f"v{training.facts.version}" if training.facts.version else "-",
        short(training.commit),
        duration(seconds) if seconds is not None else "-",
        f"{age(training.created_at, now)} ago",
    )


def metrics_line(metrics: dict[str, str]) -> str:
    """Return metrics on one line, the first ones by name."""
    shown = [f"{name} {number(value)}" for name, value in sorted(metrics.items())[:_METRICS]]
    more = [f"{len(metrics) - _METRICS} more"] if len(metrics) > _METRICS else []
    return ", ".join([*shown, *more])
