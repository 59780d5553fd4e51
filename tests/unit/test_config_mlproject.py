"""MLproject: the same commands as MLflow makes, over generated projects; and named refusals."""

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops.config.mlproject import EntryPoint, MLproject, Parameter, compute_command, parse_mlproject
from gitops.errors import InputError

EXAMPLE = b"""
name: iris
python_env: python_env.yaml
entry_points:
  main:
    parameters:
      seed: {type: float, default: 42}
      data: path
      rate: {default: 0.10}
    command: "python train.py --seed {seed} --data {data} --rate {rate} | awk '{{print $1}}'"
  test:
    command: pytest
"""


def parse(text: str | bytes) -> MLproject:
    return parse_mlproject(text if isinstance(text, bytes) else text.encode(), file="MLproject")


def refuse(text: str | bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.line >= 1
    return caught.value


def test_reads_entry_points_when_written_in_every_form() -> None:
    project = parse(EXAMPLE)
    assert (project.name, project.python_env, project.conda_env) == ("iris", "python_env.yaml", "")
    main, test = project.entry_points
    assert main.parameters == (
        Parameter("seed", "float", "42"),
        Parameter("data", "path"),
        Parameter("rate", "string", "0.1"),
    )
    assert test == EntryPoint("test", "pytest")


def test_fills_and_quotes_values_when_command_is_computed() -> None:
    command = compute_command(parse(EXAMPLE), "main", parameters={"data": "a b; id", "seed": "1", "x y": "$(id)"})
    assert command == (
        "python train.py --seed 1 --data 'a b; id' --rate 0.1 | awk '{print $1}' --'x y' '$(id)'"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("train.py", "python train.py --a 1"),
        ("my train.py", "python 'my train.py' --a 1"),
        ("a{b}.sh", "bash 'a{b}.sh' --a 1"),
        ("fit.R", "Rscript -e \"mlflow::mlflow_source('fit.R')\" --args --a 1"),
    ],
)
def test_runs_script_when_it_is_no_entry_point(name: str, command: str) -> None:
    assert compute_command(parse("name: x"), name, parameters={"a": "1"}) == command


def test_names_what_is_missing_when_command_cannot_be_computed() -> None:
    project = parse(EXAMPLE)
    with pytest.raises(InputError, match=r'did you mean "main"\?'):
        compute_command(project, "mian", parameters={})
    with pytest.raises(InputError, match='needs a value for "data"'):
        compute_command(project, "main", parameters={})
    uri = parse("entry_points: {main: {parameters: {data: uri}, command: 'x {data}'}}")
    with pytest.raises(InputError, match="needs a URI"):
        compute_command(uri, "main", parameters={"data": "local/file"})


@pytest.mark.parametrize(
    ("text", "reason", "field"),
    [
        ("docker_env: {image: x}", "not_in_this_release", "docker_env"),
        ("databricks_spark_job: {python_file: x}", "not_in_this_release", "databricks_spark_job"),
        ("python_env: a\nconda_env: b", "environment_twice", "conda_env"),
        ("python_env: ../a", "path_invalid", "python_env"),
        ("entry_points: {main: {}}", "key_missing", "entry_points.main.command"),
        ("entry_points: {main: {command: 1}}", "wrong_type", "entry_points.main.command"),
        ("entry_points: {main: {command: '{x}'}}", "placeholder_unknown", "entry_points.main.command"),
        ("entry_points: {main: {command: '{'}}", "command_invalid", "entry_points.main.command"),
        ("entry_points: {main: {command: '{}'}}", "command_invalid", "entry_points.main.command"),
        ("entry_points: {main: {command: x, parameters: {a: [1]}}}", "wrong_type", "entry_points.main.parameters.a"),
        ("- a", "wrong_type", ""),
    ],
)
def test_names_field_when_file_is_wrong(text: str, reason: str, field: str) -> None:
    error = refuse(text)
    assert (error.reason, error.field) == (reason, field)


@pytest.mark.parametrize("braces", ["{a:>9999999999}", "{a!r}", "{a[0]}", "{a.__class__}", "{a:{a}}"])
def test_refuses_placeholder_when_it_could_expand(braces: str) -> None:
    error = refuse(f"entry_points: {{main: {{parameters: {{a: string}}, command: 'x {braces}'}}}}")
    assert error.reason in {"command_invalid", "placeholder_unknown"}


@pytest.mark.parametrize("default", ["2020-13-45", "0b_", "1" * 61])
def test_refuses_default_when_it_is_no_value(default: str) -> None:
    assert refuse(f"entry_points: {{main: {{parameters: {{a: {{default: {default}}}}}, command: x}}}}").reason == (
        "yaml_number"
    )


@pytest.fixture(scope="module")
def load_project() -> Callable[[str], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's imports, which are not ours
        module = importlib.import_module("mlflow.projects._project_spec")
    loader: Callable[[str], Any] = module.load_project
    return loader


def _dump(text: str) -> str:
    return yaml.safe_dump(text, allow_unicode=True, width=9999, default_style='"')


_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="\ufeff"), max_size=12
)
_PLAIN = st.sampled_from(
    ["0.10", "1e-3", "1.0e+3", "yes", "no", "on", "010", "1_000", "0x1F", "0b11", "2020-01-01", "~", "null", "1:30",
     ".5", "+1", "-0.0", "true", "FALSE", "1.", "a b", "=", "0o7", "1.5e3", "-.5", "'1.0'", '"x\\ty"',
     "2020-01-01 10:00:00"]
)  # fmt: skip
_DEFAULTS = st.one_of(st.none(), _PLAIN, _TEXTS.map(_dump))
_TYPES = st.sampled_from(["", "string", "float", "path", "uri", "int"])


@st.composite
def _projects(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """Return an MLproject's text and the values that a user gives."""
    names = draw(st.lists(_NAMES, max_size=4, unique=True))
    command = draw(st.sampled_from(["python train.py", "echo {{x}}", "sh -c 'a \"$0\"'", "é 😀"]))
    lines = []
    for name in names:
        kind, default = draw(_TYPES), draw(_DEFAULTS)
        if default is None and kind and draw(st.booleans()):
            lines.append(f"      {name!r}: {kind}")
        else:
            body = [f"type: {kind}"] if kind else []
            body += [f"default: {default.rstrip()}"] if default else []
            lines.append(f"      {name!r}:" + ("".join(f"\n        {part}" for part in body) or " {}"))
        command += draw(st.sampled_from([f" --{name} {{{name}}}", "", f" {{{name}}}{{{name}}}"]))
    given_names = [name for name in names if draw(st.booleans())] + draw(st.lists(_TEXTS, max_size=2))
    values = {name: draw(_TEXTS | st.sampled_from(["s3://b/k", "a b", "$(id)", "'"])) for name in given_names}
    text = "name: x\nentry_points:\n  main:\n"
    text += "    parameters:\n" + "\n".join(lines) + "\n" if lines else ""
    return f"{text}    command: {_dump(command)}", values


def _ours(text: str, values: dict[str, str]) -> str | None:
    try:
        return compute_command(parse(text), "main", parameters=values)
    except InputError:
        return None


def _theirs(load: Callable[[str], Any], folder: Path, values: dict[str, str]) -> str | None:
    try:
        return str(load(str(folder)).get_entry_point("main").compute_command(values, None))
    except Exception:  # noqa: BLE001 - MLflow fails in many ways where we refuse
        return None


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(generated=_projects())
def test_command_is_mlflows_when_projects_are_generated(
    generated: tuple[str, dict[str, str]], load_project: Callable[[str], Any], tmp_path: Path
) -> None:
    text, values = generated
    (tmp_path / "MLproject").write_text(text, encoding="utf-8")
    assert _ours(text, values) == _theirs(load_project, tmp_path, values)


@settings(max_examples=300, deadline=None)
@given(st.text("{}a:!.[]0 \"'\\", max_size=20), st.text(max_size=20))
def test_raises_only_input_error_when_command_is_arbitrary(command: str, value: str) -> None:
    text = yaml.safe_dump({"entry_points": {"main": {"parameters": {"a": "string"}, "command": command or "x"}}})
    computed = _ours(text, {"a": value})
    assert computed is None or computed.strip() or not command.strip()
