"""Questions about runs, asked a real MLflow server in its own filter language."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from gitops.errors import InputError, RetryError, StalledError
from gitops.ports import RunRef
from gitops.registry.mlflow import MlflowRegistry
from gitops.registry.questions import RunQuestions
from tests.contract.mlflow_registry_rig import call, registry, start, unique
from tests.support.mlflow import free_port
from tests.support.mlflow_wire import Reply, guarded_proxy, odd_server

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


def test_nothing_is_asked_about_no_run() -> None:
    assert RunQuestions(f"http://127.0.0.1:{free_port()}").find([], experiments=[]) == {}


# ---------------------------------------------------------------- who asks

NAME, PASSWORD, TOKEN = "ada", "p:ä%s", "t-0123"
BASIC = f"Basic {base64.b64encode(f'{NAME}:{PASSWORD}'.encode()).decode()}"

Give = Callable[[pytest.MonkeyPatch, Path], None]


def by_variables(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", NAME)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "one that gives way to a name and password")


def by_file(_: pytest.MonkeyPatch, home: Path) -> None:
    (home / ".mlflow").mkdir()
    kept = f"[mlflow]\nmlflow_tracking_username = {NAME}\nmlflow_tracking_password = {PASSWORD.replace('%', '%%')}\n"
    (home / ".mlflow" / "credentials").write_text(kept, encoding="utf-8")


def by_both(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    by_file(monkeypatch, home)
    (home / ".mlflow" / "credentials").write_text("[mlflow]\nmlflow_tracking_password = an older one\n")
    by_variables(monkeypatch, home)


def by_token(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", NAME)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an own home, and an environment that says nothing of who asks."""
    for part in ("USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS", "SERVER_CERT_PATH", "CLIENT_CERT_PATH"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{part}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("give", "authorization"),
    [(by_variables, BASIC), (by_file, BASIC), (by_both, BASIC), (by_token, f"Bearer {TOKEN}")],
    ids=["variables", "file", "both", "token"],
)
def test_a_server_that_asks_who_is_told_what_the_registry_tells_it(
    tracking_uri: str,
    pair: tuple[RunRef, RunRef],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    give: Give,
    authorization: str,
) -> None:
    give(monkeypatch, home)

    with guarded_proxy(tracking_uri, authorization) as uri:
        found = RunQuestions(uri).find([pair[0].run_id], experiments=[pair[0].experiment_id])
        of_registry = MlflowRegistry(uri).runs_of(pair[0], within=pair[0].run_id)

    assert set(found) == {run.run_id for run in of_registry} == {pair[0].run_id}


def test_a_server_that_is_not_told_who_asks_says_no_and_we_say_how_to_tell_it(
    tracking_uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_variables(monkeypatch, home)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a wrong secret")

    with guarded_proxy(tracking_uri, BASIC) as uri, pytest.raises(StalledError) as told:
        RunQuestions(uri).find(["a"], experiments=["1"])

    assert told.value.reason == "RegistryForbidden"
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN" in told.value.message
    assert "a wrong secret" not in told.value.message


@pytest.mark.parametrize("kept", ["[mlflow]\nmlflow_tracking_password = 100%s\n", "password = s3cr3t\n"])
def test_credentials_that_cannot_be_read_are_named_and_not_shown(home: Path, kept: str) -> None:
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text(kept)

    with pytest.raises(StalledError, match=r"credentials cannot be read") as told:
        RunQuestions(f"http://127.0.0.1:{free_port()}").find(["a"], experiments=["1"])

    assert told.value.reason == "RegistryForbidden"
    assert not {"100%s", "s3cr3t"} & set(told.value.message.split())


@pytest.mark.parametrize("part", ["SERVER", "CLIENT"])
def test_certificates_that_are_not_there_are_named(home: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setenv(f"MLFLOW_TRACKING_{part}_CERT_PATH", str(home / "none.pem"))

    with pytest.raises(StalledError, match=rf"MLFLOW_TRACKING_{part}_CERT_PATH names a file") as told:
        RunQuestions("https://mlflow.example").find(["a"], experiments=["1"])

    assert told.value.reason == "RegistryForbidden"


def test_a_server_elsewhere_is_asked_by_the_proxy_and_one_on_this_machine_is_not(
    tracking_uri: str, pair: tuple[RunRef, RunRef], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_token(monkeypatch, home)
    asked = []

    def answer(_: str, path: str) -> Reply:
        asked.append(path)
        return Reply(200, b'{"runs": []}')

    with odd_server(answer) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        here = RunQuestions(tracking_uri).find([pair[0].run_id], experiments=[pair[0].experiment_id])
        there = RunQuestions("http://mlflow.example/t").find(["a"], experiments=["1"])

    assert (set(here), there) == ({pair[0].run_id}, {})
    assert asked == ["http://mlflow.example/t/api/2.0/mlflow/runs/search"]
