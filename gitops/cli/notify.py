"""`launchpin notify`: sends a test message to a channel, checks notify.yaml, and lists what was told to whom."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops import __version__
from gitops.cli.asking import opened
from gitops.cli.exits import ExitCode
from gitops.cli.groups import NearestGroup
from gitops.cli.installed import Installed, find_layout, read_settings, settings_of
from gitops.cli.main import fail_unknown, json_option, stack_dir_option
from gitops.cli.show import print_json, table
from gitops.embedded.stack.environment import notify_file
from gitops.identifiers import new_id
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut

if TYPE_CHECKING:
    from gitops.notices import Letter, Notice
    from gitops.settings import Settings

_SHOWN = 60
_file_option = click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="LAUNCHPIN_NOTIFY_FILE",
    show_envvar=True,
    help="The notify.yaml; that of the stack by default.",
)


@click.group(cls=NearestGroup)
def notify() -> None:
    """Try a channel of notify.yaml, or see who was told of what."""


@notify.command("test")
@click.argument("channel")
@_file_option
@stack_dir_option
@json_option
def test_channel(channel: str, *, path: Path | None, stack_dir: Path, as_json: bool) -> int:
    """Send a test message to CHANNEL now, and say what the other side answered.

    Nothing is tried again: exit code 1 means that the other side refused, 3 that it could not be reached.
    """
    from gitops.audit.entry import Service  # noqa: PLC0415 - for this verb alone
    from gitops.messages import trial_message  # noqa: PLC0415
    from gitops.notifiers import FileNotifier  # noqa: PLC0415
    from gitops.notify import pack  # noqa: PLC0415
    from gitops.ports import Packet  # noqa: PLC0415

    settings, found = _find(path, stack_dir)
    notifier = FileNotifier(found)
    file = notifier.file()
    if channel not in file.channels:
        fail_unknown("channel", channel, list(file.channels))
    now = datetime.now(UTC)
    message = trial_message(
        new_id("n"),
        moment=now,
        service=Service(version=__version__),
        log_id=settings.instance,
        base_url=settings.base_url,
    )
    content, content_type = pack(file.channels[channel], message, tracking_uri=settings.tracking_uri)
    taken = notifier.send(file.channels[channel], Packet(message.id, content, content_type, now), file=file)
    if as_json:
        print_json({"ok": True, "channel": channel, "id": message.id, "answer": taken.said})
    else:
        click.echo(show_controls(f"{channel} took it: {taken.said}"))
    return ExitCode.OK


@notify.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@stack_dir_option
@json_option
def list_letters(*, limit: int, stack_dir: Path, as_json: bool) -> int:
    """List what was told to whom, the newest first: sent, given up, or waiting for another try."""
    with opened(stack_dir) as (_, store):
        found, now = store.letters(limit=limit), store.now()
    if as_json:
        print_json({"ok": True, "letters": [_plain(letter, notice) for letter, notice in found]})
    elif found:
        rows = [
            (
                age(letter.created_at, now),
                letter.channel,
                letter.state.value,
                notice.news.value,
                cut(" ".join(filter(None, (notice.model, notice.environment))), _SHOWN),
                cut(": ".join(filter(None, (letter.reason, letter.message))), _SHOWN),
            )
            for letter, notice in found
        ]
        click.echo(table(("AGE", "CHANNEL", "STATE", "WHAT", "OF", "ANSWER"), rows))
    else:
        click.echo("Nobody was told of anything yet: `launchpin notify test CHANNEL` tries a channel.")
    return ExitCode.OK


def _find(path: Path | None, stack_dir: Path) -> tuple["Settings", Path]:
    """Return the settings and the notify.yaml that are meant."""
    if path is not None:
        # A file that was named needs no stack: on another machine the process's own variables say the rest.
        return read_settings(), path
    layout = find_layout(stack_dir)
    if isinstance(layout, Installed):
        raise click.UsageError("name a notify.yaml with --file, or in LAUNCHPIN_NOTIFY_FILE as the workers have it")
    return settings_of(layout), notify_file(layout)


def _plain(letter: "Letter", notice: "Notice") -> dict[str, object]:
    return {
        "id": notice.id,
        "channel": letter.channel,
        "state": letter.state.value,
        "outcome": notice.news.value,
        "severity": notice.voice.value,
        "environment": notice.environment,
        "model": notice.model,
        "tries": letter.tries,
        "reason": letter.reason,
        "answer": letter.message,
        "created_at": letter.created_at.isoformat(),
        "settled_at": letter.settled_at.isoformat() if letter.settled_at else None,
    }
