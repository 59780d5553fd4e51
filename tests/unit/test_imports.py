"""What each kind of process imports: a fresh interpreter does what the process does when it starts, and is asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDORS = frozenset({"mlflow", "boto3", "botocore", "github", "sklearn", "pandas", "numpy"})
WEB = """
from webhooks.asgi import create_app
from gitops.settings import Settings
create_app(Settings())
"""
RELAY = """
from gitops.bootstrap import for_relay
from gitops.settings import Settings
import workers.relay
workers.relay.Relay(Settings())
"""
SERVED = f"""
import webhooks.serve
from webhooks.server import make_server
{WEB.replace("create_app(Settings())", "make_server(create_app(Settings()), port=0)")}
"""
WORKER = "import workers.start, workers.tasks"
FORGE = "import gitops.embedded.forge.__main__"
ENDPOINTS = "import gitops.embedded.endpoints.__main__"
POSTGRESQL = "sqlalchemy.dialects.postgresql"
HELP = """
from gitops.cli.main import run
assert run(["--help"]) == 0
"""


def imported_by(program: str, home: Path) -> frozenset[str]:
    """Return the names of the packages that a fresh interpreter holds after a program."""
    return frozenset(name.split(".")[0] for name in modules_of(program, home))


def modules_of(program: str, home: Path) -> frozenset[str]:
    """Return the names of all modules that a fresh interpreter holds after a program."""
    shown = subprocess.run(
        [sys.executable, "-P", "-c", f"{program}\nimport sys\nprint('\\n', *sys.modules)"],
        cwd=home,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(home), **_settings(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return frozenset(shown.stdout.splitlines()[-1].split())


def _settings(home: Path) -> dict[str, str]:
    secrets = {"redis": "redis://:secret@127.0.0.1:1/0", "hook": "secret"}
    for name, text in secrets.items():
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    return {
        "LAUNCHPIN_HOME": str(home),
        "LAUNCHPIN_REDIS_URL_FILE": str(home / "redis"),
        "LAUNCHPIN_HOOK_SECRET_FILES": f'["{home / "hook"}"]',
        "LAUNCHPIN_HOOK_PATH": "f00d",
        "LAUNCHPIN_AUDIT_KEY_FILE": str(home / "audit.key"),
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give the home of an installation whose database is migrated."""
    prepare = "from gitops.bootstrap import prepare\nfrom gitops.settings import Settings\nprepare(Settings())"
    imported_by(prepare, tmp_path)
    return tmp_path


@pytest.mark.parametrize("program", [WEB, RELAY], ids=["web", "relay"])
def test_no_vendor_is_imported_when_a_process_that_takes_or_tells_starts(program: str, home: Path) -> None:
    imported = imported_by(program, home)

    assert "sqlalchemy" in imported, "the program did not start what it names"
    assert not imported & VENDORS


@pytest.mark.parametrize("module", ["webhooks.asgi", "webhooks.serve", "workers.relay", "workers.runner"])
def test_no_vendor_and_no_database_is_imported_when_a_module_is_only_imported(module: str, tmp_path: Path) -> None:
    imported = imported_by(f"import {module}", tmp_path)

    assert not imported & (VENDORS | {"sqlalchemy"})


def test_web_process_and_relay_hold_no_celery_and_relay_no_web_framework(home: Path) -> None:
    assert not imported_by(WEB, home) & {"celery", "kombu", "redis"}
    assert not imported_by(RELAY, home) & {"fastapi", "starlette", "uvicorn", "jinja2", "celery", "kombu"}


@pytest.mark.parametrize(
    ("program", "needed", "unneeded"),
    [
        (SERVED, "fastapi", {"click", "uvicorn.main", "pydantic.v1.main", "jinja2", "yaml", POSTGRESQL}),
        (RELAY, "redis", {"redis.asyncio.client", "opentelemetry", "html.entities", "yaml", POSTGRESQL}),
        (WORKER, "celery", {"celery.bin", "prompt_toolkit", "pygments", "redis.asyncio.client", "yaml", "psutil"}),
        (WORKER, "kombu", {"sqlalchemy", "httpx", "opentelemetry", "prometheus_client", "html.entities"}),
        (FORGE, "pygit2", {"click", "uvicorn.main", "jinja2", "markdown_it", "pydantic", "sqlalchemy"}),
        (ENDPOINTS, "httpx", {"click", "uvicorn.main", "rich", "pygments", "sqlalchemy", "redis"}),
    ],
    ids=["web", "relay", "worker", "worker-idle", "forge", "endpoints"],
)
def test_process_holds_nothing_that_it_does_not_use_while_it_is_idle(
    program: str, needed: str, unneeded: set[str], home: Path
) -> None:
    modules = modules_of(program, home)

    assert needed in modules, "the program did not start what it names"
    assert not modules & unneeded


def test_help_imports_little_more_than_click_when_it_is_printed(tmp_path: Path) -> None:
    imported = imported_by(HELP, tmp_path)

    assert "click" in imported
    heavy = {
        "sqlalchemy",
        "pydantic",
        "fastapi",
        "celery",
        "starlette",
        "httpx",
        "redis",
        "pygit2",
        "alembic",
        "msgspec",
    }
    assert not imported & (VENDORS | heavy)


def test_help_is_printed_by_the_entry_point_of_the_command(tmp_path: Path) -> None:
    script = "import sys; from gitops.cli import main; sys.argv = ['launchpin', '--help']; main()"
    shown = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert shown.returncode == 0, shown.stderr
    assert "Usage: launchpin" in shown.stdout
    assert "Exit codes:" in shown.stdout
