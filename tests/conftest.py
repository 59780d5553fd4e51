"""Fixtures that any test may ask for; what they do stands in tests/support."""

from collections.abc import Iterator

import pytest

from tests.support.mlflow import running_mlflow
from tests.support.store import clock, store

__all__ = ["clock", "store", "tracking_uri"]


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of one real MLflow server for the whole session."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri
