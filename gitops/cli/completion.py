"""MLproject and launchpin.yaml for code that exists: text made from what was found, read back before it is written."""

import json
import shlex
from collections.abc import Iterator, Mapping

from gitops.cli.discovery import Found
from gitops.cli.scaffold import Names, check_file
from gitops.cli.scripts import Option, Script
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


def warn(found: Found, files: Mapping[str, bytes], names: Names) -> tuple[str, ...]:
    """Return what a person should know before the first training, a sentence each."""
    warnings = []
    if not found.environment and not (found.project and (found.project.python_env or found.project.conda_env)):
        warnings.append(_ask_for_environment(found))
    if found.trouble:
        warnings.append(found.trouble)
    if found.missing and "launchpin.yaml" in files:
        listed, where = ", ".join(found.missing), "MLproject" if found.point else "the script"
        warnings.append(f"{listed}: no default in {where}; give a value under train.parameters in launchpin.yaml")
    if found.reading.left_out and "MLproject" in files:
        listed = ", ".join(found.reading.left_out)
        warnings.append(f"{listed}: no single value or no default that can be read; put it into MLproject by hand")
    if found.script and not found.reading.uses_mlflow:
        warnings.append(f"{found.script} does not import mlflow: log metrics and the model, or nothing is registered")
    return (*warnings, *(_warn_of_names(found, names) if "launchpin.yaml" in files else ()))


def _warn_of_names(found: Found, names: Names) -> Iterator[str]:
    """Give what the script names otherwise than the new launchpin.yaml does."""
    if len(found.reading.experiments) > 1:
        listed = ", ".join(map(_quoted, found.reading.experiments))
        yield f"the script sets several experiments, {listed}: set one, which launchpin.yaml names"
    if others := [name for name in found.reading.registers if name != names.model]:
        listed = ", ".join(map(_quoted, others))
        yield f"the script registers its model as {listed} too, beside {names.model}: leave that out"


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
    lines = [
        editor_hint(SchemaKind.LAUNCHPIN),
        "# that file, for your editor: launchpin schema launchpin > launchpin.v1.json",
        "version: 1",
        f"model: {_quoted(names.model)}",
        # A script that sets another one than its run's ends as ExperimentMismatch.
        *[f"experiment: {_quoted(name)}    # as the script sets it" for name in found.reading.experiments[:1]],
        "",
        "on:",
        f"  push: {{branches: [{_quoted(branch)}]}}",
        "",
        "train:",
        "  project: .",
        f"  entry_point: {_quoted(_entry_point(found))}",
        *_parameters(found),
        "  timeout: 30m",
        "",
        "register:",
        *_gates(found.reading),
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


def _parameters(found: Found) -> list[str]:
    """Return what the entry point takes, for a person to change; without a default a value must be given."""
    known = {one.name: one.default for one in found.point.parameters} if found.point else dict.fromkeys(found.missing)
    says = "a value must be given" if found.missing else "as MLproject has them; write those here that differ"
    lines = [f"  #   {name}: {'...' if default is None else _quoted(default)}" for name, default in known.items()]
    return [f"  # parameters:                   # {says}", *lines] if lines else []


def _entry_point(found: Found) -> str:
    """Return what trains: a script by its name where an MLproject has no entry point."""
    if found.point:
        return found.point.name
    return found.script if found.project else "main"


def _gates(reading: Script) -> list[str]:
    """Return an empty list of gates and an example: which number is good enough, no code can tell."""
    metrics = reading.metrics
    name = metrics[0] if metrics else "accuracy"
    is_loss = any(word in name.lower() for word in _LOSSES)
    example, limit, gain = json.dumps(name), "below: 0.1" if is_loss else "above: 0.9", "min_gain: 0"
    gain += ", goal: minimize" if is_loss else ""
    said = f"logged by the script: {', '.join(json.dumps(name) for name in metrics)}" if metrics else "for example"
    return [
        "  gates: []                       # every model is taken; a condition is better:",
        f"  #   - {{metric: {example}, {limit}}}    # {said}",
        f"  #   - {{metric: {example}, versus: champion, {gain}}}",
        *(["  # autolog names more of them: see `launchpin runs` after a training"] if reading.uses_autolog else []),
    ]
