"""What is not over is found however much has come and ended since."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event

from gitops.errors import InputError
from gitops.steps import Ended, Phase
from gitops.store import SqlStore
from gitops.writes import StartTraining
from tests.support.store import Clock, answer, clock, make_training, store, take, write

__all__ = ["clock", "store"]

KINDS = ("training", "promotion", "rollout")


def begin(store: SqlStore, clock: Clock, training_id: str, *, repository_id: int = 1) -> None:
    """Begin a training, a second after the one before."""
    clock.advance(timedelta(seconds=1))
    write(store, StartTraining(make_training(id=training_id, repository_id=repository_id)))


def end(store: SqlStore) -> None:
    """End the training that is due first."""
    answer(store, take(store), Ended(Phase.ERRORED, "TrainingFailed", "it broke"), step="train")


def found(store: SqlStore, *, limit: int = 10, repositories: frozenset[int] | None = None) -> list[str]:
    return [one.id for one in store.unfinished("training", limit=limit, repositories=repositories)]


def test_what_is_not_over_is_found_the_oldest_first(store: SqlStore, clock: Clock) -> None:
    begin(store, clock, "t-1ended")
    end(store)
    for name, repository in (("t-2waits", 1), ("t-3waits", 7), ("t-4waits", 1)):
        begin(store, clock, name, repository_id=repository)
    assert found(store) == ["t-2waits", "t-3waits", "t-4waits"]
    assert found(store, limit=2) == ["t-2waits", "t-3waits"]
    assert found(store, repositories=frozenset({1, 2})) == ["t-2waits", "t-4waits"]
    assert found(store, repositories=frozenset()) == []
    assert [len(store.unfinished(kind, limit=10)) for kind in KINDS] == [3, 0, 0]
    with pytest.raises(InputError, match="trainings is none of training"):
        store.unfinished("trainings", limit=10)


def test_sqlite_finds_what_is_not_over_by_an_index_of_that_alone(sqlite_url: str) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _u: object, statement: str, values: Any, *_: object) -> None:  # noqa: ANN401 - the driver's
        asked.append((statement, values))

    store = SqlStore(sqlite_url)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        for kind in KINDS:
            store.unfinished(kind, limit=10, repositories=frozenset({1}))
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        store.close()
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        for kind in KINDS:
            (question,) = [one for one in asked if one[0].startswith("SELECT") and f"FROM {kind}s" in one[0]]
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {question[0]}", question[1]).all()
            assert f"INDEX open_{kind}s " in str(plan), kind
    engine.dispose()
