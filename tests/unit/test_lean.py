"""Packages that are loaded later or without their companions: seen from a fresh interpreter each time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_HEAVY = "print('loaded')\nfrom heavy.tools import Tool\nANSWER = 42\n"
_TOOLS = "class Tool: pass\n"
_OUTER = "from heavy_home import heavy\nfrom heavy_home.heavy.tools import Tool\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a package that says when it is loaded."""
    write(tmp_path / "heavy", __init__=_HEAVY, tools=_TOOLS)
    write(tmp_path / "heavy_home", __init__=_OUTER)
    write(tmp_path / "heavy_home" / "heavy", __init__="print('loaded')\nANSWER = 42\n", tools=_TOOLS)
    write(tmp_path / "outer", __init__="try:\n    import heavy\nexcept ImportError:\n    heavy = None\n")
    return tmp_path


def write(package: Path, **modules: str) -> None:
    package.mkdir()
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)


def said_by(program: str, folder: Path) -> list[str]:
    path = os.pathsep.join((str(ROOT), str(folder)))
    command = [sys.executable, "-P", "-c", f"from gitops.telemetry.lean import import_without, put_off\n{program}"]
    done = subprocess.run(
        command, env={"PATH": os.defpath, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_package_is_loaded_once_when_something_in_it_is_looked_at(folder: Path) -> None:
    program = "put_off('heavy')\nimport heavy\nprint('imported')\nprint(heavy.ANSWER, heavy.ANSWER)\nimport heavy"

    assert said_by(program, folder) == ["imported", "loaded", "42", "42"]


def test_package_is_the_package_itself_when_it_was_loaded_late(folder: Path) -> None:
    program = (
        "put_off('heavy')\nimport heavy\nheavy.ANSWER\nprint(type(heavy).__name__, heavy.__name__, heavy.__file__)"
    )

    assert said_by(program, folder) == ["loaded", "module", "heavy", str(folder / "heavy" / "__init__.py")]


def test_module_of_a_package_is_imported_without_the_package(folder: Path) -> None:
    program = "put_off('heavy')\nfrom heavy.tools import Tool\nprint(Tool.__name__)"

    assert said_by(program, folder) == ["Tool"]


def test_name_is_taken_from_its_module_when_its_place_is_known(folder: Path) -> None:
    program = "put_off('heavy', Tool='heavy.tools')\nfrom heavy import Tool\nprint(Tool.__module__)"

    assert said_by(program, folder) == ["heavy.tools"]


def test_package_inside_another_is_put_off_before_the_other_takes_it_along(folder: Path) -> None:
    program = "put_off('heavy_home.heavy')\nimport heavy_home\nprint('imported', heavy_home.heavy.ANSWER)"

    assert said_by(program, folder) == ["loaded", "imported", "42"]
    assert said_by("put_off('heavy_home.heavy')\nimport heavy_home\nprint(heavy_home.Tool.__name__)", folder) == [
        "Tool"
    ]


def test_wrong_name_is_missed_as_in_any_package_when_it_was_put_off(folder: Path) -> None:
    program = "put_off('heavy')\nimport heavy\nprint(hasattr(heavy, 'nothing'), hasattr(heavy, '__nothing__'))"

    assert said_by(program, folder) == ["loaded", "False", "False"]


def test_loaded_package_stays_and_a_missing_one_is_missed_when_they_are_put_off(folder: Path) -> None:
    program = (
        "import heavy\nput_off('heavy')\nput_off('no_such.package')\nimport sys\nprint(heavy is sys.modules['heavy'])"
    )
    missing = "\ntry:\n    import no_such.package\nexcept ModuleNotFoundError as error:\n    print(error.name)"

    assert said_by(program + missing, folder) == ["loaded", "True", "no_such"]


def test_package_is_hidden_only_while_the_one_that_would_take_it_along_is_imported(folder: Path) -> None:
    program = "outer = import_without('heavy', 'outer')\nprint(outer.heavy)\nimport heavy"

    assert said_by(program, folder) == ["None", "loaded"]
