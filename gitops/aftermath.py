"""How a rollout ends: Git is made to name what serves, and what serves is recorded, named and followed."""

from dataclasses import dataclass

from gitops.buildspec import set_pin
from gitops.checkouts import read_launchpin
from gitops.config.endpoint import RollbackWrite
from gitops.desired import read_desired
from gitops.errors import ConflictError, LaunchpinError, RetryError
from gitops.identifiers import new_id
from gitops.plans import slug
from gitops.ports import Commit, Deps, Pull
from gitops.records import Cause, Direction, Environment, Health, Hold, Repository, Rollout, Sync
from gitops.steps import Done, Ended, Outcome, Phase
from gitops.succession import next_promotions
from gitops.texts import plain
from gitops.writes import OpenPromotion, SaveEnvironment, SetHold, Wake, Write

_KEPT = 3
_SERVED = (
    "serving",
    "configuration",
    "url",
    "serving_since",
    "earlier",
    "sync",
    "sync_reason",
    "health",
    "message",
)


def is_going_back(rollout: Rollout) -> bool:
    """Return whether this rollout leaves Git naming a version that does not serve."""
    return bool(rollout.facts.failure) or rollout.direction is Direction.ROLLBACK


def left_version(rollout: Rollout) -> str:
    """Return the version that is being left."""
    return rollout.from_version if rollout.direction is Direction.ROLLBACK else rollout.version


def write_back(deps: Deps, rollout: Rollout) -> Outcome:
    """Pin what serves on the base branch, with the trailers that say why; a protected branch gets a pull request."""
    if not is_going_back(rollout):
        return Done()
    repository = deps.store.repository(rollout.repository_id)
    if repository is None:
        return Done(message="the deploy repository is not connected any more")
    serving = rollout.facts.serving or ""
    deps.mirror.fetch(repository)
    head = deps.mirror.heads(repository).get(f"refs/heads/{repository.default_branch}", "")
    desired = read_desired(deps, repository, commit=head, path=rollout.path)
    if desired.pin.model_version == serving:
        return Done(facts={"write_back_sha": head}, writes=_hold(deps, rollout), message="Git names it already")
    if desired.pin.model_version != left_version(rollout):
        return Done(writes=_hold(deps, rollout), message=f"Git names {desired.pin.model_version or 'nothing'} by now")
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
    branch = edit.repository.default_branch
    try:
        commit = deps.effects.once(
            "write_back",
            f"write_back:{rollout.id}:{edit.parent}",
            look=lambda: None,
            act=lambda: _commit(deps, edit, branch=branch, create=False),
            result=Commit,
        )
    except ConflictError as error:
        if error.reason == "branch_protected":
            return _by_pull(deps, rollout, edit)
        raise RetryError("BranchMoved", f"{branch} moved while the pin was set back") from error
    return Done(
        facts={"write_back_sha": commit.sha},
        writes=(*_hold(deps, rollout), Wake("compare", str(rollout.repository_id))),
        message=f"Git pins version {rollout.facts.serving or 'nothing'} again",
    )


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
    subject, _, body = edit.message.partition("\n\n")

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
    return Done(
        facts={"write_back_url": pull.url},
        writes=_hold(deps, rollout),
        message=f"pull request {pull.number} sets the pin back",
    )


def _hold(deps: Deps, rollout: Rollout) -> tuple[Write, ...]:
    cause = "failed" if rollout.facts.failure else "was rolled back by hand"
    reason = _reason(deps, rollout)
    hold = Hold(
        id=new_id("h"),
        repository_id=rollout.repository_id,
        path=rollout.path,
        environment=rollout.environment,
        model=rollout.model,
        reason=rollout.facts.failure or "RolledBack",
        message=f"version {left_version(rollout)} {cause}" + (f": {reason}" if reason else ""),
        author=rollout.cause.actor,
        cause=Cause(kind="rollout", id=rollout.id, actor=rollout.cause.actor),
        rollout_id=rollout.id,
    )
    return (SetHold(hold),)


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
    serving = rollout.facts.serving if rollout.facts.serving is not None else rollout.version
    environment = _served(deps, rollout, known, serving)
    facts = {"serving": serving, "previous": rollout.facts.previous_version or ""}
    _name(deps, environment)
    deps.targets[rollout.target].retire(rollout.endpoint, keep=_KEPT)
    writes: tuple[Write, ...] = (SaveEnvironment(environment, _SERVED), Wake("compare", str(rollout.repository_id)))
    if rollout.facts.failure:
        message = f"{rollout.facts.failure}: {rollout.facts.failure_message or ''}"
        ended = f"{message[:700]} - version {serving or 'none'} serves"
        return Ended(Phase.ROLLED_BACK, rollout.facts.failure, ended, facts=facts, writes=writes)
    if rollout.direction is Direction.FORWARD and not rollout.facts.unchanged and serving:
        writes += _follow(deps, rollout, environment)
    return Done(facts=facts, writes=writes, message=f"version {serving or 'none'} serves")


def _served(deps: Deps, rollout: Rollout, known: Environment, serving: str) -> Environment:
    live = deps.targets[rollout.target].describe(rollout.endpoint)
    earlier = known.earlier
    if serving != known.serving and known.serving and not is_going_back(rollout):
        earlier = (known.serving, *(version for version in known.earlier if version != known.serving))[:10]
    if rollout.direction is Direction.ROLLBACK:
        earlier = tuple(version for version in known.earlier if version != serving)
    is_pending = bool(rollout.facts.write_back_url)
    is_new = serving != known.serving
    return known.model_copy(
        update={
            "serving": serving,
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


def _name(deps: Deps, environment: Environment) -> None:
    """Move the registry's aliases, for people and tools; decisions never read them."""
    if not environment.serving:
        return
    try:
        deps.registry.set_alias(environment.model, slug(environment.name), environment.serving)
        if environment.is_champion:
            deps.registry.set_alias(environment.model, "champion", environment.serving)
    except LaunchpinError:
        # The registry being away must not keep a rollout from ending; compare sets the alias later.
        return


def _follow(deps: Deps, rollout: Rollout, environment: Environment) -> tuple[Write, ...]:
    """Open the promotions to the environments that need this one."""
    version = deps.store.version(rollout.model, rollout.version)
    training = deps.store.training(version.training_id) if version else None
    if training is None:
        return ()
    file = read_launchpin(deps, training)
    return tuple(
        OpenPromotion(promotion) for promotion in next_promotions(deps, training, file, after=environment.name)
    )
