"""What may go, by what is known and what is in use. Pure: nothing is looked at and nothing removed here.

Nothing that is needed goes, whatever its age; nothing that was used a moment ago goes, whatever the space. Checkpoints,
audit entries and the records of stories are not spoken of here: they stay for ever.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

FRESH = timedelta(hours=1)
"""Whatever was used since then stays: a step may be about to say that it needs it."""

LEFT_BEHIND = timedelta(hours=24)
"""How long what a process left behind is kept, and what was made ready and never served (I21)."""


class Kind(StrEnum):
    """What can go."""

    BODIES = "bodies"
    ROWS = "rows"
    LOGS = "logs"
    WORKSPACES = "workspaces"
    CONFIGURATIONS = "configurations"
    ENVIRONMENTS = "environments"
    MODELS = "models"
    MIRRORS = "mirrors"
    LEFTOVERS = "leftovers"
    TRASH = "trash"


@dataclass(frozen=True)
class Thing:
    """Something on a disk that may go one day.

    Args:
        name: what it is called among those of its kind: a key, a digest, a number, a training's id.
        size: bytes.
        idle: since it was last used, by the clock of the machine that keeps it.
        stamp: changes whenever it is used, so that it is seen when that happens meanwhile.
        entry: the file or folder, relative to the place of its kind.
    """

    kind: Kind
    name: str
    size: int
    idle: timedelta
    stamp: int = 0
    entry: str = ""


@dataclass(frozen=True)
class KeptConfiguration:
    """A configuration that a target keeps, as it may go one day.

    Args:
        model: digest of its version's manifest.
        environment: key of its serving environment.
        is_in_use: it has traffic, is about to have it, or is what the traffic would go back to.
        prepared: since it was last made ready.
        served: since it last had traffic; None when it never had any.
    """

    name: str
    endpoint: str
    model: str
    environment: str
    is_in_use: bool
    prepared: timedelta
    served: timedelta | None = None


@dataclass(frozen=True)
class Needed:
    """What somebody may ask for at any time, by kind: names that never go."""

    environments: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    mirrors: frozenset[str] = frozenset()
    trainings: frozenset[str] = frozenset()

    def has(self, thing: Thing) -> bool:
        """Return whether a thing is needed."""
        match thing.kind:
            case Kind.ENVIRONMENTS:
                return thing.name in self.environments
            case Kind.MODELS:
                return thing.name in self.models
            case Kind.MIRRORS:
                return thing.name in self.mirrors
            case Kind.LOGS | Kind.WORKSPACES:
                # What a trial leaves is named after it: the training's id, a point, its number.
                return thing.name.partition(".")[0] in self.trainings
            case _:
                return False


@dataclass(frozen=True)
class Retention:
    """How long things are kept that nobody needs.

    Args:
        bodies: raw bodies of deliveries that are over; the rest of a delivery stays.
        rows: jobs that are over, and effects that nobody looks up any more.
        logs: logs of trainings.
        environments: Python environments, since they were last used.
        environments_size: bytes of all environments together, above which those unused longest go; 0 for no limit.
        models: files of model versions, since they were last used.
        mirrors: mirrors of repositories that are not connected, since they were last fetched.
        configurations: how many of an endpoint's configurations that served last are kept in any case.
        configurations_age: how long each of the others is kept since it last served.
    """

    bodies: timedelta = timedelta(days=30)
    rows: timedelta = timedelta(days=30)
    logs: timedelta = timedelta(days=90)
    environments: timedelta = timedelta(days=30)
    environments_size: int = 20 * 1024**3
    models: timedelta = timedelta(days=30)
    mirrors: timedelta = timedelta(days=7)
    configurations: int = 3
    configurations_age: timedelta = timedelta(days=7)


@dataclass(frozen=True)
class Spent:
    """What a database holds and nobody needs: rows, and the bytes in them."""

    count: int = 0
    size: int = 0


@dataclass(frozen=True)
class Choice:
    """Something that may go, and the rule that says so, in words."""

    thing: Thing
    rule: str


@dataclass(frozen=True)
class World:
    """Everything that was found and everything that is needed."""

    things: Sequence[Thing] = ()
    configurations: Sequence[KeptConfiguration] = ()
    needed: Needed = field(default_factory=Needed)


def choose(world: World, retention: Retention) -> tuple[Choice, ...]:
    """Return what may go, in the order of kinds, those unused longest first."""
    found = [*_by_age(world, retention), *_by_size(world, retention), *_configurations(world, retention)]
    order = list(Kind)
    return tuple(sorted(found, key=lambda choice: (order.index(choice.thing.kind), -choice.thing.idle)))


def rules(retention: Retention) -> dict[Kind, str]:
    """Return the rule of each kind in words."""
    kept = f"the last {retention.configurations} that served on each endpoint stay"
    return {
        Kind.BODIES: f"deliveries that are over for {say(retention.bodies)}; their rows stay",
        Kind.ROWS: f"jobs and effects that are over for {say(retention.rows)}",
        Kind.LOGS: f"logs of trainings that are over, after {say(retention.logs)}",
        Kind.WORKSPACES: f"checkouts of trainings that are over, after {say(LEFT_BEHIND)}",
        Kind.CONFIGURATIONS: f"not in use for {say(retention.configurations_age)}; {kept}",
        Kind.ENVIRONMENTS: f"needed by nobody and not used for {say(retention.environments)}",
        Kind.MODELS: f"needed by nobody and not used for {say(retention.models)}",
        Kind.MIRRORS: f"not connected, and not fetched for {say(retention.mirrors)}",
        Kind.LEFTOVERS: f"left by processes that died, after {say(LEFT_BEHIND)}",
        Kind.TRASH: "set aside by a collection that did not end",
    }


def say(time: timedelta) -> str:
    """Return a time in words: `30 days`."""
    hours = time / timedelta(hours=1)
    number, unit = (hours / 24, "day") if hours >= 48 else (hours, "hour")  # noqa: PLR2004 - two days
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


def _by_age(world: World, retention: Retention) -> Iterator[Choice]:
    ages = {
        Kind.LOGS: retention.logs,
        Kind.WORKSPACES: LEFT_BEHIND,
        Kind.ENVIRONMENTS: retention.environments,
        Kind.MODELS: retention.models,
        Kind.MIRRORS: retention.mirrors,
        Kind.LEFTOVERS: LEFT_BEHIND,
        Kind.TRASH: timedelta(0),
    }
    words = rules(retention)
    for thing in world.things:
        age = ages.get(thing.kind)
        if age is None or world.needed.has(thing):
            continue
        if thing.kind is Kind.TRASH or (thing.idle >= age and thing.idle >= FRESH):
            yield Choice(thing, words[thing.kind])


def _by_size(world: World, retention: Retention) -> Iterator[Choice]:
    """Give the environments that go because all of them together are too large, those unused longest first.

    Those that go by age already count as gone.
    """
    kept = [thing for thing in world.things if thing.kind is Kind.ENVIRONMENTS and not _is_old(thing, world, retention)]
    over = sum(thing.size for thing in kept) - retention.environments_size
    if not retention.environments_size:
        return
    for thing in sorted(kept, key=lambda thing: thing.idle, reverse=True):
        if over <= 0:
            return
        if thing.idle >= FRESH and not world.needed.has(thing):
            over -= thing.size
            yield Choice(thing, f"all environments together have more than {retention.environments_size} bytes")


def _is_old(thing: Thing, world: World, retention: Retention) -> bool:
    return thing.idle >= max(retention.environments, FRESH) and not world.needed.has(thing)


def _configurations(world: World, retention: Retention) -> Iterator[Choice]:
    by_endpoint: dict[str, list[KeptConfiguration]] = defaultdict(list)
    for row in world.configurations:
        by_endpoint[row.endpoint].append(row)
    for rows in by_endpoint.values():
        for row in old_configurations(rows, keep=retention.configurations, age=retention.configurations_age):
            rule = f"never served, and made ready {say(LEFT_BEHIND)} ago"
            if row.served is not None:
                rule = rules(retention)[Kind.CONFIGURATIONS]
            yield Choice(Thing(Kind.CONFIGURATIONS, row.name, 0, row.served or row.prepared), rule)


def old_configurations(
    rows: Iterable[KeptConfiguration], *, keep: int, age: timedelta
) -> tuple[KeptConfiguration, ...]:
    """Return the configurations of one endpoint that may go (I21).

    Args:
        keep: how many of those that served last stay in any case.
        age: how long each of the others stays since it last served.
    """
    served = sorted((row for row in rows if row.served is not None), key=lambda row: row.served or timedelta())
    orphans = [row for row in rows if row.served is None]
    idle = [row for row in served[keep:] if (row.served or timedelta()) >= age]
    return tuple(row for row in (*idle, *orphans) if not row.is_in_use and row.prepared >= LEFT_BEHIND)
