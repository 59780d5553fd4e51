from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.errors import RefusedError
from gitops.ports import LoggedModel, Run
from gitops.selection import Objective, choose_candidate

ACCURACY = Objective("accuracy", is_maximized=True)
LOSS = Objective("loss", is_maximized=False)


def make_run(run_id: str = "run-1", *, models: tuple[str, ...] = ("model",), **metrics: str) -> Run:
    logged = tuple(LoggedModel(name, f"models:/{run_id}-{name}") for name in models)
    return Run(run_id, "FINISHED", metrics, {}, logged)


def test_the_only_run_with_a_model_is_taken_when_no_objective_is_set() -> None:
    runs = [make_run("outer", models=()), make_run("inner", accuracy="0.9")]

    candidate = choose_candidate(runs, objective=None)

    assert candidate.run.run_id == "inner"
    assert candidate.model.name == "model"


def test_the_best_run_is_taken_when_an_objective_is_set() -> None:
    runs = [make_run("a", accuracy="0.9", loss="3"), make_run("b", accuracy="0.95", loss="4")]

    assert choose_candidate(runs, objective=ACCURACY).run.run_id == "b"
    assert choose_candidate(runs, objective=LOSS).run.run_id == "a"


def test_the_first_run_is_taken_when_several_are_equally_good() -> None:
    runs = [make_run("a", accuracy="0.9"), make_run("b", accuracy="0.90"), make_run("c", accuracy="0.9")]

    assert choose_candidate(runs, objective=ACCURACY).run.run_id == "a"


def test_numbers_are_compared_as_decimals_when_floats_would_be_equal() -> None:
    runs = [make_run("a", accuracy="0.90000000000000000001"), make_run("b", accuracy="0.90000000000000000002")]

    assert choose_candidate(runs, objective=ACCURACY).run.run_id == "b"


def test_a_run_without_a_model_loses_when_its_metric_is_the_best() -> None:
    runs = [make_run("a", models=(), accuracy="0.99"), make_run("b", accuracy="0.5")]

    assert choose_candidate(runs, objective=ACCURACY).run.run_id == "b"


@pytest.mark.parametrize("value", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "much", ""])
def test_a_run_loses_when_its_metric_is_no_finite_number(value: str) -> None:
    runs = [make_run("odd", accuracy=value), make_run("good", accuracy="0.5")]

    assert choose_candidate(runs, objective=ACCURACY).run.run_id == "good"
    with pytest.raises(RefusedError, match="'accuracy'") as refused:
        choose_candidate(runs[:1], objective=ACCURACY)
    assert refused.value.reason == "ObjectiveMissing"


@pytest.mark.parametrize("runs", [[], [make_run(models=())]])
def test_nothing_is_chosen_when_no_run_holds_a_model(runs: list[Run]) -> None:
    with pytest.raises(RefusedError, match="log_model") as refused:
        choose_candidate(runs, objective=ACCURACY)

    assert refused.value.reason == "NoModel"


def test_nothing_is_chosen_when_several_runs_hold_a_model_and_no_objective_is_set() -> None:
    with pytest.raises(RefusedError, match=r"2 runs.*register\.objective") as refused:
        choose_candidate([make_run("a"), make_run("b")], objective=None)

    assert refused.value.reason == "AmbiguousModel"


def test_nothing_is_chosen_when_the_run_holds_several_models_of_other_names() -> None:
    with pytest.raises(RefusedError, match=r"holds scaler, tree: .*register\.model") as refused:
        choose_candidate([make_run(models=("tree", "scaler"))], objective=None)

    assert refused.value.reason == "AmbiguousModel"


def test_the_default_name_is_taken_when_autologging_logged_the_best_model_twice() -> None:
    assert choose_candidate([make_run(models=("best_estimator", "model"))], objective=None).model.name == "model"


def test_the_named_model_is_taken_when_the_file_names_one() -> None:
    runs = [make_run("a", models=("model", "scaler")), make_run("b", models=("model",))]

    candidate = choose_candidate(runs, objective=None, model="scaler")

    assert (candidate.run.run_id, candidate.model.name) == ("a", "scaler")


def test_nothing_is_chosen_when_no_run_holds_the_named_model() -> None:
    with pytest.raises(RefusedError, match="named 'tree'") as refused:
        choose_candidate([make_run()], objective=None, model="tree")

    assert refused.value.reason == "NoModel"


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False), min_size=1), st.booleans())
def test_no_run_is_better_than_the_chosen_one_when_all_have_numbers(values: list[Decimal], is_maximized: bool) -> None:
    runs = [make_run(str(number), accuracy=str(value)) for number, value in enumerate(values)]

    chosen = choose_candidate(runs, objective=Objective("accuracy", is_maximized=is_maximized))

    best = max(values) if is_maximized else min(values)
    assert Decimal(chosen.run.metrics["accuracy"]) == best
