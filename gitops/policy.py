"""Gates, tiers and verdicts: how good a model is, said with a reason for each gate. Pure.

Metrics become decimals by their shortest representation. What cannot be compared is inconclusive, and only a pass
moves on. The comparison is exact, so a tie is a tie.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import assert_never

from gitops.config.goals import Goal
from gitops.config.launchpin import Gate, Tier
from gitops.config.launchpin import Operator as GateOperator

__all__ = [
    "Champion",
    "Gate",
    "GateOperator",
    "GateResult",
    "Goal",
    "Metric",
    "Outcome",
    "Reason",
    "Tier",
    "TierResult",
    "Verdict",
    "format_number",
    "judge",
    "show_number",
    "strictest",
]

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_MAX_LENGTH = 400  # characters of a metric's text
_MAX_EXPONENT = 400  # beyond every double; keeps exact arithmetic small

_SHOWN = Context(prec=4)  # four digits tell two models apart in a sentence; the record keeps all of them

Metric = str | float


class Outcome(StrEnum):
    """What a gate, or all of them together, came to."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Why; a closed set, listed in the reference."""

    GATE_PASSED = "GatePassed"
    GATE_REFUSED = "GateRefused"
    NO_GATES = "NoGates"
    NO_CHAMPION = "NoChampion"
    METRIC_MISSING = "MetricMissing"
    METRIC_NOT_FINITE = "MetricNotFinite"
    METRIC_NOT_A_NUMBER = "MetricNotANumber"
    CHAMPION_METRIC_MISSING = "ChampionMetricMissing"
    CHAMPION_METRIC_UNUSABLE = "ChampionMetricUnusable"
    THRESHOLD_UNUSABLE = "ThresholdUnusable"


@dataclass(frozen=True)
class Champion:
    """The version to beat, with its metrics as they were recorded."""

    version: str
    metrics: Mapping[str, Metric]


@dataclass(frozen=True)
class GateResult:
    """What one gate came to.

    Args:
        metric: the metric's name.
        operator: how it was compared.
        threshold: with what limit.
        value: the candidate's number; None when there is none to compare.
        outcome: pass, fail or inconclusive.
        reason: why.
        message: one clause for a person.
        baseline_version: the champion's version, empty without one.
        baseline_value: the champion's number for this metric, None without one.
    """

    metric: str
    operator: GateOperator
    threshold: Decimal
    value: Decimal | None
    outcome: Outcome
    reason: Reason
    message: str
    baseline_version: str = ""
    baseline_value: Decimal | None = None

    def to_evidence(self) -> dict[str, str]:
        """Return the result as an audit entry records it: decimal strings, nothing empty."""
        facts = {
            "metric": self.metric,
            "operator": self.operator.value,
            "threshold": format_number(self.threshold),
            "value": "" if self.value is None else format_number(self.value),
            "outcome": self.outcome.value,
            "reason": self.reason.value,
            "message": self.message,
            "baseline_version": self.baseline_version,
            "baseline_value": "" if self.baseline_value is None else format_number(self.baseline_value),
        }
        return {name: fact for name, fact in facts.items() if fact}


@dataclass(frozen=True)
class TierResult:
    """What the gates of one tier came to: fail beats inconclusive beats pass.

    Args:
        name: the tier's.
        outcome: the tier is reached by a `pass` alone.
        gates: one result for each gate, in the order written.
        sentence: the clauses that decided.
    """

    name: str
    outcome: Outcome
    gates: tuple[GateResult, ...]
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What all gates together came to: fail beats inconclusive beats pass.

    Args:
        outcome: only `pass` moves on.
        gates: one result for each gate, in the order written.
        reason: the first cause of the outcome.
        sentence: one line for a commit's check.
        tiers: one result for each tier, the best first.
    """

    outcome: Outcome
    gates: tuple[GateResult, ...]
    reason: Reason
    sentence: str
    tiers: tuple[TierResult, ...] = ()

    @property
    def tier(self) -> str:
        """The best tier all of whose gates pass; empty for none, and for a model that does not move on."""
        if self.outcome is not Outcome.PASS:
            return ""
        return next((tier.name for tier in self.tiers if tier.outcome is Outcome.PASS), "")

    def to_evidence(self) -> dict[str, str | list[dict[str, str]]]:
        """Return the verdict as an audit entry records it."""
        gates = [gate.to_evidence() for gate in self.gates]
        return {"verdict": self.outcome.value, "reason": self.reason.value, "sentence": self.sentence, "gates": gates}


@dataclass(frozen=True)
class _Reading:
    """A metric as a decimal, or the reason why it is none."""

    value: Decimal | None
    reason: Reason = Reason.GATE_PASSED
    complaint: str = ""


def judge(
    gates: Sequence[Gate], metrics: Mapping[str, Metric], *, champion: Champion | None, tiers: Sequence[Tier] = ()
) -> Verdict:
    """Judge a candidate's metrics by all gates, and by those of every tier.

    Args:
        gates: all must hold; none at all passes with the reason NoGates.
        metrics: the candidate's numbers, or their text.
        champion: the version to beat, frozen by the caller when the judging began; None when there is none.
        tiers: the best first; they decide nothing but the tier.
    """
    results = tuple(_judge_gate(gate, metrics, champion) for gate in gates)
    outcome = _combine(result.outcome for result in results)
    causes = [result for result in results if result.outcome is outcome]
    reason = causes[0].reason if causes else Reason.NO_GATES
    reached = tuple(_judge_tier(tier, metrics, champion) for tier in tiers)
    return Verdict(outcome, results, reason, _write_sentence(causes), reached)


def strictest(tiers: Sequence[str], asked: Iterable[str]) -> str:
    """Return the best of the tiers that are asked for, empty where none is.

    Args:
        tiers: names, the best first; all that is asked for is among them, or empty.
    """
    return min((name for name in asked if name), key=tiers.index, default="")


def format_number(value: Decimal) -> str:
    """Write a decimal as people and audit entries read it: as it was given, an exponent in lower case."""
    return str(value).lower()


def show_number(value: Decimal, *, beside: Decimal | None = None) -> str:
    """Write a number for a sentence: four significant digits, or all of them where fewer would tell another story.

    Args:
        beside: the number it stands beside; their order must be seen.
    """
    short = _SHOWN.plus(value)
    if beside is not None and short.compare(beside) != value.compare(beside):
        return format_number(value)
    return format_number(short)


def _combine(outcomes: Iterable[Outcome]) -> Outcome:
    seen = set(outcomes)
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        if outcome in seen:
            return outcome
    return Outcome.PASS


def _judge_tier(tier: Tier, metrics: Mapping[str, Metric], champion: Champion | None) -> TierResult:
    verdict = judge(tier.gates, metrics, champion=champion)
    # A tier without gates would be everybody's; launchpin.yaml is refused with one, and none is reached here.
    outcome = verdict.outcome if tier.gates else Outcome.INCONCLUSIVE
    return TierResult(tier.name, outcome, verdict.gates, verdict.sentence)


def _judge_gate(gate: Gate, metrics: Mapping[str, Metric], champion: Champion | None) -> GateResult:
    value = _read(metrics, gate.metric)
    baseline = _read(champion.metrics, gate.metric) if champion else None
    outcome, reason, message = _compare(gate, value, champion.version if champion else "", baseline)
    return GateResult(
        metric=gate.metric,
        operator=gate.operator,
        threshold=gate.threshold,
        value=value.value,
        outcome=outcome,
        reason=reason,
        message=message,
        baseline_version=champion.version if champion else "",
        baseline_value=baseline.value if baseline else None,
    )


def _compare(gate: Gate, reading: _Reading, version: str, baseline: _Reading | None) -> tuple[Outcome, Reason, str]:
    """Return outcome, reason and message of one gate."""
    if reading.value is None:
        return Outcome.INCONCLUSIVE, reading.reason, f"{gate.metric} {reading.complaint}"
    if not _is_usable(gate.threshold):
        return Outcome.INCONCLUSIVE, Reason.THRESHOLD_UNUSABLE, f"the limit of {gate.metric} is no finite number"
    if gate.operator is not GateOperator.VERSUS:
        return _compare_threshold(gate, gate.operator, reading.value)
    if baseline is None:
        message = f"{gate.metric} {show_number(reading.value)} has no champion to beat"
        return Outcome.PASS, Reason.NO_CHAMPION, message
    if baseline.value is None:
        missing = baseline.reason is Reason.METRIC_MISSING
        reason = Reason.CHAMPION_METRIC_MISSING if missing else Reason.CHAMPION_METRIC_UNUSABLE
        return Outcome.INCONCLUSIVE, reason, f"{gate.metric} of champion v{version} {baseline.complaint}"
    return _compare_champion(gate, reading.value, version, baseline.value)


def _compare_threshold(gate: Gate, operator: GateOperator, value: Decimal) -> tuple[Outcome, Reason, str]:
    limit = gate.threshold
    match operator:
        case GateOperator.ABOVE:
            holds, words = value > limit, "above"
        case GateOperator.AT_LEAST:
            holds, words = value >= limit, "at least"
        case GateOperator.BELOW:
            holds, words = value < limit, "below"
        case GateOperator.AT_MOST:
            holds, words = value <= limit, "at most"
        case GateOperator.VERSUS:
            raise AssertionError("versus compares with a champion")
        case _:
            assert_never(operator)
    verb = "is" if holds else "is not"
    return *_settle(
        holds=holds
    ), f"{gate.metric} {show_number(value, beside=limit)} {verb} {words} {format_number(limit)}"


def _compare_champion(gate: Gate, value: Decimal, version: str, baseline: Decimal) -> tuple[Outcome, Reason, str]:
    """Compare exactly: `Decimal` would round a difference to 28 digits."""
    match gate.goal:
        case Goal.MAXIMIZE:
            gain, words, rising = Fraction(value) - Fraction(baseline), "at least", gate.threshold > 0
        case Goal.MINIMIZE:
            gain, words, rising = Fraction(baseline) - Fraction(value), "at most", gate.threshold < 0
        case _:
            assert_never(gate.goal)
    holds = gain >= Fraction(gate.threshold)
    verb = "is" if holds else "is not"
    shown, against = _show_pair(value, baseline)
    target = f"champion v{version}'s {against}"
    if gate.threshold:
        target += f" {'+' if rising else '-'} {format_number(gate.threshold.copy_abs())}"
    return *_settle(holds=holds), f"{gate.metric} {shown} {verb} {words} {target}"


def _show_pair(first: Decimal, second: Decimal) -> tuple[str, str]:
    """Write two numbers short, or both in full where short they would stand in another order."""
    short = _SHOWN.plus(first), _SHOWN.plus(second)
    first, second = short if short[0].compare(short[1]) == first.compare(second) else (first, second)
    return format_number(first), format_number(second)


def _settle(*, holds: bool) -> tuple[Outcome, Reason]:
    return (Outcome.PASS, Reason.GATE_PASSED) if holds else (Outcome.FAIL, Reason.GATE_REFUSED)


def _read(metrics: Mapping[str, Metric], name: str) -> _Reading:
    """Return a metric as an exact decimal of its shortest representation."""
    if name not in metrics:
        return _Reading(None, Reason.METRIC_MISSING, "was not logged")
    raw = metrics[name]
    try:
        # float() first: a subclass such as numpy's float64 writes its own repr
        text = raw if isinstance(raw, str) else repr(float(raw))
    except OverflowError:
        return _Reading(None, Reason.METRIC_NOT_FINITE, "is larger than any float")
    if text.lower().lstrip("+-") in {"nan", "inf", "infinity"}:
        return _Reading(None, Reason.METRIC_NOT_FINITE, f"is {text.lower()}")
    if len(text) > _MAX_LENGTH or not _NUMBER.fullmatch(text) or not _is_usable(Decimal(text)):
        return _Reading(None, Reason.METRIC_NOT_A_NUMBER, "is not a number that can be compared")
    return _Reading(Decimal(text))


def _is_usable(number: Decimal) -> bool:
    if not number.is_finite():
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and abs(exponent) <= _MAX_EXPONENT and abs(number.adjusted()) <= _MAX_EXPONENT


def _write_sentence(causes: Sequence[GateResult]) -> str:
    """Join the clauses that decided, then say what the champion has where a limit was missed."""
    if not causes:
        return "no gates are set, so any model passes"
    sentence = ", ".join(cause.message for cause in causes)
    against = {
        cause.metric: show_number(cause.baseline_value)
        for cause in causes
        if cause.outcome is Outcome.FAIL
        and cause.operator is not GateOperator.VERSUS
        and cause.baseline_value is not None
    }
    if not against:
        return sentence
    if len({cause.metric for cause in causes}) == 1:
        numbers = next(iter(against.values()))
    else:
        numbers = ", ".join(f"{metric} {value}" for metric, value in against.items())
    return f"{sentence}; champion v{causes[0].baseline_version} has {numbers}"
