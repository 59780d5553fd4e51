"""A world for the tests of rollouts: the embedded forge, and a deploy repository on it with three versions to pin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.store import SqlStore
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.rollouts import Deployment, make_deployment
from tests.support.store import Clock


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    """Give a forge for all tests of a module."""
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def deployment(forge: ForgeUnderTest, store: SqlStore, clock: Clock, tmp_path: Path) -> Deployment:
    """Give an environment `staging`, nothing pinned, and versions 1 to 3."""
    made = make_deployment(forge, store, clock, tmp_path)
    for version in ("1", "2", "3"):
        made.add_version(version)
    return made
