"""What a person's words name: an endpoint. And whom a change comes from."""

from gitops.errors import RefusedError
from gitops.ports import Deps
from gitops.records import Cause, Command, Environment


def cause_of(command: Command) -> Cause:
    """Return the cause of what a command brings into being."""
    return Cause(kind="command", id=command.id, actor=command.cause.actor)


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
