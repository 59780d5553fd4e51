"""The truth: records, jobs, leases and effects, behind one Protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from gitops.ports.asked import Asked
from gitops.ports.locks import Locks
from gitops.ports.outbox import Outbox
from gitops.ports.pages import Mark
from gitops.ports.searches import Searches
from gitops.records import (
    Delivery,
    Environment,
    Frozen,
    Hold,
    Promotion,
    Record,
    Repository,
    Rollout,
    Training,
    Version,
    WatchedRef,
)
from gitops.retention import Kind, Needed, Spent
from gitops.steps import Outcome, Queue

E = TypeVar("E", bound=Frozen)


class Received(StrEnum):
    """What became of a delivery at the door."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Claim:
    """A job that is ours until its lease ends.

    Args:
        job: the job's number.
        epoch: rises with every claim; every later write is conditional on it.
        attempts: how often a step of this job raised what nobody foresaw, since it last answered.
        retries: how often it was tried again because something outside was away, likewise.
        lost: how often a worker was lost while it held this job, likewise.
    """

    job: int
    kind: str
    subject: str
    queue: Queue
    epoch: int
    attempts: int = 0
    retries: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Exit:
    """How a claim ends: everything the one transaction must write.

    Neither outcome nor error: with a record, or recurring, the job only moves to `queue`, ready after `retry_after`;
    without one it is over.

    Args:
        record: the record as the step saw it; None for a job about something that is gone.
        outcome: what the step answered.
        step: the step that ran.
        event: what its audit entry is called, `<kind>.<event>`.
        next_step: the step to run next, empty when the story is over.
        queue: where the next step runs.
        error: set when the step raised: the cause shown to people while it is tried again.
        is_unforeseen: the error is one that nobody foresaw, so it uses up an attempt.
        retry_after: seconds until the next try after an error, or until a job that only moves is ready.
        recurring: the job never ends; it only waits.
    """

    record: Record | None
    outcome: Outcome | None
    step: str = ""
    event: str = ""
    next_step: str = ""
    queue: Queue = Queue.CONTROL
    error: str = ""
    is_unforeseen: bool = False
    retry_after: float = 0.0
    recurring: bool = False


@dataclass(frozen=True)
class QueueDepth:
    """Ready jobs of one queue, as far as anybody needs to be told of them.

    Args:
        oldest: age of the oldest in seconds.
        jobs: the 64 oldest, or all of them, oldest first: each its number and epoch, which together name one time of
            being ready.
    """

    queue: Queue
    oldest: float
    jobs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class JobView:
    """A job as people see it: what it waits for, how often it was tried in vain, and when it is tried next."""

    job: int
    kind: str
    subject: str
    queue: str
    state: str
    not_before: datetime
    attempts: int
    reason: str
    message: str
    retries: int = 0
    lost: int = 0

    @property
    def tries(self) -> int:
        """How often it was tried since it last answered, whatever came between."""
        return self.attempts + self.retries + self.lost


Resting = tuple[str, str, str, str, str, str, str, str]
"""An environment that nothing has to be done for: path, target, host, endpoint, model, pinned version, health, URL.

A plain tuple, because there may be very many.
"""


class Effects(Protocol):
    """Calls to the outside, each a row: intent before, result after."""

    def once(self, name: str, key: str, *, look: Callable[[], E | None], act: Callable[[], E], result: type[E]) -> E:
        """Make the effect happen exactly once over all attempts.

        Args:
            name: the failpoint's name, `open_pull_request` for example.
            key: deterministic and unique over all effects, `pull:<promotion id>` for example.
            look: finds the effect where an earlier attempt may have left it; asked only when an intent was found.
            act: makes the effect.
            result: the type that the recorded result is read back as.
        """
        ...

    def renew(self, name: str, key: str, *, content: str, act: Callable[[], None], anew: bool = False) -> None:
        """Tell the outside something that takes the place of what it was told before, unless it says so already.

        Args:
            name: as in `once`.
            key: names the place, `report:<record id>` for example; what stands there now is what counts.
            content: everything that is told; only its digest is kept.
            act: tells it; doing so twice must be harmless.
            anew: the outside was asked and does not say so, whatever it was told.
        """
        ...

    def recover(self, name: str, key: str, *, look: Callable[[], E | None], result: type[E]) -> E | None:
        """Return what a lost attempt made with `once`, whose arguments these are; nobody makes it any more."""
        ...


class Lease(Protocol):
    """Whether this worker still holds the job; long steps must ask."""

    @property
    def lost(self) -> int:
        """Return how often a worker was lost while it held this job since a step of it last answered."""
        ...

    def is_held(self) -> bool:
        """Return False once the lease was lost, the step's deadline has passed, or the worker must hand it back."""
        ...

    def is_stopping(self) -> bool:
        """Return whether the worker was asked to stop: what ends now is handed back, and nobody's fault."""
        ...


class Store(Asked, Outbox, Locks, Searches, Protocol):
    """The truth: records, jobs, leases, effects and the audit log. Thread-safe; every method is one transaction."""

    def now(self) -> datetime:
        """Return the database's clock, in UTC."""
        ...

    def save_delivery(self, delivery: Delivery) -> Received:
        """Store a delivery and its job durably, or say that its GUID is known with the same or another body."""
        ...

    def save_deliveries(self, batch: Sequence[Delivery]) -> list[Received]:
        """Store deliveries and their jobs durably, all in one transaction; the answers come in the batch's order.

        Raises:
            RetryError: nothing of the batch was stored, or it is not known whether; `DatabaseBusy` when the lock was
                not won in time, so that storing each alone would help nobody.
        """
        ...

    def claim(self, queue: Queue, *, owner: str, lease: timedelta) -> Claim | None:
        """Take the oldest ready job of a queue, or one whose lease ran out."""
        ...

    def renew(self, claim: Claim, *, lease: timedelta) -> bool:
        """Prolong a lease; False when somebody else holds the job."""
        ...

    def is_ours(self, claim: Claim) -> bool:
        """Return whether a job is still held by this claim; nothing is written."""
        ...

    def finish(self, claim: Claim, end: Exit) -> None:
        """Write how a claim ended, with facts, further writes and audit entries, and release the job.

        Raises:
            StaleEpochError: when somebody else holds the job; nothing was written.
        """
        ...

    def wake(self, kind: str, subject: str, *, queue: Queue = Queue.CONTROL, after: timedelta | None = None) -> int:
        """Make a job ready now; with `after`, only make sure that it exists, due then. Returns the job's number."""
        ...

    def lead(self, role: str, owner: str, *, seconds: float) -> bool:
        """Become or stay the leader of a role for so long; False while somebody else is."""
        ...

    def depth(self) -> Sequence[QueueDepth]:
        """Return the first ready jobs of each queue that has any."""
        ...

    def next_due(self) -> float | None:
        """Return the seconds until the next job becomes ready or a lease ends; None when there is none."""
        ...

    def has_job(self, job: int) -> bool:
        """Return whether there is or was a job of that number."""
        ...

    def has_changed(self) -> bool:
        """Return whether anybody wrote since the last call (cheap; used by the relay to wake up).

        A hint: a server may tell a moment after the commit, and claims and renewals need not count.
        """
        ...

    def intend(self, claim: Claim, key: str, name: str) -> tuple[bool, str | None]:
        """Record the intent of an effect; returns whether an intent was there already, and the result if observed.

        Raises:
            StaleEpochError: when somebody else holds the job.
        """
        ...

    def observe(self, claim: Claim, key: str, result: str) -> None:
        """Record the result of an effect (JSON text).

        Raises:
            StaleEpochError: when somebody else holds the job.
        """
        ...

    def delivery(self, guid: str) -> Delivery | None:
        """Return a delivery with its body."""
        ...

    def training(self, training_id: str) -> Training | None:
        """Return a training."""
        ...

    def training_of(self, wanted: Training) -> Training | None:
        """Return the training of the same ref, commit, launchpin.yaml and nonce, over or not."""
        ...

    def overtaking(self, training: Training) -> Training | None:
        """Return the newest later training of the same branch and launchpin.yaml that has a version already."""
        ...

    def promotion(self, promotion_id: str) -> Promotion | None:
        """Return a promotion."""
        ...

    def rollout(self, rollout_id: str) -> Rollout | None:
        """Return a rollout."""
        ...

    def repository(self, repository_id: int) -> Repository | None:
        """Return a connected repository by its numeric id."""
        ...

    def repositories(
        self, *, ids: frozenset[int] | None = None, after: tuple[str, int] | None = None, limit: int = 0
    ) -> Sequence[Repository]:
        """Return the connected repositories of these ids, by name: so many (0 for all) after a name and id."""
        ...

    def watched_ref(self, repository_id: int, ref: str) -> WatchedRef | None:
        """Return how far a ref was considered."""
        ...

    def environment(self, repository_id: int, path: str) -> Environment | None:
        """Return what is known of an environment."""
        ...

    def environments(
        self,
        *,
        repository_id: int | None = None,
        model: str | None = None,
        repositories: frozenset[int] | None = None,
        after: tuple[int, str] | None = None,
        limit: int = 0,
    ) -> Sequence[Environment]:
        """Return the environments of these, by repository and path: so many (0 for all) after an id and a path."""
        ...

    def resting(self, repository_id: int, *, commit: str) -> Sequence[Resting]:
        """Return the environments that were in sync with this commit when they were last compared, and do not move."""
        ...

    def version(self, model: str, version: str) -> Version | None:
        """Return our verdict on a version; None when we have none."""
        ...

    def versions(
        self, model: str, *, limit: int = 50, repositories: frozenset[int] | None = None, after: Mark | None = None
    ) -> Sequence[Version]:
        """Return the versions of a model with a verdict of ours, trained from these repositories, newest first."""
        ...

    def champion(self, model: str) -> Version | None:
        """Return the version to beat: what serves in the place that makes the model's champion, if we judged it."""
        ...

    def holds(self, *, repository_id: int | None = None, path: str | None = None) -> Sequence[Hold]:
        """Return the open holds, of one environment where asked for; a pause holds each and comes first."""
        ...

    def is_declined(self, repository_id: int, environment: str, model: str, version: str) -> bool:
        """Return whether a person closed this version's pull request there."""
        ...

    def open_promotions(self, repository_id: int, *, environment: str | None = None) -> Sequence[Promotion]:
        """Return the promotions of a deploy repository that are not over."""
        ...

    def promotion_of(self, repository_id: int, environment: str, model: str, version: str) -> Promotion | None:
        """Return the newest promotion of this version there, over or not."""
        ...

    def active_rollouts(self, *, target: str, host: str, endpoint: str) -> Sequence[Rollout]:
        """Return the rollouts of an endpoint that are not over, oldest first."""
        ...

    def newest_rollout(self, repository_id: int, path: str) -> Rollout | None:
        """Return the last rollout begun for an environment, over or not."""
        ...

    def ways_back(self, repository_id: int, path: str, *, model: str) -> Sequence[str]:
        """Return the versions of a model that served at an environment and may be used, the last one first."""
        ...

    def ancestry(self, kind: str, record_id: str) -> tuple[tuple[str, str], ...]:
        """Return a record, what caused it, and so on to the first cause, each by kind and id."""
        ...

    def recent(self, kind: str, *, limit: int = 20) -> Sequence[Record]:
        """Return the newest records of a kind (`training`, `promotion`, `rollout`, `delivery`, `command`)."""
        ...

    def jobs(self, *, limit: int = 200) -> Sequence[JobView]:
        """Return the jobs that are not over, the next due first."""
        ...

    def needed(self) -> Needed:
        """Return what the records may ask for at any time: environments, models, mirrors, trainings under way."""
        ...

    def spent(self, kind: Kind, *, age: timedelta) -> Spent:
        """Return how many bodies or rows are over for so long."""
        ...

    def drop_spent(self, kind: Kind, *, age: timedelta, limit: int) -> Spent:
        """Remove at most so many of them, with an audit entry where a delivery loses its body; say how many."""
        ...
