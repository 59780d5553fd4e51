"""`launchpin logs`: the log of a training or of a part, shown or followed. Reads files; asks nobody to write them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from gitops.cli.asking import opened
from gitops.cli.exits import ExitCode
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.runs import sentence_of
from gitops.cli.show import print_json
from gitops.cli.suggest import offers, parts, trainings
from gitops.cli.trainings import find_training
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.supervisor import part_states
from gitops.ports import Store
from gitops.records import Training
from gitops.telemetry.lines import show_line
from gitops.trainers.redaction import show_controls

_PACE = 0.2
_LONGEST_LINE = 64 * 1024


@click.command()
@click.argument("name", metavar="[TRAINING|PART]", required=False, default="", shell_complete=offers(trainings, parts))
@click.option("-f", "--follow", is_flag=True, help="Go on until the training is over, over further attempts too.")
@stack_dir_option
@json_option
def logs(name: str, *, follow: bool, stack_dir: Path, as_json: bool) -> int:
    """Show the log of a training (the newest by default; the beginning of its id is enough), or of a part."""
    if follow and as_json:
        raise click.UsageError("--follow and --json do not go together")
    layout = Layout.load(stack_dir)
    if name in {part.name for part in part_states(layout)}:
        return _show_part(layout.log(name), follow=follow, as_json=as_json)
    with opened(stack_dir) as (_, store):
        training = find_training(store, name)
        if follow:
            return _follow_training(store, training, layout)
    return _show_training(training, find_log(layout, training), as_json=as_json)


def find_log(layout: Layout, training: Training) -> Path | None:
    """Return the log of a training's newest attempt; None when it never came so far."""
    found = (layout.dir / "trainings" / "logs").glob(f"{training.id}-*.log")
    numbered = {int(path.stem.rpartition("-")[2]): path for path in found if path.stem.rpartition("-")[2].isdigit()}
    return numbered[max(numbered)] if numbered else None


def _show_training(training: Training, log: Path | None, *, as_json: bool) -> int:
    lines = list(_read_lines(log)) if log else []
    if as_json:
        facts = {"training": training.id, "phase": training.phase, "message": sentence_of(training)}
        print_json({"ok": log is not None, **facts, "log": str(log) if log else None, "lines": lines})
    else:
        for line in lines:
            click.echo(line)
        click.echo(show_controls(f"{training.id}: {training.phase}: {sentence_of(training)}"), err=True)
    if log is not None:
        return ExitCode.OK
    if not as_json:
        click.echo("it has no log" if training.phase.is_final else "it has no log yet; -f waits for it", err=True)
    return ExitCode.REFUSED if training.phase.is_final else ExitCode.INCONCLUSIVE


def _read_lines(log: Path) -> Iterator[str]:
    with log.open("rb") as stream:
        while line := stream.readline(_LONGEST_LINE):
            yield _safe(line)


def _safe(line: bytes) -> str:
    return show_controls(line.decode("utf-8", "replace").rstrip("\r\n"))


def _follow_training(store: Store, training: Training, layout: Layout) -> int:
    """Print what is written until the training is over; a new attempt's log follows the old one's."""
    log: Path | None = None
    tail: Tail | None = None
    while True:
        # Whether it is over is asked before the rest is read: nothing is written after the end.
        now = store.training(training.id) or training
        newest = find_log(layout, training)
        if newest != log and newest is not None:
            if tail is not None:
                tail.close()
                click.echo(f"--- {newest.stem}", err=True)
            log, tail = newest, Tail(newest)
        if tail is not None:
            tail.print(is_last=now.phase.is_final)
        if now.phase.is_final:
            break
        time.sleep(_PACE)
    if tail is not None:
        tail.close()
    click.echo(show_controls(f"{now.id}: {now.phase}: {sentence_of(now)}"), err=True)
    return ExitCode.OK


def _show_part(log: Path, *, follow: bool, as_json: bool) -> int:
    if as_json:
        print_json({"ok": log.exists(), "log": str(log), "lines": list(_read_lines(log)) if log.exists() else []})
        return ExitCode.OK
    if not log.exists():
        click.echo("it has no log yet", err=True)
        return ExitCode.INCONCLUSIVE
    tail = Tail(log)
    tail.print(is_last=not follow)
    while follow:
        time.sleep(_PACE)
        tail.print()
    tail.close()
    return ExitCode.OK


class Tail:
    """A growing file, printed line by line as its lines are completed.

    Args:
        say: prints a line.
    """

    def __init__(self, log: Path, *, say: Callable[[str], None] = click.echo) -> None:
        self._say = say
        self._stream: BinaryIO = log.open("rb")
        self._begun = b""

    def print(self, *, is_last: bool = False) -> None:
        """Print what is new.

        Args:
            is_last: nothing follows any more, so that a line without its end is printed too.
        """
        while piece := self._stream.readline(_LONGEST_LINE):
            self._begun += piece
            if piece.endswith(b"\n") or len(self._begun) >= _LONGEST_LINE:
                self._flush()
        if is_last and self._begun:
            self._flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _flush(self) -> None:
        # What our parts write is a record a line; people read the sentence in it.
        for line in show_line(self._begun.decode("utf-8", "replace").rstrip("\r\n")):
            self._say(show_controls(line))
        self._begun = b""
