"""Questions about runs, asked a real MLflow server in its own filter language."""

import pytest

from gitops.errors import InputError, RetryError, StalledError
from gitops.ports import RunRef
from gitops.registry.mlflow import MlflowRegistry
from gitops.registry.questions import RunQuestions
from tests.contract.mlflow_registry_rig import call, registry, start, unique
from tests.support.mlflow import free_port
from tests.support.mlflow_wire import Reply, odd_server
from tests.support.scripted import Scripted, serve_script

__all__ = ["registry"]


@pytest.fixture(scope="module")
def questions(tracking_uri: str) -> RunQuestions:
    return RunQuestions(f"{tracking_uri}/")


def log(tracking_uri: str, run: RunRef, *, depth: str, **metrics: float) -> None:
    for key, value in metrics.items():
        call(tracking_uri, "runs/log-metric", {"run_id": run.run_id, "key": key, "value": value, "timestamp": 1})
    call(tracking_uri, "runs/log-parameter", {"run_id": run.run_id, "key": "max_depth", "value": depth})


@pytest.fixture(scope="module")
def pair(registry: MlflowRegistry, tracking_uri: str) -> tuple[RunRef, RunRef]:
    """Give a run of a deep tree and one of a shallow tree."""
    experiment = unique("exp")
    deep, shallow = start(registry, experiment=experiment), start(registry, experiment=experiment)
    log(tracking_uri, deep, depth="3", accuracy=0.1 + 0.2, f1=0.5)
    log(tracking_uri, shallow, depth="1", accuracy=0.25)
    return deep, shallow


def ids(questions: RunQuestions, pair: tuple[RunRef, RunRef], where: str) -> set[str]:
    experiments = [pair[0].experiment_id]
    return set(questions.find([run.run_id for run in pair], experiments=experiments, where=where))


def test_every_run_that_is_meant_is_found_with_its_metrics(
    questions: RunQuestions, pair: tuple[RunRef, RunRef]
) -> None:
    deep, shallow = pair

    found = questions.find([deep.run_id, shallow.run_id], experiments=[deep.experiment_id])

    assert found[deep.run_id].metrics == {"accuracy": "0.30000000000000004", "f1": "0.5"}
    assert found[shallow.run_id].metrics == {"accuracy": "0.25"}


def test_a_filter_is_mlflows_own(questions: RunQuestions, pair: tuple[RunRef, RunRef]) -> None:
    deep, shallow = (run.run_id for run in pair)

    assert ids(questions, pair, "metrics.accuracy > 0.28 and params.max_depth = '3'") == {deep}
    assert ids(questions, pair, "params.max_depth LIKE '_'") == {deep, shallow}
    assert ids(questions, pair, "tags.`mlflow.source.type` = 'PROJECT' and metrics.accuracy < 0.28") == {shallow}
    assert ids(questions, pair, "metrics.accuracy > 0.9") == set()


def test_only_runs_that_are_meant_are_found(questions: RunQuestions, pair: tuple[RunRef, RunRef]) -> None:
    deep, shallow = pair

    found = questions.find([shallow.run_id], experiments=[deep.experiment_id], where="metrics.accuracy > 0")

    assert set(found) == {shallow.run_id}


def test_more_runs_than_one_question_holds_are_found(registry: MlflowRegistry, questions: RunQuestions) -> None:
    experiment = unique("exp")
    runs = [start(registry, experiment=experiment) for _ in range(3)]
    meant = [*(f"{number:032x}" for number in range(150)), *(run.run_id for run in runs)]

    found = questions.find(meant, experiments=[runs[0].experiment_id])

    assert set(found) == {run.run_id for run in runs}


def test_a_run_that_was_deleted_is_not_found(
    registry: MlflowRegistry, questions: RunQuestions, tracking_uri: str
) -> None:
    run = start(registry)
    call(tracking_uri, "runs/delete", {"run_id": run.run_id})

    assert questions.find([run.run_id], experiments=[run.experiment_id]) == {}


def test_a_metric_that_is_no_number_is_told_as_what_it_is(
    registry: MlflowRegistry, questions: RunQuestions, tracking_uri: str
) -> None:
    run = start(registry)
    for key, value in {"nan": "NaN", "up": "Infinity"}.items():
        call(tracking_uri, "runs/log-metric", {"run_id": run.run_id, "key": key, "value": value, "timestamp": 1})

    found = questions.find([run.run_id], experiments=[run.experiment_id])

    assert found[run.run_id].metrics == {"nan": "NaN", "up": "Infinity"}


@pytest.mark.parametrize(
    "where",
    ["accuracy over 0.9", "metrics.accuracy > 'high'", "metrics.accuracy > 0.9 or params.max_depth = '3'", "'"],
    ids=["no clause", "no number", "or", "open quote"],
)
def test_a_filter_that_mlflow_does_not_take_is_refused_in_its_words_with_one_that_it_takes(
    questions: RunQuestions, pair: tuple[RunRef, RunRef], where: str
) -> None:
    with pytest.raises(
        InputError, match=r"MLflow does not take this filter: .+ \(one that it takes: metrics\."
    ) as told:
        ids(questions, pair, where)
    assert (told.value.reason, told.value.field) == ("where_invalid", "--where")
    assert all(run.run_id not in str(told.value) for run in pair), "the person asked nothing about these ids"


def test_a_server_that_is_away_is_told_with_the_way_out() -> None:
    with pytest.raises(RetryError, match=r"does not answer .*`launchpin logs mlflow`") as told:
        RunQuestions(f"http://127.0.0.1:{free_port()}").find(["a"], experiments=["1"])
    assert told.value.reason == "RegistryUnavailable"


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (Reply(503), RetryError, "RegistryUnavailable"),
        (Reply(200, b"<html>"), RetryError, "upstream_bad_reply"),
        (Reply(200, b'{"runs": [{"info": {}}]}'), RetryError, "upstream_bad_reply"),
        (Reply(200, b"[]"), RetryError, "upstream_bad_reply"),
        (Reply(403, b'{"message": "no\\u001b[31m"}'), StalledError, "RegistryForbidden"),
    ],
    ids=["status", "page", "no run", "list", "forbidden"],
)
def test_an_answer_that_is_none_is_named(reply: Reply, kind: type[Exception], reason: str) -> None:
    with odd_server(lambda _method, _path: reply) as uri, pytest.raises(kind) as told:
        RunQuestions(uri).find(["a"], experiments=["1"])
    assert getattr(told.value, "reason", "") == reason
    assert str(told.value).isprintable()


def test_a_server_that_answers_is_well_and_one_that_does_not_is_away(questions: RunQuestions) -> None:
    questions.check()
    with pytest.raises(RetryError, match="does not answer"):
        RunQuestions(f"http://127.0.0.1:{free_port()}", patience=2).check()


@pytest.mark.parametrize(
    ("variables", "asker"),
    [
        ({}, ""),
        ({"USERNAME": "ada"}, ""),
        ({"USERNAME": "ada", "PASSWORD": "made-up", "TOKEN": "unused"}, "Basic YWRhOm1hZGUtdXA="),
        ({"TOKEN": "made-up"}, "Bearer made-up"),
    ],
    ids=["nobody", "half", "password", "token"],
)
def test_who_asks_is_said_as_mlflows_client_says_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], asker: str
) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    with serve_script() as server:
        server.play(Scripted(200, {}))
        RunQuestions(server.base).check()
    assert server.askers == [asker]


def test_nothing_is_asked_about_no_run() -> None:
    assert RunQuestions(f"http://127.0.0.1:{free_port()}").find([], experiments=[]) == {}
