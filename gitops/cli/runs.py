"""`launchpin runs`: trainings, newest first, and what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import duration, print_json, table
from gitops.cli.suggest import models, offers
from gitops.cli.trainings import recent_trainings
from gitops.embedded.stack.layout import Layout
from gitops.ports import Store
from gitops.records import Delivery, Training
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut, number, short

_TEXT = 74
_METRICS = 6
_NAME = 20
_FAR = 50
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
    with opened(stack_dir) as (layout, store):
        found = recent_trainings(store, model=model)
        wrong = _wrong_pushes(store, found)
        now = store.now()
    rows = [Row(one) for one in found]
    if best or where:
        rows = choose(found, _ask(layout, found, where), best=best, is_lowest=lowest)
    rows = rows[:limit]
    if as_json:
        asked = {"best": best, "goal": "minimize" if lowest else "maximize"} if best else {}
        print_json({"ok": True, **asked, "trainings": [_to_json(one) for one in rows], "wrong_pushes": wrong})
        return
    for sentence in wrong:
        click.echo(f"A later push trained nothing: {show_controls(sentence)}")
    none = _none_matches(best, where) if found else "Nothing was trained yet: push to a model repository."
    click.echo(_show(rows, now, best=best) if rows else show_controls(none))


@dataclass(frozen=True)
class Row:
    """A training that is listed.

    Args:
        value: its run's number for the metric that was asked for, as it was logged; empty when none was.
    """

    training: Training
    value: str = ""


def choose(
    trainings: Sequence[Training], runs: Mapping[str, Mapping[str, str]], *, best: str, is_lowest: bool
) -> list[Row]:
    """Return the trainings whose run was found, in their order, or the best by a metric first.

    Args:
        runs: the metrics of each run that was found.
        best: the metric; what has no finite number for it is left out. Empty to keep the order.
    """
    found = [(one, runs[run_of(one)]) for one in trainings if run_of(one) in runs]
    if not best:
        return [Row(one) for one, _ in found]
    values = [(one, metrics.get(best, ""), _finite(metrics.get(best))) for one, metrics in found]
    ranked = [(value, Row(one, text)) for one, text, value in values if value is not None]
    # Of two that are as good the newer one stays first.
    ranked.sort(key=lambda pair: pair[0], reverse=not is_lowest)
    return [row for _, row in ranked]


def run_of(training: Training) -> str:
    """Return the id of a training's run: its candidate's, else its own; empty while there is none."""
    return training.facts.candidate_run_id or training.facts.run_id or ""


def _finite(text: str | None) -> Decimal | None:
    value = Decimal(text) if text is not None else Decimal("NaN")
    return value if value.is_finite() else None


def _ask(layout: Layout, trainings: Sequence[Training], where: str) -> dict[str, Mapping[str, str]]:
    """Return the metrics of each training's run that matches, by the run's id."""
    from gitops.registry.questions import RunQuestions  # noqa: PLC0415 - an HTTP client, for a question alone

    known = [one for one in trainings if run_of(one)]
    experiments = sorted({one.facts.experiment_id for one in known if one.facts.experiment_id})
    questions = RunQuestions(layout.url("mlflow"))
    found = questions.find([run_of(one) for one in known], experiments=experiments, where=where)
    return {run_id: run.metrics for run_id, run in found.items()}


def _none_matches(best: str, where: str) -> str:
    missing = f"has {best} as a number" if best else ""
    matching = f"matches {where}" if where else ""
    return f"No run of a training {' and '.join(filter(None, (matching, missing)))}."


def _wrong_pushes(store: Store, found: Sequence[Training]) -> list[str]:
    """Return what is wrong with the files of pushes that came after the newest training."""
    since = found[0].created_at if found else None
    return [
        one.facts.detail
        for one in store.recent("delivery", limit=_FAR)
        if isinstance(one, Delivery) and one.facts.reason == "config" and one.facts.detail
        if since is None or (one.created_at is not None and one.created_at > since)
    ]


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


def _to_json(one: Row) -> dict[str, object]:
    training = one.training
    value = {"value": one.value} if one.value else {}
    shown = {"sentence": sentence_of(training), "seconds": _seconds(training)}
    return {**training.model_dump(mode="json"), **shown, **value}
