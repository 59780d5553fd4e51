"""MLproject and launchpin.yaml for code that exists: text made from what was found, read back before it is written."""

import json
import shlex
from collections.abc import Mapping

from gitops.cli.discovery import Found
from gitops.cli.scaffold import Names, check_file
from gitops.cli.scripts import Option
from gitops.config.mlproject import compute_command, parse_mlproject
from gitops.config.schema import SchemaKind, editor_hint

# Words in the names of metrics that are better when they are smaller.
_LOSSES = ("loss", "error", "rmse", "mse", "mae", "mape")


def complete(found: Found, names: Names, *, branch: str, has_deploy: bool) -> Mapping[str, bytes]:
    """Return the files that are missing, by name.

    Args:
        branch: which pushes train.
        has_deploy: False when a model is only registered.

    Raises:
        InputError: a name that cannot stand there.
    """
    names.check()
    files: dict[str, bytes] = {}
    if found.project is None:
        files["MLproject"] = _write_mlproject(found, names).encode()
    if not found.launchpin:
        files["launchpin.yaml"] = _write_launchpin(found, names, branch=branch, has_deploy=has_deploy).encode()
    for name, content in files.items():
        check_file(name, content)
    return files


def warn(found: Found, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return what a person must still do before the first training, a sentence each."""
    warnings = []
    if not found.environment and not (found.project and (found.project.python_env or found.project.conda_env)):
        warnings.append(_ask_for_environment(found))
    missing = [option.name for option in found.reading.options if option.default is None]
    if missing and "launchpin.yaml" in files:
        listed = ", ".join(missing)
        warnings.append(f"{listed}: no default in the script; give a value under train.parameters in launchpin.yaml")
    if found.reading.left_out and "MLproject" in files:
        listed = ", ".join(found.reading.left_out)
        warnings.append(f"{listed}: no single value or no default that can be read; put it into MLproject by hand")
    if found.script and not found.reading.uses_mlflow:
        warnings.append(f"{found.script} does not import mlflow: log metrics and the model, or nothing is registered")
    if found.project and "main" not in {point.name for point in found.project.entry_points}:
        warnings.append("MLproject has no entry point main: name yours under train.entry_point in launchpin.yaml")
    return tuple(warnings)


def _ask_for_environment(found: Found) -> str:
    if found.has_pyproject:
        return "pyproject.toml is not locked: run `uv lock`, and commit uv.lock"
    needs = ", ".join(sorted({"mlflow", *found.reading.packages}))
    return f"nothing says which packages it needs: write a requirements.txt (at least: {needs})"


def _write_mlproject(found: Found, names: Names) -> str:
    lines = [f"name: {_quoted(names.model)}", ""]
    if found.environment_key:
        lines += [f"{found.environment_key}: {found.environment}", ""]
    lines += ["entry_points:", "  main:"]
    if found.reading.options:
        lines.append("    parameters:")
        lines += [f"      {option.name}: {_parameter(option)}" for option in found.reading.options]
    script = shlex.quote(found.script).replace("{", "{{").replace("}", "}}")
    command = " ".join(["python", script, *(f"{one.flag} {{{one.name}}}" for one in found.reading.options)])
    lines += [f"    command: {_quoted(command)}", ""]
    text = "\n".join(lines)
    _check_command(text, found)
    return text


def _parameter(option: Option) -> str:
    if option.default is None:
        return option.type
    default = _quoted(option.default) if isinstance(option.default, str) else _number(option.default)
    return f"{{type: {option.type}, default: {default}}}"


def _number(value: float) -> str:
    """Return a number that YAML 1.1 reads as this one; `1e-05` has no point and would be a text there."""
    text = repr(value)
    return text if text.lstrip("-").replace(".", "", 1).isdigit() else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text)


def _check_command(text: str, found: Found) -> None:
    """Make sure that a training can fill the command in.

    Raises:
        InputError: it cannot.
    """
    given = {option.name: "0" for option in found.reading.options if option.default is None}
    compute_command(parse_mlproject(text.encode(), file="MLproject"), "main", parameters=given)


def _write_launchpin(found: Found, names: Names, *, branch: str, has_deploy: bool) -> str:
    missing = [option.name for option in found.reading.options if option.default is None]
    lines = [
        editor_hint(SchemaKind.LAUNCHPIN),
        "# that file, for your editor: launchpin schema launchpin > launchpin.v1.json",
        "version: 1",
        f"model: {_quoted(names.model)}",
        "",
        "on:",
        f"  push: {{branches: [{_quoted(branch)}]}}",
        "",
        "train:",
        "  project: .",
        f"  entry_point: {_quoted(_entry_point(found))}",
        *(["  # parameters: {" + ", ".join(f"{name}: ..." for name in missing) + "}"] if missing else []),
        "  timeout: 30m",
        "",
        "register:",
        *_gates(found.reading.metrics),
    ]
    if has_deploy:
        lines += [
            "",
            "deploy:",
            f"  repository: {_quoted(names.deploy)}",
            "  environments:",
            "    staging: {path: staging, merge: auto}",
            "    production: {path: production, needs: staging, merge: review}",
        ]
    return "\n".join(lines) + "\n"


def _entry_point(found: Found) -> str:
    """Return `main`, or the only entry point that an MLproject has."""
    points = [point.name for point in found.project.entry_points] if found.project else []
    return points[0] if len(points) == 1 else "main"


def _gates(metrics: tuple[str, ...]) -> list[str]:
    """Return an empty list of gates and an example: which number is good enough, no code can tell."""
    name = metrics[0] if metrics else "accuracy"
    is_loss = any(word in name.lower() for word in _LOSSES)
    example, limit, gain = json.dumps(name), "below: 0.1" if is_loss else "above: 0.9", "min_gain: 0"
    gain += ", goal: minimize" if is_loss else ""
    said = f"logged by the script: {', '.join(json.dumps(name) for name in metrics)}" if metrics else "for example"
    return [
        "  gates: []                       # every model is taken; a condition is better:",
        f"  #   - {{metric: {example}, {limit}}}    # {said}",
        f"  #   - {{metric: {example}, versus: champion, {gain}}}",
    ]
