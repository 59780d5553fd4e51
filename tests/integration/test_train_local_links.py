"""`launchpin train --local` in a folder where somebody put links: nothing that they lead to is written or removed."""

from pathlib import Path

import pytest

from tests.integration.local_rig import GOOD, Clone, _as_committed, clone

__all__ = ["_as_committed", "clone"]

HOME = ".launchpin-local"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Give a folder of somebody's own, laid out as ours would be."""
    folder = tmp_path / "elsewhere"
    for name in ("workspace/snapshot", "logs", "snapshot"):
        (folder / name).mkdir(parents=True)
        (folder / name / "kept").write_text("mine")
    (folder / ".gitignore").write_text("mine")
    return folder


def content(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("name", [HOME, *(f"{HOME}/{part}" for part in ("workspace", "logs", "mlflow", "lock"))])
def test_a_link_in_the_place_of_what_a_try_writes_is_refused_and_what_it_leads_to_stays(
    clone: Clone, elsewhere: Path, name: str
) -> None:
    clone.script(GOOD)
    link = clone.folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    before = content(elsewhere)
    try:
        result = clone.train("--json")
    finally:
        link.unlink()
    assert (result.code, result.json["error"]["reason"]) == (2, "home_unusable"), result.both
    assert f"{name} is a link" in result.json["error"]["message"]
    assert content(elsewhere) == before


def test_a_link_to_nothing_is_refused_too(clone: Clone, tmp_path: Path) -> None:
    link = clone.folder / HOME / "workspace"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "none")
    try:
        result = clone.train("--json")
    finally:
        link.unlink()
    assert (result.code, result.json["error"]["reason"]) == (2, "home_unusable"), result.both
    assert not (tmp_path / "none").exists()
