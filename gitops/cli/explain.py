"""`launchpin explain`: one screen about an endpoint, a training or a pull request, or about what needs somebody.

Reads only; what is said comes from `gitops.explaining`, so that pages can say the same.
"""

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from gitops.audit.entry import parse
from gitops.audit.history import tenures
from gitops.cli.asking import opened
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import print_json
from gitops.cli.subjects import Library, Subject, find_subject, read_fleet
from gitops.cli.suggest import endpoints, offers, pulls, trainings
from gitops.cli.trail import pages
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import PartState, State
from gitops.embedded.stack.supervisor import part_states
from gitops.explaining import (
    Concern,
    Explanation,
    Incident,
    PartTrouble,
    Place,
    Reading,
    Scope,
    Trained,
    explain_endpoint,
    explain_pull,
    explain_training,
    find_concerns,
    moments_of,
    served_meanwhile,
    show,
    summarize,
    to_markdown,
)
from gitops.ports import AuditLog
from gitops.trainers.redaction import show_controls

_JOBS = 10_000
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
    parts = part_states(Layout.load(stack_dir))
    with opened(stack_dir) as (_, store):
        library = Library(store)
        reading = _read(library, is_up=any(part.state is not State.STOPPED for part in parts))
        if not subject:
            _show_fleet(library, reading, parts, as_json=as_json)
            return
        found = find_subject(library, subject)
        explanation = _explain(found, reading)
        if incident:
            _show_incident(_incident(store, found, explanation, reading), as_json=as_json)
            return
    if as_json:
        print_json({"ok": True, **_to_json(explanation, reading)})
    else:
        click.echo(show(explanation, width=_width(), spell=show_controls))


def _read(library: Library, *, is_up: bool) -> Reading:
    store = library.store
    jobs = {(job.kind, job.subject): job for job in store.jobs(limit=_JOBS)}
    return Reading(now=store.now(), is_up=is_up, jobs=jobs, pause=library.pause)


def _explain(found: Subject, reading: Reading) -> Explanation:
    match found:
        case Place():
            return explain_endpoint(found, reading)
        case Trained():
            return explain_training(found, reading)
        case _:
            return explain_pull(found, reading)


def _width() -> int:
    """Return how wide the screen is, within what reads well; 80 where nobody says."""
    least, most = _WIDTHS
    return max(least, min(most, shutil.get_terminal_size((80, 24)).columns))


def _to_json(explanation: Explanation, reading: Reading) -> dict[str, object]:
    parts = {part.name.lower(): [asdict(one) for one in statements] for part, statements in explanation.parts.items()}
    return {
        "time": reading.now.isoformat(),
        "up": reading.is_up,
        "kind": explanation.kind,
        "name": explanation.name,
        "headline": explanation.headline,
        **{part: _plain(statements) for part, statements in parts.items()},
        "commands": [hint.command for hint in explanation.hints],
    }


def _plain(statements: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Return statements with their moments in one form, without what they leave open."""
    known = [{name: value for name, value in one.items() if value} for one in statements]
    return [{name: _iso(value) for name, value in one.items()} for one in known]


def _iso(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _incident(log: AuditLog, found: Subject, explanation: Explanation, reading: Reading) -> Incident:
    size = log.audit_size()
    entries = [parse(entry) for entry in pages(log, size)]
    moments = moments_of(entries, _scope(found, explanation.name))
    served = served_meanwhile(tenures(entries, found.name), moments) if isinstance(found, Place) else ()
    return Incident(reading.now, explanation, moments, served, entries[0].log_id if entries else "", size)


def _scope(found: Subject, name: str) -> Scope:
    match found:
        case Place(environment=one):
            return Scope(name, repository_id=one.repository_id, path=one.path)
        case Trained(training=training):
            return Scope(name, training_id=training.id)
        case _:
            return Scope(name, promotion_id=found.promotion.id)


def _show_incident(incident: Incident, *, as_json: bool) -> None:
    if as_json:
        moments = [{**asdict(one), "time": one.time.isoformat()} for one in incident.moments]
        print_json({"ok": True, "name": incident.explanation.name, "incident": moments})
        return
    click.echo("\n".join(show_controls(line) for line in to_markdown(incident).splitlines()))


def _show_fleet(library: Library, reading: Reading, parts: Sequence[PartState], *, as_json: bool) -> None:
    wrong = [PartTrouble(part.name, part.state) for part in parts if reading.is_up and part.state not in _WELL]
    fleet = read_fleet(library)
    found = find_concerns(fleet, wrong, reading)
    summary = summarize(found, fleet, reading)
    if as_json:
        known = [{**asdict(one), "rank": one.rank.name.lower()} for one in found]
        print_json(
            {"ok": True, "time": reading.now.isoformat(), "up": reading.is_up, "headline": summary, "attention": known}
        )
        return
    click.echo("\n".join([summary, *_concern_lines(found)]))
    if not reading.is_up:
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
