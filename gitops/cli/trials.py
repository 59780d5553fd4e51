"""`launchpin trials` and `register`: the trials of a search, and the choice of another one than the best."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gitops.cli.asking import have_done, opened, timeout_option
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import duration, print_json, table
from gitops.cli.suggest import offers, searches
from gitops.telling.library import Library, Reader
from gitops.telling.trials import LOWEST_ALONE, find_search, read_trials, tell_trials
from gitops.trainers.redaction import show_controls
from gitops.trials import TrialView
from gitops.words import cut, number

_TEXT = 74
_CELL = 20


@click.command()
@click.argument("training", required=False, default="", shell_complete=offers(searches))
@click.option("--sort", metavar="NAME", default="", help="Sort by a metric or parameter, the best or highest first.")
@click.option("--lowest", is_flag=True, help="With --sort: the lowest first.")
@stack_dir_option
@json_option
def trials(training: str, *, sort: str, lowest: bool, stack_dir: Path, as_json: bool) -> None:
    """List the trials of TRAINING's search (the newest search by default): parameters, metric, state, and the best.

    The best is marked with a star. What a trial logged is in `launchpin logs TRAINING.NUMBER`.
    """
    if lowest and not sort:
        raise click.UsageError(LOWEST_ALONE)
    with opened(stack_dir) as (_, store):
        library = Library(store)
        searched = find_search(library, training)
        found = read_trials(library, searched, sort=sort, is_lowest=lowest)
    if as_json:
        print_json({"ok": True, **tell_trials(searched, found).model_dump(mode="json")})
        return
    if not searched.facts.trials:
        click.echo(f"Training {searched.id} makes no search: it has one run, and no trials.")
        return
    metric = searched.facts.objective.get("metric", "")
    click.echo(show_trials(found.rows, metric, also=sort) if found.rows else "No trial was begun yet.")
    click.echo(show_controls(f"{searched.id}: {searched.phase}: {cut(found.message, 2 * _TEXT)}"))


def show_trials(rows: Sequence[TrialView], metric: str, *, also: str = "") -> str:
    """Return the trials as a table, the best with a star.

    Args:
        metric: of the objective.
        also: another metric that has a column.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.parameters))
    metrics = [metric, *([also] if also not in {"", metric, *names} else [])]
    head = ("TRIAL", *(cut(name, _CELL) for name in (*names, *metrics)), "STATE", "TOOK", "")
    return table(head, [_cells(row, names, metrics) for row in rows])


def _cells(row: TrialView, names: Sequence[str], metrics: Sequence[str]) -> Sequence[object]:
    return (
        f"{row.number}{' *' if row.is_best else ''}",
        *(cut(row.parameters.get(name, "-"), _CELL) for name in names),
        *(number(repr(row.metrics[name])) if name in row.metrics else "-" for name in metrics),
        row.state,
        duration(row.seconds) if row.seconds is not None else "-",
        cut(": ".join(part for part in (row.reason, row.message) if part), _TEXT) if row.reason else "",
    )


@click.command()
@click.argument("training", shell_complete=offers(searches))
@click.option("--trial", required=True, type=click.IntRange(1, 1000), help="The trial's number.")
@click.option("--reason", required=True, help="Why, for the record and the pull request.")
@timeout_option
@stack_dir_option
@json_option
def register(training: str, *, trial: int, reason: str, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Judge a trial of TRAINING's search by the gates, register its model, and propose it, though another was the best.

    Nothing is trained again. A trial whose model is a version already is proposed with `launchpin promote`.
    """

    def look_up(store: Reader) -> Mapping[str, str]:
        return {"training": find_search(Library(store), training).id}

    arguments = {"trial": str(trial), "reason": reason}
    return have_done("register", arguments, stack_dir, timeout=timeout, as_json=as_json, look_up=look_up)
