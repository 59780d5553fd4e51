"""What is read from a training script without running it."""

import pytest

from gitops.cli.discovery import choose_script
from gitops.cli.scripts import Option, Script, read_script
from gitops.errors import InputError, RefusedError


def read(text: str) -> Script:
    return read_script(text.encode(), file="train.py", siblings={"features"})


def test_options_of_argparse_are_parameters_when_they_take_one_value() -> None:
    script = read(
        "import argparse\n"
        "p = argparse.ArgumentParser()\n"
        "p.add_argument('-a', '--alpha', type=float, default=0.5)\n"
        "p.add_argument('--max-depth', type=int, default=-3)\n"
        "p.add_argument('--data', required=True)\n"
        "p.add_argument('--name', default='iris')\n"
        "p.add_argument('--guess', default=4)\n"
    )

    assert script.options == (
        Option("alpha", "--alpha", "float", 0.5),
        Option("max_depth", "--max-depth", "float", -3),
        Option("data", "--data", "string", None),
        Option("name", "--name", "string", "iris"),
        Option("guess", "--guess", "float", 4),
    )
    assert script.left_out == ()


def test_options_of_click_are_parameters_when_they_take_one_value() -> None:
    script = read(
        "import click\n"
        "@click.command()\n"
        "@click.option('--alpha', type=click.FloatRange(0, 1), default=0.1)\n"
        "@click.option('--shout/--no-shout', default=False)\n"
        "@click.option('--tag', multiple=True)\n"
        "def main(alpha): ...\n"
    )

    assert script.options == (Option("alpha", "--alpha", "float", 0.1),)
    assert script.left_out == ("--shout/--no-shout", "--tag")


@pytest.mark.parametrize(
    "call",
    [
        "'--flag', action='store_true'",
        "'--layers', nargs='+', default=[1]",
        "'--when', default=now()",
        "'--nothing'",
        "'--on', default=True",
        "'source'",
    ],
)
def test_option_is_named_as_left_out_when_it_cannot_be_a_parameter(call: str) -> None:
    script = read(f"p.add_argument({call})\n")

    assert script.options == ()
    assert len(script.left_out) == 1


def test_metrics_and_packages_are_found_when_they_are_written_out() -> None:
    script = read(
        "import os, mlflow\n"
        "from sklearn.tree import DecisionTreeClassifier\n"
        "from . import here\n"
        "import features\n"
        "mlflow.log_metric('rmse', 1)\n"
        "mlflow.log_metrics({'accuracy': a, name: b})\n"
        "if __name__ == '__main__':\n    pass\n"
    )

    assert script.metrics == ("rmse", "accuracy")
    assert script.packages == ("mlflow", "scikit-learn")
    assert script.is_main
    assert script.uses_mlflow


def test_names_that_it_gives_in_mlflow_are_found_when_they_are_written_out() -> None:
    script = read(
        "import mlflow\n"
        "mlflow.set_experiment('wines')\n"
        "mlflow.set_experiment(experiment_name='wines')\n"
        "mlflow.set_experiment(experiment_id='7')\n"
        "mlflow.set_experiment(name)\n"
        "mlflow.sklearn.log_model(m, 'model', registered_model_name='red')\n"
        "mlflow.sklearn.log_model(m, 'model', registered_model_name=name)\n"
        "mlflow.register_model(uri, 'white')\n"
    )

    assert script.experiments == ("wines",)
    assert script.registers == ("red", "white")
    assert not script.uses_autolog


@pytest.mark.parametrize("text", [b"def (:\n", b"print 'two'\n", b"\x00", b"(" * 5000])
def test_script_is_refused_by_name_when_it_is_no_python(text: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_script(text, file="train.py")

    assert caught.value.reason == "script_invalid"
    assert caught.value.file == "train.py"


TRACKED, PROGRAM, PLAIN = Script(packages=("mlflow",)), Script(is_main=True), Script()


@pytest.mark.parametrize(
    ("scripts", "chosen"),
    [
        ({"main.py": PLAIN, "train.py": PLAIN, "fit.py": TRACKED}, "train.py"),
        ({"main.py": PLAIN, "fit.py": TRACKED}, "main.py"),
        ({"fit.py": TRACKED, "app.py": PROGRAM}, "fit.py"),
        ({"app.py": PROGRAM, "helpers.py": PLAIN}, "app.py"),
        ({"only.py": PLAIN}, "only.py"),
    ],
)
def test_script_is_found_when_one_stands_out(scripts: dict[str, Script], chosen: str) -> None:
    assert choose_script(scripts, names=list(scripts)) == chosen


def test_script_is_asked_for_when_several_could_be_meant() -> None:
    with pytest.raises(RefusedError) as caught:
        choose_script({"a.py": TRACKED, "b.py": TRACKED}, names=["a.py", "b.py"])

    assert caught.value.reason == "ScriptUnclear"
    assert "--script a.py" in caught.value.message


def test_notebook_is_named_with_its_remedy_when_there_is_no_script() -> None:
    with pytest.raises(RefusedError) as caught:
        choose_script({}, names=["explore.ipynb"])

    assert "nbconvert" in caught.value.message
