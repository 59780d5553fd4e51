"""Versions with tiers, for tests: gold asks for more than silver."""

from typing import Any

from gitops.records import Version
from gitops.verdicts import TierOutcome
from tests.support.store import make_version

TIERS = ("gold", "silver", "bronze")


def judged_by(tier: str) -> tuple[TierOutcome, ...]:
    """Return what became of every tier where this one was reached; empty for none."""
    reached = TIERS.index(tier) if tier else len(TIERS)
    return tuple(
        TierOutcome(name=name, outcome="pass", message="it is good")
        if at >= reached
        else TierOutcome(name=name, outcome="fail", message=f"accuracy 0.9{at} is not at least 0.9{9 - at}")
        for at, name in enumerate(TIERS)
    )


def make_tiered(tier: str, **changes: Any) -> Version:  # noqa: ANN401 - any field of the record
    """Return a version that reached a tier, or none."""
    return make_version(**{"tier": tier, "tiers": judged_by(tier), **changes})
