"""Whether a version may be proposed for a place: what `promote` refuses by, and `plan` says before. Pure."""

from gitops.errors import RefusedError
from gitops.records import Environment, Version


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


def name_of(place: Environment) -> str:
    """Return a place as people name it: its endpoint, or REPOSITORY:PATH where it has none."""
    return place.endpoint or f"{place.repository}:{place.path}"
