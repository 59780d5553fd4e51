"""What the tests of the store on PostgreSQL share: a store, and its database beneath."""

from collections.abc import Iterator

import pytest

from gitops.store import SqlStore


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlStore]:
    """Give a store with the server's own clock."""
    store = SqlStore(postgres_url)
    yield store
    store.close()
