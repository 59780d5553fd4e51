"""`promote`: a version that was judged good is proposed by hand; the story of a promotion does the rest."""

from datetime import timedelta

from gitops.checkouts import read_launchpin
from gitops.commands.naming import cause_of, find_environment
from gitops.errors import InputError, NotFoundError, RefusedError, StalledError
from gitops.holding import say_held
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Command, Environment, MergeMode, Promotion, Version
from gitops.steps import Done, Outcome, Phase, Refused, Wait
from gitops.writes import OpenPromotion, ReconsiderVersion

_LOOK = timedelta(seconds=1)


def promote(deps: Deps, command: Command) -> Outcome:
    """Open the pull request that pins a version, also where a person closed an earlier one."""
    place = find_environment(deps, command.arguments["to"])
    version = _find_version(deps, command.arguments["model"], command.arguments["version"])
    _check_place(place, version)
    here = (place.repository_id, place.name, version.model, version.version)
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
        merge=_merge_mode(deps, version, place),
    )
    result = {"endpoint": place.endpoint, "environment": place.name, "repository_id": place.repository_id}
    return Done(
        facts={"result": {**result, "model": version.model, "version": version.version}},
        writes=(ReconsiderVersion(*here, by=command.cause.actor), OpenPromotion(promotion)),
        message=f"{version.model} {version.version} is proposed in {_name(place)}{_held(deps, place)}",
    )


def _find_version(deps: Deps, model: str, number: str) -> Version:
    """Return a version that Launchpin judged, and that may be used.

    Raises:
        RefusedError: `VersionUnknown` or `VersionUnusable`.
    """
    version = deps.store.version(model, number)
    if version is None:
        known = ", ".join(one.version for one in deps.store.versions(model, limit=5)) or "none"
        raise RefusedError(
            "VersionUnknown", f"{model} {number} has no verdict of Launchpin's; the newest that have one: {known}"
        )
    if version.quarantined:
        raise RefusedError("VersionUnusable", f"{model} {number} is quarantined: no path may use it")
    if version.verdict != "pass":
        raise RefusedError(
            "VersionUnusable", f"{model} {number} did not pass its gates: its verdict is {version.verdict}"
        )
    return version


def _check_place(place: Environment, version: Version) -> None:
    """Refuse a place of another model, or one that pins the version already.

    Raises:
        RefusedError: `OtherModel` or `AlreadyPinned`.
    """
    if place.model not in {"", version.model}:
        other = f"{_name(place)} is the place of the model {place.model}, not of {version.model}"
        raise RefusedError("OtherModel", f"{other}: name another environment with --to")
    if place.pinned == version.version:
        raise RefusedError("AlreadyPinned", f"{_name(place)} pins {version.model} {version.version} already")


def _name(place: Environment) -> str:
    return place.endpoint or f"{place.repository}:{place.path}"


def _merge_mode(deps: Deps, version: Version, place: Environment) -> MergeMode:
    """Return who merges there by the launchpin.yaml that the version was trained by; a person where it does not say."""
    training = deps.store.training(version.training_id)
    if training is None:
        return MergeMode.REVIEW
    try:
        file = read_launchpin(deps, training)
    except (InputError, NotFoundError, RefusedError, StalledError):
        return MergeMode.REVIEW
    if file.deploy is None or file.deploy.repository != place.repository:
        return MergeMode.REVIEW
    named = (one for one in file.deploy.environments if (one.name, one.path) == (place.name, place.path))
    return next((MergeMode(one.merge.value) for one in named), MergeMode.REVIEW)


def _held(deps: Deps, place: Environment) -> str:
    """Return what a person must know of a place that is held: a hold lets proposals through, and no more."""
    holds = deps.store.holds(repository_id=place.repository_id, path=place.path)
    if not holds:
        return ""
    return f"; it rolls out once nothing holds it: {say_held(holds[0], _name(place))}"


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
    return Done(
        facts={"result": {**result, "promotion": promotion.id, "pull_request": number, "url": url}},
        message=f"pull request {number} {state}: {url}{_held(deps, known) if known else ''}",
    )
