"""Whether a version is good enough for a place: its tier against what launchpin.yaml and endpoint.yaml ask. Pure.

The stricter of the two counts, in the order of the tiers that the version itself was judged by. What launchpin.yaml
asks is what it asked at the version's own commit, as it was recorded with the verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gitops.config.endpoint import EndpointFile
from gitops.config.text import did_you_mean
from gitops.errors import RefusedError
from gitops.policy import strictest
from gitops.records import Environment, Version
from gitops.steps import Facts

TIER_TOO_LOW = "TierTooLow"
TIER_UNKNOWN = "TierUnknown"

_LAUNCHPIN = "launchpin.yaml"


@dataclass(frozen=True)
class Demand:
    """The strictest tier that is asked for at a place.

    Args:
        files: those that ask for it.
        is_known: whether the version was judged by a tier of that name.
    """

    tier: str
    files: tuple[str, ...]
    is_known: bool


def say_asked(tier: str, files: Sequence[str]) -> str:
    """Return in words which files ask for a tier."""
    return f"{' and '.join(files)} ask{'s' if len(files) == 1 else ''} for the tier {tier}"


def find_demand(version: Version | None, place: str, endpoint: EndpointFile | None) -> Demand | None:
    """Return what is asked of a version at a place; None where any may go there.

    Args:
        version: None for one without a verdict of ours, of which nothing is known.
        place: `OWNER/NAME:PATH`.
        endpoint: the place's endpoint.yaml; None where it cannot be read.
    """
    asked = {_LAUNCHPIN: version.min_tiers.get(place, "") if version else ""}
    if endpoint is not None:
        asked[endpoint.file] = endpoint.min_tier
    names = _names(version)
    unknown = next((file for file, tier in asked.items() if tier and tier not in names), "")
    if unknown:
        return Demand(asked[unknown], (unknown,), is_known=False)
    tier = strictest(names, asked.values())
    return Demand(tier, tuple(file for file, one in asked.items() if one == tier), is_known=True) if tier else None


def check_tier(name: str, version: Version | None, place: str, endpoint: EndpointFile | None) -> None:
    """Refuse a version whose tier is below what is asked for at a place.

    Args:
        name: the version as people write it.
        version: as in `find_demand`, as are the others.

    Raises:
        RefusedError: `TierTooLow`, or `TierUnknown` where no tier of that name was judged.
    """
    demand = find_demand(version, place, endpoint)
    if demand is None:
        return
    asks = say_asked(demand.tier, demand.files)
    if version is None:
        way_out = f"train it with Launchpin, or take require out of {demand.files[0]}"
        raise RefusedError(TIER_TOO_LOW, f"{name} has no verdict of Launchpin's and so no tier, and {asks}: {way_out}")
    if not demand.is_known:
        raise RefusedError(TIER_UNKNOWN, f"{asks}, and {name} {_was_judged_by(version, demand)}")
    if is_met(version, demand):
        return
    has = f"has the tier {version.tier}" if version.tier else "has no tier"
    why = next(tier.message for tier in version.tiers if tier.name == demand.tier)
    raise RefusedError(TIER_TOO_LOW, f"{name} {has}, and {asks}: {why}; train a better model, or lower min_tier")


def is_met(version: Version, demand: Demand) -> bool:
    """Return whether a version's tier is the one that is asked for, or a better one."""
    names = _names(version)
    return demand.is_known and version.tier in names and names.index(version.tier) <= names.index(demand.tier)


def tier_facts(version: Version | None, place: str, endpoint: EndpointFile | None) -> Facts:
    """Return what a record keeps of the tier that was asked for, and the one that the version has; nothing for none."""
    demand = find_demand(version, place, endpoint)
    return {"tier": version.tier if version else "", "min_tier": demand.tier} if demand else {}


def served_there(known: Environment | None, model: str, version: str) -> bool:
    """Return whether a version serves at a place or served there well: its pin is a way back, which nothing hinders."""
    return known is not None and known.model == model and version in (known.serving, *known.earlier)


def _names(version: Version | None) -> list[str]:
    return [tier.name for tier in version.tiers] if version else []


def _was_judged_by(version: Version, demand: Demand) -> str:
    """Return what a version was judged by instead of what is asked for, and the way out."""
    names = _names(version)
    if not names:
        way_out = f"declare them in register.tiers and train again, or take require out of {demand.files[0]}"
        return f"was judged by no tiers: {way_out}"
    way_out = f"write one of these into {demand.files[0]}, or declare {demand.tier} in register.tiers and train again"
    return f"was judged by {', '.join(names)}{did_you_mean(demand.tier, names)}: {way_out}".replace("?:", "?")
