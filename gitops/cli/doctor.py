"""`launchpin doctor`: looks at this machine and at a stack, and says how to mend what is wrong. Changes nothing."""

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.exits import ExitCode
from gitops.cli.git import ask_git
from gitops.cli.installed import Installed, find_layout, is_up, states_of
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import Console, print_json
from gitops.embedded.stack.layout import Layout, Ports, is_free
from gitops.embedded.stack.probes import http_probe
from gitops.embedded.stack.record import PartState, State
from gitops.errors import LaunchpinError, NotFoundError
from gitops.explaining.findings import GIB, Finding, Grade, grade_clock, grade_disk
from gitops.trainers.redaction import show_controls

_OLDEST_GIT = (2, 28)  # `git init --initial-branch`
_OLDEST_PYTHON, _FIRST_UNKNOWN_PYTHON = (3, 11), (3, 14)
_ROOM = "make room: environments, artifacts and logs grow; or move the stack with --dir"
_NUMBER = re.compile(r"(\d+)\.(\d+)")
_COLOURS = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "red"}


@click.command()
@click.option("--strict", is_flag=True, help="Warnings count as failures.")
@stack_dir_option
@json_option
def doctor(*, strict: bool, stack_dir: Path, as_json: bool) -> int:
    """Check this machine and the stack: Python, git, uv, disk, ports, parts, clock.

    Of a service whose parts others started: what this process's settings lead to, and the parts as the database knows.
    """
    findings = list(look(stack_dir))
    bad = {Grade.FAIL, Grade.WARN} if strict else {Grade.FAIL}
    is_well = not any(finding.grade in bad for finding in findings)
    if as_json:
        print_json({"ok": is_well, "findings": [asdict(finding) for finding in findings]})
    else:
        _show(findings)
    return ExitCode.OK if is_well else ExitCode.REFUSED


def look(stack_dir: Path) -> Iterator[Finding]:
    """Look at this machine, and at the stack or the service."""
    try:
        layout = find_layout(stack_dir)
    except NotFoundError:
        yield from look_at_machine(stack_dir, room=_ROOM)
        yield Finding("stack", Grade.WARN, f"there is none in {stack_dir}", "`launchpin up` makes one")
        return
    except LaunchpinError as error:
        yield from look_at_machine(stack_dir, room=_ROOM)
        yield _cannot_look(stack_dir, error)
        return
    if isinstance(layout, Installed):
        from gitops.cli.checkup import ROOM, look_at_service  # noqa: PLC0415 - what asks the outside, for it alone

        yield from look_at_machine(layout.dir, room=ROOM)
        yield from look_at_service(layout)
        return
    yield from look_at_machine(stack_dir, room=_ROOM)
    yield from look_at_stack(layout, stack_dir)


def _cannot_look(stack_dir: Path, error: LaunchpinError) -> Finding:
    if (stack_dir / "stack.json").exists():
        return Finding("stack", Grade.FAIL, str(error), "move the folder away, or name another with --dir")
    return Finding("settings", Grade.FAIL, str(error), "mend the variable where this part is started")


def look_at_machine(folder: Path, *, room: str) -> Iterator[Finding]:
    """Look at what every stack and every part needs.

    Args:
        folder: where the stack is, or would be, or the part's home.
        room: what to do where the disk is full.
    """
    yield grade_python(sys.version_info[:2])
    yield grade_git(ask_git(Path.cwd(), "--version") if shutil.which("git") else "")
    yield _look_at_uv()
    yield _look_at_interpreters()
    yield grade_disk("disk", shutil.disk_usage(_existing(folder)).free / GIB, remedy=room)


def grade_python(version: tuple[int, ...]) -> Finding:
    """Grade the Python that runs this."""
    text = ".".join(map(str, version))
    if _OLDEST_PYTHON <= version < _FIRST_UNKNOWN_PYTHON:
        return Finding("Python", Grade.OK, text)
    return Finding("Python", Grade.FAIL, text, "install Launchpin with Python 3.11, 3.12 or 3.13")


def grade_git(said: str) -> Finding:
    """Grade git by what `git --version` says; empty when there is none."""
    found = _NUMBER.search(said)
    if not found:
        return Finding("git", Grade.FAIL, "not found", "install git 2.28 or newer")
    if (int(found[1]), int(found[2])) < _OLDEST_GIT:
        return Finding("git", Grade.FAIL, said, "install git 2.28 or newer")
    return Finding("git", Grade.OK, said.removeprefix("git version "))


def _look_at_uv() -> Finding:
    import uv  # noqa: PLC0415 - for this verb alone

    try:
        return Finding("uv", Grade.OK, uv.find_uv_bin())
    except FileNotFoundError:
        return Finding("uv", Grade.FAIL, "its program is not found", "install Launchpin again")


def _look_at_interpreters() -> Finding:
    """Look for the Pythons that trainings may ask for."""
    names = [f"python3.{minor}" for minor in range(9, 15) if shutil.which(f"python3.{minor}")]
    own = "{}.{}".format(*sys.version_info[:2])
    others = [version for name in names if (version := name.removeprefix("python")) != own]
    return Finding("interpreters", Grade.OK, f"{', '.join([own, *others])} for trainings")


def _existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(one for one in (absolute, *absolute.parents) if one.exists())


def look_at_stack(layout: Layout, stack_dir: Path) -> Iterator[Finding]:
    """Look at a stack: its ports while it is down, its parts while it is up."""
    parts = states_of(layout)
    if not is_up(layout):
        yield Finding("stack", Grade.WARN, "it is not up", "`launchpin up` starts it")
        yield from _look_at_ports(layout)
    else:
        yield from (grade_part(part) for part in parts)
        yield _look_at_mlflow(layout)
    yield from _look_at_clock(stack_dir)
    yield _look_at_secrets(layout)


def _look_at_ports(layout: Layout) -> Iterator[Finding]:
    for name in Ports.__dataclass_fields__:
        port = getattr(layout.ports, name)
        if is_free(port):
            yield Finding(f"port {port}", Grade.OK, f"free for {name}")
        else:
            yield Finding(f"port {port}", Grade.FAIL, f"{name} needs it, and it is taken", "end whoever listens there")


def grade_part(part: PartState) -> Finding:
    """Grade a part of a stack that is up."""
    if part.state not in {State.READY, State.DONE}:
        return Finding(part.name, Grade.FAIL, part.state.value, f"`launchpin logs {part.name}` says why")
    if part.restarts:
        text = f"{part.state.value}, started again {part.restarts} times"
        return Finding(part.name, Grade.WARN, text, f"`launchpin logs {part.name}` says why")
    return Finding(part.name, Grade.OK, part.state.value)


def _look_at_mlflow(layout: Layout) -> Finding:
    if http_probe(layout.ports.mlflow, "/health")(layout.log("mlflow"), 0):
        return Finding("MLflow", Grade.OK, f"answers at {layout.url('mlflow')}")
    return Finding("MLflow", Grade.FAIL, "does not answer", "`launchpin logs mlflow` says why")


def _look_at_clock(stack_dir: Path) -> Iterator[Finding]:
    """Compare this process's clock with the database's: entries and leases are stamped by the latter."""
    from datetime import UTC, datetime  # noqa: PLC0415 - for this check alone

    try:
        with opened(stack_dir) as (_, store):
            drift = (datetime.now(UTC) - store.now()).total_seconds()
    except NotFoundError:
        return
    except LaunchpinError as error:
        yield Finding("database", Grade.FAIL, str(error), "`launchpin up` brings it to this version's form")
        return
    yield Finding("database", Grade.OK, "opens")
    yield replace(grade_clock(drift), what="clock")


def _look_at_secrets(layout: Layout) -> Finding:
    """Look whether anybody else on this machine may read the stack's secrets."""
    files = [file for folder in (layout.secrets, layout.forge_home) for file in _secret_files(folder)]
    open_ones = [file.name for file in files if file.stat().st_mode & 0o077]
    if not open_ones:
        return Finding("secrets", Grade.OK, "readable by their owner only")
    listed = ", ".join(open_ones)
    return Finding("secrets", Grade.FAIL, f"{listed}: others may read them", f"chmod -R go= {layout.dir}")


def _secret_files(folder: Path) -> Iterable[Path]:
    found = folder.glob("*") if folder.is_dir() else ()
    return [file for file in found if file.suffix in {".token", ".key", ".secret", ".password"} and file.is_file()]


def _show(findings: Iterable[Finding]) -> None:
    console = Console()
    for finding in findings:
        grade = console.paint(finding.grade.value.ljust(4), _COLOURS[finding.grade])
        console.say(f"{grade}  {show_controls(f'{finding.what}: {finding.text}')}")
        if finding.remedy:
            console.say(f"        {show_controls(finding.remedy)}")
