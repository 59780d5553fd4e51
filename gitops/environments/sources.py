"""Which file of a project says what its environment is, and what it says.

In order: `uv.lock`, `requirements.txt`, `python_env.yaml`, `conda.yaml`; or the file that the MLproject names. All are
read as data: nothing of the project is run, and nothing outside it is read.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from gitops.environments.conda import read_conda_packages
from gitops.environments.requirements import UNRESOLVABLE, Requirements, read_requirements
from gitops.errors import RefusedError

# Bytes; a uv.lock of several hundred packages has about one million.
_LARGEST = 16 * 1024 * 1024
_LARGEST_YAML = 256 * 1024
_ORDER = ("uv.lock", "requirements.txt", "python_env.yaml", "python_env.yml", "conda.yaml", "conda.yml")
# The public index, which uv asks anyway: its host, label by label.
_PUBLIC = ("pypi", "org")


@dataclass(frozen=True)
class UvLock:
    """A project that uv locked already: the two files that `uv export` reads, and where its packages come from."""

    lock: bytes
    project: bytes
    options: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What a project asks for.

    Args:
        file: the file that says it, as people know it.
        python: a version or specifier; empty when the file leaves it open.
    """

    file: str
    python: str
    packages: Requirements | UvLock


def read_project(project: Path, *, declared: str | None = None) -> Asked:
    """Return what the environment of a project folder must be.

    Args:
        declared: the file that its MLproject names.

    Raises:
        RefusedError: `NoEnvironment`, or `EnvironmentUnresolvable` when the file cannot be understood or locked.
    """
    names = (declared,) if declared else _ORDER
    for name in names:
        if (project / name).is_file():
            return _read_file(project, name)
    missing = (
        f"{declared}, which the MLproject names, does not exist" if declared else f"there is no {', '.join(_ORDER)}"
    )
    raise RefusedError("NoEnvironment", f"{missing}; add a requirements.txt with the packages that training imports")


def _read_file(project: Path, name: str) -> Asked:
    if name.endswith("uv.lock"):
        return _read_uv_lock(project, name)
    if not name.endswith((".yaml", ".yml")):
        return Asked(file=name, python=_python_version(project), packages=_requirements(project, name))
    content = _read_yaml(project, name)
    is_conda = "python" not in content and "build_dependencies" not in content
    return (_read_conda if is_conda else _read_python_env)(project, name, content)


def _read_uv_lock(project: Path, name: str) -> Asked:
    lock = read_inside(project, name)
    folder = name.removesuffix("uv.lock")
    try:
        content = tomllib.loads(lock.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RefusedError(UNRESOLVABLE, f"{name}: {error}; run uv lock again") from error
    sources = (package.get("source", {}) for package in content.get("package", []))
    registries = {str(source["registry"]) for source in sources if "registry" in source}
    indexes = sorted(registry for registry in registries if tuple(_host(registry).split(".")) != _PUBLIC)
    python = _python_version(project / folder) or str(content.get("requires-python", ""))
    packages = UvLock(
        lock=lock,
        project=read_inside(project, f"{folder}pyproject.toml"),
        options=tuple(f"--extra-index-url {index}" for index in indexes),
    )
    return Asked(file=name, python=python, packages=packages)


def _read_python_env(project: Path, name: str, content: dict[str, object]) -> Asked:
    """Read MLflow's own format, python_env.yaml: https://mlflow.org/docs/latest/ml/projects/."""
    python = content.get("python") or ""
    lines = [*_texts(content, "build_dependencies", name=name), *_texts(content, "dependencies", name=name)]
    return Asked(file=name, python=str(python), packages=_requirements(project, name, text="\n".join(lines)))


def _read_conda(project: Path, name: str, content: dict[str, object]) -> Asked:
    items = content.get("dependencies") or []
    if not isinstance(items, list):
        raise RefusedError(UNRESOLVABLE, f"{name}: dependencies must be a list")
    asked = read_conda_packages([item for item in items if isinstance(item, str)], file=name)
    lines = [line for item in items if isinstance(item, dict) for line in _texts(item, "pip", name=name)]
    text = "\n".join([*asked.lines, *lines])
    return Asked(file=name, python=asked.python, packages=_requirements(project, name, text=text))


def _texts(content: dict[str, object], key: str, *, name: str) -> Iterable[str]:
    items = content.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise RefusedError(UNRESOLVABLE, f"{name}: {key} must be a list of texts")
    return items


def _requirements(project: Path, name: str, *, text: str | None = None) -> Requirements:
    def include(file: str, included: str) -> str:
        folder, slash, _ = file.rpartition("/")
        return _decode(read_inside(project, f"{folder}{slash}{included}"), name=included)

    whole = _decode(read_inside(project, name), name=name) if text is None else text
    return read_requirements(whole, file=name, include=include)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()


def _python_version(folder: Path) -> str:
    """Return what `.python-version` asks for, as pyenv and uv read it; empty when there is none or it is a name."""
    path = folder / ".python-version"
    if not path.is_file():
        return ""
    lines = _decode(read_inside(folder, path.name), name=path.name).split()
    version = lines[0].removeprefix("cpython-") if lines else ""
    return version if version[:1].isdigit() else ""


def _read_yaml(project: Path, name: str) -> dict[str, object]:
    """Read a small YAML file whose every scalar stays the text that was written: 3.10 is not 3.1."""
    text = read_inside(project, name)
    if len(text) > _LARGEST_YAML:
        raise RefusedError(UNRESOLVABLE, f"{name} has {len(text)} bytes; the limit is {_LARGEST_YAML}")
    try:
        content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes texts, lists and mappings only
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RefusedError(UNRESOLVABLE, f"{name}: {error}") from error
    if not isinstance(content, dict):
        raise RefusedError(UNRESOLVABLE, f"{name} must be a mapping")
    return content


def read_inside(project: Path, name: str) -> bytes:
    """Return the bytes of a regular file of the project.

    Raises:
        RefusedError: `EnvironmentUnresolvable` when it is not there, too large, or a link or path leads elsewhere.
    """
    root = project.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise RefusedError(UNRESOLVABLE, f"{name} lies outside the project; copy what is needed into it")
    if not path.is_file():
        raise RefusedError(UNRESOLVABLE, f"{name} does not exist")
    if path.stat().st_size > _LARGEST:
        raise RefusedError(UNRESOLVABLE, f"{name} is larger than {_LARGEST} bytes")
    return path.read_bytes()


def _decode(text: bytes, *, name: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(UNRESOLVABLE, f"{name} is not UTF-8: {error}") from error
