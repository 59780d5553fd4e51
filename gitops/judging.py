"""From gates and tiers as written and metrics as logged to a verdict as it is recorded. No IO."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitops.config.launchpin import LaunchpinFile
from gitops.policy import Champion, GateResult, Outcome, format_number, judge
from gitops.records import TrainingFacts, Version
from gitops.steps import Facts
from gitops.verdicts import GateOutcome, TierOutcome, describe_tier

NO_VERDICT = "none"


@dataclass(frozen=True)
class Judged:
    """A verdict in the form that facts and records keep.

    Args:
        sentence: what decided.
        tier: the one that was reached, empty for none; None where none is declared, or the model does not move on.
        min_tiers: what launchpin.yaml asks of a version, by place.
    """

    outcome: str
    sentence: str
    gates: tuple[GateOutcome, ...]
    champion: Version | None
    tier: str | None = None
    tiers: tuple[TierOutcome, ...] = ()
    min_tiers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_pass(self) -> bool:
        """Whether the model may move on."""
        return self.outcome == "pass"

    @property
    def words(self) -> str:
        """The whole verdict in one line."""
        told = describe_tier(self.tier, self.tiers) if self.tier is not None else ""
        return "; ".join(part for part in (self.sentence, told) if part)

    def facts(self) -> Facts:
        """Return what a training's record keeps of it."""
        facts: Facts = {
            "verdict": self.outcome,
            "sentence": self.sentence,
            "gates": [gate.model_dump() for gate in self.gates],
            "champion_version": self.champion.version if self.champion else None,
            "champion_metrics": dict(self.champion.metrics) if self.champion else {},
        }
        if not self.tiers:
            return facts
        tiers = [tier.model_dump() for tier in self.tiers]
        return {**facts, "tier": self.tier, "tiers": tiers, "min_tiers": dict(self.min_tiers)}


def judge_candidate(file: LaunchpinFile, metrics: Mapping[str, str], champion: Version | None) -> Judged:
    """Hold metrics against the gates, the tiers and the champion as they are now.

    The inputs are frozen in the result, and so is what the file asks of a version before it goes anywhere: a version is
    held to what its own commit said.
    """
    against = Champion(champion.version, champion.metrics) if champion else None
    verdict = judge(file.register.gates, metrics, champion=against, tiers=file.register.tiers)
    asked = {one.path: one.min_tier for one in file.deploy.environments if one.min_tier} if file.deploy else {}
    return Judged(
        outcome=verdict.outcome.value,
        sentence=verdict.sentence,
        gates=_record_all(verdict.gates),
        champion=champion,
        tier=verdict.tier if verdict.tiers and verdict.outcome is Outcome.PASS else None,
        tiers=tuple(
            TierOutcome(
                name=tier.name, outcome=tier.outcome.value, message=tier.sentence, gates=_record_all(tier.gates)
            )
            for tier in verdict.tiers
        ),
        min_tiers={f"{file.deploy.repository}:{path}": tier for path, tier in asked.items()} if file.deploy else {},
    )


def describe_verdict(facts: TrainingFacts) -> str:
    """Return what the registry's page says of how a version was judged."""
    gates = "; ".join(gate.message for gate in facts.gates) or "no gates were set"
    return f"Gates: {gates}." + (f" Tier: {facts.tier or 'none'}." if facts.tier is not None else "")


def _record_all(gates: Iterable[GateResult]) -> tuple[GateOutcome, ...]:
    return tuple(_record(gate) for gate in gates)


def _record(gate: GateResult) -> GateOutcome:
    return GateOutcome(
        metric=gate.metric,
        operator=gate.operator.value,
        threshold=format_number(gate.threshold),
        value="" if gate.value is None else format_number(gate.value),
        baseline_version=gate.baseline_version,
        baseline="" if gate.baseline_value is None else format_number(gate.baseline_value),
        outcome=gate.outcome.value,
        reason=gate.reason.value,
        message=gate.message,
    )
