from pathlib import Path

import pytest

from gitops.errors import RetryError
from gitops.forge.refs import read_heads

ONE, TWO = "1" * 40, "2" * 40


def make_mirror(folder: Path) -> Path:
    (folder / "refs" / "heads" / "feature").mkdir(parents=True)
    return folder


def test_branches_are_read_loose_and_packed_and_loose_ones_count(tmp_path: Path) -> None:
    mirror = make_mirror(tmp_path / "mirror")
    (mirror / "refs" / "heads" / "feature" / "x").write_text(f"{ONE}\n")
    (mirror / "refs" / "heads" / "main").write_text(f"{ONE}\n")
    (mirror / "refs" / "heads" / "main.lock").write_text("")
    (mirror / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{TWO} refs/heads/main\n{TWO} refs/heads/old\n{TWO} refs/tags/v1\n^{ONE}\n"
    )
    assert read_heads(mirror) == {"refs/heads/feature/x": ONE, "refs/heads/main": ONE, "refs/heads/old": TWO}


def test_mirror_that_is_away_while_it_is_made_anew_is_not_one_without_branches(tmp_path: Path) -> None:
    with pytest.raises(RetryError) as caught:
        read_heads(tmp_path / "away")
    assert caught.value.reason == "MirrorBusy"


@pytest.mark.parametrize("content", ["", "ref: refs/heads/other\n", "1" * 39])
def test_branch_that_names_no_commit_breaks_the_mirror(tmp_path: Path, content: str) -> None:
    mirror = make_mirror(tmp_path / "mirror")
    (mirror / "refs" / "heads" / "main").write_text(content)
    with pytest.raises(RetryError) as caught:
        read_heads(mirror)
    assert caught.value.reason == "MirrorBroken"
