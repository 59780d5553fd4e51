"""Lists that are read page by page: newest first, from a place on, of what somebody may look at."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gitops.records import Hold, Record, Version


@dataclass(frozen=True)
class Mark:
    """Where a page ended: the time and id of its last record."""

    created_at: datetime
    id: str


@dataclass(frozen=True)
class Wanted:
    """Which records, and how many.

    Args:
        limit: at most so many.
        after: begin after this place, with the newest by default.
        repositories: numeric ids; None for all. Kinds without one, deliveries and commands, are shown with None only.
        filters: values that columns must have, by their names: `model`, `phase`, `repository`, `endpoint`, `actor`.
    """

    limit: int
    after: Mark | None = None
    repositories: frozenset[int] | None = None
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Crowned:
    """The place that makes a model's champion: of the environments that are marked, the one that serves since latest.

    Args:
        repository_id: of the deploy repository that has it.
        serving: the version that serves there.
        champion: our verdict on that version; None where there is none, and so the model has no champion.
    """

    repository_id: int
    path: str
    serving: str
    champion: Version | None = None


class Pages(Protocol):
    """What lists are read from."""

    def page(self, kind: str, wanted: Wanted) -> Sequence[Record]:
        """Return a page of the records of a kind; deliveries without their bodies.

        Raises:
            InputError: `record_kind` when there is no such kind, `filter` when it has no such column.
        """
        ...

    def unfinished(self, kind: str, *, limit: int, repositories: frozenset[int] | None = None) -> Sequence[Record]:
        """Return the trainings, promotions or rollouts that are not over, the oldest first.

        Args:
            limit: at most so many; what is newer than all of these is on the first page of its kind.
            repositories: numeric ids; None for all.

        Raises:
            InputError: `record_kind` when there is no such kind.
        """
        ...

    def past_holds(self, wanted: Wanted) -> Sequence[Hold]:
        """Return a page of holds, lifted ones too."""
        ...


class Catalogue(Protocol):
    """What is known of very many models, each method one question however many there are.

    Wherever `repositories` is given, only what belongs to one of these is told, by numeric id; None is all.
    """

    def model_names(self, *, repositories: frozenset[int] | None = None) -> Sequence[str]:
        """Return the names of the models that have an environment or a version, by name."""
        ...

    def newest_versions(
        self, models: Collection[str], *, repositories: frozenset[int] | None = None
    ) -> Sequence[Version]:
        """Return the newest version of each of these models that has one."""
        ...

    def named_versions(self, names: Collection[tuple[str, str]]) -> Sequence[Version]:
        """Return the versions of these models and numbers that are known, in no order; 500 at most."""
        ...

    def crowned(self, models: Collection[str]) -> Mapping[str, Crowned]:
        """Return where the champion of each of these models comes from, by model, of those that serve there.

        Whoever needs a model's champion asks here, gates as well as pages: there is no second rule.
        """
        ...

    def begun_from(self, causes: Collection[str]) -> Mapping[str, str]:
        """Return the ids of the trainings that these commands, trainings or trials brought, by its id; 500 at most."""
        ...
