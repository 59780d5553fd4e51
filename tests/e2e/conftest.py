"""One whole stack for all end-to-end tests; each test has repositories of its own in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live import Live, running


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Give a stack whose polls and comparisons come every few seconds."""
    with running(
        tmp_path_factory.mktemp("live") / "stack", poll="4s", compare="4s", anchor="2s", checkpoint="2s"
    ) as stack:
        yield stack


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    """Give the folder of the user's clones."""
    return tmp_path
