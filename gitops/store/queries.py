"""The questions that stories and people ask, each on one snapshot."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import Connection, and_, case, func, literal_column, or_, select, true

from gitops.errors import InputError
from gitops.holding import EVERYWHERE
from gitops.ports import Mark, Resting
from gitops.records import Command, Delivery, Environment, Hold, Promotion, Record, Rollout, Sync, Training, Version
from gitops.spaces import Space
from gitops.standing import Standing, is_about
from gitops.steps import Phase
from gitops.store.jobs import State
from gitops.store.rows import COMMAND, KINDS, TRIAL, read_all, read_one, without
from gitops.store.tables import (
    OPEN_PHASES,
    commands,
    declined,
    deliveries,
    environments,
    holds,
    jobs,
    promotions,
    rollouts,
    searches,
    trainings,
    trials,
    versions,
)
from gitops.trials import SeenTrial

_RESTING = ("path", "target", "host", "endpoint", "model", "pinned", "health", "url")
_NEVER = datetime.max.replace(tzinfo=UTC)
_HANDED_OVER = "hand_over"  # the step after a training's version was registered
_TRAINED = ("repository_id", "ref", "commit", "config_path", "config_sha256")  # as the index `one_unforced_training`


def read_delivery(connection: Connection, guid: str) -> Delivery | None:
    """Return a delivery with its body."""
    row = connection.execute(select(deliveries).where(deliveries.c.id == guid)).mappings().first()
    return None if row is None else Delivery.model_validate(row)


def read_recent(connection: Connection, kind: str, *, limit: int) -> Sequence[Record]:
    """Return the newest records of a kind; deliveries without their bodies.

    Raises:
        InputError: `record_kind` when there is no such kind.
    """
    known = KINDS.get(kind)
    if known is None:
        raise InputError("record_kind", f"{kind} is none of {', '.join(KINDS)}")
    newest = (known.table.c.created_at.desc(), known.table.c.id.desc())
    return read_all(connection, known.table, known.model, order=newest, limit=limit)


def read_training_of(connection: Connection, wanted: Training) -> Training | None:
    """Return the training of the same nonce that the unique index would else take for the same."""
    where = [trainings.c[name] == getattr(wanted, name) for name in (*_TRAINED, "nonce")]
    return read_one(connection, trainings, Training, *where)


def read_trials(connection: Connection, training_id: str) -> list[SeenTrial]:
    """Return how the trials of a training that were begun stand, by number; one that a worker has now is running.

    The lines of their logs stay in the database, which takes them out of the facts.
    """
    columns = [column for column in trials.c if column is not trials.c.facts]
    facts = without(connection, trials.c.facts, "log_tail").label("facts")
    job = case((jobs.c.state != State.OVER.value, jobs.c.state), else_="").label("job")
    its = and_(jobs.c.kind == TRIAL.name, jobs.c.subject == trials.c.id)
    query = select(*columns, facts, job).select_from(trials.outerjoin(jobs, its))
    rows = connection.execute(query.where(trials.c.training_id == training_id).order_by(trials.c.number)).mappings()
    return [_stand(SeenTrial.model_validate(row)) for row in rows]


def _stand(trial: SeenTrial) -> SeenTrial:
    is_running = trial.phase is Phase.PENDING and trial.job == State.LEASED.value
    return trial.model_copy(update={"phase": Phase.RUNNING}) if is_running else trial


def read_space(connection: Connection, training_id: str) -> Space | None:
    """Return the space that a training searches."""
    kept = connection.execute(select(searches.c.space).where(searches.c.training_id == training_id)).scalar()
    return None if kept is None else Space.model_validate(kept)


def read_overtaking(connection: Connection, training: Training) -> Training | None:
    """Return the newest training of the same branch and launchpin.yaml that began later and has a version.

    Another try of a training began when the first one did: what was pushed since is newer.
    """
    here = [trainings.c[name] == getattr(training, name) for name in ("repository_id", "ref", "config_path")]
    first = _read_first_try(connection, training)
    began = select(trainings.c.created_at).where(trainings.c.id == first.id).scalar_subquery()
    # Ids are sorted by their making, for those of one moment.
    later = or_(trainings.c.created_at > began, and_(trainings.c.created_at == began, trainings.c.id > first.id))
    registered = or_(trainings.c.phase == Phase.SUCCEEDED.value, trainings.c.step == _HANDED_OVER)
    newest = (trainings.c.created_at.desc(), trainings.c.id.desc())
    found = read_all(connection, trainings, Training, *here, later, registered, order=newest)
    return next((other for other in found if other.facts.version and _is_newer(connection, other, first)), None)


def _is_newer(connection: Connection, other: Training, first: Training) -> bool:
    """Return whether another training is of a later beginning, and not itself another try of an earlier one."""
    if not other.nonce:
        return True
    begun = _read_first_try(connection, other)
    return (begun.created_at or _NEVER, begun.id) > (first.created_at or _NEVER, first.id)


def _read_first_try(connection: Connection, training: Training) -> Training:
    """Return the training that this one is another try of, however often it was tried; itself where it is the first."""
    found: Training | None = training
    while found is not None:
        training = found
        # A trial's id, where somebody chose one by hand, begins with the training's that searched.
        first = training.nonce.partition(".")[0]
        found = read_one(connection, trainings, Training, trainings.c.id == first) if first else None
    return training


def read_versions(
    connection: Connection,
    model: str,
    *,
    limit: int,
    repositories: frozenset[int] | None = None,
    after: Mark | None = None,
) -> list[Version]:
    """Return a model's versions, newest first; numbers sort as numbers when they came in one moment.

    Args:
        repositories: only those that were trained from one of these, by numeric id.
        after: begin after this moment and number.
    """
    here = [versions.c.model == model]
    if after is not None:
        length, of_mark = func.length(versions.c.version), len(after.id)
        is_lower = or_(length < of_mark, and_(length == of_mark, versions.c.version < after.id))
        same_moment = and_(versions.c.created_at == after.created_at, is_lower)
        here.append(or_(versions.c.created_at < after.created_at, same_moment))
    if repositories is not None:
        ours = select(trainings.c.id).where(trainings.c.repository_id.in_(sorted(repositories)))
        here.append(versions.c.training_id.in_(ours))
    newest = (versions.c.created_at.desc(), func.length(versions.c.version).desc(), versions.c.version.desc())
    return read_all(connection, versions, Version, *here, order=newest, limit=limit)


def read_version(connection: Connection, model: str, version: str) -> Version | None:
    """Return one version."""
    return read_one(connection, versions, Version, versions.c.model == model, versions.c.version == version)


def read_resting(connection: Connection, repository_id: int, *, commit: str) -> list[Resting]:
    """Return the environments that were in sync with a commit and have no rollout under way."""
    columns = (environments.c[name] for name in _RESTING)
    here = (rollouts.c.repository_id == environments.c.repository_id, rollouts.c.path == environments.c.path)
    moving = select(rollouts.c.id).where(*here, rollouts.c.phase.in_(OPEN_PHASES)).exists()
    rest = (environments.c.sync.in_((Sync.SYNCED.value, Sync.UNPINNED.value)), environments.c.message == "")
    # What was compared before its endpoint.yaml was recorded is read once more.
    of = (environments.c.repository_id == repository_id, environments.c.endpoint_file != "")
    where = (*of, environments.c.pin_commit == commit, *rest, ~moving)
    # The driver's own rows: every column is text, and a row object for each pin would take longer than the query.
    return cast("list[Resting]", connection.execute(select(*columns).where(*where)).cursor.fetchall())


def read_holds(connection: Connection, *, repository_id: int | None, path: str | None) -> list[Hold]:
    """Return the open holds, a pause first, then the oldest; a pause is a hold on every environment."""
    wanted = {"repository_id": repository_id, "path": path}
    here = and_(true(), *(holds.c[name] == value for name, value in wanted.items() if value is not None))
    pause = holds.c.repository_id == EVERYWHERE
    order = (case((pause, 0), else_=1), holds.c.created_at, holds.c.id)
    return read_all(connection, holds, Hold, holds.c.lifted_at.is_(None), or_(here, pause), order=order)


def read_is_declined(connection: Connection, repository_id: int, *, environment: str, model: str, version: str) -> bool:
    """Return whether a person closed this version's pull request there."""
    wanted = {"repository_id": repository_id, "environment": environment, "model": model, "version": version}
    query = select(declined.c.by).where(*(declined.c[name] == value for name, value in wanted.items()))
    return connection.execute(query).first() is not None


def read_open_promotions(connection: Connection, repository_id: int, *, environment: str | None) -> list[Promotion]:
    """Return the promotions that are not over, oldest first."""
    where = [promotions.c.repository_id == repository_id, promotions.c.phase.in_(OPEN_PHASES)]
    if environment is not None:
        where.append(promotions.c.environment == environment)
    return read_all(connection, promotions, Promotion, *where, order=(promotions.c.created_at, promotions.c.id))


def read_promotion_of(
    connection: Connection, repository_id: int, *, environment: str, model: str, version: str
) -> Promotion | None:
    """Return the newest promotion of a version to an environment."""
    wanted = {"repository_id": repository_id, "environment": environment, "model": model, "version": version}
    where = [promotions.c[name] == value for name, value in wanted.items()]
    newest = (promotions.c.created_at.desc(), promotions.c.id.desc())
    return read_one(connection, promotions, Promotion, *where, order=newest)


def read_active_rollouts(connection: Connection, *, target: str, host: str, endpoint: str) -> list[Rollout]:
    """Return an endpoint's rollouts that are not over, oldest first."""
    here = (rollouts.c.target == target, rollouts.c.host == host, rollouts.c.endpoint == endpoint)
    oldest = (rollouts.c.created_at, rollouts.c.id)
    return read_all(connection, rollouts, Rollout, *here, rollouts.c.phase.in_(OPEN_PHASES), order=oldest)


def read_newest_rollout(connection: Connection, repository_id: int, *, path: str) -> Rollout | None:
    """Return an environment's last rollout."""
    where = (rollouts.c.repository_id == repository_id, rollouts.c.path == path)
    return read_one(connection, rollouts, Rollout, *where, order=(rollouts.c.created_at.desc(), rollouts.c.id.desc()))


def read_ways_back(connection: Connection, repository_id: int, *, path: str, model: str) -> list[str]:
    """Return the versions of a model that served at an environment and may be used, the last one first.

    Of what came before the few that an environment's own record names, its rollouts know.
    """
    here = (rollouts.c.repository_id == repository_id, rollouts.c.path == path, rollouts.c.model == model)
    well = (rollouts.c.phase == Phase.SUCCEEDED.value, rollouts.c.version == versions.c.version)
    good = (versions.c.model == model, versions.c.verdict == "pass", versions.c.quarantined.is_(False))
    last = (func.max(rollouts.c.created_at).desc(), func.max(rollouts.c.id).desc())
    query = select(rollouts.c.version).where(*here, *well, *good).group_by(rollouts.c.version).order_by(*last)
    return list(connection.execute(query).scalars())


def read_standing(connection: Connection, repository_id: int, *, path: str) -> Standing | None:
    """Return how an environment's endpoint stands; None for an environment that nobody knows."""
    here = (environments.c.repository_id == repository_id, environments.c.path == path)
    known = read_one(connection, environments, Environment, *here)
    if known is None:
        return None
    # The state is no parameter, so that SQLite answers from the index of the jobs that are not over.
    open_jobs = (jobs.c.kind == COMMAND.name, jobs.c.state != literal_column(f"'{State.OVER.value}'"))
    asked = (commands.c.id.in_(select(jobs.c.subject).where(*open_jobs)), commands.c.phase == Phase.PENDING.value)
    waiting = read_all(connection, commands, Command, *asked, order=(commands.c.created_at, commands.c.id))
    return Standing(
        environment=known,
        holds=tuple(read_holds(connection, repository_id=repository_id, path=path)),
        rollouts=tuple(read_active_rollouts(connection, target=known.target, host=known.host, endpoint=known.endpoint)),
        promotions=tuple(read_open_promotions(connection, repository_id, environment=known.name)),
        commands=tuple(one for one in waiting if is_about(one, known)),
    )
