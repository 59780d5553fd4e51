"""Lists that are read part by part: each begins after a place, by an index, whatever came before it meanwhile."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event

from gitops.ports import Mark
from gitops.records import Role
from gitops.store import SqlStore
from gitops.writes import SaveEnvironment, SaveRepository
from tests.support.store import clock, make_environment, make_repository, store, write

__all__ = ["clock", "store"]

PLACES = [(number, path) for number in (7, 9, 12) for path in ("a", "models/é", "z")]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def fill(store: SqlStore) -> None:
    """Write three repositories, two of them of one name, with three environments each, of two models."""
    names = {7: "acme/twin", 9: "acme/first", 12: "acme/twin"}
    known = [make_repository(id=number, full_name=name, role=Role.DEPLOY) for number, name in names.items()]
    models = {"a": "iris", "models/é": "wine", "z": "wine"}
    places = [make_environment(repository_id=number, path=path, model=models[path]) for number, path in PLACES]
    write(store, *map(SaveRepository, known), *(SaveEnvironment(one, ()) for one in places))


def test_environments_are_read_part_by_part(store: SqlStore) -> None:
    fill(store)
    whole = list(store.environments())
    assert [(one.repository_id, one.path) for one in whole] == PLACES
    for at, place in enumerate(PLACES):
        assert list(store.environments(after=place)) == whole[at + 1 :]
        assert list(store.environments(after=place, limit=2)) == whole[at + 1 : at + 3]
    # A place need not be there any more.
    assert list(store.environments(after=(8, ""))) == whole[3:]
    of_two = [one for one in whole if one.repository_id in {7, 12}]
    assert list(store.environments(repositories=frozenset({7, 12}))) == of_two
    assert list(store.environments(repositories=frozenset({7, 12}), after=(7, "z"), limit=1)) == of_two[3:4]
    assert [one.repository_id for one in store.environments(model="iris", after=(7, "a"))] == [9, 12]
    assert list(store.environments(repositories=frozenset())) == []


def test_repositories_are_read_part_by_part_those_of_one_name_by_their_ids(store: SqlStore) -> None:
    fill(store)
    whole = list(store.repositories())
    assert [one.id for one in whole] == [9, 7, 12]
    for at, one in enumerate(whole):
        assert list(store.repositories(after=(one.full_name, one.id))) == whole[at + 1 :]
    assert [one.id for one in store.repositories(ids=frozenset({12, 9}))] == [9, 12]
    assert [one.id for one in store.repositories(limit=2)] == [9, 7]


@pytest.mark.parametrize(
    ("index", "read"),
    [
        ("repositories_by_name", lambda store: store.repositories(after=("acme/iris", 1), limit=51)),
        ("autoindex_environments_1", lambda store: store.environments(after=(1, "staging"), limit=51)),
        ("people_by_login", lambda store: store.people(after=("ada", "u-1"), limit=51)),
        ("tokens_by_age", lambda store: store.tokens(after=Mark(LONG_AGO, "k-1"), limit=51)),
    ],
    ids=["repositories", "environments", "people", "tokens"],
)
def test_a_part_far_back_is_a_range_of_an_index_on_sqlite(
    sqlite_url: str, index: str, read: Callable[[SqlStore], object]
) -> None:
    asked: list[tuple[str, Any]] = []

    def note(*given: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own
        asked.append((given[2], given[3]))

    store = SqlStore(sqlite_url)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        read(store)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        store.close()
    (statement, values), *_ = [one for one in asked if one[0].startswith("SELECT")]
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        plan = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    engine.dispose()
    (line,) = plan  # nothing is sorted
    assert line.startswith("SEARCH ")
    assert index in line
    assert ">?" in line or "<?" in line
