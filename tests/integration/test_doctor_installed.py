"""`launchpin doctor` in a part of a service: all of the outside real, first well, then wrong, with how to mend it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitops.records import Role
from gitops.writes import SaveRepository, StartTraining
from tests.integration.installed_rig import Service, scenes, service
from tests.support.cli import call
from tests.support.endpoint_host import TOKEN, Host
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.mlflow import free_port
from tests.support.scenes import Scenes
from tests.support.store import make_repository, make_training, write
from tests.support.valkey import Valkey, running_valkey

__all__ = ["scenes", "service"]

BOT = "launchpin[bot]"


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    running = Host(tmp_path_factory.mktemp("endpoints")).start()
    yield running
    running.close()


@pytest.fixture
def worker(service: Service, forge: ForgeUnderTest, broker: Valkey, host: Host, tracking_uri: str) -> Service:
    """Give the service as a worker knows it: with everything of the outside, and a repository on the forge."""
    service.let_a_relay_lead()
    service.tell(
        redis_url_file=service.secret("redis_url", broker.url),
        forge_api=forge.api,
        forge_token_file=service.secret("forge_token", forge.bot),
        forge_login=BOT,
        tracking_uri=tracking_uri,
        endpoint_host=host.url,
        endpoint_token_file=service.secret("endpoint_token", TOKEN),
        secrets_dir=service.secret("granted/DB_PASSWORD", "x").parent,
    )
    write(service.store, SaveRepository(make_repository(full_name=forge.repository().full_name)))
    return service


def look() -> dict[str, dict[str, Any]]:
    """Return what doctor found, by what it looked at; of several the worst."""
    order = ["ok", "warn", "fail"]
    found: dict[str, dict[str, Any]] = {}
    for one in call("doctor", "--json").json["findings"]:
        if order.index(one["grade"]) >= order.index(found.get(one["what"], one)["grade"]):
            found[one["what"]] = one
    return found


@pytest.mark.usefixtures("worker")
def test_a_worker_that_has_everything_is_well(forge: ForgeUnderTest, tracking_uri: str) -> None:
    found = look()
    grades = {what: one["grade"] for what, one in found.items()}
    outside = {"broker", "MLflow", "forge", "endpoint host"}
    known = {"secrets", "database", "clock", "relay", "workers for control", "workers for training"}
    assert {what for what in outside | known if grades.get(what) != "ok"} == set(), found
    assert {"Python", "git", "uv", "disk"} <= grades.keys()
    assert found["MLflow"]["text"] == f"answers at {tracking_uri}"
    assert found["forge"]["text"] == f"answers at {forge.api}"
    assert "made-up" not in str(found), "no secret is told"
    assert "not asked" not in grades
    assert call("doctor").code == (1 if grades["disk"] == "fail" else 0)


def test_a_relay_is_not_asked_for_what_it_was_not_told(worker: Service) -> None:
    worker.forget("forge_api", "forge_token_file", "tracking_uri", "endpoint_host", "endpoint_token_file")
    found = look()
    assert found["broker"]["grade"] == "ok"
    assert found["not asked"]["text"].startswith("MLflow, forge, endpoint host: not told to this process")
    assert {"MLflow", "forge", "endpoint host"} & found.keys() == set()


def test_what_nobody_answers_for_fails_with_the_setting_that_says_where_it_is(worker: Service) -> None:
    away = f"127.0.0.1:{free_port()}"
    worker.tell(
        redis_url_file=worker.secret("redis_url", f"redis://:made-up@{away}/0"),
        forge_api=f"http://{away}/api/v3",
        tracking_uri=f"http://{away}",
        endpoint_host=f"http://{away}",
    )
    result, found = call("doctor"), look()
    assert result.code == 1
    wanted = (("broker", "REDIS_URL_FILE"), ("MLflow", "TRACKING_URI"), ("forge", "FORGE_API"))
    for what, setting in (*wanted, ("endpoint host", "ENDPOINT_HOST")):
        assert found[what]["grade"] == "fail", found[what]
        assert found[what]["remedy"] == f"start it, or mend LAUNCHPIN_{setting}"
    assert "made-up" not in result.both
    assert "        start it, or mend LAUNCHPIN_FORGE_API\n" in result.out


def test_secrets_that_are_not_those_of_the_outside_fail_with_the_file_to_mend(worker: Service, broker: Valkey) -> None:
    worker.secret("redis_url", broker.url.replace("made-up", "another"))
    worker.secret("forge_token", "ghp_nobodys")
    worker.secret("endpoint_token", "another-token-than-that-of-the-host")
    found = look()
    assert {what: found[what]["grade"] for what in ("broker", "forge", "endpoint host")} == {
        "broker": "fail",
        "forge": "fail",
        "endpoint host": "fail",
    }
    assert "LAUNCHPIN_REDIS_URL_FILE" in found["broker"]["remedy"]
    assert "LAUNCHPIN_FORGE_TOKEN_FILE" in found["forge"]["remedy"]
    assert "LAUNCHPIN_ENDPOINT_TOKEN_FILE" in found["endpoint host"]["remedy"]
    assert "another" not in str(found["broker"])


def test_a_token_of_somebody_else_than_the_login_fails(worker: Service) -> None:
    worker.tell(forge_login="acme-launchpin")
    found = look()["forge"]
    assert found["grade"] == "fail"
    assert found["text"] == f"the token is {BOT}'s, and LAUNCHPIN_FORGE_LOGIN says acme-launchpin"
    assert found["remedy"].startswith(f"set LAUNCHPIN_FORGE_LOGIN to {BOT}")


def test_a_connected_repository_that_the_token_does_not_see_is_named(worker: Service) -> None:
    write(worker.store, SaveRepository(make_repository(id=9, full_name="acme/gone", role=Role.DEPLOY)))
    found = look()["forge"]
    assert (found["grade"], found["text"]) == ("fail", "acme/gone: not there, or not for our token")


@pytest.mark.parametrize(
    ("setting", "name"),
    [("hook_secret_files", "hook_secret"), ("metrics_token_file", "metrics_token"), ("secrets_dir", "granted/KEY")],
    ids=["list", "file", "folder"],
)
def test_a_secret_that_others_may_read_is_named_with_how_to_close_it(service: Service, setting: str, name: str) -> None:
    file = service.secret(name, "made-up")
    service.tell(**{setting: {"hook_secret_files": f'["{file}"]', "secrets_dir": file.parent}.get(setting, file)})
    assert look()["secrets"]["grade"] == "ok"
    file.chmod(0o640)
    found = look()["secrets"]
    assert found["grade"] == "fail"
    assert found["text"].startswith(f"LAUNCHPIN_{setting.upper()}: {file.name} may be read by others")
    assert found["remedy"] == f"chmod 600 {file}"
    file.unlink()
    assert (look()["secrets"]["grade"] == "fail") is (setting != "secrets_dir")


def test_a_folder_of_grants_that_is_not_there_is_a_warning(service: Service) -> None:
    service.tell(secrets_dir=service.home / "none")
    assert look()["secrets"]["grade"] == "warn"


def test_a_database_without_this_releases_schema_fails_with_the_command_that_makes_it(
    service: Service, tmp_path: Path
) -> None:
    service.tell(database_url=f"sqlite:///{tmp_path / 'other.sqlite3'}")
    found = look()["database"]
    assert found["grade"] == "fail"
    assert "schema is missing" in found["text"]
    assert "gitops.embedded.stack.migrate" in found["remedy"]


def test_a_database_that_is_away_fails_and_the_rest_is_looked_at_all_the_same(service: Service) -> None:
    service.tell(
        database_url=f"postgresql://launchpin@127.0.0.1:{free_port()}/none",
        endpoint_host=f"http://127.0.0.1:{free_port()}",
        endpoint_token_file=service.secret("endpoint_token", TOKEN),
    )
    found = look()
    assert found["database"]["remedy"] == "start it, or mend LAUNCHPIN_DATABASE_URL"
    assert found["endpoint host"]["grade"] == "fail"


def test_what_the_database_knows_of_the_parts_is_graded(service: Service, scenes: Scenes) -> None:
    assert look()["relay"]["text"] == "none was ever here"
    write(scenes.store, StartTraining(make_training()))
    found = look()
    assert found["relay"]["grade"] == "fail"
    assert found["relay"]["remedy"].startswith("start the relay")
    assert found["workers for control"]["grade"] == "warn"
    assert found["workers for training"]["grade"] == "ok"
    assert found["audit log"]["grade"] == "warn"
    service.let_a_relay_lead()
    assert look()["relay"]["grade"] == "ok"


def test_a_variable_that_is_wrong_is_a_finding(service: Service) -> None:
    service.tell(lease="soon")
    result = call("doctor", "--json")
    (found,) = (one for one in result.json["findings"] if one["what"] == "settings")
    assert result.code == 1
    assert found["grade"] == "fail"
    assert "LAUNCHPIN_LEASE" in found["text"]


def test_an_address_that_no_client_takes_hides_nothing_that_comes_after_it(worker: Service) -> None:
    worker.tell(tracking_uri="http://[nonsense")
    found = look()
    assert found["MLflow"]["grade"] == "fail"
    assert "LAUNCHPIN_TRACKING_URI" in found["MLflow"]["remedy"]
    assert found["endpoint host"]["grade"] == "ok"
    status = call("status")
    assert status.code == 0, status.both
    assert "no address that can be read" in status.out
