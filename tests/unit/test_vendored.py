"""What pages load that others wrote is what its record says, and comes with its licence."""

import hashlib
import tomllib
from importlib import resources

import pytest

FOLDER = resources.files("webhooks.dashboard").joinpath("static", "vendored")
RECORD = "VENDORED.toml"
ROWS = tomllib.loads(FOLDER.joinpath(RECORD).read_text())


def test_every_vendored_file_is_on_record_and_no_other() -> None:
    found = {one.name for one in FOLDER.iterdir()} - {RECORD}
    assert found == {*ROWS, *(row["text"] for row in ROWS.values())}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_vendored_file_is_the_one_on_record_and_has_its_licence_beside_it(name: str) -> None:
    row = ROWS[name]
    assert hashlib.sha256(FOLDER.joinpath(name).read_bytes()).hexdigest() == row["sha256"]
    assert row["licence"] == "0BSD"
    assert "Permission to use, copy, modify, and/or distribute" in FOLDER.joinpath(row["text"]).read_text()
    assert {"package", "version", "path", "archive"} <= row.keys()
