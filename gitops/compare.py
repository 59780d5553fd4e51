"""The comparison of a deploy repository with its endpoints: what Git pins, what exists, what runs. Starts rollouts.

Runs when a push or a pull request woke it, and every minute anyway. The pin is the file at the base branch's head,
whoever put it there.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath

from gitops.aftermath import is_git_behind, left_version
from gitops.desired import (
    Claims,
    Desired,
    check_place,
    environment_paths,
    is_touched,
    read_claims,
    read_desired,
    taken,
)
from gitops.errors import InputError, NotFoundError, RefusedError, RetryError, StalledError
from gitops.hooks import look_at_hook
from gitops.identifiers import new_id
from gitops.plans import plan_digest
from gitops.ports import Check, CheckState, Deps, Endpoint
from gitops.proposals import check_pulls
from gitops.records import Cause, Direction, Environment, Health, Repository, Role, Rollout, Sync, WatchedRef
from gitops.resting import HEALTH, find_resting
from gitops.steps import Outcome, Phase, Stalled, Step, Story, Wait
from gitops.texts import code, short
from gitops.writes import MoveRef, OpenRollout, SaveEnvironment, Wake, Write

_NEXT = timedelta(seconds=1)
_COMPARED = (
    "repository", "endpoint", "target", "host", "model", "tracking_uri", "pinned", "pin_commit", "settings_sha256",
    "endpoint_file", "min_tier", "sync", "sync_reason", "health", "message", "url",
)  # fmt: skip


def compare_repository(deps: Deps, repository: Repository) -> Outcome:
    """Compare every environment of a deploy repository, and check its open pull requests."""
    deps.mirror.fetch(repository)
    head = deps.mirror.heads(repository).get(f"refs/heads/{repository.default_branch}", "")
    found = (*_follow_head(deps, repository, head=head), *compare_pins(deps, repository, head=head)) if head else ()
    if any(isinstance(write, OpenRollout) for write in found):
        # What was merged waits for nobody: who waited for the merge, and other pull requests, are looked at next.
        return Wait(_NEXT, "Comparing", "looks at the pull requests next", writes=found)
    # Whoever waits for a merge looks again; a merge of ours may have come by another way than its delivery.
    waiting = deps.store.open_promotions(repository.id)
    writes = (*found, *(Wake("promotion", promotion.id) for promotion in waiting))
    if not head:
        return Wait(deps.service.compare, "Comparing", "compares pins with endpoints", writes=writes)
    try:
        check_pulls(deps, repository)
    except RetryError as error:
        # The pins came by git: a forge whose API is away holds up no rollout.
        after = max(deps.service.compare, timedelta(seconds=error.after))
        return Wait(after, error.reason, f"pull requests are not checked: {error.message}", writes=writes)
    except StalledError as error:
        return Stalled(error.reason, f"pull requests are not checked: {error.message}", writes=writes)
    return Wait(deps.service.compare, "Comparing", "compares pins with endpoints", writes=writes)


def _follow_head(deps: Deps, repository: Repository, *, head: str) -> tuple[Write, ...]:
    """Return what is remembered of the branch and its webhook; only a webhook's silence is read from it."""
    ref = f"refs/heads/{repository.default_branch}"
    known = deps.store.watched_ref(repository.id, ref)
    is_moved = known is None or known.commit != head
    move = (MoveRef(WatchedRef(repository_id=repository.id, ref=ref, commit=head)),) if is_moved else ()
    return (*move, *look_at_hook(deps, repository, is_missed=is_moved and known is not None))


def compare_pins(deps: Deps, repository: Repository, *, head: str) -> list[Write]:
    """Return what has to be written about the environments at a commit; nothing for those at rest."""
    resting = find_resting(deps, repository, head=head)
    moved = [path for path in environment_paths(tuple(deps.mirror.files(repository, head))) if path not in resting]
    if not moved:
        return []
    writes: list[Write] = []
    claims = read_claims(deps)
    owners = {place: path for path, place in resting.items()}
    for path in moved:
        writes += _compare_environment(deps, repository, head=head, path=path, claims=claims, owners=owners)
    return writes


def _compare_environment(
    deps: Deps, repository: Repository, *, head: str, path: str, claims: Claims, owners: dict[tuple[str, str], str]
) -> list[Write]:
    """Compare one environment.

    Args:
        claims: who has which endpoint, as it was recorded before.
        owners: the endpoints of this comparison so far, each with its environment; this one's is added.
    """
    known = deps.store.environment(repository.id, path)
    try:
        desired = read_desired(deps, repository, commit=head, path=path)
        check_place(deps, desired, known, claims=claims)
        owner = owners.setdefault((desired.endpoint.target.value, desired.endpoint.endpoint), path)
        if owner != path:
            raise taken(desired, f"{repository.full_name}:{owner}")
    except (InputError, NotFoundError, RefusedError) as error:
        return _unreadable(deps, repository, known, head=head, path=path, error=error)
    target = deps.targets[desired.endpoint.target]
    try:
        live, host = target.describe(desired.endpoint.endpoint), target.host()
    except RetryError as error:
        return [SaveEnvironment(_unknown(known, repository, desired, error), _COMPARED)]
    now = _environment(known, repository, desired, host=host)
    newest = deps.store.newest_rollout(repository.id, path)
    seen = Seen(known, now, live, newest, is_asked_again=_is_asked_again(deps, repository, now, newest))
    now = now.model_copy(update=_state(seen))
    rollouts: list[Write] = [OpenRollout(_rollout(repository, now))] if _wants_rollout(seen) else []
    if newest is not None and seen.is_moving and known is not None and known.pin_commit != now.pin_commit:
        # It may wait for just this push: to be mended, or to make way.
        rollouts.append(Wake("rollout", newest.id))
    return [SaveEnvironment(now, _COMPARED), *rollouts]


def _unknown(known: Environment | None, repository: Repository, desired: Desired, error: RetryError) -> Environment:
    """Return an environment whose target cannot be asked.

    Of a known one the record keeps what was compared last: a pin that is new must still be new when it is compared.
    """
    now = _environment(known, repository, desired, host=known.host if known else "")
    told: dict[str, object] = {"health": Health.UNKNOWN, "message": error.message}
    if (known is None and now.pinned) or (known is not None and _asks(known) != _asks(now)):
        told |= {"sync": Sync.OUT_OF_SYNC, "sync_reason": error.reason}
    return (known or now).model_copy(update=told)


def _is_asked_again(deps: Deps, repository: Repository, now: Environment, newest: Rollout | None) -> bool:
    """Return whether somebody changed the environment's files since a rollout of the same pin came to nothing."""
    if newest is None or not newest.phase.is_final or newest.phase is Phase.SUCCEEDED:
        return False
    if newest.direction is not Direction.FORWARD or newest.commit == now.pin_commit:
        return False
    return is_touched(now.path, deps.mirror.changed_paths(repository, newest.commit, now.pin_commit))


@dataclass(frozen=True)
class Seen:
    """An environment from all its sides.

    Args:
        known: as it was recorded before; None when it is new.
        now: with the pin at the head.
        live: as the target has it; None when it has no such endpoint.
        newest: the last rollout begun for it.
        is_asked_again: whether its files were changed since that rollout came to nothing.
    """

    known: Environment | None
    now: Environment
    live: Endpoint | None
    newest: Rollout | None
    is_asked_again: bool = False

    @property
    def is_moving(self) -> bool:
        """Whether a rollout is under way or waits."""
        return self.newest is not None and not self.newest.phase.is_final

    @property
    def serving(self) -> str:
        """The version that answers at the target now."""
        return self.live.version if self.live is not None and self.live.live else ""

    @property
    def is_as_pinned(self) -> bool:
        """Whether the pinned version of the pinned model answers, or nothing does and nothing is pinned."""
        model = self.live.model if self.live is not None and self.live.live else ""
        return self.serving == self.now.pinned and model in {"", self.now.model}


def _environment(known: Environment | None, repository: Repository, desired: Desired, *, host: str) -> Environment:
    blank = Environment(repository_id=repository.id, path=desired.path, name=PurePosixPath(desired.path).name)
    return (known or blank).model_copy(
        update={
            "repository": repository.full_name,
            "endpoint": desired.endpoint.endpoint,
            "target": desired.endpoint.target,
            "host": host,
            "model": desired.pin.model_name,
            "tracking_uri": desired.pin.tracking_uri,
            "pinned": desired.pin.model_version,
            "pin_commit": desired.commit,
            "settings_sha256": plan_digest({"settings": desired.endpoint.to_facts()}),
            "endpoint_file": desired.endpoint.file,
            "min_tier": desired.endpoint.min_tier,
        }
    )


def _wants_rollout(seen: Seen) -> bool:
    """Decide whether the endpoint must follow the pin: the pin is new, or a good rollout was undone since."""
    now, newest = seen.now, seen.newest
    if newest is not None and seen.is_moving:
        is_other = (newest.model, newest.version) != (now.model, now.pinned)
        # One that failed sets the pin back itself before it ends: that is its own end, not a new wish.
        is_its_own = bool(newest.facts.failure) and now.pinned == newest.facts.serving
        return is_other and not is_its_own and newest.direction is Direction.FORWARD
    if seen.is_as_pinned:
        return False
    is_new = seen.known is None or _asks(seen.known) != _asks(now)
    if newest is None or is_new or seen.is_asked_again:
        return True
    over = {Phase.SUCCEEDED, Phase.SUPERSEDED, Phase.CANCELLED}
    was_refused = (newest.model, newest.version) == (now.model, now.pinned) and newest.phase not in over
    went_back = newest.direction is Direction.ROLLBACK and newest.from_version == now.pinned
    return not was_refused and not went_back


def _asks(environment: Environment) -> tuple[str, str, str]:
    return environment.endpoint, environment.model, environment.pinned


def _state(seen: Seen) -> dict[str, object]:
    """Return sync, health and why."""
    now, newest = seen.now, seen.newest
    url = seen.live.url if seen.live is not None and seen.live.live else ""
    health = HEALTH.get(seen.live.status, Health.PROGRESSING) if seen.live is not None else Health.UNKNOWN
    if seen.is_as_pinned:
        sync = Sync.SYNCED if now.pinned else Sync.UNPINNED
        return {"sync": sync, "sync_reason": "", "health": health, "message": "", "url": url}
    reason, message = "PinChanged", f"version {now.pinned or 'none'} is pinned, {seen.serving or 'none'} serves"
    if newest is not None and seen.is_moving:
        reason, message = newest.reason or "RollingOut", newest.message or message
    elif newest is not None and newest.facts.write_back_url:
        reason, message = "RollbackPending", f"merge {newest.facts.write_back_url} to pin what serves"
    elif newest is not None and is_git_behind(newest) and left_version(newest) == now.pinned:
        reason, message = "RollbackPending", f"Git was not written: pin version {seen.serving or 'none'} there"
    elif newest is not None and newest.version == now.pinned:
        reason, message = newest.reason or newest.phase, newest.message
    return {"sync": Sync.OUT_OF_SYNC, "sync_reason": reason, "health": health, "message": message, "url": url}


def _rollout(repository: Repository, now: Environment) -> Rollout:
    return Rollout(
        id=new_id("r"),
        cause=Cause(kind="compare", id=now.pin_commit),
        repository_id=repository.id,
        repository=repository.full_name,
        environment=now.name,
        path=now.path,
        endpoint=now.endpoint,
        target=now.target,
        host=now.host,
        model=now.model,
        version=now.pinned,
        commit=now.pin_commit,
    )


def _unreadable(
    deps: Deps,
    repository: Repository,
    known: Environment | None,
    *,
    head: str,
    path: str,
    error: InputError | NotFoundError | RefusedError,
) -> list[Write]:
    """Say on the commit what is wrong with its files; the endpoint stays as it is."""
    line = error.line if isinstance(error, InputError) else 0
    file = error.file if isinstance(error, InputError) else path
    check = Check(
        f"launchpin/rollout ({path})",
        CheckState.FAILURE,
        short(f"{error.reason}: {error}" if isinstance(error, RefusedError) else str(error)),
        summary=f"{code(str(error), limit=1000)}\n\nThe endpoint is as it was.",
        path=file,
        line=line,
    )
    message = str(error)
    if known is None or known.pin_commit != head or known.message != message:
        try:
            deps.forge.report_check(repository.full_name, head, check)
        except RetryError as trouble:
            # Another message than the next look's, which tells it again; the other environments do not wait for it.
            message = f"{message} (the forge was not told: {trouble.message})"
    blank = Environment(repository_id=repository.id, path=path, name=PurePosixPath(path).name)
    reason = error.reason if isinstance(error, RefusedError) else "ConfigInvalid"
    newest = deps.store.newest_rollout(repository.id, path)
    if newest is not None and newest.phase.is_final and is_git_behind(newest):
        reason = "RollbackPending"
    wrong = {"repository": repository.full_name, "sync": Sync.OUT_OF_SYNC, "sync_reason": reason}
    now = (known or blank).model_copy(update={**wrong, "pin_commit": head, "message": message})
    return [SaveEnvironment(now, ("repository", "pin_commit", "sync", "sync_reason", "message"))]


def _load(deps: Deps, subject: str) -> Repository | None:
    repository = deps.store.repository(int(subject))
    return repository if repository is not None and repository.role is Role.DEPLOY else None


COMPARE = Story("compare", (Step("compare", compare_repository, deadline=timedelta(minutes=5)),), _load)
