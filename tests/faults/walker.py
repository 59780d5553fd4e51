"""Walks the loop: plays a scene undisturbed, then again and again, cut at one place each time, and compares the ends.

The places come from the undisturbed run itself: every failpoint it passed, every commit, every request it wrote.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from gitops.store.migrate import migrate
from tests.faults.invariants import check
from tests.faults.walker_cuts import Cut, Hit, Score
from tests.faults.walker_play import LEASE, SharedClock
from tests.faults.walker_scenes import SCENES
from tests.faults.walker_setting import Scene
from tests.faults.walker_stage import Stage, set_stage
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[2]
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
# What the journal counts as reading although it is posted.
_READS = re.compile(r"/(search[\w-]*|get-latest-versions|git-upload-pack|invocations)/?$")
_FEW = 8
# Characters of a breach, of one place that differs, and of what is the same before it.
_SHOWN = 1500
_EXCERPT = 160
_AROUND = 20
# An order that was on its way is undone by a rollout of its own, which is told, and followed, as any other.
_RETOLD = {"rollouts", "promotions", "checks", "git deploy", "pulls"}
_WARMING = ("train", "roll", "back")


class Server:
    """The process that forks workers."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "LAUNCHPIN_FAILPOINTS": ""}
        command = (sys.executable, "-P", "-m", "tests.faults.walker_server")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, text=True)

    def run(self, scene: Scene, **told: Any) -> dict[str, Any]:  # noqa: ANN401 - any field of the play
        """Run a worker to its end, or until it stops: `{"pid": ..., "end": ...}`."""
        play = replace(scene.play, **told)
        return self._ask({"run": asdict(play), "log": str(Path(play.folder) / "worker.log")})

    def warm(self, scene: Scene) -> None:
        """Play a scene in the server itself."""
        end = self._ask({"warm": asdict(scene.play)})["end"]
        assert end == "done", f"the warming ended as {end}"

    def go_on(self, pid: int) -> dict[str, Any]:
        """Let a stopped worker go on to its end."""
        return self._ask({"continue": pid})

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"end": "the server died"}')
        return answer

    def close(self) -> None:
        """End it."""
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait(30)


class Databases(Protocol):
    """Gives every case a database of its own."""

    def make(self, folder: Path) -> str:
        """Return the URL of a new, migrated one; it may lie in the case's folder."""
        ...

    def drop(self, url: str) -> None:
        """Remove one."""
        ...

    def await_release(self, url: str) -> None:
        """Wait until the server has ended the transaction of whoever stands still in one."""
        ...


class Walker:
    """One lane of cases: an own server of workers, journals of its own, one case at a time."""

    def __init__(self, stage: Stage, folder: Path, databases: Databases) -> None:
        self.stage = stage
        self._folder = folder
        self._server = Server(folder)
        self._number = 0
        self.databases = databases

    def close(self) -> None:
        """End the server."""
        self._server.close()

    def warm(self) -> None:
        """Let the server see the whole loop once, so that its forks begin where it is."""
        for name in _WARMING:
            scene = self.set(name)
            self._server.warm(scene)
            self._clear(scene)

    def set(self, name: str) -> Scene:
        """Set a new scene."""
        self._number += 1
        folder = self._folder / f"case-{self._number}"
        folder.mkdir(parents=True)
        self.stage.forget_aliases()
        return SCENES[name](self.stage, folder, self.databases.make(folder))

    def listen(self, name: str) -> Score:
        """Play a scene undisturbed.

        Raises:
            AssertionError: a promise is broken without any fault.
        """
        scene = self.set(name)
        trace = Path(scene.play.folder) / "trace"
        self._finish(scene, trace=str(trace))
        hits: dict[str, int] = {}
        passed = []
        for line in trace.read_text(encoding="utf-8").splitlines():
            point, at = line.split(" ")
            hits[point] = hits.get(point, 0) + 1
            passed.append(Hit(point, hits[point], at))
        asked = [(name, effect.path) for name, effects in scene.effects().items() for effect in effects]
        score = Score(check(scene), tuple(passed), tuple(asked))
        self._clear(scene)
        return score

    def walk(self, cut: Cut, score: Score, **told: Any) -> None:  # noqa: ANN401 - any field of the play
        """Play a scene with one cut, let it recover, and hold everything against the undisturbed end.

        Raises:
            AssertionError: the fault did not happen, or something was not as it must be.
        """
        if cut.action == "crash":
            # What an earlier case left to the host, when it went wrong, must not count among the hits of this one.
            self.stage.clear_host()
        scene = self.set(cut.scene)
        scene = replace(scene, play=replace(scene.play, **told))
        if cut.action == "lose":
            self._lose(scene, cut)
        elif cut.action == "crash":
            self._crash(scene, cut)
        else:
            self._cut(scene, cut)
        state = check(scene)
        for name, expected in score.state.items():
            if cut.is_late and name in _RETOLD:
                continue
            assert state[name] == expected, f"{name} ended as {differing(state[name], expected)}"
        self._clear(scene)

    def _cut(self, scene: Scene, cut: Cut) -> None:
        trace = Path(scene.play.folder) / "trace"
        armed = f"{cut.name}={cut.action}@{cut.place}"
        first = self._server.run(scene, armed=armed, trace=str(trace))
        expected = {"kill": "killed", "stop": "stopped", "raise": "done"}[cut.action]
        assert first["end"] == expected, f"the worker ended as {first['end']}: {_last_words(scene)}"
        count = sum(line.startswith(f"{cut.name} ") for line in trace.read_text(encoding="utf-8").splitlines())
        assert count >= cut.place, f"the failpoint was passed {count} times only"
        if cut.action == "raise":
            return
        clock = SharedClock(Path(scene.play.folder) / "clock")
        clock.reach(clock() + LEASE * 2)
        if cut.action == "stop":
            if cut.name == "commit.before":
                self.databases.await_release(scene.play.database)
            # Whoever waits for what the stopped one holds must not wait for ever.
            self._server.run(scene, rounds=_FEW)
            assert self._server.go_on(first["pid"])["end"] == "done", f"once it went on: {_last_words(scene)}"
            clock.reach(clock() + LEASE * 2)
        self._finish(scene)

    def _crash(self, scene: Scene, cut: Cut) -> None:
        part = "host" if cut.name.startswith("endpoint_host.") else "forge"
        crash = self.stage.crash(part, f"{cut.name}=kill@{cut.place}")
        try:
            self._finish(scene, parts=f"{self.stage.behind.url},{self.stage.host_process.url}")
        finally:
            code = crash.end()
        assert code == -signal.SIGKILL, f"the part did not come by: it ended with {code}"

    def _lose(self, scene: Scene, cut: Cut) -> None:
        outside = dict(zip(("forge", "tracking", "host"), self.stage.outsides, strict=True))[cut.name]
        rule = outside.script.apply_then_drop(_Nth(cut.place))
        try:
            self._finish(scene)
        finally:
            outside.script.clear()
        assert rule.fired == 1, "no reply was lost"

    def _finish(self, scene: Scene, **told: Any) -> None:  # noqa: ANN401 - any field of the play
        end = self._server.run(scene, **told)["end"]
        assert end == "done", f"the worker ended as {end}: {_last_words(scene)}"

    def _clear(self, scene: Scene) -> None:
        """Remove what a case leaves running or lying; only of a case that went well."""
        self.stage.clear_host()
        self.databases.drop(scene.play.database)
        shutil.rmtree(scene.play.folder, ignore_errors=True)


class _Nth:
    """Matches the Nth request that writes."""

    def __init__(self, place: int) -> None:
        self._left = place
        self._lock = threading.Lock()

    def __call__(self, method: str, path: str) -> bool:
        """Count a request."""
        if method not in _WRITES or _READS.search(path):
            return False
        with self._lock:
            self._left -= 1
            return self._left == 0


@contextmanager
def walking(folder: Path, mlflow: str, databases: Databases) -> Iterator[Walker]:
    """Give a lane."""
    with set_stage(folder / "stage", mlflow) as stage:
        walker = Walker(stage, folder, databases)
        try:
            walker.warm()
            yield walker
        finally:
            walker.close()


class SqliteFiles:
    """SQLite databases, each a copy of one that was migrated.

    Args:
        template: where that one is made.
    """

    def __init__(self, template: Path) -> None:
        self._template = template
        migrate(f"sqlite:///{template}", host="walker.example")

    def make(self, folder: Path) -> str:
        """Copy it."""
        file = folder / "launchpin.sqlite3"
        shutil.copy(self._template, file)
        file.chmod(0o600)
        return f"sqlite:///{file}"

    def drop(self, url: str) -> None:
        """Leave it to whoever removes the folder."""

    def await_release(self, url: str) -> None:
        """Nobody ends it.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"{url}: who stands still in a transaction of SQLite holds everybody up")


class PostgresDatabases:
    """Databases of one server."""

    def __init__(self, server: Postgres) -> None:
        self._server = server

    def make(self, folder: Path) -> str:
        """Make one from the migrated template."""
        del folder
        return self._server.make_database()

    def drop(self, url: str) -> None:
        """Remove it."""
        self._server.drop(url)

    def await_release(self, url: str) -> None:
        """Wait for it, twice as long as the server waits."""
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state LIKE 'idle in transaction%%'"
        deadline = time.monotonic() + 10
        with self._server.admin() as admin:
            while admin.execute(asked, [url.rpartition("/")[2]]).fetchone() != (0,):
                assert time.monotonic() < deadline, "the server holds the transaction of who stands still in it"
                time.sleep(0.1)  # the pace of looking, not the condition


def differing(found: Any, expected: Any) -> str:  # noqa: ANN401 - JSON
    """Return what differs, and nothing that does not: of rows their fields, of texts the places."""
    return "; ".join(_differences(found, expected))[:_SHOWN]


def _differences(found: Any, expected: Any, place: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(found, list) and isinstance(expected, list):
        more = [each for each in found if each not in expected]
        less = [each for each in expected if each not in found]
        if len(found) == len(expected) and len(more) == len(less):
            for number, (one, other) in enumerate(zip(found, expected, strict=True)):
                if one != other:
                    yield from _differences(one, other, f"{place}[{number}]")
            return
        found, expected = (more, less) if more or less else (found, expected)
    one, other = repr(found), repr(expected)
    same = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
    start = max(0, same - _AROUND)
    yield f"{place} {one[start : start + _EXCERPT]} instead of {other[start : start + _EXCERPT]}".strip()


def _last_words(scene: Scene) -> str:
    log = Path(scene.play.folder) / "worker.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return " | ".join(lines[-3:])[-600:]
