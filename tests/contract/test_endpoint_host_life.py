"""The host's own deaths, kind and unkind: what lives goes on, what must end ends, and nothing is forgotten."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from gitops.embedded.endpoints.fleet import Fleet
from gitops.embedded.endpoints.limits import Limits
from gitops.embedded.endpoints.scorer import limit_log, read_tail
from gitops.embedded.endpoints.state import Memory, Prepared
from gitops.embedded.endpoints.traffic import Traffic
from gitops.manifest import Manifest
from gitops.ports import Configuration, EndpointStatus, Readiness
from tests.support.endpoint_host import Host, running_host, wait_until

NO_BAKE = timedelta(0)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with running_host(tmp_path, options=("--retain", "0")) as running:
        yield running


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def test_predictions_are_back_from_the_same_scorers_when_the_host_was_killed(host: Host) -> None:
    name = host.target.host()
    host.target.prepare(host.configuration("a-1", "a"))
    host.ready("a-2", "a", version="2")
    host.wait_readiness("a-1", Readiness.READY)
    host.target.apply("a", "a-1", bake=NO_BAKE)
    host.target.apply("a", "a-2", bake=timedelta(minutes=10))
    before = host.scorers()
    assert set(before) == {"a-1", "a-2"}

    host.kill()
    begun = time.monotonic()
    host.start()
    assert host.answering_version("a") == "2"
    assert time.monotonic() - begun < 15

    assert host.scorers() == before
    assert host.target.host() == name
    assert host.endpoint("a").status is EndpointStatus.BAKING
    assert 0 < host.endpoint("a").seconds_left < 600

    # The bake goes on, also over a death that is longer than it.
    host.kill()
    host.let_bake_pass("a")
    host.start()
    wait_until(lambda: host.endpoint("a").status is EndpointStatus.IN_SERVICE, "the bake ends")
    assert host.scorers() == before
    # An adopted scorer is watched like any other.
    psutil.Process(before["a-2"].pid).kill()
    wait_until(lambda: host.scorers().get("a-2", before["a-2"]) != before["a-2"], "it is started again")
    wait_until(lambda: host.predict("a").is_success, "it answers again")
    assert host.answering_version("a") == "2"

    family = [member for scorer in host.scorers().values() for member in _family(scorer.pid)]
    assert host.terminate() < 10
    assert host.process is not None
    assert host.process.returncode == 0
    gone, alive = psutil.wait_procs(family, timeout=5)
    assert (len(gone), alive) == (len(family), [])

    # What was wanted is started again by the next host.
    host.start()
    assert host.answering_version("a") == "2"


def test_the_old_version_answers_when_host_and_new_version_died_in_the_bake(host: Host) -> None:
    host.target.prepare(host.configuration("b-1", "b"))
    host.ready("b-2", "b", version="2")
    host.wait_readiness("b-1", Readiness.READY)
    host.target.apply("b", "b-1", bake=NO_BAKE)
    host.target.apply("b", "b-2", bake=timedelta(minutes=10))

    host.kill()
    psutil.Process(host.scorers()["b-2"].pid).kill()
    host.start()

    assert host.answering_version("b") == "1"
    assert host.endpoint("b").failure.startswith("EndpointUnhealthy: ")
    # What served is kept for as long as the host was told, here not at all.
    host.target.restore("b", "b-1")
    assert host.target.retire("b", keep=0) == ["b-2"]


@pytest.mark.parametrize("place", ["start_scorer.after", "switch.after"])
def test_i20_everything_heals_when_the_host_dies_at_any_point(tmp_path: Path, place: str) -> None:
    with running_host(tmp_path, variables=(("LAUNCHPIN_FAILPOINTS", f"endpoint_host.{place}=kill"),)) as host:
        configuration = host.configuration("c-1", "c")
        with pytest.raises(Exception, match=r"connection|cannot be reached"):  # noqa: PT012 - whichever of the two meets the death
            host.target.prepare(configuration)
            host.wait_readiness("c-1", Readiness.READY)
            host.target.apply("c", "c-1", bake=NO_BAKE)
        host.kill()
        host.variables = ()
        host.start()

        host.target.prepare(configuration)
        host.wait_readiness("c-1", Readiness.READY)
        host.target.apply("c", "c-1", bake=NO_BAKE)

        assert host.answering_version("c") == "1"
        wait_until(lambda: host.processes() == [host.scorers()["c-1"].pid], "one scorer and no stray")


def test_a_second_host_is_refused_when_the_first_still_runs(host: Host) -> None:
    second = subprocess.run(host.command, capture_output=True, text=True, timeout=30, check=False)

    assert second.returncode == 4
    assert "another endpoint host" in second.stderr or "cannot be had" in second.stderr


def test_an_address_that_is_not_this_machines_is_named(tmp_path: Path) -> None:
    host = Host(tmp_path)
    elsewhere = subprocess.run(
        [*host.command, "--host", "192.0.2.1"], capture_output=True, text=True, timeout=30, check=False
    )

    assert elsewhere.returncode == 4
    assert f"port {host.port} of 192.0.2.1 cannot be had" in elsewhere.stderr


def test_a_host_that_listens_everywhere_answers_to_the_names_that_it_was_given_alone(tmp_path: Path) -> None:
    with running_host(tmp_path, options=("--host", "0.0.0.0")) as host:  # noqa: S104 - what is tested
        answers = [
            httpx.get(f"http://127.0.0.1:{host.port}/healthz", headers={"host": name}).status_code
            for name in (f"127.0.0.1:{host.port}", f"0.0.0.0:{host.port}", "endpoints:8090")
        ]

    assert answers == [200, 421, 421]


def test_an_altered_state_file_is_named_when_the_host_starts(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.home.mkdir()
    (host.home / "state.json").write_text('{"host": 5}')

    try:
        failed = subprocess.run(host.command, capture_output=True, text=True, timeout=30, check=False)
    finally:
        (host.home / "state.json").unlink()
        host.close()

    assert failed.returncode == 4
    assert "state.json was altered at host" in failed.stderr


def test_the_host_ends_cleanly_when_interrupted(host: Host) -> None:
    assert host.process is not None
    host.process.send_signal(signal.SIGINT)

    assert host.process.wait(timeout=10) == 0


def test_traffic_moves_all_the_same_when_the_state_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    memory = Memory(folder / "state.json")
    folder.rmdir()

    memory.save()
    assert memory.unsaved.startswith("the state file was not written")

    folder.mkdir()
    memory.save()
    assert memory.unsaved == ""
    assert Memory(folder / "state.json").state == memory.state


def test_i21_what_never_served_is_stopped_and_then_forgotten_when_it_grows_old(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state.json")
    for number, (name, age) in enumerate({"young": 0.0, "idle": 7_200.0, "orphan": 90_000.0}.items()):
        configuration = _configuration(tmp_path, name)
        memory.state.configurations[name] = Prepared(configuration, number, prepared_at=time.time() - age)

    async def tidy() -> None:
        async with httpx.AsyncClient() as client:
            fleet = Fleet(memory, tmp_path, client=client, limits=Limits())
            await Traffic(memory, fleet, limits=Limits(), public_url="http://x").tidy()

    asyncio.run(tidy())

    assert {name: row.wanted for name, row in memory.state.configurations.items()} == {"young": True, "idle": False}


def _configuration(folder: Path, name: str) -> Configuration:
    return Configuration(
        name=name,
        endpoint="e",
        model="tiny",
        version="1",
        model_dir=folder,
        manifest=Manifest(()),
        python=folder / "python",
        environment_key="",
    )


def test_a_log_is_emptied_when_it_grew_past_its_limit(tmp_path: Path) -> None:
    log = tmp_path / "scorer.log"
    log.write_bytes(b"one\n\x1b[2Jtwo\n")
    limit_log(tmp_path)
    assert read_tail(tmp_path) == ("one", "\\x1b[2Jtwo")

    os.truncate(log, 65 * 1024 * 1024)
    limit_log(tmp_path)

    assert log.stat().st_size == 0
