"""What a second training pays for its environment when nothing in it changed, against making one anew with pip."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from gitops.environments import UvEnvironments
from tests.benchmarks.figures import Measured, Must, Reach, Result, Row, Scale, time_each

_PACKAGES = ("scikit-learn==1.7.2", "pandas==2.3.3")
_SMALL = ("packaging==25.0",)
_PROJECT = 'name: bench\npython_env: python_env.yaml\nentry_points: {{main: {{command: "python train.py"}}}}\n'


def measure(scale: Scale) -> Result:
    """Measure the setting up of a project's environment; the packages come from the index, so a network is needed."""
    packages = _SMALL if scale.is_quick else _PACKAGES
    with tempfile.TemporaryDirectory() as folder:
        ours, first = _measure_ours(Path(folder), packages, times=scale.pick(9, quick=2))
        anew = time_each(lambda: _install(Path(folder), packages), times=scale.pick(2, quick=1))
    row = Row(
        f"set-up of an unchanged environment ({', '.join(packages)})",
        ours,
        {"venv and pip install, each run": Measured(anew, "ms"), "ours, the first time": first},
        Reach(Must.RATIO_AT_MOST, 0.1),
    )
    return Result((row,))


def _measure_ours(folder: Path, packages: tuple[str, ...], *, times: int) -> tuple[Measured, Measured]:
    project = folder / "project"
    project.mkdir()
    (project / "MLproject").write_text(_PROJECT.format())
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    listed = "".join(f"  - {package}\n" for package in packages)
    (project / "python_env.yaml").write_text(f'python: "{version}"\ndependencies:\n{listed}')
    environments = UvEnvironments(folder / "environments")

    def set_up() -> None:
        built = environments.build(environments.lock(project, declared="python_env.yaml"))
        assert built.python.is_file()

    first = Measured(time_each(set_up, times=1), "ms")
    return Measured(time_each(set_up, times=times), "ms"), first


def _install(folder: Path, packages: tuple[str, ...]) -> None:
    """Do what a job without a cache of environments does; pip keeps its own cache of downloads."""
    place = folder / "anew"
    venv.create(place, with_pip=True, clear=True)
    subprocess.run((place / "bin" / "python", "-m", "pip", "install", "--quiet", *packages), check=True)
