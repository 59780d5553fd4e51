"""`launchpin init model .` where somebody else's MLproject lies: read, kept, and told of what stands in the way."""

from pathlib import Path

import pytest

from gitops.config.launchpin import parse_launchpin
from gitops.config.mlproject import compute_command, parse_mlproject
from tests.integration.init_rig import SCRIPT, here, snapshot
from tests.support.cli import call

__all__ = ["here"]

STRANGERS = """
name: theirs
python_env: python_env.yaml
entry_points:
  prepare: {command: "python prepare.py"}
  main:
    parameters:
      alpha: {type: float, default: 0.50}
      table: {type: path, default: data.csv}
    command: |
      python src/fit.py \\
        {alpha} --table={table}
"""
FIT = """
import sys
import mlflow
mlflow.sklearn.autolog()
mlflow.set_experiment("Old vines")
mlflow.log_metrics({"r2": 0.5, "rmse": 1.0})
mlflow.sklearn.log_model(object(), "model", registered_model_name="Vintage")
print(sys.argv[1])
"""


def write_strangers(folder: Path, *, environment: str = "dependencies: [mlflow]\npython: '3'\n") -> None:
    (folder / "src").mkdir()
    (folder / "src/fit.py").write_text(FIT)
    (folder / "python_env.yaml").write_text(environment)
    (folder / "MLproject").write_text(STRANGERS)


def test_what_an_mlproject_says_is_written_down_when_it_is_somebody_elses(here: Path) -> None:
    write_strangers(here)
    before = snapshot(here)

    result = call("init", "model", ".", "--json")

    assert (result.json["written"], result.json["warnings"]) == (["launchpin.yaml"], [])
    assert {name: content for name, content in snapshot(here).items() if name in before} == before
    text = (here / "launchpin.yaml").read_text()
    file = parse_launchpin(text.encode(), file="launchpin.yaml")
    assert (file.model, file.train.entry_point, file.train.parameters) == ("Vintage", "main", {})
    assert file.experiment == "Old vines"
    assert file.deploy is not None
    assert file.deploy.repository == "local/Vintage-deploy"
    assert 'logged by the script: "r2", "rmse"' in text
    assert "autolog names more of them" in text
    shown = (
        text.replace("  # parameters:", "  parameters:").replace("  #   alpha", "    alpha").replace("  #   t", "    t")
    )
    given = parse_launchpin(shown.encode(), file="launchpin.yaml").train.parameters
    project = parse_mlproject((here / "MLproject").read_bytes(), file="MLproject")
    assert compute_command(project, "main", parameters=given) == compute_command(project, "main", parameters={})


def test_name_that_the_script_registers_is_told_when_another_is_asked_for(here: Path) -> None:
    write_strangers(here)

    result = call("init", "model", ".", "--model", "wine", "--json")

    assert [text for text in result.json["warnings"] if '"Vintage" too, beside wine' in text]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("python: '3.5'\n", "Python 3.5 is not installed here"),
        ("python: '3.5'\n", "or ask for another in python_env.yaml"),
        ("dependencies: [numpy, cudatoolkit=11]\n", "python_env.yaml: cudatoolkit would come from conda"),
        ("dependencies: [-e .]\npython: '3'\n", "--editable cannot be locked"),
    ],
)
def test_environment_that_cannot_be_made_here_is_told_before_the_first_training(
    here: Path, environment: str, said: str
) -> None:
    write_strangers(here, environment=environment)

    result = call("init", "model", ".")

    assert result.code == 0
    assert said in result.out


def test_value_is_asked_for_when_a_parameter_of_an_mlproject_has_no_default(here: Path) -> None:
    (here / "MLproject").write_text(
        "entry_points:\n  fit: {command: python fit.py, parameters: {table: path, depth: {default: 3}}}\n"
    )

    result = call("init", "model", ".", "--model", "mine")

    assert "Note: table: no default in MLproject; give a value under train.parameters" in result.out
    text = (here / "launchpin.yaml").read_text()
    assert "#   table: ...\n" in text
    assert '#   depth: "3"\n' in text


@pytest.mark.parametrize(
    ("points", "asked", "chosen"),
    [
        (("main", "train"), "", "main"),
        (("etl", "train"), "", "train"),
        (("search",), "", "search"),
        (("main", "train"), "train", "train"),
    ],
)
def test_entry_point_that_trains_is_found_or_named(
    here: Path, points: tuple[str, ...], asked: str, chosen: str
) -> None:
    write_points(here, *points)

    result = call("init", "model", ".", "--model", "mine", *(["--entry-point", asked] if asked else []))

    assert result.code == 0, result.both
    file = parse_launchpin((here / "launchpin.yaml").read_bytes(), file="launchpin.yaml")
    assert file.train.entry_point == chosen


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((), "which entry point of MLproject trains: random, grid? name it: --entry-point random"),
        (("--entry-point", "gird"), 'MLproject has no entry point "gird"; it has random, grid'),
    ],
)
def test_nothing_is_written_when_it_is_not_clear_which_entry_point_trains(
    here: Path, asked: tuple[str, ...], said: str
) -> None:
    write_points(here, "random", "grid")
    before = snapshot(here)

    result = call("init", "model", ".", *asked)

    assert (result.code, snapshot(here)) == (1, before)
    assert said in result.err


def test_script_is_the_entry_point_when_an_mlproject_has_none(here: Path) -> None:
    (here / "MLproject").write_text("name: theirs\n")
    (here / "train.py").write_text(SCRIPT)

    call("init", "model", ".", "--model", "mine")

    file = parse_launchpin((here / "launchpin.yaml").read_bytes(), file="launchpin.yaml")
    project = parse_mlproject((here / "MLproject").read_bytes(), file="MLproject")
    assert compute_command(project, file.train.entry_point, parameters={"alpha": "2"}) == "python train.py --alpha 2"


def test_argument_without_a_name_is_told_when_there_is_no_mlproject(here: Path) -> None:
    (here / "train.py").write_text("import mlflow, sys\nalpha = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5\n")

    result = call("init", "model", ".", "--model", "mine")

    assert "sys.argv[1]: no single value or no default that can be read; put it into MLproject by hand" in result.out


def write_points(folder: Path, *names: str) -> None:
    lines = [f"  {name}: {{command: python {name}.py}}\n" for name in names]
    (folder / "MLproject").write_text("entry_points:\n" + "".join(lines))
