"""The demo's stage: what its scenes use to act as a user, and to watch. Nothing here is a shortcut.

The scenes type the commands that a person would type, push with git, and click by the forge's own API.
"""

import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx

from gitops.cli.demo.examples import Example
from gitops.cli.demo.report import Report
from gitops.cli.show import Console, duration
from gitops.embedded.stack.layout import Layout
from gitops.errors import LaunchpinError

if TYPE_CHECKING:
    from gitops.store import SqlStore

T = TypeVar("T")
_PACE = 0.1
_SHOWN_LINES = 12


class SceneError(LaunchpinError):
    """A step of the demo did not come out as it must.

    Args:
        log: the log that says more.
    """

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__("DemoFailed", message)
        self.log = log


@dataclass
class Stage:
    """Everything the scenes share.

    Args:
        example: the model that is played with.
        stop: set when a person wants to leave.
        waits: whether a person may be waited for.
    """

    layout: Layout
    store: "SqlStore"
    example: Example
    console: Console
    stop: threading.Event
    report: Report
    waits: bool
    began: float = field(default_factory=time.monotonic)

    @property
    def home(self) -> Path:
        """The folder in which the demo's user works."""
        return self.layout.dir / "demo"

    @property
    def model_folder(self) -> Path:
        """The clone of the model repository."""
        return self.home / self.example.model

    @property
    def user_token(self) -> str:
        """The token of the person whom the demo plays."""
        return (self.layout.forge_home / "user.token").read_text(encoding="utf-8").strip()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[dict[str, str]]:
        """Show a step with its time, and write it down; the scene puts what it found into the mapping."""
        started, begun = datetime.now(UTC), time.monotonic()
        facts: dict[str, str] = {}
        self.console.move(name)
        try:
            yield facts
        except BaseException:
            self.console.rest()
            self.report.add(name, started=started, seconds=time.monotonic() - begun, facts=facts)
            raise
        took = time.monotonic() - begun
        self.console.rest()
        self.report.add(name, started=started, seconds=took, facts=facts)
        self._show(name, took, facts)

    def _show(self, name: str, took: float, facts: dict[str, str]) -> None:
        at = duration(time.monotonic() - self.began).rjust(12)
        mark = self.console.paint("✓", "green", bold=True)
        self.console.say(f"{at}  {mark} {name}  {self.console.paint(duration(took), 'bright_black')}")
        for key, value in facts.items():
            self.console.say(f"{'':16}{self.console.paint(key, 'bright_black')} {value}")

    def wait_for(
        self,
        what: str,
        look: Callable[[], T | None],
        *,
        timeout: float,
        doing: Callable[[], str] = lambda: "",
        log: str = "control",
    ) -> T:
        """Look until there is something, with a moving line.

        Args:
            timeout: seconds.
            doing: what goes on meanwhile, for the moving line.
            log: the part whose log says more when time is up.

        Raises:
            SceneError: when time is up, naming what was waited for.
            KeyboardInterrupt: when the person wants to leave.
        """
        deadline = time.monotonic() + timeout
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise SceneError(f"{what}: nothing after {timeout:.0f} s ({doing()})", log=str(self.layout.log(log)))
            now = doing()
            self.console.move(f"{what}: {now}" if now else what)
            if self.stop.wait(_PACE):
                raise KeyboardInterrupt
        return found

    def log(self, part: str) -> str:
        """Return the path of a part's log."""
        return str(self.layout.log(part))

    def launchpin(self, *arguments: str) -> str:
        """Type a `launchpin` command, as the person would."""
        self.console.say(f"{'':14}$ launchpin {shlex.join(arguments)}")
        command = (sys.executable, "-P", "-m", "gitops.cli", *arguments, "--dir", str(self.layout.dir))
        return self._run(command, cwd=self.home)

    def git(self, folder: Path, *arguments: str) -> str:
        """Type a git command, as the person would."""
        return self._run(("git", *arguments), cwd=folder)

    def _run(self, command: tuple[str, ...], *, cwd: Path) -> str:
        person = {"GIT_AUTHOR_NAME": "You", "GIT_AUTHOR_EMAIL": "you@localhost", "GIT_TERMINAL_PROMPT": "0"}
        person |= {"GIT_COMMITTER_NAME": "You", "GIT_COMMITTER_EMAIL": "you@localhost"}
        done = subprocess.run(  # noqa: S603 - commands of the demo's own, no shell
            command, cwd=cwd, env=os.environ | person, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_SHOWN_LINES:])
            raise SceneError(f"{' '.join(command[-6:])} ended with {done.returncode}:\n{said}")
        return done.stdout

    def forge(self) -> httpx.Client:
        """Return a client of the forge's API as the person."""
        headers = {"authorization": f"Bearer {self.user_token}", "accept": "application/vnd.github+json"}
        return httpx.Client(base_url=self.layout.url("forge") + "/api/v3", headers=headers, trust_env=False, timeout=15)
