"""From gates as written and metrics as logged to a verdict as it is recorded. No IO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitops.policy import Champion, Gate, GateResult, format_number, judge
from gitops.records import GateOutcome, Version
from gitops.steps import Facts

NO_VERDICT = "none"


@dataclass(frozen=True)
class Judged:
    """A verdict in the form that facts and records keep."""

    outcome: str
    sentence: str
    gates: tuple[GateOutcome, ...]
    champion: Version | None

    @property
    def is_pass(self) -> bool:
        """Whether the model may move on."""
        return self.outcome == "pass"

    def facts(self) -> Facts:
        """Return what a training's record keeps of it."""
        return {
            "verdict": self.outcome,
            "sentence": self.sentence,
            "gates": [gate.model_dump() for gate in self.gates],
            "champion_version": self.champion.version if self.champion else None,
            "champion_metrics": dict(self.champion.metrics) if self.champion else {},
        }


def judge_candidate(gates: Sequence[Gate], metrics: Mapping[str, str], champion: Version | None) -> Judged:
    """Hold metrics against the gates and the champion as they are now; the inputs are frozen in the result."""
    against = Champion(champion.version, champion.metrics) if champion else None
    verdict = judge(gates, metrics, champion=against)
    return Judged(verdict.outcome.value, verdict.sentence, tuple(_record(gate) for gate in verdict.gates), champion)


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
