"""The life of an endpoint as the trail tells it, in a few words: for tests of what is made of deployments.

Each function gives what one act leaves in the trail, as the stories write it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from gitops.audit.deployments import Ledger
from gitops.audit.entry import Actor, Entry, Event, Service, Subject, canonical, format_time, stamp
from gitops.audit.figures import Report, Selection, Window, measure
from gitops.store import SqlStore
from gitops.writes import Audit
from tests.support.audit_log import ORIGIN, START
from tests.support.store import Clock, write

_SERVICE = Service(version="1")
_ACTOR = Actor(type="service", login="launchpin")


@dataclass(frozen=True)
class Told:
    """One entry; `minute` is when, and `committed` what its commit names, both after START or the store's own time."""

    kind: str
    minute: float
    subject: dict[str, str | int]
    evidence: dict[str, object] = field(default_factory=dict)
    committed: float | None = None

    def evidence_from(self, begun: datetime) -> dict[str, object]:
        """Return what it says when its minutes count from a moment."""
        if self.committed is None:
            return self.evidence
        return self.evidence | {"committed_at": format_time(begun + timedelta(minutes=self.committed))}

    @property
    def entry(self) -> Entry:
        """The entry as the log has it."""
        evidence: Any = self.evidence_from(START)
        event = Event(kind=self.kind, actor=_ACTOR, subject=Subject(**self.subject), evidence=evidence)  # type: ignore[arg-type]
        return stamp(event, log_id=ORIGIN, moment=START + timedelta(minutes=self.minute), service=_SERVICE)


@dataclass
class Life:
    """One model in one environment.

    Args:
        source: the model repository's number.
        deploy: the deploy repository's.
    """

    model: str = "iris"
    env: str = "production"
    source: int = 1
    deploy: int = 2
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def trained(self, version: str, *, minute: float, committed: float | None = None, name: str = "") -> list[Told]:
        """Train a version; `committed` is the minute that its commit names."""
        about: dict[str, str | int] = {"model": self.model, "repo_id": self.source, "sha": f"{int(version):040x}"}
        about |= {"training_id": name or f"t-{self.model}-{version}"}
        started = Told("training.started", minute, about, committed=committed)
        return [started, Told("training.registered", minute, {**about, "version": version})]

    def rolled(
        self, version: str, *, minute: float, back_from: str = "", until: str = "applied", begun: float | None = None
    ) -> "Rolling":
        """Begin a rollout, which moves traffic at its minute unless it ends before; `begun` is when, if not then."""
        rolling = Rolling(self, version, f"r-{self.model}-{self.env}-{next(self.numbers)}")
        evidence: dict[str, object] = {"direction": "rollback" if back_from else "forward"}
        evidence |= {"from_version": back_from} if back_from else {}
        rolling.tell("opened", minute if begun is None else begun, **evidence)
        if until == "applied":
            rolling.tell("applied", minute, applied=True, serving=version)
        return rolling


@dataclass
class Rolling:
    """A rollout and what it has left in the trail so far."""

    life: Life
    version: str
    name: str
    told: list[Told] = field(default_factory=list)

    def tell(self, verb: str, minute: float, **evidence: object) -> "Rolling":
        """Leave an entry."""
        life = self.life
        subject: dict[str, str | int] = {"repo_id": life.deploy, "model": life.model, "version": self.version}
        subject |= {"env": life.env, "endpoint": f"{life.model}-{life.env}", "rollout_id": self.name}
        self.told.append(Told(f"rollout.{verb}", minute, subject, dict(evidence)))
        return self

    def kept(self, minute: float) -> list[Told]:
        """End well."""
        self.tell("baked", minute)
        return self.tell("succeeded", minute, serving=self.version).told

    def failed(self, minute: float, *, back_to: str, reason: str = "EndpointUnhealthy", after: float = 0) -> list[Told]:
        """Fail while baking, and give the traffic back; `after` so many minutes Git follows."""
        self.tell("baked", minute, failure=reason, failure_message="5 of 9 were 500")
        self.tell("restored", minute, serving=back_to)
        return self.tell("rolled_back", minute + after, serving=back_to, reason=reason).told

    def refused(self, minute: float, *, serves: str) -> list[Told]:
        """Fail before it got any traffic."""
        self.tell("prepared", minute, failure="SmokeFailed")
        self.tell("restored", minute, serving=serves)
        return self.tell("rolled_back", minute, serving=serves, reason="SmokeFailed").told


IRIS, CHURN = Life(), Life(model="churn", source=3, deploy=4)
_DAY = 24 * 60


def busy_weeks() -> list[list[Told]]:
    """Return eight weeks of two models: most goes well, one is down, one was rolled back by a person."""
    acts = []
    for number in range(1, 15):
        version, minute = str(number), (number * 3 + 12) * _DAY
        acts.append(IRIS.trained(version, minute=minute, committed=minute - 7 * number))
        for life, later in ((Life(env="staging"), 8), (IRIS, 190 + 40 * number)):
            rolling = life.rolled(version, minute=minute + later)
            fails = number % 5 == 0
            back_to = str(number - 1)
            acts.append(
                rolling.failed(minute + later + 4, back_to=back_to) if fails else rolling.kept(minute + later + 5)
            )
    acts.append(CHURN.trained("3", minute=54 * _DAY))
    acts.append(CHURN.rolled("3", minute=54 * _DAY + 900).failed(54 * _DAY + 906, back_to=""))
    acts.append(IRIS.rolled("13", minute=55 * _DAY, back_from="14", begun=55 * _DAY - 2).kept(55 * _DAY + 3))
    return acts


def fill_busy_weeks(store: SqlStore, clock: Clock) -> None:
    """Write them into a store, as if they ended two days ago."""
    now = clock.time
    clock.advance(-timedelta(days=57))
    enact(store, clock, *busy_weeks())
    clock.time = now


def read(*parts: Iterable[Told]) -> Ledger:
    """Return the ledger of acts, in the order they are given."""
    ledger = Ledger()
    ledger.read(canonical(told.entry) for part in parts for told in part)
    return ledger


def measured(*parts: Iterable[Told], days: float = 30, selection: Selection | None = None) -> Report:
    """Return the figures of the first days of acts."""
    return measure(
        read(*parts), Window(START - timedelta(seconds=1), START + timedelta(days=days)), selection=selection
    )


def enact(store: SqlStore, clock: Clock, *parts: Iterable[Told]) -> None:
    """Write acts into a store's log, from its clock's time on."""
    begun = clock.time
    for told in (told for part in parts for told in part):
        clock.time = begun + timedelta(minutes=told.minute)
        write(store, Audit(told.kind, told.subject, told.evidence_from(begun)))
