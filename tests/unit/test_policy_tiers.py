"""Tiers: which one a candidate reaches, what is said of it, and what no metric may do."""

import math
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.config.launchpin import parse_launchpin
from gitops.judging import describe_verdict, judge_candidate
from gitops.policy import Champion, Gate, GateOperator, Goal, Metric, Outcome, Tier, Verdict, judge, strictest
from gitops.records import TrainingFacts
from gitops.verdicts import describe_tier
from tests.support.store import make_version
from tests.support.tiers import judged_by

ABOVE, AT_LEAST, VERSUS = GateOperator.ABOVE, GateOperator.AT_LEAST, GateOperator.VERSUS


def tier(name: str, *gates: tuple[str, GateOperator, str]) -> Tier:
    return Tier(name, tuple(Gate(metric, operator, Decimal(limit)) for metric, operator, limit in gates))


GOLD = tier("gold", ("accuracy", AT_LEAST, "0.96"), ("f1", ABOVE, "0.9"))
SILVER = tier("silver", ("accuracy", ABOVE, "0.9"))


def reach(metrics: dict[str, Metric], tiers: Sequence[Tier] = (GOLD, SILVER), **changes: object) -> Verdict:
    return judge((), metrics, champion=changes.get("champion"), tiers=tiers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metrics", "reached", "outcomes"),
    [
        ({"accuracy": 0.97, "f1": 0.95}, "gold", ["pass", "pass"]),
        ({"accuracy": 0.96, "f1": 0.9}, "silver", ["fail", "pass"]),
        ({"accuracy": 0.97}, "silver", ["inconclusive", "pass"]),
        ({"accuracy": 0.97, "f1": math.nan}, "silver", ["inconclusive", "pass"]),
        ({"accuracy": 0.8, "f1": math.nan}, "", ["fail", "fail"]),
        ({"f1": 0.95}, "", ["inconclusive", "inconclusive"]),
        ({}, "", ["inconclusive", "inconclusive"]),
    ],
    ids=["all hold", "one fails", "one is missing", "one is no number", "all fail", "the other is missing", "nothing"],
)
def test_i13_tier_is_the_best_one_all_of_whose_gates_pass(
    metrics: dict[str, Metric], reached: str, outcomes: list[str]
) -> None:
    verdict = reach(metrics)
    assert verdict.tier == reached
    assert [one.outcome.value for one in verdict.tiers] == outcomes


def test_tiers_decide_nothing_but_the_tier() -> None:
    gate = Gate("accuracy", ABOVE, Decimal("0.5"))
    with_tiers = judge([gate], {"accuracy": 0.6}, champion=None, tiers=[GOLD, SILVER])
    without = judge([gate], {"accuracy": 0.6}, champion=None)
    assert (with_tiers.outcome, with_tiers.sentence, with_tiers.gates) == (
        without.outcome,
        without.sentence,
        without.gates,
    )
    assert (with_tiers.tier, without.tiers) == ("", ())


def test_a_model_that_does_not_move_on_has_no_tier_whatever_it_would_reach() -> None:
    gate = Gate("latency", GateOperator.BELOW, Decimal(1))
    verdict = judge([gate], {"accuracy": 0.97, "f1": 0.95, "latency": 3}, champion=None, tiers=[GOLD, SILVER])
    assert verdict.outcome is Outcome.FAIL
    assert [one.outcome for one in verdict.tiers] == [Outcome.PASS, Outcome.PASS]
    assert verdict.tier == ""


def test_a_tier_may_ask_for_a_gain_on_the_champion() -> None:
    better = tier("better", ("f1", VERSUS, "0.1"))
    assert reach({"f1": 0.9}, [better], champion=Champion("7", {"f1": 0.8})).tier == "better"
    assert reach({"f1": 0.89}, [better], champion=Champion("7", {"f1": 0.8})).tier == ""
    assert reach({"f1": 0.1}, [better]).tier == "better"


def test_i13_a_tier_without_gates_is_reached_by_nobody() -> None:
    assert reach({"accuracy": 1.0}, [Tier("gold", ())]).tier == ""


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"accuracy": 0.97, "f1": 0.95}, "tier gold"),
        ({"accuracy": 0.94, "f1": 0.95}, "tier silver: gold is not reached, accuracy 0.94 is not at least 0.96"),
        ({"accuracy": 0.97}, "tier silver: gold cannot be judged, f1 was not logged"),
        ({"accuracy": 0.8, "f1": 0.8}, "no tier: silver is not reached, accuracy 0.8 is not above 0.9"),
    ],
    ids=["best", "next", "inconclusive", "none"],
)
def test_what_keeps_a_model_from_the_next_better_tier_is_told(metrics: dict[str, str], told: str) -> None:
    text = """
version: 1
model: iris
register:
  gates: []
  tiers:
    - {name: gold, gates: [{metric: accuracy, at_least: 0.96}, {metric: f1, above: 0.9}]}
    - {name: silver, gates: [{metric: accuracy, above: 0.9}]}
deploy: {repository: acme/d, environments: {staging: {}, production: {path: ./prod/, min_tier: silver}}}
"""
    file = parse_launchpin(text.encode(), file="launchpin.yaml")
    judged = judge_candidate(file, {name: str(value) for name, value in metrics.items()}, None)
    facts = TrainingFacts.model_validate(judged.facts())
    assert judged.tier is not None
    assert describe_tier(judged.tier, judged.tiers) == told
    assert judged.words.endswith(f"; {told}")
    assert describe_verdict(facts).endswith(f"Tier: {judged.tier or 'none'}.")
    assert (facts.tier, facts.min_tiers) == (judged.tier, {"acme/d:prod": "silver"})
    assert facts.tiers[0].gates[0].threshold == "0.96"


def test_nothing_is_told_of_tiers_where_none_is_declared() -> None:
    file = parse_launchpin(b"version: 1\nmodel: iris\nregister: {gates: []}\n", file="launchpin.yaml")
    judged = judge_candidate(file, {"accuracy": "0.9"}, make_version())
    assert judged.words == judged.sentence
    assert judged.facts().keys().isdisjoint({"tier", "tiers", "min_tiers"})
    assert describe_tier("", ()) == ""
    assert "Tier" not in describe_verdict(TrainingFacts.model_validate(judged.facts()))


finite = st.floats(allow_nan=False, allow_infinity=False)
anything = st.one_of(st.floats(), st.text(max_size=6), st.none())
limits = st.decimals(-2, 2, places=2)
_RISING = [GateOperator.ABOVE, GateOperator.AT_LEAST]
_FALLING = [GateOperator.BELOW, GateOperator.AT_MOST]


def ladders(operators: list[GateOperator]) -> st.SearchStrategy[list[Tier]]:
    """Return up to four tiers in any order of strictness, each with gates on two metrics, all open to one side."""
    gates = st.builds(Gate, st.sampled_from(["a", "b"]), st.sampled_from(operators), limits, st.just(Goal.MAXIMIZE))
    declared = st.lists(st.lists(gates, min_size=1, max_size=3), min_size=1, max_size=4)
    return declared.map(lambda found: [Tier(f"t{at}", tuple(one)) for at, one in enumerate(found)])


def place_of(verdict: Verdict) -> int:
    """Return how far down the tier is; none at all is below them all."""
    names = [one.name for one in verdict.tiers]
    return names.index(verdict.tier) if verdict.tier else len(names)


@given(ladders(_RISING), finite, finite, finite)
@settings(max_examples=400, deadline=None)
def test_i13_a_higher_metric_never_gives_a_worse_tier_where_gates_ask_for_more(
    tiers: list[Tier], one: float, other: float, still: float
) -> None:
    low, high = sorted((one, other))
    assert place_of(reach({"a": high, "b": still}, tiers)) <= place_of(reach({"a": low, "b": still}, tiers))


@given(ladders(_FALLING), finite, finite, finite)
@settings(max_examples=400, deadline=None)
def test_i13_a_lower_metric_never_gives_a_worse_tier_where_gates_ask_for_less(
    tiers: list[Tier], one: float, other: float, still: float
) -> None:
    low, high = sorted((one, other))
    assert place_of(reach({"a": low, "b": still}, tiers)) <= place_of(reach({"a": high, "b": still}, tiers))


@given(ladders(list(GateOperator)), anything, anything)
@settings(max_examples=400, deadline=None)
def test_i13_the_tier_passes_and_no_better_one_does(
    tiers: list[Tier], first: Metric | None, second: Metric | None
) -> None:
    metrics = {name: value for name, value in (("a", first), ("b", second)) if value is not None}
    champion = Champion("7", {"a": 0.5, "b": 0.5})
    verdict = judge((), metrics, champion=champion, tiers=tiers)
    alone = [judge(one.gates, metrics, champion=champion).outcome for one in tiers]
    assert [one.outcome for one in verdict.tiers] == alone
    at = place_of(verdict)
    assert Outcome.PASS not in alone[:at]
    assert at == len(tiers) or alone[at] is Outcome.PASS


@given(ladders(_RISING + _FALLING), finite, st.sampled_from([math.nan, math.inf, -math.inf, "x", None]))
@settings(max_examples=300, deadline=None)
def test_i13_a_metric_that_is_no_number_never_gives_a_better_tier(
    tiers: list[Tier], value: float, bad: Metric | None
) -> None:
    good = reach({"a": value, "b": value}, tiers)
    worse = reach({"b": value} if bad is None else {"a": bad, "b": value}, tiers)
    assert place_of(good) <= place_of(worse)
    for one, before in zip(worse.tiers, tiers, strict=True):
        if any(gate.metric == "a" for gate in before.gates):
            assert one.outcome is not Outcome.PASS


@given(st.lists(st.sampled_from(["gold", "silver", "bronze", ""]), max_size=5))
def test_the_strictest_of_what_is_asked_counts_in_any_order(asked: list[str]) -> None:
    tiers = ["gold", "silver", "bronze"]
    found = strictest(tiers, asked)
    assert found == strictest(tiers, reversed(asked)) == strictest(tiers, [*asked, found, ""])
    assert found in asked or not any(asked)
    assert all(tiers.index(found) <= tiers.index(one) for one in asked if one)


def test_helpers_of_tests_make_what_judging_makes() -> None:
    assert [one.outcome for one in judged_by("silver")] == ["fail", "pass", "pass"]
    assert {one.outcome for one in judged_by("")} == {"fail"}
