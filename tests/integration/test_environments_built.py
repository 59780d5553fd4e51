"""Building an environment from its lock: once, read-only, and anew where a builder was killed."""

import json
import os
import stat
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import uv

from gitops.environments import UvEnvironments
from gitops.errors import LaunchpinError, RefusedError, StalledError
from gitops.ports import Environments, Lock
from tests.integration.environments_rig import MINOR, environments, wheels, write_interpreter
from tests.support.training import is_alive, wait_until
from tests.support.wheels import make_wheel

__all__ = ["environments", "wheels"]


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


def test_build_waits_where_a_lock_of_another_platform_comes_to_another_environment(
    environments: Environments, tmp_path: Path
) -> None:
    elsewhere = UvEnvironments(tmp_path / "elsewhere", candidates=[write_interpreter(tmp_path, platform="linux-m68k")])
    lock = elsewhere.lock_requirements("launchpin_probe_top", python=MINOR)
    assert lock.digest == environments.lock_requirements("launchpin_probe_top", python=MINOR).digest

    with pytest.raises(StalledError, match=f"locked for cpython {MINOR} linux-m68k") as caught:
        environments.build(lock)

    assert caught.value.reason == "EnvironmentMismatch"
    assert (environments.find(lock.key), environments.lock_of(lock.key)) == (None, None)


def test_build_waits_where_the_text_of_a_lock_was_changed(environments: Environments) -> None:
    lock = environments.lock_requirements("launchpin_probe_base==1.0", python=MINOR)
    other = environments.lock_requirements("launchpin_probe_base==2.0", python=MINOR)

    with pytest.raises(StalledError) as caught:
        environments.build(replace(lock, text=other.text))

    assert caught.value.reason == "EnvironmentMismatch"
    assert environments.find(lock.key) is None


def test_build_takes_the_interpreter_that_the_lock_is_for_where_there_are_several(
    environments: Environments, tmp_path: Path
) -> None:
    lock = environments.lock_requirements("launchpin_probe_top", python=MINOR)
    candidates = [write_interpreter(tmp_path, platform="linux-m68k"), Path(sys.executable)]

    built = UvEnvironments(tmp_path / "elsewhere", candidates=candidates).build(lock)

    assert built.key == lock.key
    assert subprocess.run([built.python, "-c", "import launchpin_probe_top"], check=True).returncode == 0


def test_lock_that_an_earlier_release_left_on_the_disk_is_read_and_built(
    environments: Environments, tmp_path: Path
) -> None:
    lock = environments.lock_requirements("launchpin_probe_top", python=MINOR)
    (tmp_path / "environments" / "locks" / f"{lock.key}.txt").write_text(f"# python {MINOR}\n{lock.text}")

    known = environments.lock_of(lock.key)

    assert known is not None
    assert known == replace(lock, interpreter="")
    assert environments.build(known).key == lock.key


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
