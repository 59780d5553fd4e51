"""`launchpin explain`: one screen about an endpoint, a training or a pull request, or about what needs somebody.

Reads only; what is said comes from `gitops.explaining`, so that pages can say the same.
"""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops.cli.asking import opened
from gitops.cli.installed import Installed, is_up, states_of
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import print_json
from gitops.cli.suggest import endpoints, offers, pulls, trainings
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import PartState, State
from gitops.explaining import Concern, PartTrouble, show, to_markdown
from gitops.telling import explained
from gitops.telling.explained import (
    Outlook,
    find_incident,
    look_at_all,
    look_from,
    tell_attention,
    tell_explanation,
    tell_incident,
)
from gitops.telling.library import Library
from gitops.trainers.redaction import show_controls

if TYPE_CHECKING:
    from gitops.store import SqlStore

_WIDTHS = (60, 100)
_WELL = frozenset({State.READY, State.DONE})


@click.command()
@click.argument(
    "subject",
    metavar="[ENDPOINT|TRAINING|PULL]",
    required=False,
    default="",
    shell_complete=offers(endpoints, pulls, trainings),
)
@click.option("--incident", is_flag=True, help="Print what happened, from the audit log, as Markdown.")
@stack_dir_option
@json_option
def explain(subject: str, *, incident: bool, stack_dir: Path, as_json: bool) -> None:
    """Explain an endpoint (REPOSITORY:PATH names one, too), a training or a pull request; without one, what is wrong.

    TRAINING is an id, the beginning of it, or of a commit. PULL is NUMBER, OWNER/NAME#NUMBER or its URL.
    """
    if incident and not subject:
        raise click.UsageError("--incident wants an endpoint, a training or a pull request")
    with opened(stack_dir) as (layout, store):
        outlook = _look_from(layout, store)
        if not subject:
            _show_fleet(outlook, as_json=as_json)
        elif incident:
            _show_incident(outlook, subject, as_json=as_json)
        else:
            _show_one(outlook, subject, as_json=as_json)


def _look_from(layout: Layout, store: "SqlStore") -> Outlook:
    library = Library(store)
    reading = library.reading(is_up=is_up(layout))
    if isinstance(layout, Installed):
        return look_from(library, reading, is_service=True)
    # Where nothing runs, that is what is told, and not of each part once more.
    parts = states_of(layout) if reading.is_up else ()
    return look_from(library, reading, {part.name: _trouble(part) for part in parts})


def _trouble(part: PartState) -> PartTrouble | None:
    return None if part.state in _WELL else PartTrouble(part.name, part.state)


def _show_one(outlook: Outlook, name: str, *, as_json: bool) -> None:
    explanation = explained.explain(outlook, name)
    if as_json:
        print_json({"ok": True, **tell_explanation(explanation, outlook).model_dump(mode="json")})
        return
    click.echo(show(explanation, width=_width(), spell=show_controls))


def _width() -> int:
    """Return how wide the screen is, within what reads well; 80 where nobody says."""
    least, most = _WIDTHS
    return max(least, min(most, shutil.get_terminal_size((80, 24)).columns))


def _show_incident(outlook: Outlook, name: str, *, as_json: bool) -> None:
    incident = find_incident(outlook.library, name, outlook.reading)
    if as_json:
        print_json({"ok": True, **tell_incident(incident).model_dump(mode="json")})
        return
    click.echo("\n".join(show_controls(line) for line in to_markdown(incident).splitlines()))


def _show_fleet(outlook: Outlook, *, as_json: bool) -> None:
    look = look_at_all(outlook)
    if as_json:
        print_json({"ok": True, **tell_attention(look, outlook).model_dump(mode="json")})
        return
    click.echo("\n".join([look.headline, *_concern_lines(look.concerns)]))
    if not outlook.reading.is_up:
        click.echo("\nType  launchpin up")


def _concern_lines(found: Sequence[Concern]) -> list[str]:
    lines = []
    for one in found:
        title = f"{one.name}: " if one.name else ""
        text = " ".join(show_controls(f"{title}{one.text}").split())
        cut = textwrap.shorten(text, 3 * _width(), placeholder=" ...")
        lines += ["", *textwrap.wrap(cut, _width(), break_long_words=False, break_on_hyphens=False)]
        if one.hint is not None:
            lines.append(f"  {show_controls(one.hint.command)}")
    return lines
