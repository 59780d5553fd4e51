"""How a verb reads what is known, and how it has something done: one command row, which a worker carries out.

No verb does the work itself, so that it is done once, audited, and the same whoever asks.
"""

import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gitops.cli.exits import ExitCode
from gitops.cli.installed import Installed, find_layout, settings_of
from gitops.cli.main import fail_unknown
from gitops.cli.show import Console, print_json
from gitops.embedded.stack.database import has_database
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import read_record
from gitops.errors import NotFoundError, RetryError
from gitops.identifiers import new_id
from gitops.logins import this_user
from gitops.naming import called
from gitops.ports import Store
from gitops.records import Cause, Command
from gitops.steps import Phase
from gitops.telling.library import Reader
from gitops.trainers.redaction import show_controls

if TYPE_CHECKING:
    from gitops.store import SqlStore

_F = TypeVar("_F", bound=Callable[..., Any])
_PACE = 0.1

LookUp = Callable[[Reader], Mapping[str, str]]
"""Reads what a person may have meant."""


@contextmanager
def opened(stack_dir: Path) -> Iterator[tuple[Layout, "SqlStore"]]:
    """Give a stack's layout and its store, or those of the service that this process's variables describe.

    Raises:
        NotFoundError: `NoStack` when there is none, or it was never up.
    """
    from gitops.bootstrap import for_command  # noqa: PLC0415 - SQLAlchemy, only when a verb needs it

    layout = find_layout(stack_dir)
    if not isinstance(layout, Installed) and not has_database(layout):
        raise NotFoundError("NoStack", f"the stack in {layout.dir} was never up: `launchpin up` first")
    store = for_command(settings_of(layout))
    try:
        yield layout, store
    finally:
        store.close()


def require_up(layout: Layout) -> None:
    """Refuse to ask for something that nobody would carry out now; who runs a service's workers, nobody knows here.

    Raises:
        RetryError: `NotUp`.
    """
    if isinstance(layout, Installed):
        return
    record = read_record(layout.stack_file)
    if record is None or record.supervisor is None or not record.supervisor.is_alive():
        raise RetryError("NotUp", f"the stack in {layout.dir} is not up: `launchpin up`, then once more")


def timeout_option(command: _F) -> _F:
    """Add `--timeout`, in seconds."""
    text = "Seconds to wait for the end; it goes on without us."
    return click.option("--timeout", default=900.0, show_default=True, help=text)(command)


def ask(store: Store, verb: str, arguments: Mapping[str, str], *, actor: str, key: str = "") -> Command:
    """Write one command row; a worker carries it out.

    Args:
        arguments: those that `gitops.commands` knows for the verb.
        actor: the person's login.
        key: the idempotency key; a new one by default.

    Raises:
        ConflictError: `IdempotencyKeyUsed`.
    """
    command_id = new_id("c")
    return store.save_command(
        Command(
            id=command_id,
            cause=Cause(kind="command", id=command_id, actor=actor, method="folder"),
            verb=verb,
            arguments={name: value for name, value in arguments.items() if value},
            idempotency_key=key or uuid.uuid4().hex,
        )
    )


def wait_for(store: Store, command: Command, *, console: Console, timeout: float) -> Command:
    """Wait until a command is over, and say on a moving line what it waits for.

    Args:
        timeout: seconds.

    Raises:
        RetryError: `TimedOut`, with how to look later; the command goes on.
    """
    deadline = time.monotonic() + timeout
    while True:
        now = store.command(command.id) or command
        if now.phase.is_final:
            console.rest()
            return now
        if time.monotonic() > deadline:
            console.rest()
            waits = f" ({now.message or now.reason})" if now.message or now.reason else ""
            message = (
                f"{command.verb} {command.id} is not over after {timeout:.0f} s{waits}; `launchpin status` shows it"
            )
            raise RetryError("TimedOut", message)
        console.move(f"{command.verb}: {show_controls(_waiting_for(store, now))}")
        time.sleep(_PACE)


def _waiting_for(store: Store, command: Command) -> str:
    """Return what a command waits for: its own word, or the error after which it is tried again."""
    jobs = (job for job in store.jobs() if (job.kind, job.subject) == ("command", command.id))
    stuck = next((f"{job.reason}: {job.message}" for job in jobs if job.reason and job.tries), "")
    return stuck or command.message or command.reason or "waiting for a worker"


def show_outcome(command: Command, *, as_json: bool, more: Mapping[str, object] | None = None) -> int:
    """Print how a command ended and return the exit code."""
    if as_json:
        outcome = {"command": command.id, "phase": command.phase, "reason": command.reason, "message": command.message}
        is_ok = command.phase is Phase.SUCCEEDED
        print_json({"ok": is_ok, **outcome, "result": command.facts.result, **(more or {})})
    else:
        click.echo(show_controls(command.message or command.reason), err=command.phase is not Phase.SUCCEEDED)
    match command.phase:
        case Phase.SUCCEEDED:
            return ExitCode.OK
        case Phase.ERRORED:
            return ExitCode.BROKEN
        case _:
            return ExitCode.REFUSED


def have_done(
    verb: str,
    arguments: Mapping[str, str],
    stack_dir: Path,
    *,
    timeout: float,
    as_json: bool,
    look_up: LookUp | None = None,
) -> int:
    """Have a verb done, wait for it, show how it ended and return the exit code.

    Args:
        arguments: as `ask` has them.
        timeout: seconds.
        look_up: refuses what cannot be meant before anything is written, and returns arguments as they are meant.
    """
    console = Console(sys.stderr if as_json else sys.stdout)
    with opened(stack_dir) as (layout, store):
        meant = look_up(store) if look_up else {}
        require_up(layout)
        command = ask(store, verb, {**arguments, **meant}, actor=this_user())
        return show_outcome(wait_for(store, command, console=console, timeout=timeout), as_json=as_json)


def known_endpoint(argument: str, name: str) -> LookUp:
    """Return the look that refuses a name that is no endpoint's, with the nearest that is; REPOSITORY:PATH is one."""

    def look_up(store: Reader) -> Mapping[str, str]:
        if not is_endpoint(store, name):
            fail_unknown("endpoint", name, [one.endpoint for one in store.environments() if one.endpoint])
        return {argument: name}

    return look_up


def is_endpoint(store: Store, name: str) -> bool:
    """Return whether an endpoint has that name, or REPOSITORY:PATH."""
    return bool(called(store.environments(), name))
