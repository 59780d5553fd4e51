"""Where a stack's database is, and that every later command finds it there."""

import json
import re
import stat
from pathlib import Path

import pytest

from gitops.embedded.stack import keys
from gitops.embedded.stack.database import database_settings, has_database, remember_database
from gitops.embedded.stack.environment import part_environment, settings_for
from gitops.embedded.stack.layout import Layout
from gitops.errors import InputError

URL = "postgresql://launchpin@db.example.com:5432/launchpin"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.make(tmp_path / "stack")
    layout.forge_home.mkdir()
    keys.make_secrets(layout)
    return layout


def test_database_is_a_file_in_the_folder_when_nobody_says_otherwise(layout: Layout) -> None:
    remember_database(layout, {})
    assert not has_database(layout)
    assert settings_for(layout).database == f"sqlite:///{layout.dir / 'launchpin.sqlite3'}"


def test_what_the_first_up_was_told_is_remembered_for_every_part_and_command(layout: Layout) -> None:
    password = str(layout.dir / "password")
    told = {"LAUNCHPIN_DATABASE_URL": URL, "LAUNCHPIN_DATABASE_PASSWORD_FILE": password}
    remember_database(layout, told)
    remember_database(layout, {})
    assert has_database(layout)
    settings = settings_for(layout)
    assert (settings.database, settings.database_password_file) == (URL, Path(password))
    for part in ("database", "web", "relay", "control", "training"):
        assert told.items() <= part_environment(layout, part).items()
    assert not told.keys() & part_environment(layout, "forge").keys()
    assert stat.S_IMODE((layout.dir / "database.json").stat().st_mode) == 0o600


def test_stack_stays_with_the_database_that_it_remembers_and_says_the_ways_out(layout: Layout) -> None:
    told = {"LAUNCHPIN_DATABASE_URL": URL, "LAUNCHPIN_DATABASE_PASSWORD_FILE": str(layout.dir / "password")}
    remember_database(layout, told)
    before = (layout.dir / "database.json").read_text()
    with pytest.raises(InputError) as caught:
        remember_database(layout, {"LAUNCHPIN_DATABASE_URL": URL.replace("db.", "db2.")})
    assert caught.value.reason == "database_moved"
    assert {URL, "--dir", "database.json"} <= set(re.split(r";? ", str(caught.value)))
    assert (layout.dir / "database.json").read_text() == before


def test_file_with_the_password_is_remembered_for_every_folder_and_may_be_another_one_later(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remembered() -> str:
        return database_settings(layout)["database_password_file"]

    monkeypatch.chdir(tmp_path)
    remember_database(layout, {"LAUNCHPIN_DATABASE_URL": URL, "LAUNCHPIN_DATABASE_PASSWORD_FILE": "password"})
    assert remembered() == str(tmp_path / "password")
    remember_database(layout, {"LAUNCHPIN_DATABASE_URL": URL})
    assert remembered() == str(tmp_path / "password")
    remember_database(layout, {"LAUNCHPIN_DATABASE_URL": URL, "LAUNCHPIN_DATABASE_PASSWORD_FILE": "newer"})
    assert remembered() == str(tmp_path / "newer")


def test_stack_with_records_in_sqlite_stays_there(layout: Layout) -> None:
    (layout.dir / "launchpin.sqlite3").touch()
    with pytest.raises(InputError) as caught:
        remember_database(layout, {"LAUNCHPIN_DATABASE_URL": URL})
    assert caught.value.reason == "database_moved"
    assert database_settings(layout) == {"database_url": ""}


def test_password_in_the_url_is_never_written_down(layout: Layout) -> None:
    with pytest.raises(InputError) as caught:
        remember_database(layout, {"LAUNCHPIN_DATABASE_URL": "postgresql://u:secret@db.example.com/x"})
    assert caught.value.reason == "secret_in_url"
    assert "secret@" not in str(caught.value)
    assert not has_database(layout)


def test_memory_that_was_damaged_is_refused_by_name(layout: Layout) -> None:
    (layout.dir / "database.json").write_text(json.dumps({"database_url": URL})[:-4])
    with pytest.raises(InputError) as caught:
        database_settings(layout)
    assert caught.value.reason == "stack_unreadable"
