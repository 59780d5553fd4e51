"""MLproject: entry points and their shell commands, as MLflow 3 reads them. Pure; no path is looked at.

Source: MLflow's project specification, https://mlflow.org/docs/latest/ml/projects/. Scalars mean what they mean to
MLflow, which reads YAML 1.1: a default of `0.10` is passed as `0.1`, and `yes` as `True`.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from urllib.parse import urlsplit

import yaml

from gitops.config.schema import SchemaKind, validate
from gitops.config.section import Section
from gitops.config.text import did_you_mean, show
from gitops.config.tree import Scalar
from gitops.config.yaml import load
from gitops.errors import InputError

_LONGEST_NUMBER = 60  # characters of a default that is no text
_SCRIPTS = {".py": "python {}", ".sh": "bash {}", ".R": "Rscript -e \"mlflow::mlflow_source('{}')\" --args"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of an entry point.

    Args:
        name: as in the command's braces.
        type: `uri` is checked; `string`, `float`, `path` and anything else are passed as they are, as MLflow does.
        default: None when a value must be given.
    """

    name: str
    type: str = "string"
    default: str | None = None


@dataclass(frozen=True)
class EntryPoint:
    """A command with its parameters, in the order written."""

    name: str
    command: str
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class MLproject:
    """An MLproject file.

    Args:
        file: its path in the repository, for messages.
        name: what it calls itself, empty when it does not.
        python_env: its python_env.yaml, relative to the file; empty when not said.
        conda_env: its conda.yaml, likewise.
        entry_points: in the order written.
    """

    file: str
    name: str
    python_env: str
    conda_env: str
    entry_points: tuple[EntryPoint, ...]


def parse_mlproject(text: bytes, *, file: str) -> MLproject:
    """Read an MLproject file.

    Args:
        text: the file's bytes, never trusted.
        file: its path in the repository, for messages.

    Raises:
        InputError: with file, field, line, column and what to do, whatever is wrong.
    """
    document = load(text, file=file)
    validate(document, SchemaKind.MLPROJECT)
    root = Section(document)
    if root.at("python_env") and root.at("conda_env"):
        raise root.at("conda_env").error("environment_twice", "python_env is there too; keep one of the two", key=True)
    points = root.at("entry_points")
    return MLproject(
        file=file,
        name=root.at("name").text(),
        python_env=root.at("python_env").directory(""),
        conda_env=root.at("conda_env").directory(""),
        entry_points=tuple(_read_entry_point(points.at(name), name) for name in points.names()),
    )


def _read_entry_point(point: Section, name: str) -> EntryPoint:
    parameters = point.at("parameters")
    read = tuple(_read_parameter(parameters.at(key), key) for key in parameters.names())
    command = point.at("command")
    known = {parameter.name for parameter in read}
    for used in _placeholders(command, command.text()):
        if used not in known:
            near = did_you_mean(used, known)
            message = f"the command uses {{{show(used)[1:-1]}}}, which is no parameter of {show(name)}{near}"
            raise command.error("placeholder_unknown", f"{message}; declare it under parameters, or double the braces")
    return EntryPoint(name, command.text(), read)


def _placeholders(command: Section, text: str) -> list[str]:
    """Return the names in a command's braces; formats and attributes, which could expand, are refused."""
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text) if name is not None]
    except ValueError as error:
        message = f"the command's braces do not match ({error}); write {{{{ and }}}} for braces of the shell"
        raise command.error("command_invalid", message) from None
    for name, spec, conversion in fields:
        if spec or conversion or not name or set(name) & set("[]{}"):
            message = "only {name} is read in a command; write {{ and }} for braces of the shell"
            raise command.error("command_invalid", message)
    return [name for name, _, _ in fields]


def _read_parameter(section: Section, name: str) -> Parameter:
    node = section.document.node(section.path)
    if isinstance(node, Scalar):
        return Parameter(name, type=node.text)
    default = section.at("default")
    return Parameter(name, section.at("type").text("string"), _read_default(default) if default else None)


def _read_default(section: Section) -> str | None:
    """Return a default as MLflow passes it: its YAML 1.1 value, written by Python."""
    node, text = section.document.node(section.path), section.text()
    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag == "tag:yaml.org,2002:str" or (isinstance(node, Scalar) and node.style):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise section.error("yaml_number", f"a number may have at most {_LONGEST_NUMBER} characters; quote a text")
    try:
        value = loader.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, OverflowError, yaml.YAMLError):
        raise section.error("yaml_number", f"{show(text)} is no value in YAML 1.1; quote it") from None
    return None if value is None else str(value)


def compute_command(project: MLproject, entry_point: str, *, parameters: Mapping[str, str]) -> str:
    """Return the shell command of an entry point, values quoted for a POSIX shell.

    Parameters that the entry point does not declare are appended as `--name value`. A `path` is passed as it is.

    Args:
        project: the file.
        entry_point: a name in it, or a script ending in .py, .sh or .R.
        parameters: values by name.

    Raises:
        InputError: when there is no such entry point, or a value is missing or no URI.
    """
    point = _find_entry_point(project, entry_point)
    values: dict[str, str] = {}
    missing = [one.name for one in point.parameters if one.name not in parameters and one.default is None]
    if missing:
        names = ", ".join(show(name) for name in missing)
        message = f"entry point {show(point.name)} needs a value for {names}; give it under train.parameters"
        raise InputError("parameter_missing", message, file=project.file, field=f"entry_points.{point.name}")
    for one in point.parameters:
        value = parameters.get(one.name, one.default or "")
        if one.type == "uri" and not _is_uri(value):
            message = f"parameter {show(one.name)} needs a URI, not {show(value)}; write its scheme"
            raise InputError("parameter_invalid", message, file=project.file, field=f"entry_points.{point.name}")
        values[one.name] = shlex.quote(value)
    extra = [f"--{shlex.quote(key)} {shlex.quote(parameters[key])}" for key in parameters if key not in values]
    return " ".join([_fill_command(point.command, values), *extra])


def _fill_command(command: str, values: Mapping[str, str]) -> str:
    """Fill the braces in; the names were checked when the file was read, and no attribute is ever looked up."""
    return "".join(
        literal + (values[name] if name is not None else "") for literal, name, _, _ in Formatter().parse(command)
    )


def _find_entry_point(project: MLproject, name: str) -> EntryPoint:
    for point in project.entry_points:
        if point.name == name:
            return point
    for ending, command in _SCRIPTS.items():
        if name.endswith(ending) and name != ending:
            # braces of the file's name are no placeholders
            script = command.format(shlex.quote(name)).replace("{", "{{").replace("}", "}}")
            return EntryPoint(name, script)
    known = [point.name for point in project.entry_points]
    near = did_you_mean(name, known) or f"; it has {', '.join(show(one) for one in known[:10]) or 'none'}"
    message = f"there is no entry point {show(name)}{near}"
    raise InputError("entry_point_unknown", message, file=project.file, field="entry_points")


def _is_uri(value: str) -> bool:
    try:
        return bool(urlsplit(value).scheme)
    except ValueError:
        return False
