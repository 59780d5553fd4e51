"""The wheel holds what an installed Launchpin needs besides its code."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = (
    "gitops/templates/iris/MLproject",
    "gitops/templates/iris/launchpin.yaml",
    "gitops/templates/iris/train.py",
    "gitops/templates/iris/requirements.txt",
    "gitops/templates/churn/pipeline.py",
    "gitops/templates/churn/data.py",
    "gitops/templates/deploy/staging/buildspec.yml",
    "gitops/templates/deploy/production/endpoint.yaml",
    "gitops/config/schemas/launchpin.v1.json",
    "gitops/config/schemas/endpoint.v1.json",
    "gitops/store/migrations/env.py",
    "gitops/embedded/forge/pages/style.css",
    "webhooks/dashboard/static/style.css",
    "webhooks/dashboard/templates/overview.html",
)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Build the wheel from the checkout, and return the names of its files."""
    folder = tmp_path_factory.mktemp("wheel")
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return frozenset(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("name", DATA)
def test_the_wheel_holds_the_data_file(names: frozenset[str], name: str) -> None:
    assert name in names


def test_the_wheel_holds_three_packages_and_no_tests(names: frozenset[str]) -> None:
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"gitops", "workers", "webhooks"}


def test_every_data_file_of_the_checkout_is_in_the_wheel(names: frozenset[str]) -> None:
    listed = subprocess.run(
        ("git", "ls-files", "gitops", "workers", "webhooks"), cwd=ROOT, check=True, capture_output=True
    )
    assert set(listed.stdout.decode().split()) <= names
