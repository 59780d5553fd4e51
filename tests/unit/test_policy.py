import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.policy import Champion, Gate, GateOperator, Goal, Metric, Outcome, Reason, Verdict, judge

OPERATORS = list(GateOperator)
NAN, INF = math.nan, math.inf

# value, what it is compared with, and how the two stand: "<", "=", ">", or "?" where there is nothing to compare.
PAIRS: list[tuple[Metric | None, Metric, str]] = [
    (0.893, 0.9, "<"),
    (0.9, 0.9, "="),
    (0.9, "0.9", "="),
    ("0.9", 0.9, "="),
    ("0.90", "0.9", "="),
    (0.91, 0.9, ">"),
    (0.9000000000000001, 0.9, ">"),
    (0.8999999999999999, 0.9, "<"),
    (0.1 + 0.2, 0.3, ">"),
    (0.3, 0.1 + 0.2, "<"),
    (1, 1.0, "="),
    (1.0, "1", "="),
    (0, 0.0, "="),
    (-0.0, 0.0, "="),
    ("-0", 0.0, "="),
    (-1.5, 1.5, "<"),
    (1.5, -1.5, ">"),
    (-1.5, -1.4, "<"),
    (1e-7, 0.0, ">"),
    (-1e-7, 0.0, "<"),
    (5e-324, 0.0, ">"),
    (1.7976931348623157e308, 1.0, ">"),
    (1.0, 1.7976931348623157e308, "<"),
    ("1e3", 1000.0, "="),
    ("1E+3", "1000", "="),
    ("1e-3", 0.001, "="),
    (1e16, 1e16 + 2, "<"),
    (123456789.123456789, 123456789.12345679, "="),
    ("0.12345678901234567890123456789012345", "0.12345678901234567890123456789012344", ">"),
    ("0.12345678901234567890123456789012344", "0.12345678901234567890123456789012344", "="),
    (True, 1.0, "="),
    (100, 99, ">"),
    ("+5", 5.0, "="),
    (".5", 0.5, "="),
    ("5.", 5.0, "="),
    (None, 0.9, "?"),
    (NAN, 0.9, "?"),
    (-NAN, 0.9, "?"),
    (INF, 0.9, "?"),
    (-INF, 0.9, "?"),
    ("nan", 0.9, "?"),
    ("-Infinity", 0.9, "?"),
    ("", 0.9, "?"),
    ("0,9", 0.9, "?"),
    ("0x1", 0.9, "?"),
    ("1_0", 0.9, "?"),
    (" 1", 0.9, "?"),
    ("1\n", 0.9, "?"),
    ("٣", 0.9, "?"),
    ("1e9999", 0.9, "?"),
    ("1e99999999", 0.9, "?"),
    ("9" * 1000, 0.9, "?"),
    (10**400, 0.9, "?"),
    ("good", 0.9, "?"),
]
HOLDS = {
    GateOperator.ABOVE: ">",
    GateOperator.AT_LEAST: ">=",
    GateOperator.BELOW: "<",
    GateOperator.AT_MOST: "<=",
    GateOperator.VERSUS: ">=",
}


def decide(operator: GateOperator, value: Metric | None, reference: Metric, *, goal: Goal = Goal.MAXIMIZE) -> Verdict:
    versus = operator is GateOperator.VERSUS
    threshold = Decimal(0) if versus else Decimal(str(reference))
    champion = Champion("7", {"m": reference}) if versus else None
    metrics = {} if value is None else {"m": value}
    return judge([Gate("m", operator, threshold, goal)], metrics, champion=champion)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("value", "reference", "stands"), PAIRS)
def test_i13_gate_is_decided_by_the_table_when_a_pair_is_compared(
    operator: GateOperator, value: Metric | None, reference: Metric, stands: str
) -> None:
    verdict = decide(operator, value, reference)
    expected = Outcome.INCONCLUSIVE
    if stands != "?":
        expected = Outcome.PASS if stands in HOLDS[operator] else Outcome.FAIL
    assert verdict.outcome is expected
    assert verdict.gates[0].outcome is expected


@pytest.mark.parametrize(("value", "reference", "stands"), PAIRS)
def test_i13_less_is_better_when_the_goal_is_minimize(value: Metric | None, reference: Metric, stands: str) -> None:
    verdict = decide(GateOperator.VERSUS, value, reference, goal=Goal.MINIMIZE)
    expected = Outcome.INCONCLUSIVE
    if stands != "?":
        expected = Outcome.PASS if stands in "<=" else Outcome.FAIL
    assert verdict.outcome is expected


@pytest.mark.parametrize("baseline", [NAN, INF, -INF, "nan", "x", "", None])
def test_i13_versus_is_inconclusive_when_the_champion_has_no_number(baseline: Metric | None) -> None:
    champion = Champion("7", {} if baseline is None else {"m": baseline})
    verdict = judge([Gate("m", GateOperator.VERSUS, Decimal(0))], {"m": 0.9}, champion=champion)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    expected = Reason.CHAMPION_METRIC_MISSING if baseline is None else Reason.CHAMPION_METRIC_UNUSABLE
    assert verdict.reason is expected
    assert "champion v7" in verdict.sentence


@pytest.mark.parametrize("threshold", ["NaN", "sNaN", "Infinity", "1e9999"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_i13_gate_is_inconclusive_when_its_limit_is_no_number(operator: GateOperator, threshold: str) -> None:
    verdict = judge([Gate("m", operator, Decimal(threshold))], {"m": 0.9}, champion=Champion("7", {"m": 0.8}))
    assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, Reason.THRESHOLD_UNUSABLE)


def test_versus_passes_by_name_when_there_is_no_champion() -> None:
    verdict = judge([Gate("f1", GateOperator.VERSUS, Decimal(0))], {"f1": 0.8}, champion=None)
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, Reason.NO_CHAMPION)
    missing = judge([Gate("f1", GateOperator.VERSUS, Decimal(0))], {}, champion=None)
    assert (missing.outcome, missing.reason) == (Outcome.INCONCLUSIVE, Reason.METRIC_MISSING)


def test_gain_is_exact_when_binary_floats_would_round() -> None:
    def gains(gain: str) -> Outcome:
        gate = Gate("m", GateOperator.VERSUS, Decimal(gain))
        return judge([gate], {"m": 0.3}, champion=Champion("7", {"m": 0.1})).outcome

    assert gains("0.2") is Outcome.PASS  # 0.3 - 0.1 is below 0.2 in binary
    assert gains("0.2000000000000000000000000000000000001") is Outcome.FAIL
    assert gains("-0.1") is Outcome.PASS


def test_verdict_passes_by_name_when_there_are_no_gates() -> None:
    verdict = judge([], {"m": 0.9}, champion=None)
    assert (verdict.outcome, verdict.reason, verdict.gates) == (Outcome.PASS, Reason.NO_GATES, ())


def test_fail_beats_inconclusive_beats_pass_when_gates_differ() -> None:
    good = Gate("a", GateOperator.ABOVE, Decimal("0.5"))
    bad = Gate("b", GateOperator.ABOVE, Decimal("0.5"))
    unknown = Gate("c", GateOperator.ABOVE, Decimal("0.5"))
    metrics = {"a": 0.9, "b": 0.1}
    assert judge([good], metrics, champion=None).outcome is Outcome.PASS
    assert judge([good, unknown], metrics, champion=None).outcome is Outcome.INCONCLUSIVE
    verdict = judge([good, unknown, bad], metrics, champion=None)
    assert (verdict.outcome, verdict.reason) == (Outcome.FAIL, Reason.GATE_REFUSED)
    assert [gate.outcome for gate in verdict.gates] == [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]
    assert verdict.sentence == "b 0.1 is not above 0.5"


ABOVE = Gate("accuracy", GateOperator.ABOVE, Decimal("0.9"))
VERSUS = Gate("f1", GateOperator.VERSUS, Decimal(0))
GAIN = Gate("f1", GateOperator.VERSUS, Decimal("0.01"))
LOSS = Gate("loss", GateOperator.VERSUS, Decimal("0.1"), Goal.MINIMIZE)
CHAMPION = Champion("7", {"accuracy": 0.912, "f1": 0.89, "loss": 0.5})


@pytest.mark.parametrize(
    ("gates", "metrics", "champion", "sentence"),
    [
        ([ABOVE], {"accuracy": 0.893}, CHAMPION, "accuracy 0.893 is not above 0.9; champion v7 has 0.912"),
        ([ABOVE], {"accuracy": 0.893}, None, "accuracy 0.893 is not above 0.9"),
        ([ABOVE], {"accuracy": 0.893}, Champion("7", {}), "accuracy 0.893 is not above 0.9"),
        ([ABOVE], {"accuracy": 0.93}, CHAMPION, "accuracy 0.93 is above 0.9"),
        ([ABOVE], {}, CHAMPION, "accuracy was not logged"),
        ([ABOVE], {"accuracy": NAN}, CHAMPION, "accuracy is nan"),
        ([VERSUS], {"f1": 0.88}, CHAMPION, "f1 0.88 is not at least champion v7's 0.89"),
        ([VERSUS], {"f1": 0.89}, CHAMPION, "f1 0.89 is at least champion v7's 0.89"),
        ([GAIN], {"f1": 0.895}, CHAMPION, "f1 0.895 is not at least champion v7's 0.89 + 0.01"),
        ([LOSS], {"loss": 0.45}, CHAMPION, "loss 0.45 is not at most champion v7's 0.5 - 0.1"),
        (
            [ABOVE, Gate("f1", GateOperator.AT_LEAST, Decimal("0.9"))],
            {"accuracy": 0.8, "f1": 0.7},
            CHAMPION,
            "accuracy 0.8 is not above 0.9, f1 0.7 is not at least 0.9; champion v7 has accuracy 0.912, f1 0.89",
        ),
        ([VERSUS], {"f1": 0.88}, None, "f1 0.88 has no champion to beat"),
        ([Gate("loss", GateOperator.BELOW, Decimal("0.1"))], {"loss": 1e-7}, None, "loss 1e-7 is below 0.1"),
    ],
)
def test_sentence_says_what_decided_when_shown_on_a_commit(
    gates: list[Gate], metrics: dict[str, Metric], champion: Champion | None, sentence: str
) -> None:
    assert judge(gates, metrics, champion=champion).sentence == sentence


def test_evidence_is_decimal_strings_when_a_verdict_is_recorded() -> None:
    evidence = judge([ABOVE, VERSUS], {"accuracy": 0.893}, champion=CHAMPION).to_evidence()
    assert evidence == {
        "verdict": "fail",
        "reason": "GateRefused",
        "sentence": "accuracy 0.893 is not above 0.9; champion v7 has 0.912",
        "gates": [
            {
                "metric": "accuracy",
                "operator": "above",
                "threshold": "0.9",
                "value": "0.893",
                "outcome": "fail",
                "reason": "GateRefused",
                "message": "accuracy 0.893 is not above 0.9",
                "baseline_version": "7",
                "baseline_value": "0.912",
            },
            {
                "metric": "f1",
                "operator": "versus",
                "threshold": "0",
                "outcome": "inconclusive",
                "reason": "MetricMissing",
                "message": "f1 was not logged",
                "baseline_version": "7",
                "baseline_value": "0.89",
            },
        ],
    }


floats = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(floats, finite)
@settings(max_examples=500, deadline=None)
def test_i13_only_numbers_pass_when_any_float_is_judged(value: float, limit: float) -> None:
    outcomes = {operator: decide(operator, value, limit).outcome for operator in OPERATORS}
    if not math.isfinite(value):
        assert set(outcomes.values()) == {Outcome.INCONCLUSIVE}
        return
    holds = {operator for operator, outcome in outcomes.items() if outcome is Outcome.PASS}
    # Shortest representations keep the order of doubles.
    assert (GateOperator.ABOVE in holds) == (value > limit)
    assert (GateOperator.AT_LEAST in holds) == (value >= limit)
    assert (GateOperator.BELOW in holds) == (value < limit)
    assert (GateOperator.AT_MOST in holds) == (value <= limit)
    assert (GateOperator.VERSUS in holds) == (value >= limit)


@given(finite, finite, st.decimals(-1, 1, places=6), st.sampled_from(Goal))
@settings(max_examples=300, deadline=None)
def test_i13_gain_is_exact_when_any_two_floats_are_compared(
    value: float, baseline: float, gain: Decimal, goal: Goal
) -> None:
    verdict = judge([Gate("m", GateOperator.VERSUS, gain, goal)], {"m": value}, champion=Champion("7", {"m": baseline}))
    difference = Fraction(repr(value)) - Fraction(repr(baseline))
    better = difference if goal is Goal.MAXIMIZE else -difference
    assert (verdict.outcome is Outcome.PASS) == (better >= Fraction(gain))


@given(st.text(max_size=12))
@settings(max_examples=300, deadline=None)
def test_i13_verdict_is_always_given_when_a_metric_is_any_text(text: str) -> None:
    verdict = decide(GateOperator.ABOVE, text, 0.5)
    assert (verdict.outcome is Outcome.INCONCLUSIVE) == (verdict.gates[0].value is None)
