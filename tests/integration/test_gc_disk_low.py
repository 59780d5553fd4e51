"""A disk that is low: nothing begins, whoever waits is tried now and then, and deliveries are taken."""

import errno
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gitops.bootstrap import stories
from gitops.disk.space import free_bytes, require_room, say_bytes, speaks_of_full_disk
from gitops.disk.storerooms import storerooms
from gitops.errors import RefusedError, StalledError
from gitops.forge.mirror import GitMirror
from gitops.ports import Deps, End, TrainingEnd
from gitops.reconcile import AnyStory, Loop, run_until_idle
from gitops.records import Repository, Role, Training
from gitops.rollout import verify
from gitops.steps import Done, Outcome, Phase, Queue, Step, Story
from gitops.store import SqlStore
from gitops.store.migrate import migrate
from gitops.training import prepare_environment, register
from gitops.upkeep import GC
from gitops.writes import SaveRepository, SaveVersion, StartTraining
from tests.integration.disk_low_rig import files, model
from tests.support.deps import make_deps, make_service
from tests.support.endpoint_host import free_port, wait_until
from tests.support.githttp import Origin, serve_git
from tests.support.home import DAY, names, write_folder
from tests.support.payloads import push
from tests.support.payloads import repository as described
from tests.support.small_disk import MIB, disk
from tests.support.store import Clock, make_command, make_rollout, make_training, make_url, make_version, write
from tests.support.story_ports import OneRunRegistry, PlayedTrainer
from tests.support.target import MemoryTarget
from tests.support.web import sign

__all__ = ["disk", "model"]

FAR_TOO_MUCH = 2**62  # bytes: more than any disk has


# ---------------------------------------------------------------- the rule


def test_too_little_room_is_said_with_what_is_free_what_is_needed_and_the_way_out(tmp_path: Path) -> None:
    require_room(tmp_path / "not" / "there" / "yet", 1)
    with pytest.raises(StalledError) as caught:
        require_room(tmp_path, FAR_TOO_MUCH)
    assert caught.value.reason == "DiskLow"
    assert f"where {say_bytes(FAR_TOO_MUCH)} must be" in caught.value.message
    assert "launchpin gc" in caught.value.message
    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, abs=1024 * MIB)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2 * 1024**3, "2.0 GiB"), (2**62, "4194304 TiB")],
)
def test_bytes_are_said_for_people(count: int, words: str) -> None:
    assert say_bytes(count) == words


@pytest.mark.parametrize(
    "words",
    [
        "OSError: [Errno 28] No space left on device: 'model.pkl'",
        "fatal: write error: No space left on device",
        "sqlite3.OperationalError: database or disk is full",
        "error: Disk quota exceeded (os error 122)",
    ],
)
def test_a_full_disk_is_known_by_its_words(words: str) -> None:
    assert speaks_of_full_disk(words)
    assert not speaks_of_full_disk("fatal: the remote end hung up unexpectedly")


# ---------------------------------------------------------------- before anything begins


@pytest.mark.parametrize("step", [prepare_environment, register])
def test_nothing_is_begun_while_there_is_too_little_room(
    store: SqlStore, tmp_path: Path, step: Callable[[Deps, Training], object]
) -> None:
    # Every part but the store fails the test when it is touched.
    deps = make_deps(store, tmp_path, service=make_service(tmp_path, least_free=FAR_TOO_MUCH))
    with pytest.raises(StalledError) as caught:
        step(deps, make_training())
    assert caught.value.reason == "DiskLow"


def test_a_rollback_goes_on_while_there_is_too_little_room(store: SqlStore, tmp_path: Path) -> None:
    version = make_version(version="1", manifest="[]", manifest_sha256="0" * 64)
    write(store, SaveVersion(version))
    service = make_service(tmp_path, least_free=FAR_TOO_MUCH)
    deps = make_deps(store, tmp_path, service=service, targets={"local": MemoryTarget()})

    class FetchedError(Exception):
        """The version was asked for."""

    class Asked:
        def fetch(self, model: str, version: str, into: Path) -> None:
            raise FetchedError(f"{model} {version} {into}")

    rollback = make_rollout(version="1", direction="rollback")
    with pytest.raises(FetchedError):
        verify(replace(deps, registry=Asked()), rollback)  # type: ignore[arg-type]  # one verb is enough


# ---------------------------------------------------------------- how often it is tried


def meet_full_disk(_deps: Deps, _training: Training) -> Outcome:
    """Fill the disk and leave nothing, so that there is room again at once."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def find_other_disk_low(deps: Deps, _training: Training) -> Outcome:
    """Look at the disk of another machine than the collection's."""
    require_room(deps.service.workspace, FAR_TOO_MUCH)
    return Done()


@pytest.mark.parametrize("step", [meet_full_disk, find_other_disk_low])
@pytest.mark.parametrize("stock", [0, 1])
def test_a_job_that_meets_a_full_disk_is_tried_six_times_an_hour_and_once_more_when_something_went(
    store: SqlStore, clock: Clock, tmp_path: Path, step: Callable[[Deps, Training], Outcome], stock: int
) -> None:
    for number in range(stock):
        write_folder(tmp_path / "workspace" / f"t-{number}", old=400 * DAY)
    tries: list[datetime] = []

    def run(deps: Deps, training: Training) -> Outcome:
        tries.append(clock.time)
        return step(deps, training)

    rooms = storerooms(tmp_path, reap=lambda _: None)
    deps = make_deps(store, tmp_path, targets={}, storerooms=rooms, service=make_service(tmp_path, least_free=1))
    story: AnyStory = Story("training", (Step("train", run),), lambda deps, subject: deps.store.training(subject))
    loop = Loop(deps, {"training": story, "gc": GC}, "test")
    write(store, StartTraining(make_training()))

    for _ in range(60):
        run_until_idle(loop, Queue.CONTROL, is_stopping=lambda: len(tries) > 100)
        run_until_idle(loop, Queue.TRAINING, is_stopping=lambda: len(tries) > 100)
        clock.advance(timedelta(minutes=1))

    assert names(tmp_path / "workspace") == set()
    assert len(tries) == 6 + stock
    assert len(set(tries)) == 6


# ---------------------------------------------------------------- the whole of it


def serve_web(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start the real web process on a home folder."""
    secret = folder / "hook.secret"
    secret.write_text("a secret for tests")
    secret.chmod(0o600)
    settings = {
        "LAUNCHPIN_HOME": str(folder),
        "LAUNCHPIN_BASE_URL": f"http://127.0.0.1:{port}",
        "LAUNCHPIN_HOOK_PATH": "f00d",
        "LAUNCHPIN_HOOK_SECRET_FILES": f'["{secret}"]',
        "LAUNCHPIN_LEAST_FREE": str(FAR_TOO_MUCH),
    }
    environment = {"PATH": os.environ["PATH"], **settings}
    command = [sys.executable, "-m", "webhooks.serve", "--port", str(port)]
    with (folder / "web.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=Path(__file__).parents[2])


@pytest.fixture
def web(tmp_path: Path) -> Iterator[int]:
    """Give the port of a real web process on the database of `live`."""
    port = free_port()
    migrate(make_url(tmp_path), host="test.example")
    process = serve_web(tmp_path, port)
    try:

        def is_up() -> bool:
            assert process.poll() is None, (tmp_path / "web.log").read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
            except httpx.TransportError:
                return False

        wait_until(is_up, "the web process answers")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_deliveries_are_taken_while_trainings_wait_for_room_and_these_go_on_by_themselves(
    web: int, tmp_path: Path
) -> None:
    with serve_git(tmp_path / "origins") as server:
        store = SqlStore(make_url(tmp_path))
        origin = Origin.make(server.root / "acme" / "iris.git")
        repository = Repository(id=7, full_name="acme/iris", role=Role.MODEL, clone_url=server.url("acme/iris"))
        write(store, SaveRepository(repository))
        ended = TrainingEnd(End.EXITED, 1, 1.0, 0, ("ValueError: over",), Path("/nowhere"), "a" * 64)
        low = make_deps(
            store,
            tmp_path,
            mirror=GitMirror(tmp_path / "mirrors", forge_api=server.api, token="t"),
            registry=OneRunRegistry(),
            trainer=PlayedTrainer(ended),
            targets={},
            storerooms=storerooms(tmp_path / "home", reap=lambda _: None),
            service=make_service(tmp_path, least_free=FAR_TOO_MUCH),
        )

        def deliver(commit: str) -> int:
            body = push(after=commit, repository=described(7, "acme/iris"))
            headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": str(uuid.uuid4())}
            headers |= {"X-Hub-Signature-256": sign(body).decode(), "Content-Type": "application/json"}
            url = f"http://127.0.0.1:{web}/webhook/f00d"
            return httpx.post(url, content=body, headers=headers, trust_env=False).status_code

        def work(deps: Deps) -> None:
            loop = Loop(deps=deps, stories=stories(), owner="test")
            while any([run_until_idle(loop, Queue.CONTROL), run_until_idle(loop, Queue.TRAINING)]):
                pass

        def trainings() -> list[Training]:
            return [one for one in store.recent("training") if isinstance(one, Training)]

        assert deliver(origin.commit(files("1"))) == 202
        work(low)
        (waiting,) = trainings()
        assert (waiting.phase, waiting.reason) == (Phase.PENDING, "DiskLow")
        assert deliver(origin.commit(files("2"))) == 202
        work(low)
        assert [one.reason for one in trainings()] == ["DiskLow", "DiskLow"]

        # A person made room and asks for a collection: whoever waited goes on, each to its own end.
        class AskedError(RefusedError):
            """The environment is asked for: the training is under way again."""

        class Environments:
            def lock(self, project: Path, *, declared: str = "") -> object:
                raise AskedError("EnvironmentUnresolvable", f"{project.name} {declared}")

        store.save_command(make_command(verb="gc", arguments={}))
        work(replace(low, environments=Environments(), service=make_service(tmp_path, least_free=1)))  # type: ignore[arg-type]
        assert [(one.phase, one.reason) for one in trainings()] == [(Phase.REFUSED, "EnvironmentUnresolvable")] * 2
        store.close()
