"""`launchpin audit`: exports the trail, verifies an export without any server, and says what served when.

Verifying imports no store and opens no connection.
"""

import dataclasses
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops.audit.bundle import read_anchors, write_bundle
from gitops.audit.checkpoint import parse_verifier_key
from gitops.audit.verify import Code, verify_bundle
from gitops.cli.asking import opened, require_up
from gitops.cli.exits import ExitCode
from gitops.cli.groups import NearestGroup
from gitops.cli.installed import Installed, settings_of
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import Console, print_json
from gitops.cli.suggest import endpoints, offers
from gitops.cli.trail import entries_of, pages
from gitops.embedded.stack.layout import Layout
from gitops.errors import NotFoundError, RetryError
from gitops.ports import AuditLog
from gitops.trainers.redaction import show_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.audit.at import Answer

_PACE = 0.1


@click.group(cls=NearestGroup)
def audit() -> None:
    """Export or verify the audit log, and ask it what served when."""


@audit.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for a signed head.")
@stack_dir_option
@json_option
def export(folder: Path, *, timeout: float, stack_dir: Path, as_json: bool) -> None:
    """Write the log to DIR: its entries, its signed heads and the public key.

    It asks for a head of everything recorded so far, and ends exactly there.
    """
    console = Console(sys.stderr if as_json else sys.stdout)
    with opened(stack_dir) as (layout, store):
        if store.audit_size() == 0:
            raise NotFoundError("NothingRecorded", "nothing has been recorded yet")
        key = read_key(find_key(layout))
        if newest_head(store) < store.audit_size():
            require_up(layout)
        size = await_head(store, console=console, timeout=timeout)
        count = export_bundle(store, folder, key=key, size=size)
    if as_json:
        print_json({"ok": True, "folder": str(folder.absolute()), "entries": count, "key": key})
        return
    click.echo(f"{count} entries, up to the newest signed head, are in {folder}")
    click.echo(f"Keep this key elsewhere, and verify with it:\n  {key}")
    click.echo(f"Next: launchpin audit verify {folder}")


def await_head(store: AuditLog, *, console: Console, timeout: float) -> int:
    """Ask for a signed head of everything recorded so far, and return the size of the newest one when it is there.

    Raises:
        RetryError: `NoHead` after that many seconds.
    """
    wanted = store.ask_checkpoint()
    deadline = time.monotonic() + timeout
    while (size := newest_head(store)) < wanted:
        if time.monotonic() > deadline:
            console.rest()
            message = f"no head of {wanted} entries was signed within {timeout:.0f} s; the log of the relay says why"
            raise RetryError("NoHead", message)
        console.move("waiting for a signed head")
        time.sleep(_PACE)
    console.rest()
    return size


def newest_head(store: AuditLog) -> int:
    """Return how many entries the newest signed head covers."""
    newest = store.newest_checkpoint()
    return newest.size if newest is not None else 0


def export_bundle(store: AuditLog, folder: Path, *, key: str, size: int) -> int:
    """Write a bundle that ends at a signed head, and return the number of its entries.

    Args:
        key: the verifier key.
        size: of the head.

    Raises:
        ConflictError: `BundleExists`.
    """
    notes = [head.note for head in store.checkpoints() if 0 < head.size <= size]
    return write_bundle(folder, pages(store, size), notes=notes, keys=[key])


def find_key(layout: Layout) -> Path:
    """Return the file with the log's public key.

    Raises:
        NotFoundError: `NoKey`.
    """
    for file in settings_of(layout).public_key_files:
        if file.is_file():
            return file
    is_service = isinstance(layout, Installed)
    how = "ask where the relay runs, or copy it from there" if is_service else "`launchpin up` writes it"
    raise NotFoundError("NoKey", f"there is no audit.pub, the log's public key, in {layout.dir}: {how}")


def read_key(file: Path) -> str:
    """Return a verifier key from its file.

    Raises:
        InputError: it holds none.
    """
    return parse_verifier_key(file.read_text(encoding="utf-8").strip()).text


class _OwnUsageCode(click.Command):
    """Ends with 4 on wrong usage: 2 is the answer that a log was forked, and no typing error may look like it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, or show what is wrong with them."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.show()
            ctx.exit(Code.USAGE)


@audit.command(cls=_OwnUsageCode)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--key", "key_file", type=click.Path(path_type=Path), help="A file with the verifier key to trust.")
@click.option(
    "--anchors",
    "anchors_place",
    type=click.Path(path_type=Path),
    help="Heads kept elsewhere, to agree with: a folder of checkpoints files, or one such file.",
)
@json_option
def verify(folder: Path, *, key_file: Path | None, anchors_place: Path | None, as_json: bool) -> int:
    """Verify an exported bundle, with no server and no network.

    Exit codes: 0 intact, 1 altered, 2 forked, 3 incomplete, 4 usage.
    """
    try:
        key = key_file.read_text(encoding="utf-8") if key_file else None
        anchors = read_anchors(anchors_place) if anchors_place else ""
        found = verify_bundle(folder, key=key, anchors=anchors)
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot be read: {error}"
        return _show_verification({"message": message}, Code.USAGE, as_json=as_json)
    return _show_verification(dataclasses.asdict(found), found.code, as_json=as_json)


def _show_verification(found: dict[str, object], code: Code, *, as_json: bool) -> int:
    """Print a finding; the code is the exit code, whatever other verbs use it for."""
    if as_json:
        print_json({**found, "ok": code is Code.INTACT, "code": code, "finding": code.name.lower()})
    else:
        click.echo(show_controls(str(found["message"])), err=code is not Code.INTACT)
        for name in ("origin", "root", "boundary"):
            if found.get(name) and code is not Code.USAGE:
                click.echo(show_controls(f"{name}: {found[name]}".replace("boundary: boundary:", "boundary:")))
    return int(code)


@audit.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--endpoint", required=True, shell_complete=offers(endpoints), help="The endpoint, or REPOSITORY:PATH.")
@click.option("--time", "moment", required=True, help="With its zone: `2026-01-31T12:00:00Z`; or `now`.")
@stack_dir_option
@json_option
def at(folder: Path | None, *, endpoint: str, moment: str, stack_dir: Path, as_json: bool) -> int:
    """Say what served on an endpoint at a time, trained from what, judged how, approved and merged by whom.

    Reads the stack's log, or the bundle in DIR after verifying it.
    """
    from gitops.audit.at import read_time  # noqa: PLC0415 - for this verb alone
    from gitops.telling.lists import read_serving  # noqa: PLC0415 - likewise

    time_asked = read_time(moment)
    entries = entries_of(folder, stack_dir)
    answer = read_serving(lambda: entries, endpoint, time=time_asked)
    _show_answer(answer, as_json=as_json)
    return ExitCode.OK if answer.known else ExitCode.INCONCLUSIVE


def _show_answer(answer: "Answer", *, as_json: bool) -> None:
    if as_json:
        from gitops.telling.showing import serving  # noqa: PLC0415 - as above

        print_json({"ok": answer.known, **serving(answer).model_dump(mode="json")})
        return
    click.echo(show_controls(answer.message))
    lines: Sequence[tuple[str, str]] = (
        ("repository", answer.repo),
        ("commit", answer.sha),
        ("training", answer.training_id),
        *(("gate", gate) for gate in answer.gates),
        ("merge", answer.merge_sha),
    )
    for name, value in lines:
        if value:
            click.echo(show_controls(f"  {name:<10}  {value}"))
