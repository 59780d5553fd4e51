"""Locking and building environments with the real uv, from wheels made here."""

import json
import os
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import uv

from gitops.environments import UvEnvironments
from gitops.errors import LaunchpinError, RefusedError, RetryError, StalledError
from gitops.ports import Environments, Lock
from tests.support.training import is_alive, wait_until
from tests.support.wheels import make_wheel, serve_wheels

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "launchpin_probe_base", "1.0")
    make_wheel(folder, "launchpin_probe_base", "2.0")
    make_wheel(folder, "launchpin_probe_top", "1.0", requires=["launchpin_probe_base<2"])
    return folder


@pytest.fixture
def environments(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> UvEnvironments:
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return UvEnvironments(tmp_path / "environments")


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
        ({CONDA: "dependencies: [conda-forge::numpy, cudatoolkit>=11, {pip: [x]}]"}, "cudatoolkit, numpy .* under pip"),
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


# ---------------------------------------------------------------- building


def test_environment_works_and_is_read_only_when_it_is_built(environments: Environments) -> None:
    built = environments.build(environments.lock_requirements("launchpin_probe_top", python=MINOR))

    code = "import launchpin_probe_base as b, launchpin_probe_top as t, sys; print(b.version, t.version, sys.prefix)"
    output = subprocess.run([built.python, "-c", code], capture_output=True, text=True, check=True).stdout
    folder = built.python.parents[1]
    assert output == f"1.0 1.0 {folder}\n"
    assert environments.find(built.key) == built
    modes = [path.lstat() for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    assert len(modes) > 10
    assert not [mode for mode in modes if mode.st_mode & 0o222]
    # No file is shared with uv's cache: neither our read-only bits nor a training's changes reach it.
    assert {mode.st_nlink for mode in modes if stat.S_ISREG(mode.st_mode)} == {1}
    assert list(folder.rglob("launchpin_probe_top/__pycache__/*.pyc"))


def test_build_is_refused_when_a_package_is_not_the_one_that_was_locked(
    environments: Environments, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = environments.lock_requirements("launchpin_probe_top", python=MINOR)
    make_wheel(wheels, "launchpin_probe_top", "1.0", requires=["launchpin_probe_base<2"], body="import os\n")

    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another machine's cache"))

    with pytest.raises(RefusedError, match="Hash mismatch"):
        environments.build(lock)

    assert environments.find(lock.key) is None


def write_uv(tmp_path: Path, on_sync: str = "") -> str:
    """Write a program that notes its calls, does something before a sync, and then is uv."""
    program = tmp_path / "uv-noted"
    program.write_text(
        f"""#!/bin/sh
        echo "$1 $2" >> {tmp_path}/calls
        case "$1 $2" in "pip sync") {on_sync} ;; esac
        exec {uv.find_uv_bin()} "$@"
        """
    )
    program.chmod(0o755)
    return str(program)


@pytest.mark.usefixtures("environments")
def test_environment_is_built_once_when_several_ask_for_it_at_once(tmp_path: Path) -> None:
    environments = UvEnvironments(tmp_path / "environments", program=write_uv(tmp_path))
    lock = environments.lock_requirements("launchpin_probe_top", python=MINOR)
    results: list[Path | LaunchpinError] = []

    def build() -> None:
        try:
            results.append(UvEnvironments(tmp_path / "environments", program=write_uv(tmp_path)).build(lock).python)
        except LaunchpinError as error:
            results.append(error)

    write_uv(tmp_path)
    threads = [threading.Thread(target=build) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [tmp_path / "environments" / "built" / lock.key / "bin" / "python"] * 5
    assert (tmp_path / "calls").read_text().count("pip sync") == 1


def build_in_process(tmp_path: Path, lock: Lock, *, failpoints: str = "", program: str = "") -> subprocess.Popen[bytes]:
    code = """
    import json, sys
    from pathlib import Path
    from gitops.environments import UvEnvironments
    from gitops.ports import Lock
    root, program, lock = sys.argv[1:]
    UvEnvironments(Path(root), program=program or None).build(Lock(**json.loads(lock)))
    """
    arguments = [str(tmp_path / "environments"), program, json.dumps(lock.__dict__)]
    variables = {**os.environ, "LAUNCHPIN_FAILPOINTS": failpoints}
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *arguments], env=variables)


@pytest.mark.parametrize("place", ["build_environment.before", "fill_environment.before", "fill_environment.after"])
def test_half_built_environment_is_built_anew_when_its_builder_was_killed(
    environments: Environments, tmp_path: Path, place: str
) -> None:
    lock = environments.lock_requirements("launchpin_probe_top", python=MINOR)
    with build_in_process(tmp_path, lock, failpoints=f"{place}=kill") as builder:
        assert builder.wait(60) == -9
    assert environments.find(lock.key) is None
    leftover = tmp_path / "environments" / "built" / lock.key / "leftover"
    if leftover.parent.exists():
        leftover.touch()

    built = environments.build(lock)

    assert not leftover.exists()
    assert subprocess.run([built.python, "-c", "import launchpin_probe_top"], check=True).returncode == 0


def test_next_builder_waits_for_uv_when_the_one_that_started_it_was_killed(
    environments: Environments, tmp_path: Path
) -> None:
    lock = environments.lock_requirements("launchpin_probe_top", python=MINOR)
    go, waits = tmp_path / "go", tmp_path / "waits"
    slow = write_uv(tmp_path, f"echo $$ > {waits}; while [ ! -e {go} ]; do sleep 0.02; done")
    with build_in_process(tmp_path, lock, program=slow) as builder:
        wait_until(lambda: waits.exists() and waits.read_text().endswith("\n"))
        builder.kill()
    orphan = int(waits.read_text())
    assert is_alive(orphan)
    alive_when_built: list[bool] = []

    def build_next() -> None:
        environments.build(lock)
        alive_when_built.append(is_alive(orphan))

    thread = threading.Thread(target=build_next)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    go.touch()
    thread.join(60)

    assert alive_when_built == [False]
    assert environments.find(lock.key)
