"""What a person's words name: an endpoint, a repository, a training. And whom a change comes from."""

from gitops.errors import RefusedError
from gitops.ports import Deps
from gitops.records import Cause, Command, Environment, Repository, Role, Training


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


def find_model_repository(deps: Deps, name: str) -> Repository:
    """Return the model repository a person means, by OWNER/NAME.

    Raises:
        RefusedError: `UnknownRepository`, naming those there are.
    """
    known = [one for one in deps.store.repositories() if one.role is Role.MODEL]
    found = next((one for one in known if one.full_name == name), None)
    if found is None:
        names = ", ".join(one.full_name for one in known) or "none yet"
        raise RefusedError("UnknownRepository", f"no model repository is called {name!r}; there are: {names}")
    return found


def find_training(deps: Deps, name: str) -> Training:
    """Return the training a person means, by its id.

    Raises:
        RefusedError: `UnknownTraining`.
    """
    found = deps.store.training(name)
    if found is None:
        raise RefusedError("UnknownTraining", f"no training is called {name!r}; launchpin runs lists them")
    return found
