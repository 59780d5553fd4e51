"""A collection over real files and a real database: what goes, what stays, and what a death in the middle leaves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text, update

from gitops.disk.locks import alone
from gitops.disk.storerooms import storerooms
from gitops.environments import UvEnvironments
from gitops.errors import RetryError
from gitops.models import hold_folder
from gitops.ports import Deps, Exit
from gitops.records import Command, Role
from gitops.retention import KeptConfiguration, Kind, Retention
from gitops.steps import Done, Phase, Stalled
from gitops.store import SqlStore
from gitops.store.database import Database, open_database
from gitops.store.tables import deliveries
from gitops.upkeep import Collection, collect, survey
from gitops.writes import OpenPromotion, OpenRollout, SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.support.deps import make_deps, make_service, run_all
from tests.support.home import DAY, names, tree_digest, write_environment, write_file, write_folder, write_model
from tests.support.store import (
    Clock,
    make_command,
    make_delivery,
    make_environment,
    make_promotion,
    make_repository,
    make_rollout,
    make_training,
    make_version,
    take,
    write,
)
from tests.support.target import MemoryTarget
from tests.support.training import HeldLease


def key(number: int) -> str:
    return f"{number:032x}"


def digest(number: int) -> str:
    return f"{number:064x}"


def collector(store: SqlStore, home: Path, **changes: Any) -> Deps:  # noqa: ANN401 - any part
    """Return the parts of a worker whose home folder this is."""
    service = make_service(home, models=home / "models", workspace=home / "workspace", **changes.pop("service", {}))
    parts = {
        "service": service,
        "targets": {"local": MemoryTarget()},
        "lease": HeldLease(),
        "storerooms": storerooms(home, reap=lambda _: None),
    }
    return make_deps(store, home, **(parts | changes))


def counts(collection: Collection) -> dict[Kind, int]:
    return {kind: spent.count for kind, spent in collection.spent.items()}


def fill(home: Path) -> None:
    """Write one old and one fresh thing of each kind that lies on a disk."""
    fresh = timedelta(minutes=1)
    for number, old in ((1, 400 * DAY), (2, fresh)):
        write_environment(home, key(number), size=1000, old=old)
        write_model(home, digest(number), size=2000, old=old)
        write_file(home / "trainings" / "logs" / f"t-{number}-1.log", old=old)
        write_folder(home / "workspace" / f"t-{number}", old=old)
        write_folder(home / "mirrors" / f"{number}.git", old=old)
        write_folder(home / "mirrors" / f".{number}.git.abcdef.partial", old=old)
        write_folder(home / "environments" / f"build-{number}", old=old)
        write_folder(home / "models" / f".fetch-{number}", old=old)
        write_folder(home / "trainings" / "scratch" / f"s{number}", old=old)


EVERYTHING = {
    Kind.LOGS: 1,
    Kind.WORKSPACES: 1,
    Kind.ENVIRONMENTS: 1,
    Kind.MODELS: 1,
    Kind.MIRRORS: 1,
    Kind.LEFTOVERS: 4,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    fill(folder)
    return folder


def test_a_dry_run_says_what_would_go_and_changes_nothing(store: SqlStore, home: Path) -> None:
    before = tree_digest(home)
    found = survey(collector(store, home))
    assert counts(found) == EVERYTHING
    assert found.spent[Kind.ENVIRONMENTS].size == 1000
    assert found.spent[Kind.MODELS].size == 2000
    assert tree_digest(home) == before


def test_what_is_old_goes_and_what_is_fresh_stays(store: SqlStore, home: Path) -> None:
    deps = collector(store, home)
    wanted = survey(deps).facts()
    done = collect(deps)
    assert done.facts() == wanted
    assert counts(done) == EVERYTHING
    assert names(home / "environments" / "built") == {key(2), f"{key(2)}.complete"}
    assert names(home / "models") == {digest(2), ".fetch-2"}
    assert names(home / "mirrors") == {"2.git", ".2.git.abcdef.partial"}
    assert names(home / "trainings" / "logs") == {"t-2-1.log"}
    assert names(home / "workspace") == {"t-2"}
    assert names(home / "trainings" / "scratch") == {"s2"}
    assert counts(collect(deps)) == {}


def test_nothing_goes_that_a_record_may_ask_for(store: SqlStore, tmp_path: Path) -> None:
    home = tmp_path / "home"
    versions = [
        make_version(version=str(number), manifest_sha256=digest(number), environment_key=key(number))
        for number in range(1, 10)
    ]
    promotion, rollout = make_promotion(version="1"), make_rollout(version="2")
    serving = make_environment(path="production", serving="3", pinned="4", earlier=("5", "6", "7", "8"))
    training = make_training(id="t-under-way")
    deploy = make_repository(id=2, full_name="acme/iris-deploy", role=Role.DEPLOY)
    writes = [SaveVersion(version) for version in versions]
    write(
        store, *writes, OpenPromotion(promotion), OpenRollout(rollout), StartTraining(training), SaveRepository(deploy)
    )
    write(store, SaveEnvironment(serving, ()))
    for number in range(1, 10):
        write_environment(home, key(number))
        write_model(home, digest(number))
    write_folder(home / "mirrors" / "2.git")
    write_folder(home / "workspace" / training.id)
    write_file(home / "trainings" / "logs" / f"{training.id}-1.log")

    done = collect(collector(store, home, service={"retention": Retention(environments_size=1)}))

    # The fourth version back is as old as the others, and nobody goes back so far by himself.
    assert counts(done) == {Kind.ENVIRONMENTS: 2, Kind.MODELS: 2}
    assert names(home / "models") == {digest(number) for number in range(1, 8)}
    assert {name for name in names(home / "environments" / "built") if "." not in name} == {
        key(number) for number in range(1, 8)
    }


def test_nothing_goes_that_a_configuration_of_the_target_needs(store: SqlStore, home: Path) -> None:
    kept = KeptConfiguration("c-1", "e", digest(1), key(1), is_in_use=False, prepared=90 * DAY, served=60 * DAY)
    done = collect(collector(store, home, targets={"local": MemoryTarget(old=[kept])}))
    assert Kind.MODELS not in done.spent
    assert Kind.ENVIRONMENTS not in done.spent
    assert digest(1) in names(home / "models")


def test_models_and_environments_stay_while_a_target_does_not_say_what_it_needs(store: SqlStore, home: Path) -> None:
    found = collect(collector(store, home, targets={"local": MemoryTarget(is_away=True)}))
    assert counts(found) == {
        kind: count for kind, count in EVERYTHING.items() if kind not in {Kind.ENVIRONMENTS, Kind.MODELS}
    }
    assert "cannot be reached" in found.sentence(dry_run=False)
    assert {digest(1), digest(2)} <= names(home / "models")


def test_i21_old_configurations_go_and_their_files_the_next_time(store: SqlStore, home: Path) -> None:
    def row(number: int, *, served: timedelta | None) -> KeptConfiguration:
        return KeptConfiguration(
            f"c-{number}", "e", digest(number), key(number), is_in_use=False, prepared=90 * DAY, served=served
        )

    target = MemoryTarget(old=[row(number, served=number * 10 * DAY) for number in (4, 3, 2, 1)])
    target.old.append(row(5, served=None))
    deps = collector(store, home, targets={"local": target})
    assert counts(collect(deps))[Kind.CONFIGURATIONS] == 2
    assert [kept.name for kept in target.old] == ["c-3", "c-2", "c-1"]


def test_an_environment_that_is_being_built_is_not_touched(store: SqlStore, home: Path) -> None:
    deps = collector(store, home)
    with alone(home / "environments" / "built" / f"{key(1)}.lock") as ours:
        assert ours
        assert Kind.ENVIRONMENTS not in survey(deps).spent
        assert Kind.ENVIRONMENTS not in collect(deps).spent
    assert counts(collect(deps)) == {Kind.ENVIRONMENTS: 1}


def test_what_is_used_between_the_look_and_the_removal_stays(home: Path) -> None:
    rooms = {room.kind: room for room in storerooms(home, reap=lambda _: None)}
    (old, _) = rooms[Kind.ENVIRONMENTS].things()
    (home / "environments" / "built" / key(1) / "bin").parent.chmod(0o700)
    write_file(home / "environments" / "built" / key(1) / "bin" / "python")
    assert UvEnvironments(home / "environments").find(key(1)) is not None
    assert rooms[Kind.ENVIRONMENTS].discard(old) is False
    assert key(1) in names(home / "environments" / "built")


def test_a_model_that_somebody_is_about_to_load_stays(store: SqlStore, home: Path) -> None:
    deps = collector(store, home)
    rooms = {room.kind: room for room in storerooms(home, reap=lambda _: None)}
    (old, _) = rooms[Kind.MODELS].things()
    assert hold_folder(deps, digest(1))
    assert rooms[Kind.MODELS].discard(old) is False
    assert (home / "models" / digest(1) / "inner" / "file").is_file()
    assert not hold_folder(deps, digest(9))


def test_a_removed_environment_is_built_again_from_its_lock(store: SqlStore, tmp_path: Path) -> None:
    home = tmp_path / "home"
    environments = UvEnvironments(home / "environments")
    lock = environments.lock_requirements("", python="")
    built = environments.build(lock)
    os.utime(home / "environments" / "built" / f"{lock.key}.complete", (1, 1))
    assert counts(collect(collector(store, home))) == {Kind.ENVIRONMENTS: 1}
    assert environments.find(lock.key) is None
    assert not built.python.exists()
    known = environments.lock_of(lock.key)
    assert known is not None
    assert environments.build(known).python.is_file()


_COLLECT = """
import sys
from pathlib import Path
from gitops.store import SqlStore
from gitops.upkeep import collect
from tests.integration.test_gc import collector
store = SqlStore(sys.argv[1])
collect(collector(store, Path(sys.argv[2])))
"""


@pytest.mark.parametrize("place", ["discard_mark.after", "discard.before", "discard.after"])
@pytest.mark.parametrize("hit", [1, 3])
def test_a_death_in_the_middle_leaves_nothing_half_and_the_next_collection_ends_it(
    store: SqlStore, database_url: str, home: Path, place: str, hit: int
) -> None:
    if place == "discard_mark.after" and hit > 1:
        write_environment(home, key(3))
        write_environment(home, key(4))
    expected = survey(collector(store, home))
    died = subprocess.run(
        [sys.executable, "-c", _COLLECT, database_url, str(home)],
        env={**os.environ, "LAUNCHPIN_FAILPOINTS": f"{place}=kill@{hit}"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert died.returncode == -9, died.stderr.decode()
    # Whole or gone: nothing with a name that anybody looks for is half there.
    for model in (home / "models").glob("[0-9a-f]*"):
        assert (model / "inner" / "file").is_file()
    environments = UvEnvironments(home / "environments")
    for built in (home / "environments" / "built").glob("[0-9a-f]" * 32):
        assert (built / "inner" / "file").is_file() or environments.find(built.name) is None
    collect(collector(store, home))
    assert survey(collector(store, home)).spent == {}
    assert list(home.rglob(".trash-*")) == []
    assert names(home / "models") == {digest(2), ".fetch-2"}
    assert expected.spent


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
