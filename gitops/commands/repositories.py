"""`connect`: a repository is put under Launchpin's care."""

from collections.abc import Sequence

from gitops.config.names import BadNameError, check_repository, check_secret
from gitops.errors import RefusedError
from gitops.ports import Deps, ForgeRepository
from gitops.records import Command, Repository, Role
from gitops.steps import Done, Outcome
from gitops.writes import SaveRepository, Wake


def connect(deps: Deps, command: Command) -> Outcome:
    """Connect a repository: make it where it is missing, install the hook, and watch it."""
    name = command.arguments["repository"]
    role = Role(command.arguments["role"])
    secrets = tuple(part for part in command.arguments.get("secrets", "").split(",") if part)
    _check_names(deps, name, secrets)
    found = deps.forge.ensure_repository(name)
    known = deps.store.repository(found.id)
    if known is not None and known.role is not role:
        raise RefusedError("RoleTaken", f"{name} is connected as a {known.role} repository already")
    deps.forge.ensure_hook(name, url=deps.service.hook_url, secret=deps.service.hook_secret)
    repository = _repository(found, role, secrets=secrets or (known.secrets if known else ()))
    jobs = ("poll",) if role is Role.MODEL else ("compare", "anchor")
    writes = (SaveRepository(repository), *(Wake(kind, str(found.id)) for kind in jobs))
    result = {"repository": found.full_name, "id": found.id, "clone_url": found.clone_url, "html_url": found.html_url}
    return Done(facts={"result": result}, writes=writes, message=f"{found.full_name} is connected")


def _check_names(deps: Deps, name: str, secrets: Sequence[str]) -> None:
    """Refuse what could not be connected or granted, before anything is made at the forge.

    Raises:
        RefusedError: `ArgumentInvalid`, or `UnknownSecret` for one that this service does not have.
    """
    try:
        check_repository(name)
        for secret in secrets:
            check_secret(secret)
    except BadNameError as error:
        raise RefusedError("ArgumentInvalid", f"connect: {error}") from None
    missing = [secret for secret in secrets if secret not in deps.service.secrets]
    if missing:
        way_out = "write its value into a file of that name in the folder of secrets, and restart the workers"
        raise RefusedError("UnknownSecret", f"this service has no secret {missing[0]!r} to grant: {way_out}")


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
