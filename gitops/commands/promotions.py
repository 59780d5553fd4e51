"""`promote`: a version that was judged good is proposed by hand; the story of a promotion does the rest."""

from datetime import timedelta

from gitops.checkouts import read_launchpin
from gitops.commands.naming import cause_of, find_environment
from gitops.config.launchpin import Environment as Wanted
from gitops.eligibility import check_place, check_version, name_of
from gitops.errors import InputError, NotFoundError, RefusedError, StalledError
from gitops.holding import say_held
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Command, Environment, MergeMode, Promotion, Version
from gitops.steps import Done, Outcome, Phase, Refused, Wait
from gitops.succession import read_endpoint
from gitops.tiers import check_tier
from gitops.writes import OpenPromotion, ReconsiderVersion

_LOOK = timedelta(seconds=1)


def promote(deps: Deps, command: Command) -> Outcome:
    """Open the pull request that pins a version, also where a person closed an earlier one."""
    place = find_environment(deps, command.arguments["to"])
    model, number = command.arguments["model"], command.arguments["version"]
    version = check_version(deps.store.version(model, number), model, number)
    check_place(place, version)
    _check_name(deps, place, version)
    _check_tier(deps, place, version)
    here = (place.repository_id, place.name, version.model, version.version)
    merge, note = _who_merges(deps, version, place)
    promotion = Promotion(
        id=new_id("p"),
        cause=cause_of(command),
        training_id=version.training_id,
        repository_id=place.repository_id,
        repository=place.repository,
        environment=place.name,
        path=place.path,
        model=version.model,
        version=version.version,
        merge=merge,
    )
    result = {"endpoint": place.endpoint, "environment": place.name, "repository_id": place.repository_id}
    return Done(
        facts={"result": {**result, "model": version.model, "version": version.version, "note": note}},
        writes=(ReconsiderVersion(*here, by=command.cause.actor), OpenPromotion(promotion)),
        message=f"{version.model} {version.version} is proposed in {name_of(place)}{note}{_held(deps, place)}",
    )


def _check_name(deps: Deps, place: Environment, version: Version) -> None:
    """Refuse a place whose name stands for another one's proposal, which would make way for a version of this one.

    Raises:
        RefusedError: `NameTaken`.
    """
    for one in deps.store.open_promotions(place.repository_id, environment=place.name):
        if one.model == version.model and one.path != place.path:
            raise RefusedError(
                "NameTaken",
                f"{one.path} of {place.repository} is called {place.name}, too, and {one.model} {one.version} is "
                f"proposed there: merge or close that first, or name both apart under deploy.environments in "
                f"launchpin.yaml",
            )


def _check_tier(deps: Deps, place: Environment, version: Version) -> None:
    """Refuse a version whose tier is too low there, before it takes the place of what is proposed there now.

    Raises:
        RefusedError: `TierTooLow` or `TierUnknown`.
    """
    repository = deps.store.repository(place.repository_id)
    endpoint = read_endpoint(deps, repository, place.path) if repository is not None else None
    check_tier(f"{version.model} {version.version}", version, f"{place.repository}:{place.path}", endpoint)


def _who_merges(deps: Deps, version: Version, place: Environment) -> tuple[MergeMode, str]:
    """Return who merges there by the launchpin.yaml that the version was trained by, and what a person must know of it.

    It is a person where the file does not say, and where the version was not good yet in the environment that this one
    needs: what was asked for by hand gets no further without review than what went the whole way.
    """
    wanted = _asked_for(deps, version, place)
    if wanted is None:
        return MergeMode.REVIEW, ""
    merge = MergeMode(wanted.merge.value)
    if merge is MergeMode.REVIEW or not wanted.needs or _serves(deps, version, place, wanted.needs):
        return merge, ""
    return MergeMode.REVIEW, f", for a person to merge: {wanted.needs}, which it needs, does not serve that version"


def _asked_for(deps: Deps, version: Version, place: Environment) -> Wanted | None:
    training = deps.store.training(version.training_id)
    if training is None:
        return None
    try:
        file = read_launchpin(deps, training)
    except (InputError, NotFoundError, RefusedError, StalledError):
        return None
    if file.deploy is None or file.deploy.repository != place.repository:
        return None
    named = (one for one in file.deploy.environments if (one.name, one.path) == (place.name, place.path))
    return next(named, None)


def _serves(deps: Deps, version: Version, place: Environment, needed: str) -> bool:
    """Return whether a version serves in another environment of the same deploy repository."""
    known = (one for one in deps.store.environments() if one.repository_id == place.repository_id)
    return any((one.name, one.model, one.serving) == (needed, version.model, version.version) for one in known)


def _held(deps: Deps, place: Environment) -> str:
    """Return what a person must know of a place that is held: a hold lets proposals through, and no more."""
    holds = deps.store.holds(repository_id=place.repository_id, path=place.path)
    if not holds:
        return ""
    return f"; it rolls out once nothing holds it: {say_held(holds[0], name_of(place))}"


def await_pull_request(deps: Deps, command: Command) -> Outcome:
    """Wait until the pull request is open, whoever opened the promotion first."""
    result = command.facts.result
    repository_id = int(str(result["repository_id"]))
    environment, model, version = (str(result[name]) for name in ("environment", "model", "version"))
    promotion = deps.store.promotion_of(repository_id, environment, model, version)
    if promotion is None:
        return Done(message=command.message)
    if promotion.phase.is_final and (promotion.phase is not Phase.SUCCEEDED or promotion.reason):
        return Refused(promotion.reason or promotion.phase.value, promotion.message)
    number, url = promotion.facts.number, promotion.facts.url or ""
    if number is None:
        return Wait(_LOOK, promotion.reason or "Proposing", promotion.message)
    known = deps.store.environment(repository_id, promotion.path)
    state = promotion.message if promotion.phase.is_final else "is open"
    note = "" if promotion.phase.is_final else str(result["note"])
    return Done(
        facts={"result": {**result, "promotion": promotion.id, "pull_request": number, "url": url}},
        message=f"pull request {number} {state}: {url}{note}{_held(deps, known) if known else ''}",
    )
