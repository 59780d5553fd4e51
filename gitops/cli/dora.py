"""`launchpin dora`: how often, how fast and how well versions are deployed, by the audit trail alone.

An exported log is told up to its last entry, the stack's up to now.
"""

from datetime import UTC, datetime
from pathlib import Path

import click

from gitops.audit.deployments import Ledger
from gitops.audit.figures import MOST_DAYS, Figures, Report, Row, Selection, Spread, Window, to_plain
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import print_json, table
from gitops.cli.suggest import models, offers
from gitops.cli.trail import lines_of, time_of
from gitops.telling.dora import Dora, read_figures
from gitops.words import cut, lasting

_HEAD = ("ENVIRONMENT", "MODEL", "DEPLOYED", "A WEEK", "LEAD TIME", "9 OF 10 IN", "FAILED", "RESTORED IN")
_NAME = 24
_UNKNOWN = "-"


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, shell_complete=offers(models))
@click.option("--env", metavar="ENV", help="Only of this environment.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, MOST_DAYS), help="How many days back.")
@click.option("--bundle", type=click.Path(path_type=Path), help="An exported audit log to read instead of the stack's.")
@stack_dir_option
@json_option
def dora(model: str | None, *, env: str | None, days: int, bundle: Path | None, stack_dir: Path, as_json: bool) -> None:
    """Tell how often, how fast and how well versions of MODEL, or of all models, are deployed: DORA's four figures."""
    ledger = Ledger()
    ledger.read(lines_of(bundle, stack_dir))
    end = ledger.until or datetime.now(UTC) if bundle is not None else time_of(stack_dir)
    window = Window.last(days, until=end)
    report = read_figures(ledger, window, Selection(model or "", env or ""))
    if as_json:
        print_json({"ok": True, "days": days, **Dora.model_validate(to_plain(report)).model_dump(mode="json")})
        return
    click.echo("\n".join([f"{days} days up to {window.end:%Y-%m-%d %H:%M} UTC", "", *_show(report, model or "")]))


def _show(report: Report, model: str) -> list[str]:
    if not report.fleet:
        return [f"Nothing{f' of {model}' if model else ''} was deployed yet: merge a promotion's pull request."]
    rows: list[Row] = []
    for row in report.fleet:
        rows += [*([] if model else [row]), *report.models_of(row.environment)]
    lines = [table(_HEAD, [_cells(row) for row in rows]), *_notes(report)]
    if report.is_empty:
        lines.append(f"Nothing was deployed in this time: --days {MOST_DAYS} looks further back.")
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    figures = row.figures
    lead = figures.lead_time
    return (
        cut(row.environment, _NAME),
        cut(row.model, _NAME) if row.model else "all models",
        str(figures.deployments or "none"),
        _UNKNOWN if figures.per_week is None else f"{figures.per_week:.1f}",
        lasting(lead.median) if lead else _UNKNOWN,
        lasting(lead.most) if lead else _UNKNOWN,
        _UNKNOWN if figures.failure_rate is None else f"{figures.failed} ({figures.failure_rate:.0%})",
        _restored(figures, figures.time_to_restore),
    )


def _restored(figures: Figures, time: Spread | None) -> str:
    told = [lasting(time.median)] if time else []
    return ", ".join([*told, *([f"{figures.down} not yet"] if figures.down else [])]) or _UNKNOWN


def _notes(report: Report) -> list[str]:
    """Return what a reader must know to take the figures for what they are."""
    notes = []
    known = sum(row.figures.lead_time.count for row in report.fleet if row.figures.lead_time)
    of_commits = sum(row.figures.leads_of_commit for row in report.fleet)
    if of_commits < known:
        notes.append(f"{known - of_commits} of {known} lead times begin when the push arrived.")
    if report.since is not None and report.since > report.window.start:
        notes.append(f"The audit log begins on {report.since:%Y-%m-%d %H:%M} UTC: nothing is known before.")
    return ["", *notes] if notes else []
