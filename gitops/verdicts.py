"""How a candidate was judged, as it is kept: gates and tiers with their outcomes. Values, and how a tier is told."""

from collections.abc import Sequence

from pydantic import BaseModel


class GateOutcome(BaseModel, frozen=True, extra="forbid"):
    """One gate's result as it was judged; numbers are decimal strings."""

    metric: str
    operator: str
    threshold: str
    value: str = ""
    baseline_version: str = ""
    baseline: str = ""
    outcome: str
    reason: str = ""
    message: str


class TierOutcome(BaseModel, frozen=True, extra="forbid"):
    """What a tier's gates came to; the tier is reached where all of them pass."""

    name: str
    outcome: str
    message: str
    gates: tuple[GateOutcome, ...] = ()


def describe_tier(tier: str, tiers: Sequence[TierOutcome]) -> str:
    """Return the tier of a candidate in words, with what keeps it from the next better one; empty without any tiers.

    Args:
        tier: the one that it reached, empty for none.
        tiers: those that it was judged by, the best first.
    """
    names = [one.name for one in tiers]
    better = tiers[: names.index(tier)] if tier in names else tiers
    reached = f"tier {tier}" if tier else "no tier"
    if not better:
        return reached if tiers else ""
    verb = "cannot be judged" if better[-1].outcome == "inconclusive" else "is not reached"
    return f"{reached}: {better[-1].name} {verb}, {better[-1].message}"
