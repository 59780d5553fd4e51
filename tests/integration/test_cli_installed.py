"""The command line in a part of a service that `launchpin up` did not start: the part's variables say where all is."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops.bootstrap import for_command, prepare
from gitops.embedded.stack.environment import settings_for
from gitops.logins import use_link
from gitops.records import TrainingFacts
from gitops.settings import Settings
from gitops.steps import Queue, Stalled
from gitops.store import SqlStore
from gitops.writes import SaveEnvironment, StartTraining
from tests.integration.installed_rig import RELAY, Service, scenes, service
from tests.integration.test_cli_audit import signing
from tests.support.cli import Output, Stack, call, make_stack
from tests.support.fleet import REFUSED, fill_fleet
from tests.support.scenes import FORGE, Scenes
from tests.support.store import Clock, answer, make_environment, make_training, write

__all__ = ["scenes", "service"]


def unbroken(output: Output) -> str:
    """Return what was printed as one line, as it was before it was fitted to the screen."""
    return " ".join(output.out.split())


# ---------------------------------------------------------------- who may come in


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlStore]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAUNCHPIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAUNCHPIN_BASE_URL", "https://launchpin.example.com/")
    prepare(Settings())
    store = for_command(Settings())
    yield store
    store.close()


def test_people_get_roles_and_a_link_of_the_service(store: SqlStore, tmp_path: Path) -> None:
    assert call("people", "grant", "ada", "admin").code == 0
    made = call("people", "link", "ada")
    assert made.code == 0, made.both
    assert made.out.startswith("https://launchpin.example.com/_login/")
    token = made.out.removeprefix("https://launchpin.example.com/_login/").partition("?")[0]
    link = use_link(tmp_path / "home" / "logins", token)
    assert link is not None
    assert link.login == "ada"
    assert [person.login for person in store.people()] == ["ada"]


def test_a_token_opens_what_it_says(store: SqlStore) -> None:
    made = call("token", "create", "nightly", "--role", "admin")
    assert made.code == 0, made.both
    assert store.token_access(made.out.strip()) is not None


def test_a_command_is_asked_for_though_nobody_here_knows_who_runs_the_workers(store: SqlStore) -> None:
    asked = call("gc", "--timeout", "0.1", "--json")
    assert asked.json["error"]["reason"] == "TimedOut", asked.both
    assert store.depth()


def test_a_stack_in_the_named_folder_comes_first(store: SqlStore, tmp_path: Path) -> None:
    assert store.people() == []
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "stack.json").write_text("{}", encoding="utf-8")
    for verb in (("people", "list"), ("status",), ("explain",), ("logs",)):
        result = call(*verb, "--dir", str(tmp_path / "stack"))
        assert result.code != 0
        assert "stack.json" in result.both


def test_without_a_stack_or_a_service_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAUNCHPIN_HOME", raising=False)
    for verb in (("people", "list"), ("status",), ("explain",), ("logs",), ("pr", "list"), ("down",)):
        assert "there is no stack in" in call(*verb).err


def test_a_variable_that_is_wrong_is_named_and_its_value_is_not_told(service: Service) -> None:
    service.tell(lease="hunter2")
    result = call("explain", "--json")
    assert (result.code, result.json["error"]["reason"]) == (2, "value_invalid"), result.both
    assert "LAUNCHPIN_LEASE" in result.err
    assert "hunter2" not in result.both


# ---------------------------------------------------------------- what is only read


@contextmanager
def fleet(folder: Path) -> Iterator[Stack]:
    """Give a stack with the afternoon of a fleet, and a log."""
    clock = Clock()
    clock.time = datetime.now(UTC) - timedelta(hours=9)
    with make_stack(folder) as stack:
        store = SqlStore(settings_for(stack.layout).database, clock=clock)
        fill_fleet(store, clock)
        store.close()
        logs = stack.layout.dir / "trainings" / "logs"
        logs.mkdir(parents=True)
        (logs / f"{REFUSED}-1.log").write_bytes(b"fitting 120 rows\naccuracy=0.893\n")
        yield stack


def steady(output: Output) -> str:
    """Return what was printed without the second in which it was."""
    return re.sub(r"[0-9]{2}:[0-9]{2}:[0-9]{2}", "", output.out)


VERBS = (
    ("history", "churn-staging"),
    ("history", "iris", "--json"),
    ("logs", REFUSED),
    ("logs", REFUSED, "--json"),
    ("logs", "churn-staging"),
    ("logs", REFUSED, "--follow"),
    ("trials",),
    ("runs",),
    ("runs", "churn", "--json"),
    ("versions", "iris"),
    ("endpoints",),
    ("endpoints", "--json"),
    ("plan", "iris-production"),
    ("dora", "--days", "7"),
    ("audit", "at", "--endpoint", "churn-staging", "--time", "now"),
    ("explain", "churn-staging", "--incident"),
    ("notify", "list"),
)


def test_what_only_reads_says_of_a_service_what_it_says_of_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fleet(tmp_path) as stack:
        settings = settings_for(stack.layout)
        home = tmp_path / "home"
        home.mkdir()
        (home / "trainings").symlink_to(stack.layout.dir / "trainings")
        monkeypatch.chdir(home)
        monkeypatch.setenv("LAUNCHPIN_HOME", str(home))
        monkeypatch.setenv("LAUNCHPIN_DATABASE_URL", settings.database)
        for verb in VERBS:
            # An age may turn over between two looks.
            before, found, after = stack.launchpin(*verb), call(*verb), stack.launchpin(*verb)
            assert found.code == before.code, (verb, found.both)
            assert steady(found) in (steady(before), steady(after)), verb
            assert found.out or found.err in (before.err, after.err), verb


def test_an_endpoint_is_explained_with_what_can_be_typed_here(service: Service, scenes: Scenes) -> None:
    scenes.rolled_back()
    service.let_a_relay_lead()
    result = call("explain", "churn-production")
    assert result.code == 0, result.both
    assert "is held: v8 failed, and v7 serves." in result.out
    assert "  | KeyError: 'tenure_months'" in result.out
    assert "launchpin resume churn-production" in result.out
    told = call("explain", "churn-production", "--incident")
    assert told.code == 0, told.both
    assert "KeyError: 'tenure_months'" in told.out


def test_a_pull_request_that_waits_is_merged_where_it_is(service: Service, scenes: Scenes) -> None:
    scenes.waits_for_review()
    service.let_a_relay_lead()
    for name in ("wine-production", "12"):
        result = call("explain", name)
        assert f"{FORGE}/acme/wine-deploy/pull/12" in result.out
        assert "launchpin pr" not in result.out
    commands = call("explain", "wine-production", "--json").json["commands"]
    assert f"{FORGE}/acme/wine-deploy/pull/12" in commands
    of_pull = call("explain", "12", "--json").json["commands"]
    assert [one for one in of_pull if one != "launchpin doctor"] == [f"{FORGE}/acme/wine-deploy/pull/12"]


def test_a_part_without_a_log_here_is_looked_at_by_doctor(scenes: Scenes) -> None:
    training = scenes.waits_for_mlflow()
    result = call("explain", training.id)
    assert "RegistryUnavailable: MLflow at http://127.0.0.1:5000 does not answer (tried 3 times)" in unbroken(result)
    assert "launchpin logs mlflow" not in result.out
    assert "launchpin doctor" in result.out


def test_a_relay_that_is_gone_comes_first_and_is_told_with_each_thing(service: Service) -> None:
    clock = Clock()
    clock.time = datetime.now(UTC)
    scenes = Scenes(SqlStore(service.url, clock=clock), clock)
    scenes.fine()
    scenes.store.close()
    service.let_a_relay_lead()
    assert call("explain").out == "Nothing is wrong: 1 endpoint serves what Git pins.\n"
    assert "relay" not in call("explain", "iris-production").out
    service.let_the_relay_go()
    everything, one = call("explain"), call("explain", "iris-production")
    gone = "relay: nobody leads: nothing goes on by itself"
    assert everything.out.splitlines()[2:4] == [gone, "  launchpin doctor"]
    assert gone in unbroken(one)
    assert call("explain", "--json").json["attention"][0]["reason"] == "Gone"


def test_endpoints_are_shown_as_they_are_and_not_as_those_of_a_stack_that_sleeps(service: Service) -> None:
    write(service.store, SaveEnvironment(make_environment(url="http://endpoints:8090/endpoints/iris"), ()))
    (shown,) = call("endpoints", "--json").json["endpoints"]
    assert shown["url"] == "http://endpoints:8090/endpoints/iris"


def test_runs_ask_the_mlflow_that_the_settings_name(service: Service, tracking_uri: str) -> None:
    service.tell(tracking_uri=tracking_uri)
    facts = TrainingFacts(run_id="a" * 32, experiment_id="0")
    write(service.store, StartTraining(make_training(facts=facts)))
    assert call("runs", "--best", "accuracy").out.startswith("No run of a training has accuracy")
    result = call("runs", "--where", "accuracy over 0.9", "--json")
    assert (result.code, result.json["error"]["reason"]) == (2, "where_invalid"), result.both


# ---------------------------------------------------------------- status


def test_status_shows_parts_as_the_database_knows_them(service: Service) -> None:
    store = service.store
    service.let_a_relay_lead()
    service.tell(base_url="https://launchpin.example.com/", tracking_uri="http://ada:pw@mlflow:5000")
    write(store, *(StartTraining(make_training(id=name)) for name in ("t-1stalls", "t-2held", "t-3ready")))
    stalls = store.claim(Queue.CONTROL, owner="control-7:17", lease=timedelta(minutes=10))
    assert stalls is not None
    answer(store, stalls, Stalled("NoInterpreter", "Python 3.9 is asked for"), step="environment")
    held = store.claim(Queue.CONTROL, owner="control-7:17", lease=timedelta(minutes=10))
    assert held is not None
    result, told = call("status"), call("status", "--json").json
    assert result.code == 0, result.both
    assert f"{RELAY} leads for " in result.out
    assert re.search(rf"control-7:17 has training {held.subject}: its lease ends in (9|10) min\n", result.out)
    assert re.search(r"^NoInterpreter +stalled +training +1$", result.out, re.MULTILINE)
    assert "https://launchpin.example.com" in result.out
    assert "http://mlflow:5000" in result.out
    assert "pw@" not in result.both
    assert "_login" not in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    parts = {one["name"]: (one["state"], one["ready"], one["held"]) for one in told["service"]["parts"]}
    assert parts == {"relay": ("Leads", 0, 0), "control": ("Working", 1, 1), "training": ("Free", 0, 0)}
    (lease,) = told["service"]["hands"]["held"]
    assert (lease["subject"], lease["worker"]) == (held.subject, "control-7:17")
    assert datetime.fromisoformat(lease["until"]) > store.now()
    (waiting,) = told["service"]["waiting"]
    assert waiting == {"state": "stalled", "kind": "training", "reason": "NoInterpreter", "count": 1}
    assert told["urls"] == {"dashboard": "https://launchpin.example.com", "mlflow": "http://mlflow:5000"}


def test_status_says_that_nobody_leads_and_what_no_worker_takes(service: Service, scenes: Scenes) -> None:
    write(scenes.store, StartTraining(make_training(id="t-1late")))
    assert "no relay was ever here" in call("status").out
    service.let_a_relay_lead()
    service.let_the_relay_go()
    result = call("status")
    assert f"{RELAY} led until 0 s ago: nothing goes on by itself" in re.sub(r"\d+ s ago", "0 s ago", result.out)
    assert re.search(r"^control +Late +1 +2 h\b", result.out, re.MULTILINE), result.out
    assert "POST /api/v1/connect" in result.out


# ---------------------------------------------------------------- logs


def test_the_last_lines_stand_in_the_record_where_the_log_is_on_another_machine(
    service: Service, scenes: Scenes
) -> None:
    training = scenes.fails_to_train()
    assert "ValueError: could not convert string to float: 'n/a'" in call("logs", training.id).out
    logs = service.home / "trainings" / "logs"
    logs.mkdir(parents=True)
    (logs / f"{training.id}-1.log").write_text("the whole log\n", encoding="utf-8")
    assert call("logs").out == "the whole log\n"


def test_a_training_under_way_elsewhere_says_where_its_log_is(service: Service) -> None:
    write(service.store, StartTraining(make_training(id="t-1elsewhere")))
    result = call("logs")
    assert result.code == 3
    assert "on its worker's machine" in result.err


@pytest.mark.usefixtures("service")
def test_the_log_of_a_part_is_where_the_part_was_started() -> None:
    result = call("logs", "relay", "--json")
    assert (result.code, result.json["error"]["reason"]) == (2, "NoStack")
    assert "`docker compose logs relay`" in result.err


# ---------------------------------------------------------------- what makes no sense here


@pytest.mark.parametrize(
    ("verb", "way_out"),
    [
        (("pr", "list"), "look at these pull requests and merge them on https://github.com; `launchpin explain` lists"),
        (("pr", "show", "3"), "look at these pull requests and merge them on https://github.com"),
        (("pr", "merge", "3"), "look at these pull requests and merge them on https://github.com"),
        (("add", "nowhere"), "POST https://launchpin.example.com/api/v1/connect, with a token of `launchpin token"),
        (("down",), "stop them where they were started, with `docker compose stop`"),
    ],
    ids=" ".join,
)
def test_what_only_a_stack_has_says_so_in_one_sentence_with_the_way_out(
    service: Service, verb: tuple[str, ...], way_out: str
) -> None:
    service.tell(forge_api="https://api.github.com", base_url="https://launchpin.example.com")
    result = call(*verb, "--json")
    assert (result.code, result.json["error"]["reason"]) == (2, "NoStack"), result.both
    assert way_out in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.usefixtures("service")
def test_a_channel_is_tried_only_where_a_file_says_how() -> None:
    result = call("notify", "test", "on-call")
    assert result.code == 2
    assert "LAUNCHPIN_NOTIFY_FILE" in result.err


# ---------------------------------------------------------------- the audit log


def test_the_log_is_exported_where_the_relays_key_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make_stack(tmp_path) as stack:
        write(stack.store, StartTraining(make_training(id="t-1")))
        settings = settings_for(stack.layout)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LAUNCHPIN_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("LAUNCHPIN_DATABASE_URL", settings.database)
        lost = call("audit", "export", tmp_path / "bundle")
        assert lost.code == 2
        assert "where the relay runs" in lost.err
        monkeypatch.setenv("LAUNCHPIN_AUDIT_KEY_FILE", str(settings.audit_key_file))
        with signing(stack):
            result = call("audit", "export", tmp_path / "bundle", "--json")
        assert result.code == 0, result.both
    assert json.loads(call("audit", "verify", tmp_path / "bundle", "--json").out)["finding"] == "intact"
