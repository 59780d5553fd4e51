"""What the real endpoint host says of its configurations, and which of them it lets go."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import TypeAdapter

from gitops.disk.storerooms import storerooms
from gitops.embedded.endpoints.state import State
from gitops.retention import Kind
from gitops.store import SqlStore
from gitops.upkeep import collect, survey
from tests.support.deps import make_deps
from tests.support.endpoint_host import TOKEN, Host, running_host
from tests.support.models import manifest_of
from tests.support.training import HeldLease

NO_BAKE = timedelta(0)
DAY = timedelta(days=1)
_STATE = TypeAdapter(State)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with running_host(tmp_path / "host") as running:
        yield running


def serve(host: Host, *names: str) -> None:
    """Give each of these its turn with the traffic."""
    for name in names:
        host.ready(name, "e")
        host.target.apply("e", name, bake=NO_BAKE)


def let_time_pass(host: Host, by: timedelta) -> None:
    """Make it look to the next host as if everything had happened so much earlier."""
    host.kill()
    state = _STATE.validate_json(host.state_file.read_bytes())
    for row in state.configurations.values():
        row.prepared_at -= by.total_seconds()
        row.served_at -= by.total_seconds() if row.served_at else 0.0
    host.state_file.write_bytes(_STATE.dump_json(state))
    host.start()


def kept(host: Host) -> set[str]:
    return {row.name for row in host.target.kept()}


def test_a_host_says_what_each_configuration_needs_and_when_it_served(host: Host) -> None:
    begun = time.monotonic()
    serve(host, "c-1", "c-2", "c-3")
    host.ready("c-4", "e")
    rows = {row.name: row for row in host.target.kept()}
    took = timedelta(seconds=time.monotonic() - begun + 1)
    # The second one is warm: the traffic would go back to it.
    assert {name: row.is_in_use for name, row in rows.items()} == {"c-1": False, "c-2": True, "c-3": True, "c-4": False}
    assert [row.served is None for row in rows.values()] == [False, False, False, True]
    assert all(timedelta(0) <= row.prepared <= took for row in rows.values())
    assert rows["c-1"].model == manifest_of(host.folder / "models" / "c-1").digest
    assert rows["c-1"].environment == "environment-of-the-tests"


def test_what_is_in_use_or_was_of_late_is_not_discarded(host: Host) -> None:
    serve(host, "c-1", "c-2", "c-3")
    assert [host.target.discard(name, idle=NO_BAKE) for name in ("c-2", "c-3", "c-9")] == [False, False, False]
    assert not host.target.discard("c-1", idle=timedelta(hours=1))
    assert host.answering_version("e") == "1"
    let_time_pass(host, timedelta(hours=2))
    assert host.target.discard("c-1", idle=timedelta(hours=1))
    assert kept(host) == {"c-2", "c-3"}


@pytest.mark.parametrize("idle", ["soon", "nan"])
def test_an_idle_time_that_is_no_number_is_refused(host: Host, idle: str) -> None:
    serve(host, "c-1")
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = host.http.delete(f"/api/v1/configurations/c-1?idle={idle}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")


def test_the_list_is_for_whoever_has_the_token(host: Host) -> None:
    assert httpx.get(f"{host.url}/api/v1/configurations", trust_env=False).status_code == 401


def test_i21_what_was_prepared_and_never_served_pushes_out_nothing_that_served(host: Host) -> None:
    serve(host, "c-1", "c-2", "c-3")
    for name in ("o-1", "o-2", "o-3"):
        host.ready(name, "e")
    let_time_pass(host, 8 * DAY)
    assert set(host.target.retire("e", keep=3)) == set()
    assert kept(host) >= {"c-1", "c-2", "c-3"}


def test_i21_a_collection_leaves_the_last_three_that_served_and_a_weeks(
    store: SqlStore, host: Host, tmp_path: Path
) -> None:
    serve(host, "c-1", "c-2", "c-3", "c-4", "c-5")
    host.ready("o-1", "e")
    let_time_pass(host, 6 * DAY)
    rooms = storerooms(tmp_path / "home", reap=lambda _: None)
    deps = make_deps(store, tmp_path, targets={"local": host.target}, lease=HeldLease(), storerooms=rooms)
    assert survey(deps).spent[Kind.CONFIGURATIONS].count == 1
    assert kept(host) == {"c-1", "c-2", "c-3", "c-4", "c-5", "o-1"}

    collect(deps)
    assert kept(host) == {"c-1", "c-2", "c-3", "c-4", "c-5"}

    let_time_pass(host, 2 * DAY)
    assert collect(deps).spent[Kind.CONFIGURATIONS].count == 2
    assert kept(host) == {"c-3", "c-4", "c-5"}
    assert host.answering_version("e") == "1"
    assert survey(deps).spent == {}
