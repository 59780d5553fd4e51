"""The relay against a real Valkey and a real store: a message for each readiness, again after the broker's amnesia."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitops.audit.checkpoint import open_note, parse_signing_key
from gitops.bootstrap import prepare
from gitops.errors import ConflictError
from gitops.failpoints import FailpointError, arm
from gitops.settings import Settings
from gitops.steps import Queue
from gitops.store import SqlStore
from gitops.writes import SetHold
from tests.support.store import LEASE, make_hold, write
from tests.support.valkey import Valkey, running_valkey
from workers.lead import Lead
from workers.relay import Pace, Relay
from workers.remembered import Signed, SignedMemory
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
def relaying(settings: Settings, pace: Pace | None = None) -> Iterator[Relay]:
    relay = Relay(settings, pace)
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
    with relaying(settings):
        for number in range(5):
            store.wake("poll", str(number))
        wait("five messages", lambda: messages(broker) == 5)
        store.wake("poll", "0")
        store.wake("poll", "another")
        wait("the sixth", lambda: messages(broker) == 6)
    assert messages(broker) == 6
    store.close()


def test_ready_jobs_are_told_at_once_while_all_else_is_left_for_later(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    with relaying(settings, Pace(aside=3600)):
        for number in range(3):
            store.wake("poll", str(number))
            wait("the message", lambda expected=number + 1: messages(broker) == expected)  # type: ignore[misc]
    store.close()


def test_i06_jobs_are_told_again_at_once_when_the_broker_forgot_them(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    with relaying(settings):
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
    with relaying(settings):
        store.wake("poll", "1")
        wait("the message", lambda: messages(broker) == 1)
        broker.kill()
        store.wake("poll", "2")
        broker.start()
        wait("both messages", lambda: messages(broker) == 2, seconds=30)
    store.close()


def test_messages_that_workers_left_over_go_so_that_they_never_exceed_the_ready_jobs(
    settings: Settings, broker: Valkey
) -> None:
    store = SqlStore(settings.database)
    with relaying(settings):
        for number in range(20):
            store.wake("poll", str(number))
        wait("twenty messages", lambda: messages(broker) == 20)
        # A worker that was woken once goes on from job to job, and takes no message for them.
        for _ in range(17):
            assert store.claim(Queue.CONTROL, owner="test", lease=LEASE)
        wait("as many as are ready", lambda: messages(broker) == 3)
    store.close()


def test_however_many_jobs_are_ready_a_queue_holds_no_more_than_64_messages(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    with relaying(settings):
        for number in range(100):
            store.wake("poll", str(number))
        wait("the most there are", lambda: messages(broker) == 64)
        assert store.claim(Queue.CONTROL, owner="test", lease=LEASE)
        store.wake("poll", "one more")
    assert messages(broker) == 64
    store.close()


def test_heads_are_signed_while_the_broker_is_away(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    with relaying(settings):
        store.wake("poll", "1")
        wait("the message", lambda: messages(broker) == 1)
        broker.kill()
        write(store, SetHold(make_hold()))
        wanted = store.ask_checkpoint()
        wait("a head", lambda: bool(store.checkpoints()) and store.checkpoints()[-1].size >= wanted)
    store.close()


def test_a_broker_that_takes_connections_and_answers_nothing_holds_up_no_head(
    settings: Settings, broker: Valkey
) -> None:
    store = SqlStore(settings.database)
    with relaying(settings):
        store.wake("poll", "1")
        wait("the message", lambda: messages(broker) == 1)
        assert broker.process is not None
        os.kill(broker.process.pid, signal.SIGSTOP)
        try:
            write(store, SetHold(make_hold()))
            wanted = store.ask_checkpoint()
            wait("a head", lambda: bool(store.checkpoints()) and store.checkpoints()[-1].size >= wanted)
        finally:
            os.kill(broker.process.pid, signal.SIGCONT)
        store.wake("poll", "2")
        wait("the next message", lambda: messages(broker) == 2)
    store.close()


def test_messages_go_out_while_heads_cannot_be_signed(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    write(store, SetHold(make_hold()))
    store.ask_checkpoint()
    memory = settings.home / "relay" / "last-signed.json"
    memory.parent.mkdir(exist_ok=True)
    memory.write_text("no JSON")
    with relaying(settings):
        for number in range(3):
            store.wake("poll", str(number))
            wait("its message", lambda expected=number + 1: messages(broker) == expected, seconds=3)  # type: ignore[misc]
    assert store.checkpoints() == []
    store.close()


def test_only_one_of_two_relays_leads_until_its_lead_runs_out(settings: Settings) -> None:
    store = SqlStore(settings.database)
    assert store.lead("relay", "first", seconds=0.3)
    assert not store.lead("relay", "second", seconds=0.3)
    assert store.lead("relay", "first", seconds=0.3)
    wait("the lead to run out", lambda: store.lead("relay", "second", seconds=0.3))
    assert not store.lead("relay", "first", seconds=0.3)
    store.close()


def test_a_relay_that_is_asked_to_stop_lets_another_one_lead_at_once(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    with relaying(settings):
        store.wake("poll", "1")
        wait("a message of the leader", lambda: messages(broker) == 1)
        assert not store.lead("relay", "another", seconds=60)
    assert store.lead("relay", "another", seconds=60)
    store.close()


def test_two_relays_of_one_folder_are_two_and_a_dead_ones_successor_is_the_same(settings: Settings) -> None:
    store = SqlStore(settings.database)
    first = Lead(store, settings.home)
    beside = Lead(store, settings.home)
    assert first.is_held(0.0)
    assert not beside.is_held(0.0)
    first.close()
    successor = Lead(store, settings.home)
    assert successor.is_held(0.0)
    successor.close()
    store.close()


def test_a_relay_takes_over_when_the_leader_says_nothing_any_more(settings: Settings, broker: Valkey) -> None:
    store = SqlStore(settings.database)
    assert store.lead("relay", "a dead one", seconds=1.5)
    with relaying(settings):
        store.wake("poll", "1")
        wait("the message of the new leader", lambda: messages(broker) == 1, seconds=5)
    store.close()


def test_a_head_is_signed_on_demand_and_covers_what_was_asked_for(settings: Settings) -> None:
    store = SqlStore(settings.database)
    write(store, SetHold(make_hold()))
    with relaying(settings):
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


@pytest.mark.parametrize("place", ["sign_head.remembered", "sign_head.after"])
def test_a_head_that_was_remembered_when_its_signer_died_is_published_and_no_other_one_of_its_size(
    settings: Settings, place: str
) -> None:
    store = SqlStore(settings.database)
    write(store, SetHold(make_hold()))
    size = store.ask_checkpoint()
    arm(f"{place}=raise")
    try:
        with pytest.raises(FailpointError):
            Signer(store, settings).sign_when_due()
    finally:
        arm("")
    remembered = SignedMemory(settings.home / "relay" / "last-signed.json").recall()
    assert (remembered.size, remembered.root) == (size, store.audit_root(size).hex())
    # The log goes on, and nobody asks again: the head is published as it was remembered, before any other.
    write(store, SetHold(make_hold(path="other")))
    again = Signer(store, settings)
    assert again.sign_when_due()
    assert settings.audit_key_file is not None
    key = parse_signing_key(settings.audit_key_file.read_text().strip())
    first = open_note(store.checkpoints()[0].note, key.verifier)
    assert (first.size, first.root.hex()) == (remembered.size, remembered.root)
    while again.sign_when_due():
        pass
    assert len({head.size for head in store.checkpoints()}) == len(store.checkpoints())
    store.close()


def test_a_head_that_the_database_did_not_take_is_published_at_the_next_try(settings: Settings) -> None:
    store = SqlStore(settings.database)
    write(store, SetHold(make_hold()))
    size = store.ask_checkpoint()
    store.lead("relay", "another", seconds=60)
    signer = Signer(store, settings, leader="this one")
    with pytest.raises(ConflictError, match="another relay leads"):
        signer.sign_when_due()
    assert store.checkpoints() == []
    store.lead("relay", "another", seconds=0)
    assert store.lead("relay", "this one", seconds=60)
    assert signer.sign_when_due()
    assert [head.size for head in store.checkpoints()] == [size]
    store.close()


def test_a_relay_with_an_empty_memory_goes_on_from_the_newest_head_in_the_log(settings: Settings) -> None:
    store = SqlStore(settings.database)
    write(store, SetHold(make_hold()))
    store.ask_checkpoint()
    assert Signer(store, settings).sign_when_due()
    elsewhere = Settings(**{**settings.model_dump(), "home": settings.home / "elsewhere"})
    elsewhere = Settings(**{**elsewhere.model_dump(), "database_url": settings.database})
    assert not Signer(store, elsewhere).sign_when_due()
    assert len(store.checkpoints()) == 1
    store.close()


def test_what_was_signed_is_never_forgotten_for_something_shorter_or_other(tmp_path: Path) -> None:
    memory = SignedMemory(tmp_path / "relay" / "last-signed.json")
    memory.remember(Signed(7, "aa"))
    memory.remember(Signed(7, "aa"))
    for other in (Signed(6, "bb"), Signed(7, "bb")):
        with pytest.raises(ForkError):
            memory.remember(other)
    assert memory.recall() == Signed(7, "aa")
