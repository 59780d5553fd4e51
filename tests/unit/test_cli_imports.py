"""What a verb loads: each starts without the vendors' libraries, the offline ones without a database too."""

import subprocess
import sys

import pytest

from gitops.cli.verbs import VERBS

VENDORS = {"mlflow", "boto3", "botocore", "github", "celery", "fastapi", "pandas", "sklearn"}
MODULES = sorted({place.partition(":")[0] for place, _ in VERBS.values()} - {"gitops.cli.demo"})


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", MODULES)
def test_verb_loads_no_vendors_library_when_it_starts(module: str) -> None:
    loaded = loaded_by(module)

    assert loaded & VENDORS == set()
    assert "sqlalchemy" not in loaded
