"""The order of `launchpin runs --best`: by numbers as they were logged, and what has none is left out."""

import pytest

from gitops.records import Training, TrainingFacts
from gitops.telling.runs import Row, choose
from tests.support.store import make_training


def trained(run_id: str, *, candidate: str = "") -> Training:
    facts = TrainingFacts(run_id=run_id or None, candidate_run_id=candidate or None)
    return make_training(id=f"t-{run_id or 'none'}", facts=facts)


NEWEST, SECOND, THIRD = trained("c"), trained("b"), trained("a")


def order(rows: list[Row]) -> list[str]:
    return [row.training.id for row in rows]


def test_highest_comes_first_and_the_lowest_where_that_is_asked_for() -> None:
    runs = {"a": {"loss": "0.25"}, "b": {"loss": "-1.5"}, "c": {"loss": "0.3"}}
    trainings = (NEWEST, SECOND, THIRD)

    assert order(choose(trainings, runs, best="loss", is_lowest=False)) == ["t-c", "t-a", "t-b"]
    assert order(choose(trainings, runs, best="loss", is_lowest=True)) == ["t-b", "t-a", "t-c"]


def test_numbers_that_differ_in_the_last_digit_are_told_apart() -> None:
    runs = {"b": {"accuracy": "0.30000000000000004"}, "c": {"accuracy": "0.3"}}

    (first, second) = choose((NEWEST, SECOND), runs, best="accuracy", is_lowest=False)

    assert (first.training.id, first.value, second.value) == ("t-b", "0.30000000000000004", "0.3")


def test_newer_one_stays_first_of_two_that_are_as_good() -> None:
    runs = {name: {"accuracy": "0.9"} for name in "abc"}

    for is_lowest in (False, True):
        found = choose((NEWEST, SECOND, THIRD), runs, best="accuracy", is_lowest=is_lowest)
        assert order(found) == ["t-c", "t-b", "t-a"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_left_out(value: str) -> None:
    runs: dict[str, dict[str, str]] = {"a": {"accuracy": "0.0"}, "b": {"accuracy": value}, "c": {}}

    assert order(choose((NEWEST, SECOND, THIRD), runs, best="accuracy", is_lowest=False)) == ["t-a"]


def test_order_stays_where_no_metric_is_named_and_what_was_not_found_is_left_out() -> None:
    assert order(choose((NEWEST, SECOND, THIRD), {"a": {}, "c": {}}, best="", is_lowest=False)) == ["t-c", "t-a"]


def test_candidates_run_is_meant_before_the_trainings_own() -> None:
    training = trained("own", candidate="trial")

    (found,) = choose([training], {"own": {"f1": "0.1"}, "trial": {"f1": "0.9"}}, best="f1", is_lowest=False)

    assert found.value == "0.9"


def test_training_without_a_run_is_left_out() -> None:
    assert choose([trained("")], {"a": {"f1": "1"}}, best="f1", is_lowest=False) == []
