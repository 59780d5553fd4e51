"""`launchpin history`: which version served where from when to when, from which commit, and why it ended.

The answer comes from the audit trail alone, so that an auditor's bundle gives the same one as the stack.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from gitops.audit.entry import parse
from gitops.audit.history import KeptOut, Tenure
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import print_json, table
from gitops.cli.suggest import endpoints, models, offers
from gitops.cli.trail import lines_of
from gitops.telling.lists import read_history, tell_history
from gitops.trainers.redaction import show_controls
from gitops.words import approved, cut, short

_HEAD = ("ENDPOINT", "VERSION", "FROM (UTC)", "TO", "COMMIT", "APPROVED BY", "MERGED BY")
_NAME, _LOGIN, _TEXT = 24, 16, 74


@click.command()
@click.argument("name", metavar="MODEL|ENDPOINT", shell_complete=offers(models, endpoints))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@click.option("--bundle", type=click.Path(path_type=Path), help="An exported audit log to read instead of the stack's.")
@stack_dir_option
@json_option
def history(name: str, *, limit: int, bundle: Path | None, stack_dir: Path, as_json: bool) -> None:
    """List which version of MODEL, or on ENDPOINT, served from when to when, newest first, and what was kept out."""
    found, others = read_history(lambda: map(parse, lines_of(bundle, stack_dir)), name)
    if as_json:
        print_json({"ok": True, **tell_history(name, found, others, limit=limit).model_dump(mode="json")})
        return
    newest, refused = found[::-1][:limit], others[::-1][:limit]
    click.echo("\n\n".join([*([_show(newest)] if newest else []), *([_show_refused(refused)] if refused else [])]))
    if len(found) > limit:
        click.echo(f"{len(found) - limit} older ones: --limit {len(found)} shows them.")


def _show(found: Sequence[Tenure]) -> str:
    head, *rows = table(_HEAD, [_cells(one) for one in found]).splitlines()
    lines = [head]
    for one, row in zip(found, rows, strict=True):
        lines += [row, *([f"    {show_controls(cut(one.ended, _TEXT))}"] if one.ended else [])]
    return "\n".join(lines)


def _show_refused(found: Sequence[KeptOut]) -> str:
    lines = ["Not let in for their tier:"]
    for one in found:
        lines.append(
            "  " + show_controls(cut(f"{_moment(one.time)}  v{one.version} in {one.env}: {one.reason}", _TEXT))
        )
        lines.append("    " + show_controls(cut(one.message, _TEXT)))
    return "\n".join(lines)


def _cells(one: Tenure) -> tuple[str, ...]:
    merged = f"{one.merged_by} (#{one.pull})" if one.pull else one.merged_by
    return (
        cut(one.endpoint, _NAME),
        f"v{one.version}",
        _moment(one.start),
        _moment(one.end) if one.end else "serves",
        short(one.sha) or "-",
        cut(approved(one.approved_by), _LOGIN),
        cut(merged, _LOGIN + len(" (#1000)")) or "-",
    )


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
