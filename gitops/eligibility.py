"""Whether a version may be proposed or gone back to, a trial chosen and a training tried again: what verbs refuse by.

`plan`, and the pages that offer to do so, say it before. Pure.
"""

from collections.abc import Sequence

from gitops.errors import RefusedError
from gitops.records import Environment, Training, Version
from gitops.steps import Phase
from gitops.trials import Trial

AGAIN = frozenset({Phase.ERRORED, Phase.REFUSED, Phase.CANCELLED})
"""How a training ended that may be tried once more."""


def check_version(version: Version | None, model: str, number: str) -> Version:
    """Return a version that Launchpin judged, and that may be used.

    Args:
        version: what is known of it; None for nothing.

    Raises:
        RefusedError: `VersionUnknown` or `VersionUnusable`.
    """
    if version is None:
        look = f"launchpin versions {model!r} lists those that have"
        raise RefusedError("VersionUnknown", f"{model} {number} has no verdict of Launchpin's: {look}")
    if version.quarantined:
        raise RefusedError("VersionUnusable", f"{model} {number} is quarantined: no path may use it")
    if version.verdict != "pass":
        raise RefusedError(
            "VersionUnusable", f"{model} {number} did not pass its gates: its verdict is {version.verdict}"
        )
    return version


def check_place(place: Environment, version: Version) -> None:
    """Refuse a place of another model, or one that pins the version already.

    Raises:
        RefusedError: `OtherModel` or `AlreadyPinned`.
    """
    if place.model not in {"", version.model}:
        other = f"{name_of(place)} is the place of the model {place.model}, not of {version.model}"
        raise RefusedError("OtherModel", f"{other}: name another environment with --to")
    if place.pinned == version.version:
        raise RefusedError("AlreadyPinned", f"{name_of(place)} pins {version.model} {version.version} already")


def ways_back(place: Environment, served: Sequence[str]) -> tuple[str, ...]:
    """Return the versions that a rollback of a place may name, the last one first.

    Args:
        served: those of its model that served there and may be used, the last one first.
    """
    # While another version is on its way, the one that is recorded as serving is what to go back to.
    known = dict.fromkeys((place.serving, *served))
    return tuple(one for one in known if one and (one != place.serving or place.pinned != place.serving))


def check_way_back(place: Environment, number: str, served: Sequence[str]) -> None:
    """Refuse to go back to what never served at a place: nobody reviewed it for there, and no smoke test asked it.

    Args:
        served: as in `ways_back`.

    Raises:
        RefusedError: `NeverServed`.
    """
    if number != place.serving and number not in served:
        never = f"{place.model} {number} never served on {name_of(place)}"
        way_out = f"launchpin promote {place.model!r} {number} --to {name_of(place)} proposes it"
        raise RefusedError("NeverServed", f"{never}: {way_out}")


def name_of(place: Environment) -> str:
    """Return a place as people name it: its endpoint, or REPOSITORY:PATH where it has none."""
    return place.endpoint or f"{place.repository}:{place.path}"


def check_search(searched: Training) -> None:
    """Refuse a training none of whose trials may be chosen: it made no search, or goes on with it.

    Raises:
        RefusedError: `NoSearch` or `SearchUnderWay`.
    """
    if searched.facts.search_of or not searched.facts.trials:
        raise RefusedError("NoSearch", f"training {searched.id} made no search: its launchpin.yaml has none")
    if not searched.phase.is_final:
        message = f"training {searched.id} is under way: wait for its end, or call it off with launchpin cancel"
        raise RefusedError("SearchUnderWay", message)


def check_trial(searched: Training, trial: Trial | None, number: int) -> Trial:
    """Return a trial of a search that came to a model.

    Args:
        trial: the one of this number; None where there is none.

    Raises:
        RefusedError: `UnknownTrial` or `TrialUnusable`.
    """
    if trial is None:
        message = f"training {searched.id} has no trial {number} of its {searched.facts.trials}: "
        raise RefusedError("UnknownTrial", f"{message}launchpin trials {searched.id}")
    if trial.phase is not Phase.SUCCEEDED:
        why = ": ".join(part for part in (trial.reason, trial.message) if part)
        raise RefusedError("TrialUnusable", f"trial {number} of {searched.id} came to no model: {why}")
    return trial


def check_unregistered(trial: Trial, version: str) -> None:
    """Refuse a trial whose model is a version already.

    Args:
        version: its number; empty for none.

    Raises:
        RefusedError: `AlreadyRegistered`.
    """
    if version:
        message = f"trial {trial.number} of {trial.training_id} is {trial.model} {version} already: "
        way_out = f"launchpin promote {trial.model} {version} --to ENDPOINT proposes it"
        raise RefusedError("AlreadyRegistered", message + way_out)
