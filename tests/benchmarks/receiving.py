"""Durable ingest through the web process as it is shipped, against a route that does nothing on the same server.

Each server runs in a process of its own, and so does the sender: signed bodies of 8 KB with ids of their own.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.benchmarks.figures import Curve, Measured, Must, Reach, Result, Row, Scale
from tests.benchmarks.peers import running_peer
from tests.benchmarks.waiting import cpu_seconds
from tests.support.load import Load, deliver
from tests.support.postgres import running_postgres
from tests.support.processes import make_home, running_web
from tests.support.valkey import running_valkey

_CONNECTIONS = 16
_ON_SQLITE = Reach(Must.RATIO_AT_LEAST, 0.4, "the design: 0.5x; ADR 17")
_ON_POSTGRES = Reach(Must.RATIO_AT_LEAST, 0.35)
_BARE = "no-op route"
_SQLITE = "SQLite"
_POSTGRES = "PostgreSQL"
_COMMIT = "FastAPI, a commit to SQLite for each request"
_CELERY = "FastAPI, published to Celery in the request"


@dataclass
class Server:
    """A server, and what was seen of it.

    Args:
        rates: answers a second, of each turn.
        costs: microseconds of CPU for each answer, of its process and of those that it started.
        helpers: likewise, of those that it started alone.
        senders: the share of a core that the sender used: near 1 the sender is what is measured.
    """

    port: int
    pid: int
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    helpers: list[float] = field(default_factory=list)
    senders: list[float] = field(default_factory=list)

    def send(self, seconds: float, *, connections: int = _CONNECTIONS) -> float:
        """Take one turn, and return its rate."""
        before, before_helpers = cpu_seconds(self.pid), self._helpers_seconds()
        heard = deliver(Load(self.port, seconds, connections=connections))
        used, by_helpers = cpu_seconds(self.pid) - before, self._helpers_seconds() - before_helpers
        assert set(heard.statuses) == {"202"}, heard.statuses
        self.rates.append(heard.rate)
        self.costs.append((used + by_helpers) / heard.statuses["202"] * 1e6)
        self.helpers.append(by_helpers / heard.statuses["202"] * 1e6)
        self.senders.append(heard.cpu)
        return heard.rate

    def forget(self) -> None:
        """Begin anew, after warming up."""
        for seen in (self.rates, self.costs, self.helpers, self.senders):
            seen.clear()

    def _helpers_seconds(self) -> float:
        return sum(cpu_seconds(child.pid) for child in psutil.Process(self.pid).children())


def measure(scale: Scale) -> Result:
    """Measure 16 connections by turns, and how the rate grows from 1 connection to 64."""
    seconds = 1.0 if scale.is_quick else 1.5
    with tempfile.TemporaryDirectory() as folder, _running(Path(folder)) as servers:
        for server in servers.values():
            server.send(seconds)
            server.forget()
        for _ in range(scale.pick(9, quick=1)):
            for server in servers.values():
                server.send(seconds)
        disk = f"an fsync of 64 KB takes {_time_fsync(Path(folder)):.1f} ms on this disk"
        rows = (_row(servers, _SQLITE, _ON_SQLITE, told=disk), _row(servers, _POSTGRES, _ON_POSTGRES))
        turns = _measure_growth(servers, scale, seconds)
    most = max(turns)
    many = tuple(
        Row(f"the same, {name}, {most} connections", turns[most][name], {_BARE: turns[most][_BARE]})
        for name in (_SQLITE, _POSTGRES)
    )
    return Result((*rows, *many), (_draw_growth(turns),))


def _time_fsync(folder: Path) -> float:
    """Return the milliseconds that the disk takes to keep what one group of deliveries writes."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(os.urandom(1 << 16))
            begun = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


@contextmanager
def _running(folder: Path) -> Iterator[Mapping[str, Server]]:
    """Run every server until the end of the block; the idle ones cost nothing."""
    with ExitStack() as stack:
        broker = stack.enter_context(running_valkey(folder))
        postgres = stack.enter_context(running_postgres(is_durable=True))
        servers = {_BARE: Server(*stack.enter_context(running_peer("bare", folder)))}
        for name, url in ((_SQLITE, ""), (_POSTGRES, postgres.make_database())):
            home = folder / name
            home.mkdir()
            web = stack.enter_context(running_web(home, make_home(home, database_url=url)))
            servers[name] = Server(web.port, web.process.pid)
        variables = {"PEER_FILE": str(folder / "peer.sqlite3"), "PEER_BROKER": broker.url}
        for name, kind in ((_COMMIT, "commit"), (_CELERY, "celery")):
            servers[name] = Server(*stack.enter_context(running_peer(kind, folder, variables)))
        yield servers


def _row(servers: Mapping[str, Server], name: str, reach: Reach, *, told: str = "") -> Row:
    ours, bare = servers[name], servers[_BARE]
    cost, least = statistics.median(ours.costs), statistics.median(bare.costs)
    sender = max(statistics.median(one.senders) for one in (ours, bare))
    scribe = statistics.median(ours.helpers)
    note = (
        f"CPU for each: {cost:.0f} µs, {scribe:.0f} of them the scribe's, no-op {least:.0f} µs; "
        f"the sender at most {sender:.0%} busy{'; ' * bool(told)}{told}"
    )
    return Row(
        f"durable ingest, {name}, 8 KB, {_CONNECTIONS} connections",
        _rates(ours),
        {other: _rates(servers[other]) for other in (_BARE, _COMMIT, _CELERY)},
        reach,
        note=note,
    )


def _rates(server: Server) -> Measured:
    return Measured(tuple(server.rates), "requests/s")


def _measure_growth(servers: Mapping[str, Server], scale: Scale, seconds: float) -> dict[int, dict[str, Measured]]:
    """Return the rates of each server by the number of connections."""
    found = {}
    for count in scale.steps(1, 2, 4, 8, 16, 32, 64):
        rates: dict[str, list[float]] = {name: [] for name in (_BARE, _SQLITE, _POSTGRES)}
        for _ in range(scale.pick(3, quick=1)):
            for name, seen in rates.items():
                seen.append(servers[name].send(seconds, connections=count))
        found[count] = {name: Measured(tuple(seen), "requests/s") for name, seen in rates.items()}
    return found


def _draw_growth(turns: Mapping[int, Mapping[str, Measured]]) -> Curve:
    series = {
        name: [(float(count), seen[name].median) for count, seen in turns.items()]
        for name in (_BARE, _SQLITE, _POSTGRES)
    }
    return Curve("receiving", "Durable ingest, bodies of 8 KB", "connections", "requests a second", series)
