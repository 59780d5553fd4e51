"""Where a version goes next: the promotions that a launchpin.yaml asks for, and those that its tier is too low for."""

from collections.abc import Iterator, Sequence

from gitops.config.endpoint import EndpointFile
from gitops.config.launchpin import Environment as Wanted
from gitops.config.launchpin import LaunchpinFile
from gitops.desired import read_desired
from gitops.errors import LaunchpinError, RefusedError, StalledError
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Cause, Environment, MergeMode, Promotion, Repository, Training
from gitops.tiers import TIER_TOO_LOW, check_tier, tier_facts
from gitops.writes import OpenPromotion, RefusePromotion

Proposed = OpenPromotion | RefusePromotion


def next_promotions(deps: Deps, training: Training, file: LaunchpinFile, *, after: str) -> tuple[Proposed, ...]:
    """Return the promotions of a training's version to the environments that need `after`.

    One that its tier is too low for is not opened: whatever is open there must not make way for it.

    Args:
        after: the environment that is good now; empty for those that need none.

    Raises:
        StalledError: `DeployRepositoryMissing` when the deploy repository is not connected; `OtherModel` when a path is
            the place of another model.
    """
    return tuple(_admit(deps, promotion) for promotion in _promotions(deps, training, file, after))


def name_places(proposed: Sequence[Proposed]) -> str:
    """Return where a version goes in words, and where it does not."""
    opened = [one.promotion.environment for one in proposed if isinstance(one, OpenPromotion)]
    refused = [one for one in proposed if isinstance(one, RefusePromotion)]
    told = [f"not to {one.promotion.environment}, {one.reason}: {one.message}" for one in refused]
    return "; ".join([", ".join(opened) or "nowhere", *told])


def _admit(deps: Deps, promotion: Promotion) -> Proposed:
    """Return the promotion to open, or to refuse where the version's tier is known to be too low there."""
    version = deps.store.version(promotion.model, promotion.version)
    repository = deps.store.repository(promotion.repository_id)
    here = (promotion.repository_id, promotion.environment, promotion.model, promotion.version)
    known = deps.store.promotion_of(*here)
    is_open = known is not None and not known.phase.is_final  # it is woken, and says itself what keeps it
    if version is None or repository is None or is_open:
        return OpenPromotion(promotion)
    endpoint, place = read_endpoint(deps, repository, promotion.path), f"{promotion.repository}:{promotion.path}"
    try:
        check_tier(f"{promotion.model} {promotion.version}", version, place, endpoint)
    except RefusedError as error:
        if error.reason != TIER_TOO_LOW:
            return OpenPromotion(promotion)  # which waits for whoever mends the file
        facts = promotion.facts.model_copy(update=dict(tier_facts(version, place, endpoint)))
        return RefusePromotion(promotion.model_copy(update={"facts": facts}), error.reason, error.message)
    return OpenPromotion(promotion)


def read_endpoint(deps: Deps, repository: Repository, path: str) -> EndpointFile | None:
    """Return an environment's endpoint.yaml at the base branch's head as far as the mirror knows; None without one.

    What is wrong with the files, or away, is said by whoever needs them.
    """
    try:
        head = deps.mirror.heads(repository).get(f"refs/heads/{repository.default_branch}", "")
        return read_desired(deps, repository, commit=head, path=path).endpoint if head else None
    except LaunchpinError:
        return None


def _promotions(deps: Deps, training: Training, file: LaunchpinFile, after: str) -> Iterator[Promotion]:
    if file.deploy is None:
        return
    repository = deploy_repository(deps, file)
    version = training.facts.version or ""
    for wanted in file.deploy.environments:
        if wanted.needs != after or deps.store.is_declined(repository.id, wanted.name, training.model, version):
            continue
        _environment(deps, repository, wanted, file)
        yield Promotion(
            id=new_id("p"),
            cause=Cause(
                kind="training",
                id=training.id,
                actor=training.cause.actor,
                body_sha256=training.cause.body_sha256,
            ),
            training_id=training.id,
            repository_id=repository.id,
            repository=repository.full_name,
            environment=wanted.name,
            path=wanted.path,
            model=training.model,
            version=version,
            merge=MergeMode(wanted.merge.value),
        )


def deploy_repository(deps: Deps, file: LaunchpinFile) -> Repository:
    """Return the connected deploy repository that a launchpin.yaml names."""
    wanted = file.deploy.repository if file.deploy else ""
    for known in deps.store.repositories():
        if known.full_name == wanted:
            return known
    raise StalledError("DeployRepositoryMissing", f"deploy.repository {wanted} is not connected: launchpin add it")


def known_environments(deps: Deps, file: LaunchpinFile) -> tuple[Environment, ...]:
    """Return the environments of a launchpin.yaml as far as they are known, with their names and the champion's place.

    The champion is what serves in the environment marked `champion: true`, or in the last one.

    Raises:
        StalledError: as `next_promotions`.
    """
    if file.deploy is None:
        return ()
    repository = deploy_repository(deps, file)
    champion = file.deploy.champion_environment.name
    found = []
    for wanted in file.deploy.environments:
        named = {"name": wanted.name, "is_champion": wanted.name == champion, "model": file.model}
        found.append(_environment(deps, repository, wanted, file).model_copy(update=named))
    return tuple(found)


def _environment(deps: Deps, repository: Repository, wanted: Wanted, file: LaunchpinFile) -> Environment:
    """Return an environment as it is known, or a new one.

    One file must not name, or be judged by, what another model serves: the place belongs to the model that is there.
    """
    known = deps.store.environment(repository.id, wanted.path)
    if known is None:
        return Environment(
            repository_id=repository.id, repository=repository.full_name, path=wanted.path, name=wanted.name
        )
    if known.model not in ("", file.model):
        raise StalledError(
            "OtherModel",
            f"{file.file}: {wanted.path} of {repository.full_name} is the place of the model {known.model}, not of "
            f"{file.model}: give {file.model} a directory of its own in deploy.environments.{wanted.name}.path",
        )
    return known
