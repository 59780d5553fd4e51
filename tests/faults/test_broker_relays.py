"""Two relays, and one that dies while it signs: one leads, jobs go on, and no two heads contradict each other."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitops.audit.checkpoint import open_note, parse_signing_key
from gitops.audit.entry import Actor, Event
from tests.faults.broker_rig import PROMISED, Rig, rig_on, wait
from tests.faults.tally import Tally, scale, turn

OpenTally = Callable[[str], Tally]
TAKEOVER = 15.0
"""Seconds within which the other relay leads."""

HOWS = [("SIGKILL", "sqlite"), ("SIGSTOP", "postgres"), ("asleep", "sqlite"), ("SIGKILL", "postgres")]
HOWS += [("SIGSTOP", "sqlite"), ("asleep", "postgres")]
PLACES = [(place, database) for place in ("remembered", "after") for database in ("sqlite", "postgres")]


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with rig_on(request.param, request, tmp_path) as made:
        yield made


def say_something(rig: Rig, name: str) -> int:
    """Make the audit log longer and ask for a head; return how long the log is."""
    rig.store.append_audit(Event(kind="session.begun", actor=Actor(type="user", login=name)))
    return rig.store.ask_checkpoint()


def wait_for_head(rig: Rig, size: int) -> None:
    """Wait for a head that covers so much."""
    wait(f"a head of size {size}", lambda: any(head.size >= size for head in rig.store.checkpoints()), seconds=60)


def check_heads(rig: Rig) -> None:
    """Check that every head is signed by the log's key, and is what the log was at that size."""
    assert rig.settings.audit_key_file is not None
    key = parse_signing_key(rig.settings.audit_key_file.read_text().strip())
    heads = [open_note(head.note, key.verifier) for head in rig.store.checkpoints()]
    assert len({head.size for head in heads}) == len(heads), "two heads of one size"
    for head in heads:
        assert head.root == rig.store.audit_root(head.size), f"the head of size {head.size} is a fork"


@pytest.mark.slow
@pytest.mark.parametrize(("how", "rig"), turn(HOWS), indirect=["rig"])
def test_the_other_relay_takes_over_from_one_that_is_dead_stopped_or_asleep(
    rig: Rig, tally: OpenTally, tmp_path: Path, how: str
) -> None:
    row = tally(f"Two relays, the leader {how}: the other one leads within 15 s, and no head is a fork")
    # Asleep between making a head and publishing it: the worst moment for a leader to lose its lead.
    leader = rig.relay("leader", failpoints="sign_head.remembered=sleep:20" if how == "asleep" else "")
    rig.ready_worker("one", threads=2)
    rig.warm_up()
    standby = rig.relay("standby", home=tmp_path / "elsewhere")
    wait("the other one to be up", lambda: "relay up" in standby.said(), seconds=60)
    wanted = say_something(rig, "before")
    if how == "asleep":
        memory = rig.settings.home / "relay" / "last-signed.json"
        wait("it to fall asleep", memory.exists)
    else:
        wait_for_head(rig, wanted)
        leader.send(signal.Signals[how])
    struck = time.time()
    with row.case("the other one takes over"):
        (job,) = rig.wake(1, prefix="after")
        took = rig.start_of(job, seconds=PROMISED) - struck
        wait_for_head(rig, say_something(rig, "meanwhile"))
        row.figures["job started after"] = f"{took:.1f} s"
        assert took < TAKEOVER
    with row.case("the old one does no harm when it comes back"):
        if how == "SIGSTOP":
            leader.send(signal.SIGCONT)
        if how == "asleep":
            wait("it to be refused", lambda: "another relay leads" in leader.said(), seconds=60)
        wait_for_head(rig, say_something(rig, "at last"))
        rig.wake(50, prefix="at-last")
        wait("every job to be over", lambda: rig.open_jobs() == 0, seconds=PROMISED)
        check_heads(rig)
    row.check()


@pytest.mark.slow
@pytest.mark.parametrize(("place", "rig"), turn(PLACES), indirect=["rig"])
def test_a_relay_that_dies_while_it_signs_publishes_the_same_head_at_its_next_start(
    rig: Rig, tally: OpenTally, place: str
) -> None:
    row = tally(f"kill -9 of the relay at sign_head.{place}: the same head is published, and no other of its size")
    memory = rig.settings.home / "relay" / "last-signed.json"
    for number in range(scale(5, slice_=2)):
        with row.case(f"death {number}"):
            wanted = say_something(rig, f"before {number}")
            dying = rig.relay(f"dying-{number}", failpoints=f"sign_head.{place}=kill")
            wait("it to die", lambda part=dying: not part.is_alive(), seconds=60)  # type: ignore[misc]
            assert f'"size": {wanted}' in memory.read_text()
            say_something(rig, f"after {number}")
            successor = rig.relay(f"successor-{number}")
            wait_for_head(rig, wanted + 1)
            assert {wanted, wanted + 1} <= {head.size for head in rig.store.checkpoints()}
            check_heads(rig)
            successor.kill()
    row.check()
