"""The store behind its Protocols: every method is one transaction, carried out by the rooms beside this one."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from gitops.errors import ConflictError
from gitops.lockfile import Lock
from gitops.ports import Claim, Crowned, Exit, JobView, Mark, QueueDepth, Received, Resting, Wanted
from gitops.ports.tallies import Hands, Pulse, Tallies
from gitops.records import (
    Command,
    Delivery,
    Environment,
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
from gitops.spaces import Space
from gitops.standing import Expected, Standing
from gitops.steps import Queue
from gitops.store import catalogue, effects, jobs, opening, pages, queries, retention, tables
from gitops.store.ancestry import read_ancestry
from gitops.store.finish import finish_claim
from gitops.store.ingest import insert_deliveries
from gitops.store.locks import read_lock
from gitops.store.outbox_store import OutboxStore
from gitops.store.rows import read_one
from gitops.store.tallies import read_hands, read_pulse, read_tallies
from gitops.trials import SeenTrial, Trial

_CLAIM_PATIENCE = 10.0  # seconds; nobody waits for a worker's claim, and one that is forgotten costs a lease


class SqlStore(OutboxStore):
    """The truth in a SQL database; implements `gitops.ports.Store`, `AuditLog` and `Accounts`.

    Args:
        url: SQLAlchemy's form; the database must be migrated.
        password: asked at each new connection to a server.
        clock: replaces the database's clock in tests; returns aware datetimes.
        service: which Launchpin writes, for audit entries.
        is_told: whether somebody is told of what changes: where nobody is, nothing is kept for them.

    Raises:
        InputError: as `open_database`.
        StalledError: `SchemaMismatch` when the database is older or newer than this code.
    """

    # ---- deliveries and commands

    def save_delivery(self, delivery: Delivery) -> Received:
        """Store a delivery and its job durably, or say that its GUID is known."""
        return self.save_deliveries([delivery])[0]

    def save_deliveries(self, batch: Sequence[Delivery]) -> list[Received]:
        """Store deliveries in one transaction; the answers come in the batch's order."""
        if not batch:
            return []
        try:
            self._database.repeat(lambda _: insert_deliveries(self._database, batch))
        except ConflictError:
            # Some are known already: each is looked at by itself.
            return self._write(lambda tx: opening.save_deliveries(tx, batch))
        return [Received.NEW] * len(batch)

    def save_command(self, command: Command, *, expected: Expected | None = None) -> Command:
        """Store a command and its job, or return the one that has the same idempotency key."""
        return self._write(lambda tx: opening.save_command(tx, command, expected=expected))

    # ---- jobs

    def claim(self, queue: Queue, *, owner: str, lease: timedelta) -> Claim | None:
        """Take the oldest ready job of a queue, or one whose lease ran out."""
        if self._database.kind.checks_before_writing and not self._is_any_ready(queue):
            return None
        # Names this very claim, so that it is found again when its commit's answer was lost.
        holder = f"{owner} {secrets.token_hex(4)}"
        return self._write(
            lambda tx: jobs.claim_job(tx, queue, owner=holder, lease=lease), is_quiet=True, patience=_CLAIM_PATIENCE
        )

    def _is_any_ready(self, queue: Queue) -> bool:
        time = self._database.time
        return self._read(lambda connection: jobs.is_any_ready(connection, queue, now=time(connection)))

    def renew(self, claim: Claim, *, lease: timedelta) -> bool:
        """Prolong a lease; False when somebody else holds the job."""
        return self._write(lambda tx: jobs.renew_lease(tx, claim, lease=lease), is_quiet=True)

    def is_ours(self, claim: Claim) -> bool:
        """Return whether a job is still held by this claim; nothing is written."""
        return self._read(lambda connection: jobs.is_ours(connection, claim))

    def finish(self, claim: Claim, end: Exit) -> None:
        """Write how a claim ended, and release the job."""
        self._write(lambda tx: finish_claim(tx, claim, end))

    def wake(self, kind: str, subject: str, *, queue: Queue = Queue.CONTROL, after: timedelta | None = None) -> int:
        """Make a job ready now; with `after`, only make sure that it exists, due then."""
        return self._write(lambda tx: jobs.wake_job(tx, kind, subject, queue=queue, after=after))

    def depth(self) -> Sequence[QueueDepth]:
        """Return the ready jobs of each queue that has any."""
        return self._read(lambda connection: jobs.read_depth(connection, now=self._database.time(connection)))

    def next_due(self) -> float | None:
        """Return the seconds until the next job becomes ready or a lease ends."""
        return self._read(lambda connection: jobs.read_next_due(connection, now=self._database.time(connection)))

    def has_job(self, job: int) -> bool:
        """Return whether there is or was a job of that number."""
        return self._read(lambda connection: jobs.is_known(connection, job))

    def has_changed(self) -> bool:
        """Return whether anybody wrote since the last call; True on the first."""
        return self._database.has_changed()

    def jobs(self, *, limit: int = 200) -> Sequence[JobView]:
        """Return the jobs that are not over, the next due first."""
        return self._read(lambda connection: jobs.read_jobs(connection, limit=limit))

    def intend(self, claim: Claim, key: str, name: str) -> tuple[bool, str | None]:
        """Record the intent of an effect."""
        return self._write(lambda tx: effects.intend_effect(tx, claim, key=key, name=name))

    def observe(self, claim: Claim, key: str, result: str) -> None:
        """Record the result of an effect."""
        self._write(lambda tx: effects.observe_effect(tx, claim, key=key, result=result))

    # ---- records

    def delivery(self, guid: str) -> Delivery | None:
        """Return a delivery with its body."""
        return self._read(lambda connection: queries.read_delivery(connection, guid))

    def training(self, training_id: str) -> Training | None:
        """Return a training."""
        table = tables.trainings
        return self._read(lambda connection: read_one(connection, table, Training, table.c.id == training_id))

    def training_of(self, wanted: Training) -> Training | None:
        """Return the unforced training of the same ref, commit and launchpin.yaml, over or not."""
        return self._read(lambda connection: queries.read_training_of(connection, wanted))

    def overtaking(self, training: Training) -> Training | None:
        """Return the newest later training of the same branch and launchpin.yaml that has a version already."""
        return self._read(lambda connection: queries.read_overtaking(connection, training))

    def trial(self, trial_id: str) -> Trial | None:
        """Return a trial."""
        table = tables.trials
        return self._read(lambda connection: read_one(connection, table, Trial, table.c.id == trial_id))

    def trials(self, training_id: str) -> Sequence[SeenTrial]:
        """Return how a training's trials that were begun stand, by number; one that a worker has now is running."""
        return self._read(lambda connection: queries.read_trials(connection, training_id))

    def space_of(self, training_id: str) -> Space | None:
        """Return the space that a training searches; None where none was kept."""
        return self._read(lambda connection: queries.read_space(connection, training_id))

    def promotion(self, promotion_id: str) -> Promotion | None:
        """Return a promotion."""
        table = tables.promotions
        return self._read(lambda connection: read_one(connection, table, Promotion, table.c.id == promotion_id))

    def rollout(self, rollout_id: str) -> Rollout | None:
        """Return a rollout."""
        table = tables.rollouts
        return self._read(lambda connection: read_one(connection, table, Rollout, table.c.id == rollout_id))

    def command(self, command_id: str) -> Command | None:
        """Return a command."""
        table = tables.commands
        return self._read(lambda connection: read_one(connection, table, Command, table.c.id == command_id))

    def recent(self, kind: str, *, limit: int = 20) -> Sequence[Record]:
        """Return the newest records of a kind; deliveries without their bodies."""
        return self._read(lambda connection: queries.read_recent(connection, kind, limit=limit))

    def page(self, kind: str, wanted: Wanted) -> Sequence[Record]:
        """Return a page of the records of a kind; deliveries without their bodies."""
        return self._read(lambda connection: pages.read_page(connection, kind, wanted))

    def unfinished(self, kind: str, *, limit: int, repositories: frozenset[int] | None = None) -> Sequence[Record]:
        """Return the trainings, promotions or rollouts that are not over, the oldest first."""
        return self._read(
            lambda connection: pages.read_unfinished(connection, kind, limit=limit, repositories=repositories)
        )

    def past_holds(self, wanted: Wanted) -> Sequence[Hold]:
        """Return a page of holds, lifted ones too."""
        return self._read(lambda connection: pages.read_past_holds(connection, wanted))

    def ancestry(self, kind: str, record_id: str) -> tuple[tuple[str, str], ...]:
        """Return a record, what caused it, and so on to the first cause, each by kind and id."""
        return self._read(lambda connection: read_ancestry(connection, kind, record_id))

    def tallies(self) -> Tallies:
        """Return what a scrape of the metrics shows of the database, read on one snapshot."""
        return self._read(lambda connection: read_tallies(connection, now=self._database.time(connection)))

    def pulse(self) -> Pulse:
        """Return what tells whether the parts are at work, read on one snapshot."""
        return self._read(lambda connection: read_pulse(connection, now=self._database.time(connection)))

    def hands(self) -> Hands:
        """Return who leads, and who holds which job."""
        return self._read(lambda connection: read_hands(connection, now=self._database.time(connection)))

    # ---- what is known

    def repository(self, repository_id: int) -> Repository | None:
        """Return a connected repository by its numeric id."""
        table = tables.repositories
        return self._read(lambda connection: read_one(connection, table, Repository, table.c.id == repository_id))

    def repositories(
        self, *, ids: frozenset[int] | None = None, after: tuple[str, int] | None = None, limit: int = 0
    ) -> Sequence[Repository]:
        """Return the connected repositories, by name."""
        return self._read(lambda connection: pages.read_repositories(connection, ids=ids, after=after, limit=limit))

    def watched_ref(self, repository_id: int, ref: str) -> WatchedRef | None:
        """Return how far a ref was considered."""
        table = tables.watched_refs
        this = (table.c.repository_id == repository_id, table.c.ref == ref)
        return self._read(lambda connection: read_one(connection, table, WatchedRef, *this))

    def environment(self, repository_id: int, path: str) -> Environment | None:
        """Return what is known of an environment."""
        table = tables.environments
        this = (table.c.repository_id == repository_id, table.c.path == path)
        return self._read(lambda connection: read_one(connection, table, Environment, *this))

    def standing(self, repository_id: int, path: str) -> Standing | None:
        """Return how an environment's endpoint stands, on one snapshot."""
        return self._read(lambda connection: queries.read_standing(connection, repository_id, path=path))

    def environments(
        self,
        *,
        repository_id: int | None = None,
        model: str | None = None,
        repositories: frozenset[int] | None = None,
        after: tuple[int, str] | None = None,
        limit: int = 0,
    ) -> Sequence[Environment]:
        """Return the environments, by repository and path."""
        return self._read(
            lambda connection: pages.read_environments(
                connection,
                repository_id=repository_id,
                model=model,
                repositories=repositories,
                after=after,
                limit=limit,
            )
        )

    def resting(self, repository_id: int, *, commit: str) -> Sequence[Resting]:
        """Return the environments that were in sync with this commit when last compared, and do not move."""
        return self._read(lambda connection: queries.read_resting(connection, repository_id, commit=commit))

    def version(self, model: str, version: str) -> Version | None:
        """Return our verdict on a version; None when we have none."""
        return self._read(lambda connection: queries.read_version(connection, model, version))

    def versions(
        self,
        model: str,
        *,
        limit: int = 50,
        repositories: frozenset[int] | None = None,
        after: Mark | None = None,
    ) -> Sequence[Version]:
        """Return the versions of a model that have a verdict of ours, newest first."""
        return self._read(
            lambda connection: queries.read_versions(
                connection, model, limit=limit, repositories=repositories, after=after
            )
        )

    def model_names(self, *, repositories: frozenset[int] | None = None) -> Sequence[str]:
        """Return the names of the models that have an environment or a version, by name."""
        return self._read(lambda connection: catalogue.read_model_names(connection, repositories=repositories))

    def newest_versions(
        self, models: Collection[str], *, repositories: frozenset[int] | None = None
    ) -> Sequence[Version]:
        """Return the newest version of each of these models that has one."""
        return self._read(
            lambda connection: catalogue.read_newest_versions(connection, models, repositories=repositories)
        )

    def named_versions(self, names: Collection[tuple[str, str]]) -> Sequence[Version]:
        """Return the versions of these models and numbers that are known."""
        return self._read(lambda connection: catalogue.read_named_versions(connection, names))

    def lock_of(self, key: str) -> Lock | None:
        """Return the lock of an environment; None for one that was locked before locks were kept."""
        return self._read(lambda connection: read_lock(connection, key))

    def versions_of_runs(self, model: str, runs: Collection[str]) -> Mapping[str, str]:
        """Return the numbers of a model's versions that came from these runs, by the run's id."""
        return self._read(lambda connection: catalogue.read_versions_of_runs(connection, model, runs))

    def begun_from(self, causes: Collection[str]) -> Mapping[str, str]:
        """Return the ids of the trainings that these commands, trainings or trials brought, by its id."""
        return self._read(lambda connection: catalogue.read_begun_from(connection, causes))

    def champion(self, model: str) -> Version | None:
        """Return the version to beat: what serves in the place that makes the model's champion, if we judged it."""
        found = self.crowned([model]).get(model)
        return found.champion if found is not None else None

    def crowned(self, models: Collection[str]) -> Mapping[str, Crowned]:
        """Return where the champion of each of these models comes from, by model."""
        return self._read(lambda connection: catalogue.read_crowned(connection, models))

    def holds(self, *, repository_id: int | None = None, path: str | None = None) -> Sequence[Hold]:
        """Return the open holds, of one environment where asked for; a pause holds each and comes first."""
        return self._read(lambda connection: queries.read_holds(connection, repository_id=repository_id, path=path))

    def is_declined(self, repository_id: int, environment: str, model: str, version: str) -> bool:
        """Return whether a person closed this version's pull request there."""
        return self._read(
            lambda connection: queries.read_is_declined(
                connection, repository_id, environment=environment, model=model, version=version
            )
        )

    def open_promotions(self, repository_id: int, *, environment: str | None = None) -> Sequence[Promotion]:
        """Return the promotions of a deploy repository that are not over, oldest first."""
        return self._read(
            lambda connection: queries.read_open_promotions(connection, repository_id, environment=environment)
        )

    def promotion_of(self, repository_id: int, environment: str, model: str, version: str) -> Promotion | None:
        """Return the newest promotion of this version there, over or not."""
        return self._read(
            lambda connection: queries.read_promotion_of(
                connection, repository_id, environment=environment, model=model, version=version
            )
        )

    def active_rollouts(self, *, target: str, host: str, endpoint: str) -> Sequence[Rollout]:
        """Return the rollouts of an endpoint that are not over, oldest first."""
        return self._read(
            lambda connection: queries.read_active_rollouts(connection, target=target, host=host, endpoint=endpoint)
        )

    def newest_rollout(self, repository_id: int, path: str) -> Rollout | None:
        """Return the last rollout begun for an environment, over or not."""
        return self._read(lambda connection: queries.read_newest_rollout(connection, repository_id, path=path))

    def ways_back(self, repository_id: int, path: str, *, model: str) -> Sequence[str]:
        """Return the versions of a model that served at an environment and may be used, the last one first."""
        return self._read(lambda connection: queries.read_ways_back(connection, repository_id, path=path, model=model))

    # ---- what may go

    def needed(self) -> Needed:
        """Return what the records may ask for at any time."""
        return self._read(retention.read_needed)

    def spent(self, kind: Kind, *, age: timedelta) -> Spent:
        """Return how many bodies or rows are over for so long."""
        before = self.now() - age
        return self._read(lambda connection: retention.count_spent(connection, kind, before=before))

    def drop_spent(self, kind: Kind, *, age: timedelta, limit: int) -> Spent:
        """Remove at most so many of them; say how many."""
        return self._write(lambda tx: retention.drop_spent(tx, kind, before=tx.now - age, limit=limit))


def check_audit_joins(store: SqlStore) -> list[str]:
    """Return every place where a state change and the audit log do not agree (I25); for checks after a fault."""
    return store.check_audit_joins()
