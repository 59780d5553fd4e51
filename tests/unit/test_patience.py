"""How often a broker that is away for ten minutes is asked: never flooded, and found again within seconds."""

from itertools import pairwise

import pytest
from kombu import Connection
from kombu.utils import functional

from gitops.errors import RetryError
from tests.support.mlflow import free_port
from workers.consumer import LONGEST_PAUSE, be_patient
from workers.relay import Chore, Pace

MINUTES = 600.0


class OverError(Exception):
    """The ten minutes are over."""


def test_i06_a_worker_asks_an_absent_broker_at_least_every_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept = 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        if slept >= MINUTES:
            raise OverError

    pauses: list[float] = []
    # The clock of kombu's own loop of retries is virtual; its refused connections are real.
    monkeypatch.setattr(functional, "sleep", sleep)
    with Connection(f"redis://127.0.0.1:{free_port()}/0") as connection, pytest.raises(OverError):
        be_patient(connection).ensure_connection(errback=lambda _, pause: pauses.append(pause))
    assert max(pauses) <= LONGEST_PAUSE
    assert pauses == sorted(pauses)
    assert 120 <= len(pauses) < 150


def test_i06_the_relay_asks_an_absent_broker_at_least_every_four_seconds() -> None:
    now = 0.0
    tries: list[float] = []
    is_away = True

    def publish() -> None:
        tries.append(now)
        if is_away:
            raise RetryError("BrokerAway", "the broker does not answer")

    pace = Pace()
    chore = Chore("publishing", publish, pace, clock=lambda: now)
    while now < MINUTES:
        chore.run(now)
        now += 0.02
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert max(gaps) <= pace.longest_pause + 0.1
    assert 150 <= len(tries) < 160
    # It is back: within four seconds it is told, and from then on at every look.
    is_away, back = False, len(tries)
    while now < MINUTES + pace.longest_pause + 0.1:
        chore.run(now)
        now += 0.02
    assert len(tries) > back
    assert chore.due == 0.0


def test_a_chore_that_fails_holds_up_no_other_whatever_it_raises() -> None:
    def fail() -> None:
        raise ValueError("nobody foresaw it")

    chore = Chore("signing", fail, Pace(), clock=lambda: 10.0)
    chore.run(10.0)
    assert chore.due == 10.0 + Pace().first_pause
