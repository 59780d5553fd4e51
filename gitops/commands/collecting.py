"""`gc`: what nobody needs any more goes, or is only shown."""

from datetime import timedelta

from gitops.disk.space import free_bytes
from gitops.ports import Deps
from gitops.records import Command
from gitops.steps import Done, Facts, Outcome, Wait
from gitops.upkeep import Collection, collect, survey, writes_of


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
