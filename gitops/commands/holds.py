"""`hold`, `pause` and `resume`: automation stops for an environment or for all of them, and goes on."""

from gitops.commands.naming import cause_of, find_environment
from gitops.errors import RefusedError
from gitops.holding import EVERYWHERE, is_pause, say_held
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Command, Hold, Role
from gitops.steps import Done, Outcome
from gitops.writes import LiftHold, SetHold, Wake, Write


def hold(deps: Deps, command: Command) -> Outcome:
    """Keep automation from merging and rolling out in an environment."""
    environment = find_environment(deps, command.arguments["endpoint"])
    reason = command.arguments["reason"]
    new = Hold(
        id=new_id("h"),
        repository_id=environment.repository_id,
        path=environment.path,
        environment=environment.name,
        model=environment.model,
        reason="ByHand",
        message=reason,
        author=command.cause.actor,
        cause=cause_of(command),
    )
    result = {"hold": new.id, "endpoint": environment.endpoint}
    return Done(facts={"result": result}, writes=(SetHold(new),), message=f"{environment.endpoint} is held: {reason}")


def pause(deps: Deps, command: Command) -> Outcome:
    """Hold everything: proposals go on, nothing is merged or rolled out anywhere; one pause is enough."""
    known = _find_pause(deps)
    if known is not None:
        message = f"everything is paused already, by {known.author}: {known.message}"
        return Done(facts={"result": {"hold": known.id}}, message=message)
    new = Hold(
        id=new_id("h"),
        repository_id=EVERYWHERE,
        path="",
        environment="",
        model="",
        reason="Paused",
        message=command.arguments.get("reason", "") or "no reason was given",
        author=command.cause.actor,
        cause=cause_of(command),
    )
    message = f"everything is paused: {new.message}"
    return Done(facts={"result": {"hold": new.id}}, writes=(SetHold(new),), message=message)


def _find_pause(deps: Deps) -> Hold | None:
    return next((one for one in deps.store.holds() if is_pause(one)), None)


def resume(deps: Deps, command: Command) -> Outcome:
    """Lift every hold of an environment, or the pause."""
    endpoint, is_all = command.arguments.get("endpoint", ""), bool(command.arguments.get("all"))
    if bool(endpoint) is is_all:
        raise RefusedError("ArgumentsUnclear", "resume takes an endpoint, or all of them, and not both: name one")
    return _end_pause(deps, command) if is_all else _resume_endpoint(deps, command, endpoint)


def _resume_endpoint(deps: Deps, command: Command, endpoint: str) -> Outcome:
    environment = find_environment(deps, endpoint)
    all_holds = deps.store.holds(repository_id=environment.repository_id, path=environment.path)
    holds = [one for one in all_holds if not is_pause(one)]
    paused = [say_held(one, environment.endpoint) for one in all_holds if is_pause(one)]
    if not holds:
        message = "; ".join([f"{environment.endpoint} was not held", *paused])
        return Done(facts={"result": {"lifted": 0}}, message=message)
    lift = LiftHold(
        environment.repository_id,
        environment.path,
        by=command.cause.actor,
        reason=command.arguments.get("reason", ""),
    )
    writes: tuple[Write, ...] = (lift, Wake("compare", str(environment.repository_id)))
    result = {"lifted": len(holds), "endpoint": environment.endpoint}
    goes_on = f"{environment.endpoint} goes on" if not paused else f"{environment.endpoint} is held no more"
    return Done(facts={"result": result}, writes=writes, message="; ".join([goes_on, *paused]))


def _end_pause(deps: Deps, command: Command) -> Outcome:
    """Lift the pause; what is held by itself stays so, and is named."""
    holds = deps.store.holds()
    pauses = [one for one in holds if is_pause(one)]
    held = sorted({_endpoint_of(deps, one) for one in holds if not is_pause(one)})
    stays = f"; held still: {', '.join(held)}" if held else ""
    result = {"lifted": len(pauses), "held": held}
    if not pauses:
        return Done(facts={"result": result}, message=f"nothing was paused{stays}")
    lift = LiftHold(EVERYWHERE, "", by=command.cause.actor, reason=command.arguments.get("reason", ""))
    deploys = (one for one in deps.store.repositories() if one.role is Role.DEPLOY)
    writes: tuple[Write, ...] = (lift, *(Wake("compare", str(one.id)) for one in deploys))
    return Done(facts={"result": result}, writes=writes, message=f"everything goes on{stays}")


def _endpoint_of(deps: Deps, hold: Hold) -> str:
    known = deps.store.environment(hold.repository_id, hold.path)
    return known.endpoint if known is not None and known.endpoint else hold.environment
