"""`launchpin up` and `launchpin down`: the stack's life, seen from a terminal."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from gitops.cli.installed import find_stack
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import Console, duration, print_json
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.logins import mint_dashboard_link, mint_forge_link
from gitops.embedded.stack.process import Event, What
from gitops.embedded.stack.record import PartState, State
from gitops.embedded.stack.supervisor import Supervisor, ask_to_stop, end_leftovers, take_lock
from gitops.errors import RefusedError, RetryError

_COLOURS = {What.READY: "green", What.DIED: "red", What.KILLED: "yellow", What.NOTE: "yellow"}
_NAME_WIDTH = 10
_PACE = 0.1
_NOT_OURS = (
    "these parts were not started by `launchpin up`: stop them where they were started, with `docker compose stop` or "
    "their service manager"
)


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up.

    Args:
        stop: set by Ctrl-C, SIGTERM or SIGHUP.
    """

    supervisor: Supervisor
    stop: threading.Event

    @property
    def layout(self) -> Layout:
        """Where everything is."""
        return self.supervisor.layout


@dataclass(frozen=True)
class Links:
    """The addresses that a person needs; the first two open a session once, within 15 minutes."""

    dashboard: str
    forge: str
    mlflow: str
    endpoints: str


@contextmanager
def running_stack(folder: Path, console: Console, *, timeout: float) -> Iterator[RunningStack]:
    """Start a stack, give it when every part is ready, and stop it at the end, however that comes.

    A signal sets `stop`, also while it starts; a second one hurries. Only the main thread may call this.

    Args:
        timeout: seconds until every part must be ready.

    Raises:
        LaunchpinError: when it cannot start, in the words of `Supervisor`.
    """
    layout = Layout.make(folder)
    supervisor = Supervisor(layout, report=lambda event: show_event(console, event))
    stop = threading.Event()
    with _stopping_on_signals(supervisor, stop):
        try:
            supervisor.start()
            supervisor.wait_ready(timeout, stop=stop, progress=lambda states: console.move(_waiting_for(states)))
            console.rest()
            yield RunningStack(supervisor, stop)
        finally:
            console.move("stopping")
            supervisor.stop()
            console.rest()


def mint_links(layout: Layout) -> Links:
    """Make fresh links into a stack's pages."""
    return Links(mint_dashboard_link(layout), mint_forge_link(layout), layout.url("mlflow"), layout.url("endpoints"))


def show_event(console: Console, event: Event) -> None:
    """Print what happened to a part, unless it was expected."""
    if event.what in {What.STARTED, What.STOPPED}:
        return
    name = console.paint(event.part.ljust(_NAME_WIDTH), _COLOURS.get(event.what, ""))
    took = f"  {duration(event.seconds)}" if event.what is What.READY else ""
    console.say(f"  {name} {event.text}{took}")
    for line in event.lines:
        console.say(f"      {line}")


@click.command()
@stack_dir_option
@json_option
@click.option("--timeout", default=180.0, show_default=True, help="Seconds until every part must be ready.")
def up(stack_dir: Path, *, as_json: bool, timeout: float) -> None:
    """Start everything on this machine and keep it running until Ctrl-C."""
    console = Console(sys.stderr if as_json else sys.stdout)
    console.say(f"Launchpin starts in {stack_dir.absolute()}; MLflow takes longest, 15 to 30 s")
    begun = time.monotonic()
    with running_stack(stack_dir, console, timeout=timeout) as stack:
        if not stack.stop.is_set():
            links = mint_links(stack.layout)
            if as_json:
                print_json({"ok": True, "dir": str(stack.layout.dir), "urls": vars(links)})
            else:
                _show_up(console, links, seconds=time.monotonic() - begun)
            stack.supervisor.run_until(stack.stop)
    console.say(f"Stopped. All data stays in {stack.layout.dir}")


@click.command()
@stack_dir_option
@json_option
@click.option("--timeout", default=90.0, show_default=True, help="Seconds to wait for its end.")
@click.option("--now", is_flag=True, help="Let nothing finish: every part is killed.")
def down(stack_dir: Path, *, as_json: bool, timeout: float, now: bool) -> None:
    """Stop what `up` started; all data stays."""
    layout = find_stack(stack_dir, instead=lambda _: _NOT_OURS)
    was_up = ask_to_stop(layout)
    if was_up and now:
        ask_to_stop(layout)
    console = Console(sys.stderr if as_json else sys.stdout)
    left = _wait_for_end(layout, console, timeout=timeout)
    if as_json:
        print_json({"ok": True, "was_up": was_up, "leftovers": left, "dir": str(layout.dir)})
        return
    done = "Stopped." if was_up else "Ended what a supervisor that died had left." if left else "Nothing was up."
    console.say(f"{done} All data stays in {layout.dir}")


def _wait_for_end(layout: Layout, console: Console, *, timeout: float) -> tuple[str, ...]:
    """Wait until the folder is free and end whatever a supervisor that died has left; return its names."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with take_lock(layout):
                return end_leftovers(layout)
        except RefusedError as error:
            if time.monotonic() > deadline:
                raise RetryError("StillUp", f"not stopped after {timeout:.0f} s: {error.message}") from error
            console.move("stopping")
            time.sleep(_PACE)
        finally:
            console.rest()


def _show_up(console: Console, links: Links, *, seconds: float) -> None:
    console.say()
    console.say(f"Up after {duration(seconds)}. The first two links sign you in: once, within 15 minutes.")
    console.say(f"  Dashboard  {links.dashboard}")
    console.say(f"  Forge      {links.forge}")
    console.say(f"  MLflow     {links.mlflow}")
    console.say("Trainings run as you, with your rights: push only code that you would run yourself.")
    console.say("Ctrl-C stops everything and keeps the data. Next: launchpin init, launchpin add")


def _waiting_for(states: tuple[PartState, ...]) -> str:
    waiting = [state.name for state in states if state.state not in {State.READY, State.DONE}]
    return f"waiting for {', '.join(waiting)}"


@contextmanager
def _stopping_on_signals(supervisor: Supervisor, stop: threading.Event) -> Iterator[None]:
    def take_signal(*_: object) -> None:
        if stop.is_set():
            supervisor.hurry()
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, take_signal) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
