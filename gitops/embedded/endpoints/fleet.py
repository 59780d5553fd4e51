"""Keeps a scorer running for each configuration that is wanted: start, readiness, death, restart, drain, end.

Knows no endpoint: whether a dead scorer is worth another start is asked of its listener.
"""

import asyncio
import contextlib
import logging
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Protocol

import httpx

from gitops.embedded.endpoints.files import check_files
from gitops.embedded.endpoints.limits import Limits
from gitops.embedded.endpoints.scorer import (
    end_scorer,
    end_strays,
    is_alive,
    limit_log,
    read_tail,
    start_scorer,
)
from gitops.embedded.endpoints.state import Memory, Prepared, Process
from gitops.errors import ConflictError, NotFoundError, RefusedError, RetryError
from gitops.serving import Configuration, Readiness

_LOOK = 0.1
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_HEALTHY = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loss:
    """Why a configuration has no scorer: a word from the closed set of reasons, and a sentence."""

    reason: str
    message: str


class Listener(Protocol):
    """Who decides about traffic."""

    def hear_ready(self, name: str) -> None:
        """Hear that a configuration answers now."""
        ...

    def hear_loss(self, name: str, loss: Loss) -> bool:
        """Hear that a configuration's scorer is gone; True when it shall be started again."""
        ...


class Fleet:
    """All configurations and their scorers, in one event loop.

    Args:
        home: the host's folder, absolute.
        client: used to ask scorers whether they are ready.
    """

    def __init__(self, memory: Memory, home: Path, *, client: httpx.AsyncClient, limits: Limits) -> None:
        self._memory = memory
        self._rows = memory.state.configurations
        self._home = home
        self._client = client
        self._limits = limits
        self._listener: Listener | None = None
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, asyncio.Task[None]] = {}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._busy: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._closing = False

    # ------------------------------------------------------------ life of the host

    def adopt(self, listener: Listener) -> None:
        """Take back every recorded scorer that still lives; quick, because traffic waits for it."""
        self._listener = listener
        for row in self._rows.values():
            if row.process is not None and not is_alive(row.process):
                row.process = None
            if row.process is None and row.wanted:
                row.readiness = Readiness.STARTING
        self._memory.save()

    async def begin(self) -> None:
        """Start or watch everything that is wanted, and end what nobody remembers."""
        for name, row in self._rows.items():
            if row.wanted:
                self._watch(name, checked=False)
            elif row.process is not None:
                self.stop(name)
        known = frozenset(row.process.pid for row in self._rows.values() if row.process)
        strays = await asyncio.to_thread(end_strays, self._home, known=known)
        if strays:
            _log.warning("ended scorers that were in no record: %s", strays)

    async def close(self) -> None:
        """End every scorer; what was wanted is started again by the next host."""
        self._closing = True
        tasks = [*self._runs.values(), *self._stops.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self._end(row) for row in self._rows.values()))
        self._memory.save()

    # ------------------------------------------------------------ asked for

    def row(self, name: str) -> Prepared:
        """Return a configuration.

        Raises:
            NotFoundError: `no_configuration`.
        """
        try:
            return self._rows[name]
        except KeyError:
            raise NotFoundError("no_configuration", f"there is no configuration {name}") from None

    async def prepare(self, configuration: Configuration) -> Prepared:
        """Start a configuration; one that failed or was stopped is started again.

        Raises:
            ConflictError: `configuration_differs` when the name is taken by other contents.
            RefusedError: `digest_mismatch`, or `no_interpreter`.
        """
        name = configuration.name
        self._refuse_other(configuration)
        if not self._is_running(name):
            if not configuration.python.is_file():
                raise RefusedError("no_interpreter", f"the serving environment has no {configuration.python}")
            await self._check(configuration)
            self._refuse_other(configuration)
        if not self._is_running(name):
            self._record(configuration)
            self._watch(name, checked=True)
        return self._rows[name]

    def want(self, name: str) -> None:
        """Make sure that a scorer of this configuration runs, or soon does."""
        row = self._rows[name]
        row.wanted = True
        if not self._is_running(name):
            row.readiness, row.reason, row.message, row.tail = Readiness.STARTING, "", "", ()
            self._watch(name, checked=False)

    def stop(self, name: str) -> None:
        """Let a configuration finish its requests, then end its scorer."""
        self._rows[name].wanted = False
        self.announce()
        if name not in self._stops:
            self._stops[name] = asyncio.create_task(self._drain_and_end(name))

    async def remove(self, name: str) -> None:
        """Stop a configuration and forget it, with its log."""
        self.stop(name)
        await self._stops[name]
        if not self._is_wanted(name):
            del self._rows[name]
            await asyncio.to_thread(rmtree, self._folder(name), ignore_errors=True)

    @contextlib.contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Count a request in flight, so that its scorer is not ended under it."""
        self._busy[name] += 1
        try:
            yield
        finally:
            self._busy[name] -= 1
            if not self._busy[name] and not self._is_wanted(name):
                self.announce()

    async def recheck(self, name: str) -> None:
        """Look at once whether a scorer that broke a connection is dead, and give it a moment."""
        row = self._rows.get(name)
        if row is not None and row.process is not None and not is_alive(row.process):
            row.readiness = Readiness.STARTING
        await self.wait_change(0.05)

    def announce(self) -> None:
        """Wake every request that waits for a scorer or for traffic to move."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_change(self, timeout: float) -> None:  # noqa: ASYNC109 - waiting in vain is not an error here
        """Return when something changed or the time is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout)

    # ------------------------------------------------------------ one configuration's life

    def _is_running(self, name: str) -> bool:
        run = self._runs.get(name)
        return run is not None and not run.done()

    def _is_wanted(self, name: str) -> bool:
        row = self._rows.get(name)
        return row is not None and row.wanted

    def _refuse_other(self, configuration: Configuration) -> None:
        row = self._rows.get(configuration.name)
        if row is not None and _contents(row.configuration) != _contents(configuration):
            raise ConflictError("configuration_differs", f"{configuration.name} exists with other contents")

    def _record(self, configuration: Configuration) -> None:
        row = self._rows.get(configuration.name)
        if row is None:
            self._memory.state.last_number += 1
            row = Prepared(configuration, self._memory.state.last_number, prepared_at=time.time())
            self._rows[configuration.name] = row
        row.configuration, row.wanted, row.prepared_at = configuration, True, time.time()
        row.readiness, row.reason, row.message, row.tail = Readiness.STARTING, "", "", ()
        self._memory.save()

    def _watch(self, name: str, *, checked: bool) -> None:
        self._runs[name] = asyncio.create_task(self._run(name, checked=checked))

    async def _run(self, name: str, *, checked: bool) -> None:
        row, pause = self._rows[name], _FIRST_PAUSE
        while True:
            begun = time.monotonic()
            loss = await self._live_once(name, row, checked=checked)
            checked = False
            row.readiness, row.tail = Readiness.STARTING, read_tail(self._folder(name))
            await self._end(row, grace=0.0)
            _log.warning("%s: %s: %s", name, loss.reason, loss.message)
            again = self._listener is not None and self._listener.hear_loss(name, loss)
            row.reason, row.message = loss.reason, loss.message
            if not again:
                row.readiness, row.wanted = Readiness.FAILED, False
            self._memory.save()
            self.announce()
            if not again:
                return
            pause = _FIRST_PAUSE if time.monotonic() - begun > _HEALTHY else pause
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _live_once(self, name: str, row: Prepared, *, checked: bool) -> Loss:
        """Bring a scorer up and stay with it until it is gone; says why."""
        if row.process is None:
            loss = await self._start(name, row, checked=checked)
            if loss is not None:
                return loss
        loss = await self._await_ready(row)
        if loss is not None:
            return loss
        row.readiness, row.reason, row.message, row.tail = Readiness.READY, "", "", ()
        self._memory.save()
        if self._listener is not None:
            self._listener.hear_ready(name)
        self.announce()
        while row.process is not None and is_alive(row.process):
            limit_log(self._folder(name))
            await asyncio.sleep(_LOOK)
        return Loss("ScorerDied", f"the scorer ended {self._exit_of(row)}while it was in use")

    async def _start(self, name: str, row: Prepared, *, checked: bool) -> Loss | None:
        try:
            if not checked:
                await self._check(row.configuration)
            row.process, child = start_scorer(row.configuration, self._folder(name))
        except (RefusedError, RetryError) as error:
            return Loss("DigestMismatch", error.message)
        except OSError as error:
            return Loss("ScorerNotStarted", str(error))
        self._children[child.pid] = child
        self._memory.save()
        return None

    async def _check(self, configuration: Configuration) -> None:
        await asyncio.to_thread(
            check_files, configuration.model_dir, configuration.manifest, is_stopping=lambda: self._closing
        )

    async def _await_ready(self, row: Prepared) -> Loss | None:
        deadline = time.monotonic() + self._limits.start
        while row.process is not None and time.monotonic() < deadline:
            if not is_alive(row.process):
                return Loss("ScorerExited", f"the scorer ended {self._exit_of(row)}before it was ready")
            with contextlib.suppress(httpx.HTTPError):
                answer = await self._client.get(f"http://127.0.0.1:{row.process.port}/ping", timeout=5.0)
                if answer.is_success:
                    return None
            await asyncio.sleep(_LOOK)
        return Loss("ScorerTimeout", f"the scorer did not answer /ping within {self._limits.start:g} s")

    def _exit_of(self, row: Prepared) -> str:
        child = self._children.get(row.process.pid) if row.process else None
        code = child.poll() if child else None
        return "" if code is None else f"with exit code {code} "

    # ------------------------------------------------------------ endings

    async def _drain_and_end(self, name: str) -> None:
        row = self._rows[name]
        try:
            deadline = time.monotonic() + self._limits.drain
            while self._busy[name] and time.monotonic() < deadline and not self._is_wanted(name):
                await self.wait_change(deadline - time.monotonic())
            if self._is_wanted(name):
                return
            run = self._runs.pop(name, None)
            if run is not None:
                run.cancel()
                await asyncio.gather(run, return_exceptions=True)
            if self._is_wanted(name):
                return
            await self._end(row)
            if row.readiness is Readiness.STARTING and not self._is_wanted(name):
                row.readiness = Readiness.READY
            self._memory.save()
        finally:
            del self._stops[name]

    async def _end(self, row: Prepared, *, grace: float | None = None) -> None:
        process, row.process = row.process, None
        if process is None:
            return
        grace = self._limits.grace if grace is None else grace
        await asyncio.to_thread(_end_and_reap, process, self._children.pop(process.pid, None), grace)

    def _folder(self, name: str) -> Path:
        return self._home / "configurations" / name


def _end_and_reap(process: Process, child: subprocess.Popen[bytes] | None, grace: float) -> None:
    end_scorer(process, grace=grace)
    if child is not None:
        child.wait()


def _contents(configuration: Configuration) -> tuple[object, ...]:
    """Return what makes a configuration itself; where its files and interpreter lie may change."""
    return (
        configuration.endpoint,
        configuration.model,
        configuration.version,
        configuration.manifest,
        configuration.environment_key,
    )
