"""A person's clone as a commit of it would be, by the real git."""

import os
import shutil
from pathlib import Path

import pytest

from gitops.cli.git import current_branch
from gitops.errors import InputError, LaunchpinError
from gitops.forge.checkout import TreeLimits
from gitops.forge.working_tree import Snapshot, copy_working_tree
from gitops.records import Repository, Role
from tests.support.live import git

CLONE = Repository(id=0, full_name="wine", role=Role.MODEL, clone_url="")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Give a clone with one commit of a script, a note and a folder."""
    folder = tmp_path / "clone"
    (folder / "data").mkdir(parents=True)
    for name, text in {
        "train.py": "one\n",
        "note.txt": "old\n",
        "data/rows.csv": "1\n",
        ".gitignore": "*.log\n",
    }.items():
        (folder / name).write_text(text)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


def copied(clone: Path, **limits: int) -> dict[str, str]:
    """Copy a clone, and return the files by path."""
    into = clone.parent / "copy"
    copy_working_tree(clone, into, limits=TreeLimits(**limits) if limits else None)
    return {path.relative_to(into).as_posix(): path.read_text() for path in into.rglob("*") if path.is_file()}


def test_uncommitted_changes_and_new_files_are_taken_and_what_was_deleted_is_not(clone: Path) -> None:
    (clone / "train.py").write_text("two\n")
    (clone / "new.py").write_text("new\n")
    (clone / "note.txt").unlink()
    git(clone, "add", "new.py")
    (clone / "untracked.py").write_text("neither\n")

    assert copied(clone) == {
        ".gitignore": "*.log\n",
        "train.py": "two\n",
        "new.py": "new\n",
        "untracked.py": "neither\n",
        "data/rows.csv": "1\n",
    }


def test_files_are_those_of_the_clone_when_a_hook_of_another_one_asks(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))

    assert sorted(copied(clone)) == [".gitignore", "data/rows.csv", "note.txt", "train.py"]
    assert current_branch(clone) == "main"


def test_ignored_files_are_not_taken_unless_they_are_tracked(clone: Path) -> None:
    (clone / "secret.log").write_text("no\n")
    (clone / "kept.log").write_text("yes\n")
    git(clone, "add", "-f", "kept.log")

    found = copied(clone)

    assert "secret.log" not in found
    assert found["kept.log"] == "yes\n"


def test_a_link_becomes_a_file_that_holds_its_target_as_in_a_checkout(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("a secret of this machine\n")
    (clone / "link").symlink_to("../outside.txt")

    assert copied(clone)["link"] == "../outside.txt"


def test_a_folder_that_became_a_link_is_a_link_and_nothing_behind_it_is_taken(clone: Path, tmp_path: Path) -> None:
    shutil.rmtree(clone / "data")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/rows.csv").write_text("of another project\n")
    (clone / "data").symlink_to("../elsewhere")

    found = copied(clone)

    assert found["data"] == "../elsewhere"
    assert "of another project\n" not in found.values()


def test_a_clone_within_the_clone_is_left_out(clone: Path) -> None:
    inner = clone / "vendored"
    inner.mkdir()
    (inner / "code.py").write_text("theirs\n")
    git(inner, "init", "-q", "-b", "main")
    git(inner, "add", "-A")
    git(inner, "commit", "-q", "-m", "Theirs")

    untracked = copied(clone)
    git(clone, "-c", "advice.addEmbeddedRepo=false", "add", "vendored")
    shutil.rmtree(clone.parent / "copy")

    assert copied(clone) == untracked
    assert not any(name.startswith("vendored") for name in untracked)


def test_a_program_stays_one(clone: Path) -> None:
    (clone / "run.sh").write_text("#!/bin/sh\n")
    (clone / "run.sh").chmod(0o755)

    copied(clone)

    assert os.access(clone.parent / "copy/run.sh", os.X_OK)
    assert not os.access(clone.parent / "copy/train.py", os.X_OK)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"total": 8}, "more than limit=8 bytes"),
        ({"file": 3}, "has more than limit=3"),
        ({"files": 2}, "limit=2 files"),
    ],
    ids=["total", "file", "files"],
)
def test_a_clone_that_is_larger_than_a_checkout_may_be_is_refused_whole(
    clone: Path, limits: dict[str, int], words: str
) -> None:
    with pytest.raises(LaunchpinError, match=words) as refused:
        copied(clone, **limits)

    assert refused.value.reason == "repo_too_large"
    assert [path.name for path in clone.parent.iterdir()] == ["clone"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Train.py", "name_not_canonical"),
        ("a\nb", "path_unsafe"),
        ("back\\slash", "path_unsafe"),
        ("git~1", "path_unsafe"),
    ],
    ids=["case", "line end", "backslash", "short name"],
)
def test_a_name_that_a_checkout_refuses_is_refused(clone: Path, name: str, reason: str) -> None:
    (clone / name).write_text("x\n")

    with pytest.raises(LaunchpinError) as refused:
        copied(clone)

    assert refused.value.reason == reason


def test_what_git_says_of_a_folder_that_is_no_clone_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository") as refused:
        copy_working_tree(tmp_path, tmp_path / "copy")
    assert refused.value.reason == "git_failed"


def test_a_snapshot_stays_as_it_was_taken_and_each_checkout_is_its_own(clone: Path, tmp_path: Path) -> None:
    copy_working_tree(clone, tmp_path / "snapshot")
    snapshot = Snapshot(tmp_path / "snapshot")
    (clone / "train.py").write_text("later\n")

    for name in ("first", "second"):
        snapshot.checkout(CLONE, "c" * 40, tmp_path / name)
        assert (tmp_path / name / "train.py").read_text() == "one\n"
        (tmp_path / name / "train.py").write_text("changed by a script\n")

    assert snapshot.read(CLONE, "c" * 40, "train.py") == b"one\n"
    assert snapshot.read(CLONE, "c" * 40, "missing.py") is None
