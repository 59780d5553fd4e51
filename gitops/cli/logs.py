"""`launchpin logs`: the log of a training, a rollout or a part, shown or followed. Asks nobody to write them."""

import time
from collections import deque
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.exits import ExitCode
from gitops.cli.installed import PARTS, Installed, find_layout, states_of
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import print_json
from gitops.cli.suggest import endpoints, offers, parts, rollouts, trainings
from gitops.embedded.stack.layout import Layout
from gitops.errors import NotFoundError
from gitops.records import Rollout, Training
from gitops.telling.library import Library
from gitops.telling.logs import (
    NOT_YET,
    Logged,
    Tail,
    find_log,
    find_logged,
    follow,
    read_lines,
    say_missing,
    tell_log,
)
from gitops.trainers.redaction import show_controls

_PACE = 0.2


@click.command()
@click.argument(
    "name",
    metavar="[TRAINING[.TRIAL]|ROLLOUT|ENDPOINT|PART]",
    required=False,
    default="",
    shell_complete=offers(trainings, rollouts, endpoints, parts),
)
@click.option("-f", "--follow", "is_followed", is_flag=True, help="Go on until it is over.")
@click.option("--limit", type=click.IntRange(1, 10_000), help="How many of the last lines.")
@stack_dir_option
@json_option
def logs(name: str, *, is_followed: bool, limit: int | None, stack_dir: Path, as_json: bool) -> int:
    """Show the log of a training (the newest by default; the beginning of its id is enough), or of a part.

    Of a rollout, or of an endpoint's newest one, it shows what was recorded step by step. A search has no log of its
    own: `launchpin logs TRAINING.NUMBER` is that of one of its trials.
    """
    if is_followed and as_json:
        raise click.UsageError("--follow and --json do not go together")
    if is_followed and limit:
        raise click.UsageError("--follow begins at the beginning: leave --limit out")
    layout = find_layout(stack_dir)
    _refuse_part(layout, name)
    if name in {part.name for part in states_of(layout)}:
        return _show_part(layout.log(name), is_followed=is_followed, limit=limit, as_json=as_json)
    with opened(stack_dir) as (_, store):
        library = Library(store)
        logged = find_logged(library, name)
        if is_followed:
            return _follow(library, logged, layout.dir)
        return _show(library, logged, layout, limit=limit, as_json=as_json)


def _refuse_part(layout: Layout, name: str) -> None:
    """Refuse the log of a part of a service: it is with whoever started the part.

    Raises:
        NotFoundError: `NoStack`.
    """
    if isinstance(layout, Installed) and name in PARTS:
        message = f"the log of {name} is where {name} was started: `docker compose logs {name}`, or its service manager"
        raise NotFoundError("NoStack", message)


def _show(library: Library, logged: Logged, layout: Layout, *, limit: int | None, as_json: bool) -> int:
    home = layout.dir
    # Whole logs may be long: they are not held in memory to be printed.
    found = find_log(logged, home) if not isinstance(logged, Rollout) and not as_json and limit is None else None
    told = tell_log(logged, home, library.entries, limit=1 if found else limit)
    has_log = bool(told.lines or told.attempt)
    if as_json:
        print_json({"ok": has_log, **told.model_dump(mode="json")})
    else:
        for line in read_lines(found[0]) if found else told.lines:
            click.echo(line)
        click.echo(show_controls(f"{told.id}: {told.phase}: {told.message}"), err=True)
    if has_log:
        return ExitCode.OK
    if not as_json:
        click.echo(_say_missing(logged, layout), err=True)
    return ExitCode.REFUSED if logged.phase.is_final else ExitCode.INCONCLUSIVE


def _say_missing(logged: Logged, layout: Layout) -> str:
    said = say_missing(logged, is_elsewhere=isinstance(layout, Installed))
    return f"{said}; -f waits for it" if said == NOT_YET else said


def _follow(library: Library, logged: Logged, home: Path) -> int:
    """Print what is written until it is over; a new attempt's log follows the old one's."""
    follower = follow(library, logged, home)
    attempt, is_over, said = 0, False, ""
    while not is_over:
        piece = follower.look()
        if isinstance(logged, Training) and logged.facts.trials and piece.message != said:
            said = piece.message
            click.echo(show_controls(said), err=True)
        if piece.attempt != attempt:
            attempt = piece.attempt
            click.echo(f"--- {logged.id}-{attempt}", err=True)
        for line, _ in piece.lines:
            click.echo(line)
        is_over = piece.is_over
        if not (is_over or piece.lines):
            time.sleep(_PACE)
    follower.close()
    click.echo(show_controls(f"{logged.id}: {piece.phase}: {piece.message}"), err=True)
    return ExitCode.OK


def _show_part(log: Path, *, is_followed: bool, limit: int | None, as_json: bool) -> int:
    if as_json:
        lines = list(read_lines(log)) if log.exists() else []
        print_json({"ok": log.exists(), "log": str(log), "lines": lines[-limit:] if limit else lines})
        return ExitCode.OK
    if not log.exists():
        click.echo("it has no log yet", err=True)
        return ExitCode.INCONCLUSIVE
    shown: deque[str] = deque(maxlen=limit)
    tail = Tail(log, say=shown.append if limit else click.echo)
    tail.print(is_last=not is_followed)
    for line in shown:
        click.echo(line)
    while is_followed:
        time.sleep(_PACE)
        tail.print()
    tail.close()
    return ExitCode.OK
