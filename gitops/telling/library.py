"""The store as whoever asks may see it, each list read once; everything that is told is read through this."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol, TypeVar, cast

from gitops.access import EVERYWHERE, may_read
from gitops.audit.at import APPLIED, RESTORED
from gitops.audit.entry import Entry, parse
from gitops.explaining import Fleet, Place, Reading
from gitops.holding import is_pause
from gitops.ports import AuditLog, Catalogue, JobView, Mark, Pages, Store, Wanted
from gitops.ports.tallies import Pulse
from gitops.records import Delivery, Environment, Hold, Promotion, Record, Repository, Rollout, Training, Version
from gitops.steps import Phase

FAR = 500
"""How many of the newest records of a kind are looked at."""

_MOST_UNDER_WAY = 5_000  # of a kind, those that wait longest
_MOST_JOBS = 10_000
_LATELY = 20  # of one place, the newest
_PAGE = 1_000
_OF_REPOSITORY = ("poll", "compare", "anchor")

R = TypeVar("R", Training, Promotion, Rollout)
S = TypeVar("S", Promotion, Rollout)
T = TypeVar("T", bound=Record)
P = TypeVar("P", Hold, Promotion, Rollout)
ByPlace = defaultdict[tuple[int, str], list[P]]


class Reader(Store, AuditLog, Pages, Catalogue, Protocol):
    """What is read; nothing is called here that writes."""

    def pulse(self) -> Pulse:
        """Return what tells whether the parts are at work."""
        ...


@dataclass(frozen=True)
class Library:
    """What the store holds for whoever asks.

    Args:
        seen: the repositories they may look at, by numeric id; None for all.
    """

    store: Reader
    seen: frozenset[int] | None = None

    def sees(self, repository_id: int) -> bool:
        """Whether they may look at what belongs to a repository."""
        return self.seen is None or repository_id in self.seen

    def entries(self) -> "Entries":
        """Return the audit log as it is now."""
        return Entries(self.store, self.store.audit_size())

    def may_read(self, entry: Entry) -> bool:
        """Whether they may see an entry of the audit log."""
        return may_read(entry, self.sees)

    # ---------------------------------------------------------------- single records

    def training(self, training_id: str) -> Training | None:
        """Return a training of this id."""
        return self._visible(self.store.training(training_id))

    def promotion(self, promotion_id: str) -> Promotion | None:
        """Return a promotion of this id."""
        return self._visible(self.store.promotion(promotion_id))

    def rollout(self, rollout_id: str) -> Rollout | None:
        """Return a rollout of this id."""
        return self._visible(self.store.rollout(rollout_id))

    def _visible(self, found: R | None) -> R | None:
        return found if found is not None and self.sees(found.repository_id) else None

    def version(self, model: str, number: str) -> Version | None:
        """Return a version; it belongs to the repository that it was trained from."""
        found = self.store.version(model, number)
        return found if found is not None and self._sees_version(found) else None

    def _sees_version(self, version: Version) -> bool:
        if self.seen is None:
            return True
        origin = self.store.training(version.training_id)
        return self.sees(origin.repository_id if origin else EVERYWHERE)

    def newest_versions(self, models: Collection[str]) -> dict[str, Version]:
        """Return each model's newest version, of those that have one."""
        return {one.model: one for one in self.store.newest_versions(models, repositories=self.seen)}

    def champions(self) -> dict[str, Version]:
        """Return the version to beat of each model that has one in a place of theirs."""
        found = self.store.crowned(self.model_names)
        return {name: one.champion for name, one in found.items() if one.champion and self.sees(one.repository_id)}

    def champion(self, model: str) -> Version | None:
        """Return the version to beat: it serves in the champion's place, and they may look at both."""
        found = self.store.crowned([model]).get(model)
        is_theirs = found is not None and found.champion is not None and self.sees(found.repository_id)
        return self.version(model, found.serving) if found is not None and is_theirs else None

    def versions(self, model: str, *, limit: int, after: Mark | None = None) -> Sequence[Version]:
        """Return the versions of a model, newest first, from a place on."""
        return self.store.versions(model, limit=limit, repositories=self.seen, after=after)

    # ---------------------------------------------------------------- lists

    @cached_property
    def repositories(self) -> Sequence[Repository]:
        """Every connected repository, by name."""
        return self.store.repositories(ids=self.seen)

    @cached_property
    def environments(self) -> Sequence[Environment]:
        """Every environment."""
        return self.store.environments(repositories=self.seen)

    def environments_of(self, model: str) -> Sequence[Environment]:
        """Return the environments of a model."""
        return self.store.environments(model=model, repositories=self.seen)

    @cached_property
    def all_holds(self) -> Sequence[Hold]:
        """The open holds, a pause among them."""
        return [one for one in self.store.holds() if is_pause(one) or self.sees(one.repository_id)]

    @property
    def pause(self) -> Hold | None:
        """The hold on everything, which is of no place."""
        return next(filter(is_pause, self.all_holds), None)

    @cached_property
    def holds(self) -> Sequence[Hold]:
        """The open holds of places."""
        return [one for one in self.all_holds if not is_pause(one)]

    @cached_property
    def trainings(self) -> Sequence[Training]:
        """The newest trainings and all that are not over, newest first."""
        return _joined(self.page(Training, FAR), self._trainings_under_way)

    @cached_property
    def promotions(self) -> Sequence[Promotion]:
        """The newest promotions and all that are not over, newest first."""
        return _joined(self.page(Promotion, FAR), self._promotions_under_way)

    @cached_property
    def rollouts(self) -> Sequence[Rollout]:
        """The newest rollouts and all that are not over, newest first."""
        return _joined(self.page(Rollout, FAR), self._rollouts_under_way)

    @cached_property
    def stories(self) -> Sequence[Training | Promotion | Rollout]:
        """The trainings, promotions and rollouts that are not over, newest first."""
        found: list[Training | Promotion | Rollout]
        found = [*self._trainings_under_way, *self._promotions_under_way, *self._rollouts_under_way]
        return sorted(found, key=lambda one: one.id.partition("-")[2], reverse=True)

    @cached_property
    def _trainings_under_way(self) -> Sequence[Training]:
        return self._under_way(Training)

    @cached_property
    def _promotions_under_way(self) -> Sequence[Promotion]:
        return self._under_way(Promotion)

    @cached_property
    def _rollouts_under_way(self) -> Sequence[Rollout]:
        return self._under_way(Rollout)

    def _under_way(self, kind: type[R]) -> Sequence[R]:
        """Return the records of a kind that are not over, newest first, however many have come since and ended."""
        found = self.store.unfinished(kind.__name__.lower(), limit=_MOST_UNDER_WAY, repositories=self.seen)
        return cast("Sequence[R]", found[::-1])

    def page(self, kind: type[R], limit: int, **filters: str) -> Sequence[R]:
        """Return the newest records of a kind whose columns have these values."""
        wanted = Wanted(limit, repositories=self.seen, filters=filters)
        return cast("Sequence[R]", self.store.page(kind.__name__.lower(), wanted))

    def deliveries(self, limit: int) -> Sequence[Delivery]:
        """Return the newest deliveries; they belong to no repository, and so are for those who see everything."""
        return cast("Sequence[Delivery]", self.store.page("delivery", Wanted(limit))) if self.seen is None else ()

    @cached_property
    def model_names(self) -> Sequence[str]:
        """The models that were trained lately, or have an environment, by name."""
        return sorted(({one.model for one in self.trainings} | {one.model for one in self.environments}) - {""})

    @cached_property
    def jobs(self) -> Sequence[JobView]:
        """The jobs that are not over, as far as they are about something of theirs, the next due first."""
        found = self.store.jobs(limit=_MOST_JOBS)
        if self.seen is None:
            return found
        known = {(type(one).__name__.lower(), one.id) for one in self.stories}
        return [job for job in found if (job.kind, job.subject) in known or self._is_of_theirs(job)]

    def _is_of_theirs(self, job: JobView) -> bool:
        return job.kind in _OF_REPOSITORY and job.subject.isdecimal() and self.sees(int(job.subject))

    def reading(self, *, is_up: bool = True) -> Reading:
        """Return what explanations need beside the records.

        Args:
            is_up: as far as somebody here can tell.
        """
        jobs = {(job.kind, job.subject): job for job in self.jobs}
        return Reading(now=self.store.now(), is_up=is_up, jobs=jobs, pause=self.pause)

    # ---------------------------------------------------------------- places

    def environment(self, repository_id: int, path: str) -> Environment | None:
        """Return what is known of an environment."""
        return self.store.environment(repository_id, path) if self.sees(repository_id) else None

    def place(self, environment: Environment) -> Place:
        """Return everything about an environment."""
        still = self.resting(environment)
        trained = self.page(Training, 1, model=environment.model) if environment.model else ()
        place = replace(
            still,
            rollouts=_with_last_ended(_joined(self.newest_of(Rollout, environment), still.rollouts)),
            promotions=_with_newest(_joined(self.newest_of(Promotion, environment), still.promotions)),
            training=next(iter(trained), None),
        )
        return _with_moment(place, self.store)

    def newest_of(self, kind: type[S], environment: Environment, **filters: str) -> Sequence[S]:
        """Return the newest records about an environment whose columns have these values."""
        here = frozenset({environment.repository_id})
        wanted = Wanted(_LATELY, repositories=here, filters={"path": environment.path, **filters})
        return cast("Sequence[S]", self.store.page(kind.__name__.lower(), wanted))

    def resting(self, environment: Environment) -> Place:
        """Return an environment with what is not over there, which many of them have nothing of."""
        here = (environment.repository_id, environment.path)
        holds, promotions, rollouts = self._still
        return Place(environment, tuple(holds[here]), tuple(rollouts[here]), tuple(promotions[here]))

    @cached_property
    def _still(self) -> tuple[ByPlace[Hold], ByPlace[Promotion], ByPlace[Rollout]]:
        """What is not over, by place."""
        return _by_place(self.holds), _by_place(self._promotions_under_way), _by_place(self._rollouts_under_way)

    def fleet(self) -> Fleet:
        """Return everything, in as few questions as its number allows."""
        newest: dict[str, Training] = {}
        for training in self.trainings:
            newest.setdefault(training.model, training)
        names = {(kind, str(one.id)): one.full_name for one in self.repositories for kind in _OF_REPOSITORY}
        places = [self.resting(one) for one in self.environments]
        return Fleet(places, list(newest.values()), names)


def _with_moment(place: Place, log: AuditLog) -> Place:
    """Return a place with when its traffic moved, where a rollout that is not over moved it; the log alone says so."""
    moved = place.moved
    return replace(place, moved_at=_moved_at(moved, log)) if moved is not None else place


def _moved_at(rollout: Rollout, log: AuditLog) -> datetime | None:
    end = log.audit_size()
    while end:
        start = max(0, end - _PAGE)
        entries = [parse(raw) for raw in log.audit_entries(start, end - start)]
        for entry in reversed(entries):
            if entry.subject.rollout_id == rollout.id and entry.kind in {APPLIED, RESTORED}:
                return entry.time
            if rollout.created_at is not None and entry.time < rollout.created_at:
                return None
        end = start
    return None


@dataclass(frozen=True)
class Entries(Collection[Entry]):
    """The first entries of the audit log, read a page at a time, and anew each time that they are gone through."""

    log: AuditLog
    size: int

    def __len__(self) -> int:
        """Return how many there are."""
        return self.size

    def __iter__(self) -> Iterator[Entry]:
        """Read them."""
        for start in range(0, self.size, _PAGE):
            yield from map(parse, self.log.audit_entries(start, min(_PAGE, self.size - start)))

    def __contains__(self, entry: object) -> bool:
        """Look for one."""
        return any(one == entry for one in self)


def _by_place(found: Iterable[P]) -> ByPlace[P]:
    known: ByPlace[P] = defaultdict(list)
    for one in found:
        known[one.repository_id, one.path].append(one)
    return known


def _joined(newest: Sequence[T], still: Sequence[T]) -> Sequence[T]:
    """Return the newest of a list and what is not over of it, newest first: what began before all of them is last."""
    known = {one.id for one in newest}
    return [*newest, *(one for one in still if one.id not in known)]


def _with_last_ended(rollouts: Sequence[Rollout]) -> tuple[Rollout, ...]:
    """Return those that are not over, and the last that came to an end of its own."""
    gave_way = {Phase.SUPERSEDED, Phase.CANCELLED}
    ended = next((one for one in rollouts if one.phase.is_final and one.phase not in gave_way), None)
    return tuple(one for one in rollouts if not one.phase.is_final or one is ended)


def _with_newest(promotions: Sequence[Promotion]) -> tuple[Promotion, ...]:
    return tuple(one for at, one in enumerate(promotions) if at == 0 or not one.phase.is_final)
