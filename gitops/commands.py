"""What people ask for: each verb checks its arguments, says which writes carry it out, and what to wait for.

The command line and the API write one row; a worker comes here. Every verb may be asked for twice without harm.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from gitops.disk.space import free_bytes
from gitops.errors import RefusedError
from gitops.identifiers import new_id
from gitops.ports import Deps, ForgeRepository
from gitops.records import Cause, Command, Direction, Environment, Hold, Repository, Role, Rollout
from gitops.steps import Done, Facts, Outcome, Phase, Refused, Step, Story, Wait
from gitops.upkeep import Collection, collect, survey, writes_of
from gitops.writes import LiftHold, OpenRollout, SaveRepository, SetHold, Wake, Write

_LOOK = timedelta(seconds=1)


def carry_out(deps: Deps, command: Command) -> Outcome:
    """Do what the command asks for."""
    verb = _VERBS.get(command.verb)
    if verb is None:
        raise RefusedError("UnknownVerb", f"there is no verb {command.verb!r}; there are {', '.join(sorted(_VERBS))}")
    return verb(deps, command)


def _cause(command: Command) -> Cause:
    return Cause(kind="command", id=command.id, actor=command.cause.actor)


def connect(deps: Deps, command: Command) -> Outcome:
    """Connect a repository: make it where it is missing, install the hook, and watch it."""
    name = command.arguments["repository"]
    role = Role(command.arguments["role"])
    found = deps.forge.ensure_repository(name)
    known = deps.store.repository(found.id)
    if known is not None and known.role is not role:
        raise RefusedError("RoleTaken", f"{name} is connected as a {known.role} repository already")
    deps.forge.ensure_hook(name, url=deps.service.hook_url, secret=deps.service.hook_secret)
    secrets = tuple(part for part in command.arguments.get("secrets", "").split(",") if part)
    repository = _repository(found, role, secrets=secrets or (known.secrets if known else ()))
    jobs = ("poll",) if role is Role.MODEL else ("compare", "anchor")
    writes = (SaveRepository(repository), *(Wake(kind, str(found.id)) for kind in jobs))
    result = {"repository": found.full_name, "id": found.id, "clone_url": found.clone_url, "html_url": found.html_url}
    return Done(facts={"result": result}, writes=writes, message=f"{found.full_name} is connected")


def _repository(found: ForgeRepository, role: Role, *, secrets: tuple[str, ...]) -> Repository:
    return Repository(
        id=found.id,
        full_name=found.full_name,
        role=role,
        default_branch=found.default_branch,
        clone_url=found.clone_url,
        html_url=found.html_url,
        secrets=secrets,
    )


def find_environment(deps: Deps, name: str) -> Environment:
    """Return the environment a person means: an endpoint, or REPOSITORY:PATH.

    Raises:
        RefusedError: `UnknownEndpoint`, naming those there are.
    """
    known = deps.store.environments()
    found = [each for each in known if name in (each.endpoint, f"{each.repository}:{each.path}")]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(each.endpoint or each.path for each in known)) or "none yet"
    raise RefusedError("UnknownEndpoint", f"no endpoint is called {name!r}; there are: {names}")


def rollback(deps: Deps, command: Command) -> Outcome:
    """Go back to an earlier version: traffic first, then Git, with a hold."""
    environment = find_environment(deps, command.arguments["endpoint"])
    under_way = deps.store.active_rollouts(
        target=environment.target, host=environment.host, endpoint=environment.endpoint
    )
    left, candidates = _way_back(deps, environment, under_way)
    wanted = command.arguments.get("version", "") or _previous(deps, environment, _without(candidates, left))
    if wanted == left:
        raise RefusedError("AlreadyServing", f"version {wanted} serves on {environment.endpoint} already")
    version = deps.store.version(environment.model, wanted)
    if version is None:
        raise RefusedError("VersionUnknown", f"{environment.model} {wanted} has no verdict of Launchpin's")
    if version.quarantined or version.verdict != "pass":
        raise RefusedError("VersionUnusable", f"{environment.model} {wanted} is quarantined or did not pass")
    rollout = _rollback(command, environment, wanted, left=left)
    return Done(
        facts={"result": {"rollout": rollout.id, "endpoint": environment.endpoint, "version": wanted}},
        # Whoever has no traffic yet gives way, and a bake ends at once.
        writes=(OpenRollout(rollout), *(Wake("rollout", other.id) for other in under_way)),
        message=f"{environment.endpoint} goes from version {left or 'nothing'} back to {wanted}",
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


def _previous(deps: Deps, environment: Environment, candidates: Sequence[str]) -> str:
    """Return the first version that served here, with a verdict of ours, and may be used."""
    for candidate in candidates:
        version = deps.store.version(environment.model, candidate)
        if version is not None and version.verdict == "pass" and not version.quarantined:
            return candidate
    raise RefusedError("NoPrevious", f"{environment.endpoint} has no earlier version to go back to")


def _rollback(command: Command, environment: Environment, version: str, *, left: str) -> Rollout:
    return Rollout(
        id=new_id("r"),
        cause=_cause(command),
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


def hold(deps: Deps, command: Command) -> Outcome:
    """Keep automation from merging and rolling out in an environment."""
    environment = find_environment(deps, command.arguments["endpoint"])
    reason = command.arguments.get("reason", "")
    if not reason:
        raise RefusedError("ReasonMissing", "say why with --reason")
    new = Hold(
        id=new_id("h"),
        repository_id=environment.repository_id,
        path=environment.path,
        environment=environment.name,
        model=environment.model,
        reason="ByHand",
        message=reason,
        author=command.cause.actor,
        cause=_cause(command),
    )
    result = {"hold": new.id, "endpoint": environment.endpoint}
    return Done(facts={"result": result}, writes=(SetHold(new),), message=f"{environment.endpoint} is held: {reason}")


def resume(deps: Deps, command: Command) -> Outcome:
    """Lift every hold of an environment."""
    environment = find_environment(deps, command.arguments["endpoint"])
    holds = deps.store.holds(repository_id=environment.repository_id, path=environment.path)
    if not holds:
        return Done(facts={"result": {"lifted": 0}}, message=f"{environment.endpoint} was not held")
    lift = LiftHold(
        environment.repository_id,
        environment.path,
        by=command.cause.actor,
        reason=command.arguments.get("reason", ""),
    )
    writes: tuple[Write, ...] = (lift, Wake("compare", str(environment.repository_id)))
    result = {"lifted": len(holds), "endpoint": environment.endpoint}
    return Done(facts={"result": result}, writes=writes, message=f"{environment.endpoint} goes on")


def collect_what_may_go(deps: Deps, command: Command) -> Outcome:
    """Remove what nobody needs any more, or only say what would go; a large collection takes several turns."""
    if command.arguments.get("dry_run"):
        found = survey(deps)
        return Done(facts={"result": _told(deps, found)}, message=found.sentence(dry_run=True))
    known = command.facts.result.get("kinds")
    now = collect(deps)
    both = now.after([row for row in known if isinstance(row, dict)] if isinstance(known, list) else [])
    facts: Facts = {"result": _told(deps, both)}
    writes, message = writes_of(deps, now, is_asked=True), both.sentence(dry_run=False)
    if now.is_whole:
        return Done(facts=facts, writes=writes, message=message)
    return Wait(timedelta(0), "Collecting", f"so far {message}", writes=writes, facts=facts)


def _told(deps: Deps, found: Collection) -> dict[str, object]:
    free = free_bytes(deps.service.workspace)
    return {"kinds": found.facts(), "bytes": found.size, "free": free, "away": list(found.away.values())}


_VERBS: dict[str, Callable[[Deps, Command], Outcome]] = {
    "connect": connect,
    "rollback": rollback,
    "hold": hold,
    "resume": resume,
    "gc": collect_what_may_go,
}


def await_end(deps: Deps, command: Command) -> Outcome:
    """Wait for the rollout that the command began, so that whoever asked sees how it ended."""
    rollout_id = command.facts.result.get("rollout")
    rollout = deps.store.rollout(str(rollout_id)) if rollout_id else None
    if rollout is None:
        return Done(message=command.message)
    if not rollout.phase.is_final:
        return Wait(_LOOK, rollout.reason or "RollingOut", rollout.message)
    if rollout.phase.value == "Succeeded":
        return Done(message=rollout.message)
    return Refused(rollout.reason or rollout.phase.value, rollout.message)


COMMAND = Story(
    "command",
    (Step("carry_out", carry_out, event="carried_out"), Step("await_end", await_end, event="ended")),
    lambda deps, subject: deps.store.command(subject),
)
