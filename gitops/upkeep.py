"""Keeping itself small: what nobody needs any more is found, chosen by one rule and removed, a little at a time.

Runs once a day, when a disk is low, and when a person types `launchpin gc`. Safe beside everything else: what is used
meanwhile stays, and what dies in the middle is taken away the next time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gitops.disk.space import DISK_LOW, free_bytes, say_bytes
from gitops.errors import RetryError, StalledError
from gitops.ports import Deps, Target
from gitops.retention import (
    FRESH,
    LEFT_BEHIND,
    KeptConfiguration,
    Kind,
    Retention,
    Spent,
    Thing,
    World,
    choose,
    rules,
)
from gitops.steps import Outcome, Step, Story, Wait
from gitops.writes import Audit, Wake, Write

_PIECE = 500  # rows of one transaction
_JOBS = 10_000
_PATIENCE = 60.0  # seconds of one turn; what is left waits for the next one
_ROWS = (Kind.BODIES, Kind.ROWS)
_NEED_TARGETS = (Kind.ENVIRONMENTS, Kind.MODELS)


@dataclass
class Collection:
    """What went, or would go.

    Args:
        spent: by kind.
        words: the rules that said so, by kind.
        away: targets that did not say what they need, each with why.
        is_whole: whether nothing is left to do.
    """

    spent: dict[Kind, Spent] = field(default_factory=dict)
    words: dict[Kind, str] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)
    is_whole: bool = True

    def add(self, kind: Kind, spent: Spent, rule: str) -> None:
        """Count what went."""
        if spent.count:
            known = self.spent.get(kind, Spent())
            self.spent[kind] = Spent(known.count + spent.count, known.size + spent.size)
            self.words.setdefault(kind, rule)

    @property
    def size(self) -> int:
        """Bytes of everything together."""
        return sum(spent.size for spent in self.spent.values())

    @property
    def freed(self) -> int:
        """Bytes that the disk got back; the database keeps its own."""
        return sum(spent.size for kind, spent in self.spent.items() if kind not in _ROWS)

    def facts(self) -> list[dict[str, object]]:
        """Return a row for each kind, as JSON has it."""
        return [
            {"kind": kind.value, "count": spent.count, "bytes": spent.size, "rule": self.words[kind]}
            for kind, spent in self._sorted()
        ]

    def after(self, facts: Sequence[Mapping[str, object]]) -> "Collection":
        """Return this with what earlier turns of the same collection removed, as `facts` wrote it."""
        both = Collection(away=self.away, is_whole=self.is_whole)
        for row in facts:
            both.add(Kind(str(row["kind"])), Spent(int(str(row["count"])), int(str(row["bytes"]))), str(row["rule"]))
        for kind, spent in self.spent.items():
            both.add(kind, spent, self.words[kind])
        return both

    def _sorted(self) -> list[tuple[Kind, Spent]]:
        return [(kind, self.spent[kind]) for kind in Kind if kind in self.spent]

    def sentence(self, *, dry_run: bool) -> str:
        """Say it in one line."""
        went = "would go" if dry_run else "went"
        parts = [f"{spent.count} {kind}" for kind, spent in self._sorted()]
        away = f"; kept what may be needed, because {'; '.join(self.away.values())}" if self.away else ""
        return f"{', '.join(parts) or 'nothing'} {went}, {say_bytes(self.size)}{away}"


def survey(deps: Deps) -> Collection:
    """Return what would go now. Changes nothing."""
    found = Collection()
    for kind in _ROWS:
        found.add(kind, deps.store.spent(kind, age=_age(deps, kind)), _rule(deps, kind))
    for going in _going(deps, found):
        found.add(going.thing.kind, Spent(1, going.thing.size), going.rule)
    return found


def collect(deps: Deps, *, seconds: float = _PATIENCE) -> Collection:
    """Remove what nobody needs, for about so long."""
    done = Collection(is_whole=False)
    ends = time.monotonic() + seconds

    def is_over() -> bool:
        return time.monotonic() > ends or not deps.lease.is_held()

    for kind in _ROWS:
        while (spent := deps.store.drop_spent(kind, age=_age(deps, kind), limit=_PIECE)).count:
            done.add(kind, spent, _rule(deps, kind))
            if is_over():
                return done
    for going in _going(deps, done):
        if is_over():
            return done
        if going.discard():
            done.add(going.thing.kind, Spent(1, going.thing.size), going.rule)
    done.is_whole = True
    return done


def _age(deps: Deps, kind: Kind) -> timedelta:
    retention = deps.service.retention
    return max(retention.bodies if kind is Kind.BODIES else retention.rows, FRESH)


def _rule(deps: Deps, kind: Kind) -> str:
    return rules(deps.service.retention)[kind]


@dataclass(frozen=True)
class Going:
    """Something that may go, the rule that says so, and how it goes: False when it stays after all."""

    thing: Thing
    rule: str
    discard: Callable[[], bool]


def _going(deps: Deps, collection: Collection) -> list[Going]:
    """Return everything on this machine and at the targets that may go.

    A target that does not say what it keeps may need any environment and any model.
    """
    configurations, targets = _kept(deps, collection)
    places = [(thing, room) for room in deps.storerooms for thing in room.things()]
    if collection.away:
        places = [(thing, room) for thing, room in places if thing.kind not in _NEED_TARGETS]
    # Asked for last: what somebody began to need meanwhile is seen.
    needed = deps.store.needed()
    needed = replace(
        needed,
        environments=needed.environments | {row.environment for row in configurations},
        models=needed.models | {row.model for row in configurations},
    )
    world = World(tuple(thing for thing, _ in places), tuple(configurations), needed)
    rooms = {id(thing): room for thing, room in places}
    idle = deps.service.retention.configurations_age

    def discard(thing: Thing) -> Callable[[], bool]:
        room = rooms.get(id(thing))
        if room is not None:
            return lambda: room.discard(thing)
        # What never had traffic may go earlier; the target itself looks whether it has by now.
        least = min(idle, max(thing.idle, LEFT_BEHIND))
        return lambda: _forget(targets[thing.name], thing.name, idle=least)

    return [Going(choice.thing, choice.rule, discard(choice.thing)) for choice in choose(world, deps.service.retention)]


def _forget(target: Target, name: str, *, idle: timedelta) -> bool:
    try:
        return target.discard(name, idle=idle)
    except RetryError:
        return False  # it is away now, and may have done it: the next collection sees


def _kept(deps: Deps, collection: Collection) -> tuple[list[KeptConfiguration], dict[str, Target]]:
    found: list[KeptConfiguration] = []
    targets: dict[str, Target] = {}
    for name, target in deps.targets.items():
        try:
            kept = target.kept()
        except (RetryError, StalledError) as error:
            collection.away[name] = error.message
            continue
        found += kept
        targets |= {row.name: target for row in kept}
    return found, targets


def writes_of(deps: Deps, collection: Collection, *, is_asked: bool = False) -> tuple[Write, ...]:
    """Return what a collection tells: the audit trail what went, and whoever waits for room that there is some.

    A job that met a full disk asks for a collection itself. One that frees nothing wakes nobody, whatever is free: the
    job may have made that room by failing, or wait for another machine's disk, and would fail and ask without end.

    Args:
        is_asked: a person asked for it, having made room perhaps.
    """
    writes: list[Write] = []
    if collection.spent:
        writes.append(Audit("gc.collected", {}, {"kinds": collection.facts()}))
    if (is_asked or collection.freed) and free_bytes(deps.service.workspace) >= deps.service.least_free:
        waiting = (job for job in deps.store.jobs(limit=_JOBS) if job.state == "stalled" and job.reason == DISK_LOW)
        writes += [Wake(job.kind, job.subject) for job in waiting if job.kind != "gc"]
    return tuple(writes)


def run(deps: Deps, _: Retention) -> Outcome:
    """Remove what nobody needs, and come back for what is left, or tomorrow."""
    done = collect(deps)
    after = deps.service.gc if done.is_whole else timedelta(0)
    return Wait(after, "Collecting", done.sentence(dry_run=False), writes=writes_of(deps, done))


GC = Story("gc", (Step("collect", run, deadline=timedelta(minutes=10)),), lambda deps, _subject: deps.service.retention)
