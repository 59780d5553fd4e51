"""`rollback`: an endpoint goes back to an earlier version, traffic first, then Git, with a hold."""

from collections.abc import Sequence
from datetime import timedelta

from gitops.commands.naming import cause_of, find_environment
from gitops.eligibility import check_version, check_way_back
from gitops.errors import RefusedError
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Command, Direction, Environment, Rollout
from gitops.steps import Done, Outcome, Phase, Refused, Wait
from gitops.writes import OpenRollout, Wake

_LOOK = timedelta(seconds=1)


def rollback(deps: Deps, command: Command) -> Outcome:
    """Go back to an earlier version: traffic first, then Git, with a hold."""
    environment = find_environment(deps, command.arguments["endpoint"])
    under_way = deps.store.active_rollouts(
        target=environment.target, host=environment.host, endpoint=environment.endpoint
    )
    known = _asked_before(deps, environment, under_way, command)
    if known is not None:
        return _join(environment, known)
    left, candidates = _way_back(deps, environment, under_way)
    served = deps.store.ways_back(environment.repository_id, environment.path, model=environment.model)
    wanted = command.arguments.get("to", "") or _previous(environment, _without(candidates, left), served)
    if wanted == left:
        raise RefusedError("AlreadyServing", f"version {wanted} serves on {environment.endpoint} already")
    check_version(deps.store.version(environment.model, wanted), environment.model, wanted)
    check_way_back(environment, wanted, served)
    rollout = _rollback(command, environment, wanted, left=left)
    return Done(
        facts={"result": {"rollout": rollout.id, "endpoint": environment.endpoint, "version": wanted}},
        # Whoever has no traffic yet gives way, and a bake ends at once.
        writes=(OpenRollout(rollout), *(Wake("rollout", other.id) for other in under_way)),
        message=f"{environment.endpoint} goes from version {left or 'nothing'} back to {wanted}",
    )


def _asked_before(
    deps: Deps, environment: Environment, under_way: Sequence[Rollout], command: Command
) -> Rollout | None:
    """Return the way back that somebody else's word began, and that was not over when this was asked for, Git included.

    Two people see the same version go wrong. Whoever is second must not go one further back, from the one that helps.
    """
    going = (one for one in reversed(under_way) if one.direction is Direction.ROLLBACK)
    newest = next(going, None) or deps.store.newest_rollout(environment.repository_id, environment.path)
    if newest is None or newest.direction is not Direction.ROLLBACK or newest.facts.failure:
        return None
    is_wanted = command.arguments.get("to", "") in {"", newest.version}
    return newest if is_wanted and _was_under_way(newest, command) else None


def _was_under_way(rollout: Rollout, command: Command) -> bool:
    """Return whether a rollout is not over, or was not when something was asked for."""
    if not rollout.phase.is_final:
        return True
    ended, asked = rollout.updated_at, command.created_at
    return rollout.phase is Phase.SUCCEEDED and ended is not None and asked is not None and asked < ended


def _join(environment: Environment, known: Rollout) -> Done:
    """Wait for the end of a way back that is known, and look at it now."""
    waits = f": {known.reason}: {known.message}" if known.reason else ""
    message = f"{environment.endpoint} goes back to version {known.version} already, by rollout {known.id}"
    return Done(
        facts={"result": {"rollout": known.id, "endpoint": environment.endpoint, "version": known.version}},
        writes=() if known.phase.is_final else (Wake("rollout", known.id),),
        message=f"{message}, which {known.cause.actor} asked for{waits}; --to names another version",
    )


def _way_back(deps: Deps, environment: Environment, under_way: Sequence[Rollout]) -> tuple[str, tuple[str, ...]]:
    """Return the version that is being left, and those to go back to, best first.

    The environment's record is written when a rollout ends. While one is under way the target knows better.
    """
    running = next((each for each in under_way if each.phase is Phase.RUNNING), None)
    if running is None:
        return environment.serving, environment.earlier
    live = deps.targets[environment.target].describe(environment.endpoint)
    serving = live.version if live is not None and live.live else ""
    if running.direction is Direction.FORWARD and (running.facts.applied or serving == running.version):
        return running.version, (running.facts.previous_version or "", *environment.earlier)
    return serving or environment.serving, environment.earlier


def _without(versions: Sequence[str], left: str) -> tuple[str, ...]:
    return tuple(version for version in versions if version and version != left)


def _previous(environment: Environment, candidates: Sequence[str], served: Sequence[str]) -> str:
    """Return the first version that served here and may be used."""
    for candidate in candidates:
        if candidate in served:
            return candidate
    raise RefusedError("NoPrevious", f"{environment.endpoint} has no earlier version to go back to")


def _rollback(command: Command, environment: Environment, version: str, *, left: str) -> Rollout:
    return Rollout(
        id=new_id("r"),
        cause=cause_of(command),
        repository_id=environment.repository_id,
        repository=environment.repository,
        environment=environment.name,
        path=environment.path,
        endpoint=environment.endpoint,
        target=environment.target,
        host=environment.host,
        model=environment.model,
        version=version,
        commit=environment.pin_commit,
        direction=Direction.ROLLBACK,
        from_version=left,
    )


def await_rollout(deps: Deps, command: Command) -> Outcome:
    """Wait for the end of the rollout that goes back."""
    rollout = deps.store.rollout(str(command.facts.result.get("rollout"))) or _joined(deps, command)
    if rollout is None:
        return Done(message=command.message)
    if not rollout.phase.is_final:
        return Wait(_LOOK, rollout.reason or "RollingOut", rollout.message)
    if rollout.phase is Phase.SUCCEEDED:
        return Done(message=rollout.message)
    return Refused(rollout.reason or rollout.phase.value, rollout.message)


def _joined(deps: Deps, command: Command) -> Rollout | None:
    """Return the way back to that version which another worker began meanwhile: a second one was not written."""
    environment = find_environment(deps, command.arguments["endpoint"])
    newest = deps.store.newest_rollout(environment.repository_id, environment.path)
    if newest is None or newest.direction is not Direction.ROLLBACK:
        return None
    return newest if newest.version == command.facts.result.get("version") else None
