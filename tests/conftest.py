"""Fixtures that any test may ask for; what they do stands in tests/support."""

from collections.abc import Iterator

import pytest

from tests.support.mlflow import running_mlflow
from tests.support.postgres import Postgres, running_postgres
from tests.support.store import (
    clock,
    database_url,
    empty_and_fresh,
    empty_url,
    postgres_url,
    sqlite_template,
    sqlite_url,
    store,
)

__all__ = [
    "clock",
    "database_url",
    "empty_and_fresh",
    "empty_url",
    "postgres",
    "postgres_url",
    "sqlite_template",
    "sqlite_url",
    "store",
    "tracking_uri",
]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give one PostgreSQL for the whole session; each test makes a database of its own in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of one real MLflow server for the whole session."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri
