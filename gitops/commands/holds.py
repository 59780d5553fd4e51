"""`hold` and `resume`: automation stops for an environment, and goes on."""

from gitops.commands.naming import cause_of, find_environment
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Command, Hold
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
