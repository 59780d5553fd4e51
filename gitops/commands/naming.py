"""What a person's words name: an endpoint, a repository, a training. And whom a change comes from.

Whoever asks may be kept to some of the repositories, so that no refusal here names what else there is.
"""

from gitops.errors import RefusedError
from gitops.naming import called
from gitops.ports import Deps
from gitops.records import Cause, Command, Environment, Repository, Role, Training


def cause_of(command: Command) -> Cause:
    """Return the cause of what a command brings into being."""
    return Cause(kind="command", id=command.id, actor=command.cause.actor)


def find_environment(deps: Deps, name: str) -> Environment:
    """Return the environment a person means: an endpoint, or REPOSITORY:PATH.

    Raises:
        RefusedError: `UnknownEndpoint`, or `EndpointUnclear` where several have the name.
    """
    found = called(deps.store.environments(), name)
    if not found:
        raise RefusedError("UnknownEndpoint", f"no endpoint is called {name!r}: launchpin endpoints lists them")
    if len(found) > 1:
        message = f"{len(found)} endpoints are called {name!r}: name the one that is meant as REPOSITORY:PATH"
        raise RefusedError("EndpointUnclear", message)
    return found[0]


def find_model_repository(deps: Deps, name: str) -> Repository:
    """Return the model repository a person means, by OWNER/NAME.

    Where a name has gone from one repository to another, whoever asks may have a role on one of them alone, whatever
    the two are for: none is taken for the other.

    Raises:
        RefusedError: `UnknownRepository`, or `RepositoryUnclear` where several have the name.
    """
    known = [one for one in deps.store.repositories() if one.full_name == name]
    if len(known) > 1:
        message = f"{len(known)} repositories are called {name!r}: connect the one that was renamed under its new name"
        raise RefusedError("RepositoryUnclear", message)
    if not known or known[0].role is not Role.MODEL:
        message = f"no model repository is called {name!r}: launchpin status lists them, launchpin add connects one"
        raise RefusedError("UnknownRepository", message)
    return known[0]


def find_training(deps: Deps, name: str) -> Training:
    """Return the training a person means, by its id.

    Raises:
        RefusedError: `UnknownTraining`.
    """
    found = deps.store.training(name)
    if found is None:
        raise RefusedError("UnknownTraining", f"no training is called {name!r}; launchpin runs lists them")
    return found
