"""What somebody may see of the store: every page reads through this, so that no page forgets to ask. Writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar, cast

from fastapi import Request

from gitops.access import Access
from gitops.audit.entry import Entry
from gitops.explaining import Reading
from gitops.holding import is_pause
from gitops.notices import Letter, Notice
from gitops.ports import AuditLog, Catalogue, JobView, Pages, Store, Wanted
from gitops.ports.tallies import Tallies
from gitops.records import Environment, Hold, Promotion, Record, Repository, Rollout, Training
from gitops.roles import AccessRole
from gitops.steps import Phase
from webhooks.api.events import may_see
from webhooks.askers import asker_of

R = TypeVar("R", Training, Promotion, Rollout)

_OPEN = (Phase.RUNNING, Phase.PENDING)
_MOST_OPEN = 200
_MOST_JOBS = 1_000
_OF_REPOSITORY = frozenset({"poll", "compare", "anchor"})


class Reader(Store, AuditLog, Pages, Catalogue, Protocol):
    """What the pages read from; they call nothing that writes."""

    def tallies(self) -> Tallies:
        """Return what a scrape of the metrics shows of the database."""
        ...

    def letters(self, *, limit: int = 100) -> Sequence[tuple[Letter, Notice]]:
        """Return the newest messages, each with what it tells."""
        ...


@dataclass(frozen=True)
class Sight:
    """The store as one person sees it, each list read once for a page.

    Args:
        is_service: whether the parts were started by somebody else than `launchpin up`.
    """

    store: Reader
    access: Access
    is_service: bool = False

    @property
    def all(self) -> bool:
        """Whether they may look at everything."""
        return self.access.seen is None

    def sees(self, repository_id: int) -> bool:
        """Whether they may look at what belongs to a repository."""
        return self.access.may(AccessRole.VIEWER, repository_id)

    @cached_property
    def reading(self) -> Reading:
        """What explanations need beside the records."""
        jobs = {(job.kind, job.subject): job for job in self.jobs}
        return Reading(now=self.store.now(), jobs=jobs, pause=self.pause)

    @cached_property
    def jobs(self) -> Sequence[JobView]:
        """The jobs that are not over, as far as they are about something that they may look at."""
        found = self.store.jobs(limit=_MOST_JOBS)
        if self.all:
            return found
        stories = {(type(one).__name__.lower(), one.id) for one in self.stories}
        return [job for job in found if (job.kind, job.subject) in stories or self._is_of_theirs(job)]

    def _is_of_theirs(self, job: JobView) -> bool:
        return job.kind in _OF_REPOSITORY and job.subject.isdecimal() and self.sees(int(job.subject))

    @cached_property
    def stories(self) -> Sequence[Training | Promotion | Rollout]:
        """The trainings, promotions and rollouts that are not over, the newest first; 200 of each phase at most."""
        found: list[Training | Promotion | Rollout] = []
        for kind in (self._open(Training), self._open(Promotion), self._open(Rollout)):
            found += kind
        return sorted(found, key=lambda one: one.id.partition("-")[2], reverse=True)

    def _open(self, kind: type[R]) -> list[R]:
        return [one for phase in _OPEN for one in self.page(kind, _MOST_OPEN, phase=phase.value)]

    @cached_property
    def repositories(self) -> Sequence[Repository]:
        """The connected repositories."""
        return self.store.repositories(ids=self.access.seen)

    @cached_property
    def html_urls(self) -> dict[int, str]:
        """Where the forge shows each repository, by its id."""
        return {one.id: one.html_url for one in self.repositories}

    @cached_property
    def environments(self) -> Sequence[Environment]:
        """The environments."""
        return self.store.environments(repositories=self.access.seen)

    @cached_property
    def _holds(self) -> Sequence[Hold]:
        return self.store.holds()

    @property
    def pause(self) -> Hold | None:
        """The hold on everything, which is for everybody to know; None when there is none."""
        return next(filter(is_pause, self._holds), None)

    @property
    def holds(self) -> Sequence[Hold]:
        """The open holds of places."""
        return [one for one in self._holds if not is_pause(one) and self.sees(one.repository_id)]

    def page(self, kind: type[R], limit: int, **filters: str) -> list[R]:
        """Return the newest records of a kind."""
        wanted = Wanted(limit, repositories=self.access.seen, filters=filters)
        return cast("list[R]", list(self.store.page(kind.__name__.lower(), wanted)))

    def may_read(self, entry: Entry) -> bool:
        """Whether they may see an entry of the audit log."""
        return may_see(self.access, entry)

    def record(self, record: Record | None) -> bool:
        """Whether there is such a record, and they may look at it."""
        repository_id = getattr(record, "repository_id", None)
        return isinstance(repository_id, int) and self.sees(repository_id)


def sight_of(request: Request) -> Sight:
    """Return the store as whoever asks may see it."""
    state = request.app.state
    return Sight(cast("Reader", state.store), asker_of(request).access, is_service=state.is_service)
