"""A database's password that is replaced while a process runs: the log shows neither the old one nor the new one."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT

_PROGRAM = """
import contextlib, logging, os
from pathlib import Path
from gitops.bootstrap import for_web, observe
from gitops.errors import LaunchpinError
from gitops.settings import Settings

settings = Settings()
observe("web", settings)
settings.database_password_file.write_text("second-pa55word")
with contextlib.suppress(LaunchpinError):
    for_web(settings).now()  # asks for a connection, for which the password is read; nobody listens there
logging.getLogger("x").error("refused: first-pa55word second-pa55word third-pa55word")
"""


def test_old_and_new_password_are_masked_when_it_was_replaced_after_the_start(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first-pa55word")
    file.chmod(0o600)
    variables = {
        "LAUNCHPIN_HOME": str(tmp_path),
        "LAUNCHPIN_DATABASE_URL": "postgresql://launchpin@127.0.0.1:1/launchpin",
        "LAUNCHPIN_DATABASE_PASSWORD_FILE": str(file),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        timeout=60,
        check=True,
    )
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert told[-1]["event"] == "refused: *** *** third-pa55word"
