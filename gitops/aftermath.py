"""How a rollout ends: Git is made to name what serves, and what serves is recorded, named and followed."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from gitops.buildspec import set_pin
from gitops.checkouts import read_launchpin
from gitops.config.endpoint import RollbackWrite
from gitops.desired import read_desired
from gitops.errors import (
    ConflictError,
    InputError,
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
)
from gitops.identifiers import new_id
from gitops.plans import slug
from gitops.ports import Commit, Deps, Endpoint, Pull
from gitops.records import Cause, Direction, Environment, Health, Hold, Repository, Rollout, Sync
from gitops.smoke import NO_EXAMPLE, NOT_ASKED
from gitops.steps import Done, Ended, Outcome, Phase, Step, Story, Wait
from gitops.succession import next_promotions
from gitops.texts import inert, plain
from gitops.writes import SaveEnvironment, SetHold, Wake, Write

_log = logging.getLogger(__name__)
_SHOWN = 200
_KEPT = 3
_TRIES = 20
_LONGEST_TRY = timedelta(seconds=15)
BY_HAND = "RolledBack"
"""The failure of a rollout whose bake a person ended; the rollback that waits for it writes Git and sets the hold."""

_SERVED = (
    "serving", "tier", "configuration", "url", "serving_since", "earlier", "sync", "sync_reason", "health", "message",
)  # fmt: skip


def is_going_back(rollout: Rollout) -> bool:
    """Return whether this rollout leaves Git naming a version that does not serve."""
    return bool(rollout.facts.failure) or rollout.direction is Direction.ROLLBACK


def left_version(rollout: Rollout) -> str:
    """Return the version that is being left."""
    return rollout.from_version if rollout.direction is Direction.ROLLBACK else rollout.version


def restore(deps: Deps, rollout: Rollout) -> Outcome:
    """After a failure give the traffic back to what served before, whether the target did so itself or not."""
    if not rollout.facts.failure:
        return Done(is_idle=True)
    previous = rollout.facts.previous_configuration or ""
    try:
        endpoint = _give_back(deps, rollout, previous)
    except (NotFoundError, RefusedError) as error:
        return _give_up(deps, rollout, f"{error.reason}: {error}")
    if endpoint is not None and previous and endpoint.live != previous:
        tries = (rollout.facts.restore_tries or 0) + 1
        why = f"{endpoint.failure or endpoint.status}: {endpoint.message}".removesuffix(": ")
        if tries > _TRIES:
            return _give_up(deps, rollout, f"after {_TRIES} tries, {why}")
        message = f"waits for version {rollout.facts.previous_version} to serve again, try {tries}: {why}"
        return Wait(
            min(timedelta(seconds=tries), _LONGEST_TRY), "RollingBack", message[:700], facts={"restore_tries": tries}
        )
    serving = rollout.facts.previous_version or ""
    return Done(facts={"serving": serving}, message=f"version {serving or 'none'} serves")


def _give_back(deps: Deps, rollout: Rollout, previous: str) -> Endpoint | None:
    endpoint = deps.targets[rollout.target].describe(rollout.endpoint)
    if endpoint is not None and (endpoint.live != previous or endpoint.desired != previous):
        return deps.targets[rollout.target].restore(rollout.endpoint, previous)
    return endpoint


def _give_up(deps: Deps, rollout: Rollout, why: str) -> Outcome:
    """End a rollout whose way back does not come up: held, said, and recorded as it is at the target."""
    live = deps.targets[rollout.target].describe(rollout.endpoint)
    serving = live.version if live is not None and live.live else ""
    previous = rollout.facts.previous_version or "nothing"
    message = f"version {previous} does not serve again, {serving or 'none'} does: {why[:500]}"
    writes: tuple[Write, ...] = (SetHold(_new_hold(rollout, "RollbackFailed", message)),)
    known = deps.store.environment(rollout.repository_id, rollout.path)
    if known is not None:
        tier = _tier(deps, rollout.model, serving)
        now = {"serving": serving, "tier": tier, "configuration": live.live if live else ""}
        update = {**now, "health": Health.DEGRADED}
        fields = (*update, "message")
        writes += (SaveEnvironment(known.model_copy(update={**update, "message": message}), fields),)
    writes += (Wake("compare", str(rollout.repository_id)),)
    return Ended(Phase.ERRORED, "RollbackFailed", message, writes=writes)


def is_git_behind(rollout: Rollout) -> bool:
    """Return whether traffic went back, and no commit says so yet."""
    moved = is_going_back(rollout) and rollout.facts.serving is not None
    return moved and rollout.facts.write_back_sha is None


def waiting_rollback(deps: Deps, rollout: Rollout) -> Rollout | None:
    """Return the rollback by hand that waits for this rollout to end."""
    active = deps.store.active_rollouts(target=rollout.target, host=rollout.host, endpoint=rollout.endpoint)
    waiting = [each for each in active if each.direction is Direction.ROLLBACK and each.phase is Phase.PENDING]
    return next((each for each in reversed(waiting) if each.id != rollout.id), None)


def serving_after(rollout: Rollout) -> str:
    """Return the version that serves since this rollout moved traffic, or found it where it belongs."""
    return rollout.facts.serving if rollout.facts.serving is not None else rollout.version


def write_back(deps: Deps, rollout: Rollout) -> Outcome:
    """Pin what serves on the base branch, with the trailers that say why; a protected branch gets a pull request.

    Whatever keeps Git from being written, the hold is set: what was left must not come again by itself.
    """
    if not is_going_back(rollout):
        return Done(is_idle=True)
    if rollout.facts.failure == BY_HAND and (asked := waiting_rollback(deps, rollout)) is not None:
        return Done(message=f"rollback {asked.id} sets the pin back")
    repository = deps.store.repository(rollout.repository_id)
    if repository is None:
        return Done(writes=_hold(deps, rollout), message="the deploy repository is not connected any more")
    deps.mirror.fetch(repository)
    try:
        return _write(deps, rollout, repository)
    except (InputError, NotFoundError, RefusedError) as error:
        # Traffic has moved: a file that cannot be read, or a forge that says no, must not keep that from being told.
        message = f"Git is not written, {error.reason}: {error}"
        return Done(writes=_hold(deps, rollout), message=f"{message[:500]}: pin version {serving_after(rollout)} there")


def _write(deps: Deps, rollout: Rollout, repository: Repository) -> Outcome:
    serving = serving_after(rollout)
    head = deps.mirror.heads(repository).get(f"refs/heads/{repository.default_branch}", "")
    if not head:
        raise NotFoundError("BranchMissing", f"{repository.full_name} has no {repository.default_branch}")
    desired = read_desired(deps, repository, commit=head, path=rollout.path)
    pin = desired.pin
    if (pin.model_name, pin.model_version) == (rollout.model, serving):
        _follow_up(deps, rollout)
        return Done(facts={"write_back_sha": head}, writes=_hold(deps, rollout), message="Git names it already")
    if pin.model_name != rollout.model or pin.model_version not in _ours(rollout):
        _follow_up(deps, rollout)
        named = f"{pin.model_name} {pin.model_version or 'nothing'}"
        return Done(writes=_hold(deps, rollout), message=f"Git names {named} by now")
    edit = Edit(
        repository=repository,
        parent=head,
        path=desired.buildspec,
        content=set_pin(desired.text, version=serving).data,
        message=_message(deps, rollout, serving),
    )
    if desired.endpoint.rollback is RollbackWrite.PULL_REQUEST:
        return _by_pull(deps, rollout, edit)
    return _by_commit(deps, rollout, edit)


def _ours(rollout: Rollout) -> set[str]:
    """Return the versions that Git may still name: the one that was left, and what served when we began.

    Where a person ended a bake by going further back, the pin may name either. Anything else is somebody's newer wish.
    """
    found = {left_version(rollout)}
    if rollout.direction is Direction.ROLLBACK:
        found.add(rollout.facts.previous_version or "")
    return found


def _reason(deps: Deps, rollout: Rollout) -> str:
    """Return what the person said who asked for a rollback."""
    command = deps.store.command(rollout.cause.id) if rollout.cause.kind == "command" else None
    return command.arguments.get("reason", "") if command else ""


@dataclass(frozen=True)
class Edit:
    """The pin set back, ready to be written.

    Args:
        parent: the commit it was read at.
    """

    repository: Repository
    parent: str
    path: str
    content: bytes
    message: str


def _by_commit(deps: Deps, rollout: Rollout, edit: Edit) -> Outcome:
    branch, made = edit.repository.default_branch, list[Commit]()

    def commit() -> None:
        made.append(_commit(deps, edit, branch=branch, create=False))

    try:
        # Git was read and does not say so, whatever was written before.
        deps.effects.renew("write_back", f"write_back:{rollout.id}", content=edit.parent, act=commit, anew=True)
    except RefusedError as error:
        if error.reason != "branch_protected":
            raise
        _follow_up(deps, rollout)
        return _by_pull(deps, rollout, edit)
    except ConflictError as error:
        raise RetryError("BranchMoved", f"{branch} moved while the pin was set back") from error
    return Done(
        facts={"write_back_sha": made[0].sha},
        writes=(*_hold(deps, rollout), Wake("compare", str(rollout.repository_id))),
        message=f"Git pins version {rollout.facts.serving or 'nothing'} again",
    )


def _follow_up(deps: Deps, rollout: Rollout) -> None:
    """Observe what came of a commit whose answer was lost, that the branch refused, or that nobody needs any more."""
    deps.effects.renew("write_back", f"write_back:{rollout.id}", content="", act=lambda: None)


def _commit(deps: Deps, edit: Edit, *, branch: str, create: bool) -> Commit:
    return deps.forge.commit_file(
        edit.repository.full_name,
        parent=edit.parent,
        branch=branch,
        path=edit.path,
        content=edit.content,
        message=edit.message,
        create=create,
    )


def _by_pull(deps: Deps, rollout: Rollout, edit: Edit) -> Outcome:
    """Propose the pin that serves, where the branch takes no commit of ours."""
    name, base = edit.repository.full_name, edit.repository.default_branch
    branch = f"launchpin-rollback/{slug(rollout.environment)}/{rollout.id}"
    subject, _, told = edit.message.partition("\n\n")
    why, _, trailers = told.rpartition("\n\n")
    # A pull request's body is markup, a commit's message is none; the trailers stay as they are, for a squash.
    body = f"{inert(why, limit=1000)}\n\n{trailers}"

    def propose() -> Pull:
        if not deps.forge.head(name, branch):
            _commit(deps, edit, branch=branch, create=True)
        return deps.forge.open_pull(name, head=branch, base=base, title=subject, body=body)

    pull = deps.effects.once(
        "open_rollback_pull_request",
        f"rollback_pull:{rollout.id}",
        look=lambda: deps.forge.find_pull(name, head=branch, base=base),
        act=propose,
        result=Pull,
    )
    message = f"pull request {pull.number} sets the pin back"
    return Done(facts={"write_back_url": pull.url}, writes=_hold(deps, rollout), message=message)


def _hold(deps: Deps, rollout: Rollout) -> tuple[Write, ...]:
    failure = rollout.facts.failure
    message = f"version {left_version(rollout)} was rolled back by hand"
    if failure and rollout.direction is Direction.ROLLBACK:
        message = f"the way back to version {rollout.version or 'nothing'} failed"
    elif failure and failure != BY_HAND:
        why = (rollout.facts.failure_message or "")[:_SHOWN]
        message = f"version {left_version(rollout)} failed: {failure}: {why}".rstrip(": ")
    reason = _reason(deps, rollout)
    return (SetHold(_new_hold(rollout, failure or BY_HAND, message + (f": {reason}" if reason else ""))),)


def _new_hold(rollout: Rollout, reason: str, message: str) -> Hold:
    return Hold(
        id=new_id("h"),
        repository_id=rollout.repository_id,
        path=rollout.path,
        environment=rollout.environment,
        model=rollout.model,
        reason=reason,
        message=message,
        author=rollout.cause.actor,
        cause=Cause(kind="rollout", id=rollout.id, actor=rollout.cause.actor),
        rollout_id=rollout.id,
    )


def _message(deps: Deps, rollout: Rollout, serving: str) -> str:
    left = left_version(rollout)
    # The target's own words may quote a request; they stay in the record and out of Git.
    why = f"{rollout.facts.failure}, rollout {rollout.id}"
    if not rollout.facts.failure:
        why = plain(_reason(deps, rollout) or "rolled back by hand", limit=500)
    subject = plain(f"Pin {rollout.model} {serving or 'nothing'} again in {rollout.environment}", limit=100)
    return (
        f"{subject}\n\nVersion {left} is left: {why}\n\n"
        f"Launchpin-Rollback-Of: {rollout.commit}\n"
        f"Launchpin-Hold: {rollout.environment} {plain(rollout.facts.failure or 'RolledBack')}\n"
    )


def finish(deps: Deps, rollout: Rollout) -> Outcome:
    """Record what serves, name it in the registry, and let the next environment have it."""
    known = deps.store.environment(rollout.repository_id, rollout.path)
    if known is None:
        return Ended(Phase.ERRORED, "EnvironmentMissing", f"{rollout.path} is not known any more")
    serving = serving_after(rollout)
    environment = _served(deps, rollout, known, serving)
    facts = {"serving": serving, "previous": rollout.facts.previous_version or ""}
    deps.targets[rollout.target].retire(rollout.endpoint, keep=_KEPT)
    writes: tuple[Write, ...] = (SaveEnvironment(environment, _SERVED), Wake("compare", str(rollout.repository_id)))
    if not _name(deps, environment):
        # The registry being away must not keep a rollout from ending: a job of its own tries until it is back.
        writes += (Wake("alias", f"{environment.repository_id}:{environment.path}"),)
    if rollout.facts.failure:
        message = f"{rollout.facts.failure}: {rollout.facts.failure_message or ''}"
        now = f"version {serving} serves" if serving else "NoPrevious: nothing served before"
        ended = f"{message[:700]} - {now}"
        return Ended(Phase.ROLLED_BACK, rollout.facts.failure, ended, facts=facts, writes=writes)
    if rollout.direction is Direction.FORWARD and not rollout.facts.unchanged and serving:
        writes += _follow(deps, rollout, environment)
    ended = "is serving already" if rollout.facts.unchanged else "serves"
    ended += f"; {NO_EXAMPLE}" if rollout.facts.smoke == NOT_ASKED else ""
    return Done(facts=facts, writes=writes, message=f"version {serving or 'none'} {ended}")


def _served(deps: Deps, rollout: Rollout, known: Environment, serving: str) -> Environment:
    live = deps.targets[rollout.target].describe(rollout.endpoint)
    earlier = known.earlier
    if serving != known.serving and known.serving and not is_going_back(rollout):
        earlier = (known.serving, *(version for version in known.earlier if version != known.serving))[:10]
    if rollout.direction is Direction.ROLLBACK:
        earlier = tuple(version for version in known.earlier if version != serving)
    is_pending = is_going_back(rollout) and rollout.facts.write_back_sha is None
    is_new = serving != known.serving
    return known.model_copy(
        update={
            "serving": serving,
            "tier": _tier(deps, rollout.model, serving),
            "configuration": live.live if live else "",
            "url": live.url if live and live.live else "",
            "serving_since": deps.store.now() if is_new else known.serving_since,
            "earlier": earlier,
            "sync": Sync.OUT_OF_SYNC if is_pending else Sync.SYNCED if serving else Sync.UNPINNED,
            "sync_reason": "RollbackPending" if is_pending else "",
            "health": Health.HEALTHY if serving else Health.UNKNOWN,
            "message": "",
        }
    )


def _tier(deps: Deps, model: str, serving: str) -> str:
    version = deps.store.version(model, serving) if serving else None
    return version.tier if version is not None else ""


def _name(deps: Deps, environment: Environment) -> bool:
    """Return whether the registry's aliases say what serves."""
    try:
        set_aliases(deps, environment)
    except LaunchpinError:
        return False
    return True


def set_aliases(deps: Deps, environment: Environment) -> Outcome:
    """Move the registry's aliases, for people and tools; decisions never read them."""
    if not environment.serving:
        return Done()
    deps.registry.set_alias(environment.model, slug(environment.name), environment.serving)
    if environment.is_champion:
        deps.registry.set_alias(environment.model, "champion", environment.serving)
    return Done()


def _follow(deps: Deps, rollout: Rollout, environment: Environment) -> tuple[Write, ...]:
    """Open the promotions to the environments that need this one."""
    version = deps.store.version(rollout.model, rollout.version)
    training = deps.store.training(version.training_id) if version else None
    if training is None:
        return ()
    file = read_launchpin(deps, training)
    try:
        return next_promotions(deps, training, file, after=environment.name)
    except StalledError as error:
        # This endpoint serves; what keeps the next one from it is no reason to hold this one.
        _log.warning("rollout %s: nothing follows: %s", rollout.id, error)
        return ()


def _load(deps: Deps, subject: str) -> Environment | None:
    repository_id, _, path = subject.partition(":")
    return deps.store.environment(int(repository_id), path)


ALIAS = Story("alias", (Step("set_aliases", set_aliases),), _load)
"""Made only when a rollout ended while the registry was away."""
