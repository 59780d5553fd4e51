"""What somebody may see of the store: every page reads through this, so that no page forgets to ask. Writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar, cast

from fastapi import Request

from gitops.access import Access
from gitops.audit.entry import Entry
from gitops.explaining import Explanation, Reading
from gitops.notices import Letter, Notice
from gitops.ports import JobView
from gitops.ports.tallies import Tallies
from gitops.records import Environment, Hold, Promotion, Record, Repository, Rollout, Training
from gitops.telling import library
from gitops.telling.explained import Outlook, explain_from, look_from
from gitops.telling.library import Library
from gitops.telling.subjects import Subject
from webhooks.askers import asker_of

R = TypeVar("R", Training, Promotion, Rollout)


class Reader(library.Reader, Protocol):
    """What the pages read from; they call nothing that writes."""

    def tallies(self) -> Tallies:
        """Return what a scrape of the metrics shows of the database."""
        ...

    def letters(self, *, limit: int = 100) -> Sequence[tuple[Letter, Notice]]:
        """Return the newest messages, each with what it tells."""
        ...


@dataclass(frozen=True)
class Sight:
    """The store as one person sees it, each list read once for a page, with what the command line and the API read.

    Args:
        is_service: whether the parts were started by somebody else than `launchpin up`.
    """

    store: Reader
    access: Access
    is_service: bool = False

    @cached_property
    def library(self) -> Library:
        """What the store holds for them."""
        return Library(self.store, self.access.seen)

    @property
    def all(self) -> bool:
        """Whether they may look at everything."""
        return self.access.seen is None

    def sees(self, repository_id: int) -> bool:
        """Whether they may look at what belongs to a repository."""
        return self.library.sees(repository_id)

    @cached_property
    def reading(self) -> Reading:
        """What explanations need beside the records."""
        return self.library.reading()

    @cached_property
    def outlook(self) -> Outlook:
        """The same with how the parts are."""
        return look_from(self.library, self.reading, is_service=self.is_service)

    def explain(self, subject: Subject) -> Explanation:
        """Explain a subject, as the command line and the API do."""
        return explain_from(self.outlook, subject)

    @property
    def jobs(self) -> Sequence[JobView]:
        """The jobs that are not over, as far as they are about something that they may look at."""
        return self.library.jobs

    @property
    def stories(self) -> Sequence[Training | Promotion | Rollout]:
        """The trainings, promotions and rollouts that are not over, newest first."""
        return self.library.stories

    @property
    def repositories(self) -> Sequence[Repository]:
        """The connected repositories."""
        return self.library.repositories

    @cached_property
    def html_urls(self) -> dict[int, str]:
        """Where the forge shows each repository, by its id."""
        return {one.id: one.html_url for one in self.repositories}

    @property
    def environments(self) -> Sequence[Environment]:
        """The environments."""
        return self.library.environments

    @property
    def pause(self) -> Hold | None:
        """The hold on everything, which is for everybody to know; None when there is none."""
        return self.library.pause

    @property
    def holds(self) -> Sequence[Hold]:
        """The open holds of places."""
        return self.library.holds

    def page(self, kind: type[R], limit: int, **filters: str) -> Sequence[R]:
        """Return the newest records of a kind."""
        return self.library.page(kind, limit, **filters)

    def may_read(self, entry: Entry) -> bool:
        """Whether they may see an entry of the audit log."""
        return self.library.may_read(entry)

    def record(self, record: Record | None) -> bool:
        """Whether there is such a record, and they may look at it."""
        repository_id = getattr(record, "repository_id", None)
        return isinstance(repository_id, int) and self.sees(repository_id)


def sight_of(request: Request) -> Sight:
    """Return the store as whoever asks may see it."""
    state = request.app.state
    return Sight(cast("Reader", state.store), asker_of(request).access, is_service=state.is_service)
