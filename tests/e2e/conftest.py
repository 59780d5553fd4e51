"""One whole stack for each file of end-to-end tests; each test has repositories of its own in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.embedded.stack import keys
from gitops.embedded.stack.layout import Layout
from gitops.private_files import write_private
from tests.faults.tally import turn
from tests.support.live import Live, running

TRAINING_MEMORY = 1500 * 1024**2
TRAINING_TASKS = 300
SECRET = "correct-horse-battery-staple"


@pytest.fixture(scope="module", params=turn(["sqlite", "postgres"]))
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Give a stack whose polls and comparisons come every few seconds, and whose trainings are held short.

    Its database is SQLite in one run of CI and PostgreSQL in the next; `LAUNCHPIN_FAULTS=all` tries both. What else a
    file of tests wants set is its `SETTINGS`.
    """
    on_server = request.param == "postgres"
    database = {"database_url": request.getfixturevalue("postgres").make_empty()} if on_server else {}
    folder = tmp_path_factory.mktemp("live") / "stack"
    secrets = Layout.make(folder).secrets
    for place in (secrets, secrets / keys.GRANTED):
        place.mkdir(mode=0o700)
    write_private(secrets / keys.GRANTED / "DATA_TOKEN", SECRET + "\n")
    with running(
        folder,
        **database,
        poll="10s",
        compare="8s",
        anchor="5s",
        checkpoint="2s",
        training_memory=str(TRAINING_MEMORY),
        training_tasks=str(TRAINING_TASKS),
        **getattr(request.module, "SETTINGS", {}),
    ) as stack:
        yield stack


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    """Give the folder of the user's clones."""
    return tmp_path
