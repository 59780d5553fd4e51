"""The command line in a test: a stack's folder with a real database, a worker for its commands, and a way to call it.

with make_stack(tmp_path) as stack, working(stack): result = stack.launchpin("status")
"""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from json import loads
from pathlib import Path
from typing import Any

from gitops.bootstrap import prepare
from gitops.cli.main import run
from gitops.commands import COMMAND
from gitops.embedded.stack.environment import settings_for
from gitops.embedded.stack.keys import make_secrets
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import Identity, PartState, Record, State, read_record
from gitops.forge.github import GitHubForge
from gitops.ports import Deps
from gitops.reconcile import AnyStory, Loop, run_until_idle
from gitops.steps import Queue
from gitops.store import SqlStore
from tests.support.deps import make_deps


@dataclass(frozen=True)
class Output:
    """What a call printed and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = loads(self.out)
        return document

    @property
    def both(self) -> str:
        return self.out + self.err


def call(*arguments: object) -> Output:
    """Call the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Output(int(code), out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Stack:
    """A stack's folder; nothing of it runs but what a test starts."""

    layout: Layout
    store: SqlStore

    def launchpin(self, *arguments: object) -> Output:
        """Call a verb on this stack."""
        return call(*arguments, "--dir", self.layout.dir)

    def set_up(self, *parts: PartState) -> None:
        """Say in stack.json that this process is the living supervisor."""
        record = read_record(self.layout.stack_file)
        assert record is not None
        me = Identity.of(os.getpid())
        shown = parts or (PartState("web", State.READY, url=self.layout.url("web")),)
        self.layout.save(replace(record, supervisor=me, parts=shown))

    def set_mlflow(self, port: int) -> None:
        """Have the stack's MLflow be a server on another port."""
        record = read_record(self.layout.stack_file)
        assert record is not None
        self.layout.save(replace(record, ports={**record.ports, "mlflow": port}))

    def set_down(self) -> None:
        """Say that nobody supervises it."""
        record = read_record(self.layout.stack_file)
        assert record is not None
        self.layout.save(Record(record.id, record.ports, None, record.parts))


@contextmanager
def make_stack(folder: Path) -> Iterator[Stack]:
    """Give a stack that counts as up, with an empty database."""
    layout = Layout.make(folder / "stack")
    make_secrets(layout)
    settings = settings_for(layout)
    prepare(settings)
    store = SqlStore(settings.database)
    stack = Stack(layout, store)
    stack.set_up()
    try:
        yield stack
    finally:
        store.close()


@contextmanager
def working(stack: Stack, *stories: AnyStory, **parts: Any) -> Iterator[Deps]:  # noqa: ANN401 - any part of deps
    """Carry out the stack's commands in a thread, as a control worker does.

    Args:
        stories: further ones to carry out; jobs of all others are dropped.
        parts: real parts for the steps; the forge is that of the stack unless given.
    """
    token = (stack.layout.forge_home / "bot.token").read_text(encoding="utf-8").strip()
    forge = GitHubForge(stack.layout.url("forge") + "/api/v3", token, login="launchpin[bot]")
    deps = make_deps(stack.store, stack.layout.dir, **{"forge": forge, **parts})
    loop = Loop(deps=deps, stories={story.kind: story for story in (COMMAND, *stories)}, owner="test")
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.02):
            run_until_idle(loop, Queue.CONTROL, is_stopping=stop.is_set)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield deps
    finally:
        stop.set()
        thread.join()
