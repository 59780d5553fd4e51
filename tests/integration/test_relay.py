"""The relay against a real Valkey and a real store: a message for each readiness, again after the broker's amnesia."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from gitops.audit.checkpoint import open_note, parse_signing_key
from gitops.bootstrap import prepare
from gitops.ports import QueueDepth
from gitops.settings import Settings
from gitops.steps import Queue
from gitops.store import SqlStore
from gitops.writes import SetHold
from tests.support.store import make_hold, write
from tests.support.valkey import Valkey, running_valkey
from workers.relay import Publisher, Relay
from workers.signer import ForkError, Signer


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Valkey]:
    with running_valkey(tmp_path) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, broker: Valkey) -> Settings:
    return make_settings(tmp_path, broker.url)


def make_settings(folder: Path, url: str) -> Settings:
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    file = secrets / "broker.url"
    file.touch(mode=0o600)
    file.write_text(url)
    made = Settings(home=folder / "home", redis_url_file=file, audit_key_file=secrets / "audit.key")
    prepare(made)
    return made


@contextlib.contextmanager
def relaying(settings: Settings, broker: Valkey) -> Iterator[Relay]:
    celery = Celery("test", broker=broker.url)
    celery.conf.update(task_serializer="json", broker_connection_max_retries=0)
    relay = Relay(settings, celery)
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.stopping.set()
        thread.join(timeout=10)
        assert not thread.is_alive()


def wait(what: str, is_done: Callable[[], bool], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)  # the pace of looking


def messages(broker: Valkey, queue: Queue = Queue.CONTROL) -> int:
    with broker.client() as client:
        return int(client.llen(queue.value))


def test_each_ready_job_gets_one_message_however_long_it_waits(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    with relaying(settings, broker):
        for number in range(5):
            store.wake("poll", str(number))
        wait("five messages", lambda: messages(broker) == 5)
        store.wake("poll", "0")
        store.wake("poll", "another")
        wait("the sixth", lambda: messages(broker) == 6)
    assert messages(broker) == 6
    store.close()


def test_i06_jobs_are_told_again_at_once_when_the_broker_forgot_them(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    with relaying(settings, broker):
        store.wake("poll", "1")
        wait("the message", lambda: messages(broker) == 1)
        with broker.client() as client:
            client.flushall()
        wait("the message again", lambda: messages(broker) == 1)
        store.wake("poll", "2")
        wait("the next one", lambda: messages(broker) == 2)
    store.close()


def test_i06_the_relay_lives_on_when_the_broker_dies_and_comes_back_empty(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    with relaying(settings, broker):
        store.wake("poll", "1")
        wait("the message", lambda: messages(broker) == 1)
        broker.kill()
        store.wake("poll", "2")
        broker.start()
        wait("both messages", lambda: messages(broker) == 2, seconds=30)
    store.close()


def test_a_queue_is_told_again_at_most_every_thirty_seconds_while_its_jobs_wait() -> None:
    sent: list[tuple[str, int]] = []
    publisher = Publisher(lambda queue, job: sent.append((queue, job)), lambda _: 0)
    depth = QueueDepth(Queue.TRAINING, 2, 31.0, ((7, 1), (8, 1)))
    publisher.tell(depth)
    for second in range(90):
        publisher.patrol(depth, 100.0 + second)
    # Once at first, then at 100, 130 and 160.
    assert len(sent) == 2 + 3 * 2


def test_a_queue_with_messages_is_left_alone_however_old_its_jobs_are() -> None:
    sent: list[int] = []
    publisher = Publisher(lambda _, job: sent.append(job), lambda _: 1)
    depth = QueueDepth(Queue.TRAINING, 1, 3600.0, ((7, 1),))
    publisher.tell(depth)
    publisher.patrol(depth, 100.0)
    assert sent == [7]


def test_a_job_that_is_ready_anew_is_told_anew() -> None:
    sent: list[int] = []
    publisher = Publisher(lambda _, job: sent.append(job), lambda _: 1)
    publisher.tell(QueueDepth(Queue.CONTROL, 1, 0.0, ((7, 1),)))
    publisher.tell(QueueDepth(Queue.CONTROL, 1, 0.0, ((7, 2),)))
    assert sent == [7, 7]


def test_only_one_of_two_relays_leads_until_its_lead_runs_out(settings: Settings) -> None:
    store = SqlStore(settings.database)
    assert store.lead("relay", "first", seconds=0.3)
    assert not store.lead("relay", "second", seconds=0.3)
    assert store.lead("relay", "first", seconds=0.3)
    wait("the lead to run out", lambda: store.lead("relay", "second", seconds=0.3))
    assert not store.lead("relay", "first", seconds=0.3)
    store.close()


def test_a_head_is_signed_on_demand_and_covers_what_was_asked_for(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    write(store, SetHold(make_hold()))
    with relaying(settings, broker):
        wanted = store.ask_checkpoint()
        wait("a head", lambda: bool(store.checkpoints()) and store.checkpoints()[-1].size >= wanted)
    assert settings.audit_key_file is not None
    key = parse_signing_key(settings.audit_key_file.read_text().strip())
    head = open_note(store.checkpoints()[-1].note, key.verifier)
    assert (head.size, head.root) == (wanted, store.audit_root(wanted))
    store.close()


def test_the_signer_refuses_a_log_that_was_set_back(settings: Settings, tmp_path: Path) -> None:
    store = SqlStore(settings.database)
    write(store, SetHold(make_hold()))
    signer = Signer(store, settings)
    store.ask_checkpoint()
    assert signer.sign_when_due()
    store.close()
    # The database is restored from before; what was signed is remembered beside it.
    restored = Settings(**{**settings.model_dump(), "database_url": f"sqlite:///{tmp_path / 'restored.sqlite3'}"})
    restored_key = tmp_path / "secrets" / "other.key"
    prepare(Settings(**{**restored.model_dump(), "audit_key_file": restored_key}))
    again = SqlStore(restored.database)
    write(again, SetHold(make_hold(path="other")))
    again.ask_checkpoint()
    with pytest.raises(ForkError, match="does not continue"):
        Signer(again, restored).sign_when_due()
    assert again.checkpoints() == []
    again.close()
