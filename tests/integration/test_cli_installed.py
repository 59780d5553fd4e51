"""The command line in a part of a service that `launchpin up` did not start: the part's variables say where all is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.bootstrap import for_command, prepare
from gitops.logins import use_link
from gitops.settings import Settings
from gitops.store import SqlStore
from gitops.writes import SaveEnvironment
from tests.support.cli import call
from tests.support.store import make_environment, write


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
    result = call("people", "list", "--dir", str(tmp_path / "stack"))
    assert result.code != 0
    assert "stack.json" in result.both


def test_without_a_stack_or_a_service_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAUNCHPIN_HOME", raising=False)
    assert "there is no stack in" in call("people", "list").err


def test_endpoints_are_shown_as_they_are_and_not_as_those_of_a_stack_that_sleeps(store: SqlStore) -> None:
    write(store, SaveEnvironment(make_environment(url="http://endpoints:8090/endpoints/iris"), ()))
    (shown,) = call("endpoints", "--json").json["endpoints"]
    assert shown["url"] == "http://endpoints:8090/endpoints/iris"
