import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def test_newest_python_that_fits_is_found(tmp_path: Path) -> None:
    make_python(tmp_path, "python3.13", fits=False)
    make_python(tmp_path, "python3.12", fits=True)
    make_python(tmp_path, "python3", fits=True)
    assert find_python(tmp_path) == (0, f"{tmp_path}/python3.12\n", "")


def test_remedy_is_named_when_no_python_fits(tmp_path: Path) -> None:
    make_python(tmp_path, "python3", fits=False)
    code, found, message = find_python(tmp_path)
    assert (code, found) == (1, "")
    assert "no Python 3.11, 3.12 or 3.13 is installed" in message
    assert "apt-get install python3 python3-venv" in message


def test_debians_package_is_named_when_environments_cannot_be_made(tmp_path: Path) -> None:
    make_python(tmp_path, "python3.12", fits=True, has_venv=False)
    code, found, message = find_python(tmp_path)
    assert (code, found) == (1, "")
    assert "apt-get install python3.12-venv" in message


@pytest.mark.parametrize("file", ["Makefile", "requirements.lock", ".ci/dev.lock", ".ci/build.lock", ".ci/find-python"])
def test_files_of_make_name_no_registry(file: str) -> None:
    lines = (_ROOT / file).read_text().splitlines()
    assert not [line for line in lines if "://" in line or "--index" in line or "--extra-index" in line]


def test_build_lock_agrees_with_the_other_locks() -> None:
    runtime, dev, build = (pins(name) for name in ("requirements.lock", ".ci/dev.lock", ".ci/build.lock"))
    assert {"hatchling", "editables"} <= build.keys()
    assert runtime.items() <= dev.items()
    assert build.items() <= dev.items()


def pins(name: str) -> dict[str, str]:
    lines = (_ROOT / name).read_text().splitlines()
    found = (line.removesuffix(" \\").partition("==") for line in lines if "==" in line and line[0].isalnum())
    return {package: version for package, _, version in found}


def make_python(folder: Path, name: str, *, fits: bool, has_venv: bool = True) -> None:
    """Make a command that answers the questions about version and modules."""
    text = f"""#!/bin/sh
case "$2" in
  *ensurepip*) exit {0 if has_venv else 1} ;;
  *print*) echo {name} ;;
  *) exit {0 if fits else 1} ;;
esac
"""
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def find_python(path: Path) -> tuple[int, str, str]:
    answer = subprocess.run(
        ["/bin/sh", str(_ROOT / ".ci/find-python")],
        env={"PATH": str(path)},
        check=False,
        capture_output=True,
        text=True,
    )
    return answer.returncode, answer.stdout, answer.stderr
