"""Attacks through the broker: messages made by hand, and a broker that anybody may reach."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import NullPool, create_engine

from gitops.bootstrap import broker_url
from gitops.errors import InputError
from gitops.settings import Settings
from gitops.steps import Queue
from tests.faults.broker_rig import KIND, Part, Rig, rig_on, wait
from workers.hints import write_hint


class Evil:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.fixture
def rig(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig_on("sqlite", request, tmp_path) as made:
        yield made


def dump(rig: Rig) -> list[str]:
    """Return every row of the database but the relay's."""
    with create_engine(rig.settings.database, poolclass=NullPool).connect() as connection:
        raw: Any = connection.connection.driver_connection
        return [line for line in raw.iterdump() if '"meta"' not in line]


def dropped(part: Part) -> int:
    return part.said().count("a message was dropped")


def test_attack_81_messages_made_by_hand_are_dropped_and_told_and_change_nothing(rig: Rig, tmp_path: Path) -> None:
    worker = rig.ready_worker("one", threads=2)
    store = rig.store
    over = store.wake(KIND, "over")
    claim = store.claim(Queue.CONTROL, owner="test", lease=rig.settings.poll)
    assert claim is not None
    # In another queue something is ready, which no message here may start.
    store.wake(KIND, "a training", queue=Queue.TRAINING)
    mark = tmp_path / "mark"
    stranger = Celery("stranger", broker=rig.broker.url)
    before = dump(rig)
    for task, arguments in (
        ("os.system", (f"touch {mark}",)),
        ("celery.backend_cleanup", ()),
        ("launchpin.wake", ("training", 1)),
        ("launchpin.wake", ("nowhere", 1)),
        ("launchpin.wake", (["control"], 1)),
        ("launchpin.wake", ()),
    ):
        stranger.send_task(task, args=arguments, queue="control")
    stranger.send_task("launchpin.wake", args=("control", 1), queue="control", serializer="pickle")
    stranger.close()
    garbage = (b"", b"no JSON", b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b'{"body": 5}', pickle.dumps(Evil(mark)))
    with rig.broker.client() as client:
        client.lpush("control", *garbage)
        wait("all of it to be dropped", lambda: dropped(worker) == 7 + len(garbage))
        client.lpush("control", write_hint("control", 999_999), write_hint("control", over))
        wait("the unknown job to be told", lambda: "a message names job 999999, and there is none" in worker.said())
        wait("all of it to be taken", lambda: client.llen("control") == 0)
    assert worker.is_alive()
    assert not mark.exists()
    assert dump(rig) == before
    # The worker works on: what is ready is done when a true message comes.
    (job,) = rig.wake(1, prefix="true")
    with rig.broker.client() as client:
        client.lpush("control", write_hint("control", job))
    rig.start_of(job)


def test_attack_81_a_message_for_a_job_that_is_over_does_nothing(rig: Rig) -> None:
    worker = rig.ready_worker("one")
    (job,) = rig.wake(1, prefix="done")
    with rig.broker.client() as client:
        client.lpush("control", write_hint("control", job))
        wait("the job to be over", lambda: rig.open_jobs() == 0)
        before = dump(rig)
        client.lpush("control", *(write_hint("control", job) for _ in range(20)))
        wait("all of it to be taken", lambda: client.llen("control") == 0)
        # A marker behind them: once it is told, everything before it was handled.
        client.lpush("control", write_hint("control", 999_999))
        wait("the marker", lambda: "job 999999" in worker.said())
    assert dump(rig) == before


def settings_with(folder: Path, url: str) -> Settings:
    file = folder / "broker.url"
    file.touch(mode=0o600)
    file.write_text(url)
    return Settings(redis_url_file=file)


@pytest.mark.parametrize(
    "url",
    [
        "redis://broker.example:6379/0",
        "redis://10.0.0.7/0",
        "redis://user@broker.example/0",
        "redis://user:@broker.example/0",
        "rediss://broker.example/0",
        "redis://0.0.0.0/0",
        "redis://[2001:db8::1]:6379/0",
        "redis://127.0.0.1.example/0",
        "redis://localhost.example/0",
    ],
)
def test_attack_82_a_broker_without_a_password_that_others_may_reach_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError) as refused:
        broker_url(settings_with(tmp_path, url))
    assert refused.value.reason == "insecure_broker"


@pytest.mark.parametrize("url", ["memory://", "amqp://guest@localhost//", "redis://", "broker", "redis://h:port/0"])
def test_attack_82_what_is_no_address_of_redis_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError) as refused:
        broker_url(settings_with(tmp_path, url))
    assert refused.value.reason == "broker_url"


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:6379/0", "redis://[::1]/0", "redis://localhost/1", "rediss://:secret@broker.example:6380/0"],
)
def test_a_broker_on_this_machine_or_with_a_password_is_taken(tmp_path: Path, url: str) -> None:
    assert broker_url(settings_with(tmp_path, url)) == url


@pytest.mark.parametrize("part", ["worker", "relay"])
def test_attack_82_no_process_starts_with_such_a_broker(rig: Rig, part: str) -> None:
    (rig.folder / "secrets" / "broker.url").write_text("redis://broker.example:6379/0")
    started = rig.worker("one") if part == "worker" else rig.relay()
    assert started.process.wait(timeout=60) != 0
    assert "has no password: whoever reaches it could start jobs" in started.said()


def test_what_a_worker_is_told_of_a_stranger_is_cut(rig: Rig) -> None:
    worker = rig.ready_worker("one")
    message = json.loads(write_hint("control", 1))
    message["headers"]["task"] = "x" * 100_000 + "\n{}"
    with rig.broker.client() as client:
        client.lpush("control", json.dumps(message))
    wait("it to be dropped", lambda: dropped(worker) == 1)
    assert max(map(len, worker.said().splitlines())) < 1000
