"""What a collection removes in the database, and how the job and the command tell what went."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, text, update

from gitops.errors import RetryError
from gitops.ports import Exit
from gitops.records import Command
from gitops.retention import KeptConfiguration, Kind
from gitops.steps import Done, Phase, Stalled
from gitops.store import SqlStore
from gitops.store.database import Database, open_database
from gitops.store.tables import deliveries
from gitops.upkeep import collect, survey
from tests.integration.gc_rig import EVERYTHING, collector, counts, digest, home, key
from tests.support.deps import run_all
from tests.support.home import DAY, names, tree_digest
from tests.support.store import (
    Clock,
    make_command,
    make_delivery,
    take,
)
from tests.support.target import MemoryTarget
from tests.support.training import HeldLease

__all__ = ["home"]

# ---------------------------------------------------------------- the database


def handle(store: SqlStore) -> None:
    """Handle the delivery that is ready."""
    claim = take(store)
    while claim.kind != "delivery":
        claim = take(store)
    delivery = store.delivery(claim.subject)
    store.finish(claim, Exit(delivery, Done(facts={"outcome": "ignored", "reason": "ping"})))


def test_bodies_go_after_their_time_and_the_delivery_stays(store: SqlStore, clock: Clock, tmp_path: Path) -> None:
    old, waiting = make_delivery(b"x" * 1000), make_delivery(b"y" * 500)
    store.save_delivery(old)
    handle(store)
    store.save_delivery(waiting)
    clock.advance(31 * DAY)
    new = make_delivery(b"z" * 10)
    store.save_delivery(new)
    deps = collector(store, tmp_path)

    assert survey(deps).facts()[0]["bytes"] == 1000
    done = collect(deps)

    assert (done.spent[Kind.BODIES].count, done.spent[Kind.BODIES].size) == (1, 1000)
    kept = store.delivery(old.id)
    assert kept is not None
    assert (kept.body, kept.body_sha256, kept.facts.outcome) == (b"", old.body_sha256, "ignored")
    # What is not over needs its body, however old it is.
    for delivery in (waiting, new):
        found = store.delivery(delivery.id)
        assert found is not None
        assert found.body == delivery.body
    (entry,) = [row for row in store.audit_recent(20) if b"bodies.dropped" in store.audit_entries(row.position, 1)[0]]
    assert f'"first":"{old.id}"'.encode() in store.audit_entries(entry.position, 1)[0]
    assert store.check_audit_joins() == []


@contextmanager
def listening() -> Iterator[list[tuple[str, Any]]]:
    """Give the statements that are sent to any database meanwhile, each with its parameters."""
    sent: list[tuple[str, Any]] = []

    def hear(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def test_the_search_for_old_bodies_looks_at_no_delivery_that_was_emptied(
    store: SqlStore, clock: Clock, database_url: str, tmp_path: Path
) -> None:
    """The search is part of a transaction that writes: it must not grow with the history."""
    store.save_deliveries([make_delivery(b"x" * 10) for _ in range(2000)])
    emptied = update(deliveries).values(body=b"", phase="Succeeded")
    database = Database(open_database(database_url))
    with database.write() as connection:
        connection.execute(emptied)
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
    clock.advance(31 * DAY)
    deps = collector(store, tmp_path)

    with listening() as sent:
        survey(deps)
        collect(deps)

    searches = [(words, values) for words, values in sent if "length(deliveries.body)" in words]
    assert len(searches) == 2
    with database.read() as connection:
        explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        for words, values in searches:
            plan = connection.exec_driver_sql(f"{explain} {words}", values).all()
            assert "deliveries_with_body" in str(plan)
            assert "deliveries_by_age" not in str(plan)
    database.close()


def test_attack_23_a_delivery_replayed_after_its_body_went_is_a_duplicate(
    store: SqlStore, clock: Clock, tmp_path: Path
) -> None:
    old = make_delivery(b'{"ref": "refs/heads/main"}')
    store.save_delivery(old)
    handle(store)
    clock.advance(400 * DAY)
    assert counts(collect(collector(store, tmp_path)))[Kind.BODIES] == 1
    assert store.save_delivery(old) == "duplicate"
    other = old.model_copy(update={"body": b"{}", "body_sha256": "0" * 64})
    assert store.save_delivery(other) == "conflict"
    assert [job for job in store.jobs() if job.kind == "delivery"] == []


def test_effects_and_jobs_of_what_is_over_go_and_those_of_what_is_open_stay(
    store: SqlStore, clock: Clock, tmp_path: Path
) -> None:
    over, going = store.save_command(make_command(verb="gc")), store.save_command(make_command(verb="resume"))
    claim = take(store)
    store.intend(claim, "effect:over", "effect")
    store.observe(claim, "effect:over", "{}")
    store.finish(claim, Exit(store.command(over.id), Done()))
    claim = take(store)
    assert claim.subject == going.id
    store.intend(claim, "effect:going", "effect")
    store.observe(claim, "effect:going", "{}")
    store.finish(claim, Exit(store.command(going.id), Stalled("Waits", "for a person")))
    clock.advance(31 * DAY)

    done = collect(collector(store, tmp_path))

    assert counts(done) == {Kind.ROWS: 2}
    claim = take(store)
    assert claim.subject == going.id
    assert store.intend(claim, "effect:going", "effect") == (True, "{}")
    assert store.intend(claim, "effect:over", "effect") == (False, None)
    assert store.command(over.id) is not None
    assert store.check_audit_joins() == []


# ---------------------------------------------------------------- the job and the command


def asked(store: SqlStore, **arguments: str) -> Command:
    return store.save_command(make_command(verb="gc", arguments=arguments))


def ended(store: SqlStore, command: Command) -> Command:
    found = store.command(command.id)
    assert found is not None
    return found


def test_the_command_says_what_went_and_the_audit_trail_too(store: SqlStore, home: Path) -> None:
    before = tree_digest(home)
    deps = collector(store, home)
    dry = asked(store, dry_run="yes")
    run_all(deps)
    assert tree_digest(home) == before
    told = ended(store, dry)
    assert (told.phase, told.facts.result["kinds"]) == (Phase.SUCCEEDED, survey(deps).facts())
    assert "would go" in told.message
    sizes = store.audit_size()

    real = asked(store)
    run_all(deps)

    told = ended(store, real)
    assert told.phase is Phase.SUCCEEDED
    assert told.facts.result["kinds"] == ended(store, dry).facts.result["kinds"]
    entries = b"\n".join(store.audit_entries(sizes, 10))
    assert b'"kind":"gc.collected"' in entries
    assert survey(deps).spent == {}


def test_the_daily_job_collects_and_wakes_whoever_waits_for_room(store: SqlStore, home: Path) -> None:
    waiting = store.save_command(make_command(verb="resume", arguments={"endpoint": "nothing"}))
    store.finish(take(store), Exit(store.command(waiting.id), Stalled("DiskLow", "the disk is full")))
    deps = collector(store, home)
    store.wake("gc", "home")
    run_all(deps)
    assert names(home / "workspace") == {"t-2"}
    # It was looked at again: what it asks for names no endpoint of ours.
    assert ended(store, waiting).phase is Phase.REFUSED
    (job,) = [job for job in store.jobs() if job.kind == "gc"]
    assert timedelta(hours=23) < job.not_before - store.now() <= timedelta(hours=24)


def test_a_collection_that_takes_long_goes_on_in_another_turn(store: SqlStore, home: Path) -> None:
    turns = iter([False, True])
    deps = collector(store, home, lease=HeldLease(ends=lambda: next(turns, False)))
    first = collect(deps)
    assert not first.is_whole
    second = collect(deps)
    assert second.is_whole
    assert counts(second.after(first.facts())) == EVERYTHING


def test_a_target_that_goes_away_meanwhile_stops_nothing(store: SqlStore, home: Path) -> None:
    class Leaving(MemoryTarget):
        def discard(self, configuration: str, *, idle: timedelta) -> bool:
            raise RetryError("EndpointHostUnavailable", f"{configuration} {idle}")

    old = KeptConfiguration("c-9", "e", digest(9), key(9), is_in_use=False, prepared=90 * DAY)
    done = collect(collector(store, home, targets={"local": Leaving(old=[old])}))
    assert counts(done) == EVERYTHING
