"""What a collection removes on a disk, what stays, and what a death in its middle leaves."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.disk.locks import alone
from gitops.disk.storerooms import storerooms
from gitops.environments import UvEnvironments
from gitops.models import hold_folder
from gitops.records import Role
from gitops.retention import KeptConfiguration, Kind, Retention
from gitops.store import SqlStore
from gitops.upkeep import collect, survey
from gitops.writes import OpenPromotion, OpenRollout, SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.integration.gc_rig import EVERYTHING, collector, counts, digest, home, key
from tests.support.home import DAY, names, tree_digest, write_environment, write_file, write_folder, write_model
from tests.support.store import (
    make_environment,
    make_promotion,
    make_repository,
    make_rollout,
    make_training,
    make_version,
    write,
)
from tests.support.target import MemoryTarget

__all__ = ["home"]


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
from tests.integration.gc_rig import collector
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
