"""`launchpin runs --best` and `--where`: the rows of `runs`, chosen by what a real MLflow server says of their runs."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gitops.records import TrainingFacts
from gitops.registry.mlflow import MlflowRegistry
from gitops.steps import Phase
from gitops.writes import StartTraining
from tests.contract.mlflow_registry_rig import call as ask
from tests.contract.mlflow_registry_rig import start, unique
from tests.support.cli import Output, Stack, make_stack
from tests.support.mlflow import free_port
from tests.support.store import make_training, write

DEPTHS = {"1": 0.5, "2": 0.75, "3": 0.9}


@pytest.fixture
def stack(tmp_path: Path, tracking_uri: str) -> Iterator[Stack]:
    """Give a stack with a training of each depth, one of another model without a metric, and one without a run."""
    registry, experiment = MlflowRegistry(tracking_uri), unique("exp")
    with make_stack(tmp_path) as stack:
        stack.set_mlflow(urlsplit(tracking_uri).port or 0)
        for depth, accuracy in DEPTHS.items():
            run = start(registry, experiment=experiment)
            metric = {"key": "accuracy", "value": accuracy, "timestamp": 1}
            ask(tracking_uri, "runs/log-metric", {"run_id": run.run_id, **metric})
            ask(tracking_uri, "runs/log-parameter", {"run_id": run.run_id, "key": "max_depth", "value": depth})
            facts = TrainingFacts(run_id=run.run_id, experiment_id=run.experiment_id)
            write(stack.store, StartTraining(make_training(id=f"t-{depth}", facts=facts, phase=Phase.SUCCEEDED)))
        other = start(registry)
        facts = TrainingFacts(run_id=other.run_id, experiment_id=other.experiment_id)
        write(stack.store, StartTraining(make_training(id="t-wine", model="wine", facts=facts)))
        write(stack.store, StartTraining(make_training(id="t-begun")))
        yield stack


def rows(output: Output) -> list[str]:
    """Return the id of each training that is listed."""
    return [line.split()[0] for line in output.out.splitlines()[1:] if line.startswith("t-")]


def test_best_lists_the_highest_first_with_its_number(stack: Stack) -> None:
    result = stack.launchpin("runs", "--best", "accuracy")

    assert result.code == 0, result.both
    assert rows(result) == ["t-3", "t-2", "t-1"]
    head, first = result.out.splitlines()[:2]
    assert (head.split()[-1], first.split()[-1]) == ("accuracy", "0.9")


def test_best_may_be_the_lowest_and_only_so_many_are_shown(stack: Stack) -> None:
    assert rows(stack.launchpin("runs", "iris", "--best", "accuracy", "--lowest", "--limit", "2")) == ["t-1", "t-2"]


def test_where_keeps_those_that_match_in_their_order(stack: Stack) -> None:
    result = stack.launchpin("runs", "--where", "metrics.accuracy >= 0.75 and params.max_depth != '9'")

    assert (result.code, rows(result)) == (0, ["t-3", "t-2"])


def test_json_has_the_rows_of_runs_and_the_number_as_it_was_logged(stack: Stack) -> None:
    plain = stack.launchpin("runs", "iris", "--json").json
    asked = stack.launchpin("runs", "--best", "accuracy", "--where", "params.max_depth = '2'", "--json").json

    assert (asked["ok"], asked["best"], asked["goal"]) == (True, "accuracy", "maximize")
    (found,) = asked["trainings"]
    (same,) = [one for one in plain["trainings"] if one["id"] == "t-2"]
    assert found == {**same, "value": "0.75"}
    assert (plain["best"], plain["goal"]) == ("", "")


def test_what_matches_nothing_is_said(stack: Stack) -> None:
    result = stack.launchpin("runs", "--best", "f1", "--where", "metrics.accuracy > 2")

    assert result.code == 0
    none, how_far = result.out.splitlines()
    assert none == "No run of a training matches metrics.accuracy > 2 and has f1 as a number."
    assert how_far == "Of all 5 trainings."
    assert stack.launchpin("runs", "--where", "metrics.accuracy > 2", "--json").json["trainings"] == []


def test_how_far_was_looked_is_said_on_the_screen_and_in_json(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stack.launchpin("runs", "iris", "--best", "accuracy", "--json").json
    assert (whole["looked_at"], whole["is_whole"]) == (4, True)
    assert stack.launchpin("runs", "iris", "--best", "accuracy").out.endswith("\nOf all 4 trainings.\n")
    assert "trainings." not in stack.launchpin("runs").out

    monkeypatch.setattr("gitops.telling.runs.FAR", 2)
    part = stack.launchpin("runs", "iris", "--best", "accuracy", "--json").json
    shown = stack.launchpin("runs", "iris", "--best", "accuracy", "--lowest")

    # The newest has no run yet, so of two there is one.
    assert (part["looked_at"], part["is_whole"], [one["id"] for one in part["trainings"]]) == (2, False, ["t-3"])
    assert rows(shown) == ["t-3"]
    assert shown.out.endswith("\nOf the 2 newest trainings; older ones were not looked at.\n")


def test_filter_that_mlflow_does_not_take_is_refused_in_its_words(stack: Stack) -> None:
    result = stack.launchpin("runs", "--where", "accuracy over 0.9", "--json")

    assert result.code == 2
    assert result.json["error"]["reason"] == "where_invalid"
    assert "--where: MLflow does not take this filter: " in result.err


def test_mlflow_that_is_away_is_told_with_the_way_out_and_runs_alone_still_answers(stack: Stack) -> None:
    stack.set_mlflow(free_port())

    result = stack.launchpin("runs", "--best", "accuracy", "--json")

    assert (result.code, result.json["error"]["reason"]) == (3, "RegistryUnavailable")
    assert "`launchpin logs mlflow`" in result.err
    assert len(rows(stack.launchpin("runs"))) == 5


def test_lowest_without_a_metric_is_a_mistake(stack: Stack) -> None:
    result = stack.launchpin("runs", "--lowest")

    assert result.code == 2
    assert "name it with --best METRIC" in result.err
