"""Locks of Python environments: what a project asks for, with hashes, and the same again."""

import subprocess
import textwrap
from pathlib import Path

import pytest
import uv

from gitops.environments import UvEnvironments
from gitops.errors import RefusedError, RetryError, StalledError
from gitops.lockfile import LARGEST
from gitops.ports import Environments, Lock
from tests.integration.environments_rig import MINOR, environments, wheels
from tests.support.wheels import serve_wheels

__all__ = ["environments", "wheels"]


def write_project(tmp_path: Path, **files: str) -> Path:
    """Write a project; in the names of files, `__` stands for a dot."""
    folder = tmp_path / "project"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def names_in(lock: Lock) -> list[str]:
    return [line.split(" ")[0] for line in lock.text.splitlines() if line and not line.startswith((" ", "-"))]


TOP = "launchpin_probe_top"
REQUIREMENTS, PYTHON_ENV, CONDA = "requirements__txt", "python_env__yaml", "conda__yaml"
BOTH = ["launchpin-probe-base==1.0", "launchpin-probe-top==1.0"]


# ---------------------------------------------------------------- what is asked for


@pytest.mark.parametrize(
    "files",
    [
        {REQUIREMENTS: "launchpin_probe_top\n"},
        {REQUIREMENTS: "-r more.txt\n", "more__txt": "# why\nlaunchpin_probe_top >= 1 \\\n  , < 2  # because\n"},
        {REQUIREMENTS: f"{TOP}\nlaunchpin-probe-base\n-c limits.txt\n", "limits__txt": "launchpin-probe-base==1.0"},
        {PYTHON_ENV: f"python: {MINOR}\nbuild_dependencies: [launchpin_probe_base]\ndependencies: [{TOP}]\n"},
        {PYTHON_ENV: f"python: '{MINOR}.99'\ndependencies:\n- -r more.txt\n", "more__txt": TOP},
        {CONDA: f"channels: [conda-forge]\ndependencies: [python={MINOR}, pip<99, pip: [{TOP}]]\n"},
        {CONDA: "dependencies:\n- python>=3.11\n- pip:\n  - -r more.txt\n", "more__txt": TOP},
    ],
)
def test_project_is_locked_with_hashes_when_it_says_what_it_needs(
    environments: Environments, tmp_path: Path, files: dict[str, str]
) -> None:
    lock = environments.lock(write_project(tmp_path, **files))

    assert names_in(lock) == BOTH
    assert lock.text.count("--hash=sha256:") == 2
    assert lock.python == MINOR
    assert str(tmp_path) not in lock.text


def write_uv_project(tmp_path: Path) -> Path:
    return write_project(
        tmp_path,
        requirements__txt="nothing-of-this-name\n",
        pyproject__toml="""
        [project]
        name = "mine"
        version = "1"
        requires-python = ">=3.11"
        dependencies = ["launchpin_probe_top"]
        """,
    )


def test_project_is_locked_from_uv_lock_when_it_has_one(
    environments: Environments, tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_uv_project(tmp_path)
    for name in ("UV_NO_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name)
    with serve_wheels(wheels) as index:
        subprocess.run([uv.find_uv_bin(), "lock", "--quiet", "--default-index", index], cwd=project, check=True)
        # Never asked: what the checkout brings as its own environment.
        (project / ".venv" / "bin").mkdir(parents=True)
        (project / ".venv" / "bin" / "python").write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")
        (project / ".venv" / "bin" / "python").chmod(0o755)

        lock = environments.lock(project)
        built = environments.build(lock)

    assert names_in(lock) == BOTH
    assert subprocess.run([built.python, "-c", "import launchpin_probe_top"], check=True).returncode == 0
    assert not (tmp_path / "canary").exists()


def test_uv_lock_is_refused_when_it_has_packages_without_a_hash(environments: Environments, tmp_path: Path) -> None:
    project = write_uv_project(tmp_path)
    subprocess.run([uv.find_uv_bin(), "lock", "--quiet"], cwd=project, check=True)

    with pytest.raises(RefusedError, match=r"no hash of launchpin-probe-base==1\.0"):
        environments.lock(project)


def test_hashed_requirements_are_kept_when_nothing_is_left_to_resolve(
    environments: Environments, tmp_path: Path
) -> None:
    resolved = environments.lock(write_project(tmp_path, requirements__txt="launchpin_probe_top\n"))

    kept = environments.lock(write_project(tmp_path, requirements__txt=resolved.text))

    assert names_in(kept) == names_in(resolved)
    assert "--hash" in kept.text
    assert len(list((tmp_path / "environments" / "resolutions").iterdir())) == 1


def test_declared_file_is_read_when_the_mlproject_names_one(environments: UvEnvironments, tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        requirements__txt="nothing-of-this-name\n",
        my_env__yaml="dependencies:\n- pip: [launchpin_probe_base]\n",
    )

    assert names_in(environments.lock(project, declared="my_env.yaml")) == ["launchpin-probe-base==2.0"]


def test_environment_is_empty_when_the_requirements_are(environments: Environments, tmp_path: Path) -> None:
    lock = environments.lock(write_project(tmp_path, requirements__txt="# nothing\n"))

    built = environments.build(lock)

    assert subprocess.run([built.python, "-c", "import sys"], check=True).returncode == 0


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({REQUIREMENTS: "nothing-of-this-name\n"}, "nothing-of-this-name"),
        ({REQUIREMENTS: f"{TOP}\nlaunchpin_probe_base>=2"}, "unsatisfiable"),
        ({REQUIREMENTS: "\n-e .\n"}, "requirements.txt:2: --editable"),
        ({REQUIREMENTS: "."}, "imported as it is"),
        ({REQUIREMENTS: "x @ git+https://example.com/x"}, "released version"),
        ({REQUIREMENTS: "x @ file:///etc/passwd"}, "no package by name"),
        ({REQUIREMENTS: "-r /etc/passwd"}, "outside the project"),
        ({REQUIREMENTS: "-r ../../secret.txt"}, "outside the project"),
        ({REQUIREMENTS: "-r requirements.txt"}, "include itself"),
        ({REQUIREMENTS: "-r none.txt"}, "none.txt does not exist"),
        ({REQUIREMENTS: "--index-url https://me:secret@example.com/simple\nx"}, "holds a password"),
        ({REQUIREMENTS: "--find-links ./wheels\nx"}, "folder of the checkout"),
        ({CONDA: "dependencies: [conda-forge::numpy, cudatoolkit>=11, {pip: [x]}]"}, "yaml: cudatoolkit .* under pip"),
        ({CONDA: "[]"}, "mapping"),
        ({PYTHON_ENV: "dependencies: !!python/object/apply:os.system [touch canary]\npython: 3"}, "no package by name"),
        ({PYTHON_ENV: "python: three"}, "no Python version"),
        ({"uv__lock": "version = ", "pyproject__toml": ""}, "uv.lock"),
    ],
)
def test_project_is_refused_by_name_when_it_cannot_be_locked(
    environments: Environments, tmp_path: Path, files: dict[str, str], words: str
) -> None:
    with pytest.raises(RefusedError, match=words) as refusal:
        environments.lock(write_project(tmp_path, **files))

    assert refusal.value.reason == "EnvironmentUnresolvable"
    assert "root:" not in refusal.value.message
    assert "secret@" not in refusal.value.message
    assert not Path("canary").exists()


@pytest.mark.parametrize("declared", ["", "env.yaml"])
def test_project_is_refused_when_nothing_says_what_it_needs(
    environments: Environments, tmp_path: Path, declared: str
) -> None:
    with pytest.raises(RefusedError, match=r"add a requirements\.txt") as refusal:
        environments.lock(write_project(tmp_path), declared=declared)

    assert refusal.value.reason == "NoEnvironment"


def test_attack_36_link_out_of_the_project_is_not_read(environments: Environments, tmp_path: Path) -> None:
    project = write_project(tmp_path)
    (project / "requirements.txt").symlink_to("/etc/passwd")

    with pytest.raises(RefusedError, match="outside the project"):
        environments.lock(project)


def test_source_package_is_not_built_when_it_has_no_wheel(
    environments: Environments, tmp_path: Path, wheels: Path
) -> None:
    source = tmp_path / "launchpin_probe_source-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\n")
    (source / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: launchpin_probe_source\nVersion: 1.0\n")
    subprocess.run(["tar", "-czf", wheels / f"{source.name}.tar.gz", "-C", tmp_path, source.name], check=True)

    with pytest.raises(RefusedError, match="launchpin-probe-source"):
        environments.lock(write_project(tmp_path, requirements__txt="launchpin_probe_source\n"))

    assert not (tmp_path / "canary").exists()


def test_training_is_stalled_when_the_asked_interpreter_is_not_installed(
    environments: Environments, tmp_path: Path
) -> None:
    with pytest.raises(StalledError, match=rf"3\.99 .*{MINOR}\.\d+.*install it") as stall:
        environments.lock(write_project(tmp_path, python_env__yaml="python: 3.99\ndependencies: []"))

    assert stall.value.reason == "NoInterpreter"


def test_interpreter_is_left_out_when_it_does_not_answer(tmp_path: Path) -> None:
    stub = tmp_path / f"python{MINOR}"
    stub.write_text("#!/bin/sh\necho 'command not found' >&2; exit 127\n")
    stub.chmod(0o755)
    environments = UvEnvironments(tmp_path / "environments", candidates=[stub, tmp_path / "absent"])

    with pytest.raises(StalledError, match="found: none"):
        environments.lock_requirements("", python=MINOR)


def test_try_again_later_when_the_index_does_not_answer(
    environments: Environments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(RetryError) as error:
        environments.lock_requirements("some-package", python=MINOR)

    assert error.value.reason == "IndexUnavailable"


# ---------------------------------------------------------------- stable locks


def test_unchanged_project_has_the_same_lock_when_the_index_is_gone_and_has_newer_packages(
    environments: Environments, tmp_path: Path, wheels: Path
) -> None:
    first = environments.lock(write_project(tmp_path, requirements__txt="launchpin_probe_base\nlaunchpin_probe_top\n"))
    for wheel in wheels.iterdir():
        wheel.unlink()
    written_otherwise = "# comment\nlaunchpin_probe_top\r\n\r\nlaunchpin_probe_base\r\nlaunchpin_probe_base\n"

    again = UvEnvironments(tmp_path / "environments").lock(write_project(tmp_path, requirements__txt=written_otherwise))

    assert again == first


def test_lock_is_the_same_on_another_installation_when_the_index_is(environments: Environments, tmp_path: Path) -> None:
    other = UvEnvironments(tmp_path / "elsewhere" / "environments")

    assert other.lock_requirements("launchpin_probe_top", python=MINOR) == environments.lock_requirements(
        "launchpin_probe_top\n", python=f"{MINOR}.1"
    )


def test_lock_that_is_too_large_to_be_kept_is_refused_with_both_numbers(environments: Environments) -> None:
    hashes = " ".join(f"--hash=sha256:{number:064x}" for number in range(60_000))
    with pytest.raises(RefusedError, match=rf"has \d{{7}} bytes, and may have {LARGEST}") as caught:
        environments.lock_requirements(f"launchpin_probe_top==1.0 {hashes}\n", python=MINOR)
    assert caught.value.reason == "lock_too_large"


def test_lock_of_an_environment_is_known_when_it_was_removed(environments: Environments, tmp_path: Path) -> None:
    lock = environments.lock_requirements("launchpin_probe_top", python=MINOR)
    assert environments.lock_of(lock.key) is None
    environments.build(lock)
    (tmp_path / "environments" / "built" / f"{lock.key}.complete").unlink()

    assert environments.find(lock.key) is None
    assert environments.lock_of(lock.key) == lock
    assert environments.build(lock) == environments.find(lock.key)


@pytest.mark.parametrize("key", ["", "../x", "A" * 32, "0" * 31])
def test_key_is_refused_when_it_could_leave_the_folder(environments: Environments, key: str) -> None:
    with pytest.raises(ValueError, match="not an environment's key"):
        environments.find(key)
