from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gitops.errors import ConflictError
from gitops.ports import Received
from gitops.records import Delivery
from gitops.steps import Done, Phase
from gitops.store import SqlStore, check_audit_joins
from tests.support.store import (
    answer,
    clock,
    make_command,
    make_delivery,
    store,
    take,
)

__all__ = ["clock", "store"]


def test_delivery_is_kept_with_its_body(store: SqlStore) -> None:
    delivery = make_delivery(b'{"after": "\xff"}', event="push")
    assert store.save_delivery(delivery) is Received.NEW
    kept = store.delivery(delivery.id)
    assert kept is not None
    assert (kept.body, kept.event, kept.phase) == (delivery.body, "push", Phase.PENDING)
    assert kept.created_at == store.now()
    assert store.delivery("unknown") is None


def test_attack_20_same_guid_and_body_is_a_duplicate(store: SqlStore) -> None:
    delivery = make_delivery()
    store.save_delivery(delivery)
    assert store.save_delivery(delivery) is Received.DUPLICATE
    assert len(store.recent("delivery")) == 1
    assert len(store.jobs()) == 1


def test_attack_21_same_guid_and_other_body_is_a_conflict(store: SqlStore) -> None:
    delivery = make_delivery(b"one")
    store.save_delivery(delivery)
    assert store.save_delivery(make_delivery(b"two", id=delivery.id)) is Received.CONFLICT
    kept = store.delivery(delivery.id)
    assert kept is not None
    assert kept.body == b"one"


def test_batch_is_answered_in_its_own_order(store: SqlStore) -> None:
    known, new = make_delivery(b"known"), make_delivery(b"new")
    store.save_delivery(known)
    other_body = make_delivery(b"other", id=new.id)
    batch = [new, known, new, other_body, make_delivery(b"x", id=known.id)]
    expected = [Received.NEW, Received.DUPLICATE, Received.DUPLICATE, Received.CONFLICT, Received.CONFLICT]
    assert store.save_deliveries(batch) == expected
    assert store.save_deliveries([]) == []
    assert len(store.jobs()) == 2


def test_i3_one_row_remains_when_a_delivery_comes_many_times_at_once(store: SqlStore) -> None:
    delivery = make_delivery()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(store.save_delivery, [delivery] * 40))
    assert answers.count(Received.NEW) == 1
    assert answers.count(Received.DUPLICATE) == 39


def test_i4_delivery_ends_with_its_outcome_and_keeps_its_body(store: SqlStore) -> None:
    delivery = make_delivery(b"body")
    store.save_delivery(delivery)
    answer(store, take(store), Done(facts={"outcome": "ignored", "reason": "branch"}), step="read")
    kept = store.delivery(delivery.id)
    assert kept is not None
    assert (kept.phase, kept.facts.outcome, kept.facts.reason) == (Phase.SUCCEEDED, "ignored", "branch")
    assert kept.body == b"body"
    assert store.audit_size() == 0
    assert check_audit_joins(store) == []


def test_recent_deliveries_come_without_bodies_newest_first(store: SqlStore) -> None:
    guids = [make_delivery(b"x" * 10) for _ in range(3)]
    for delivery in guids:
        store.save_delivery(delivery)
    recent = store.recent("delivery", limit=2)
    assert [delivery.id for delivery in recent] == [guids[2].id, guids[1].id]
    assert all(isinstance(delivery, Delivery) and delivery.body == b"" for delivery in recent)


def test_i28_command_with_the_same_key_is_the_same_command(store: SqlStore) -> None:
    command = make_command(idempotency_key="once")
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(store.save_command, [make_command(idempotency_key="once") for _ in range(16)] + [command]))
    assert len({command.id for command in kept}) == 1
    assert len(store.jobs()) == 1
    assert store.command(kept[0].id) == kept[0]


def test_i28_key_is_refused_when_it_was_used_for_another_command(store: SqlStore) -> None:
    store.save_command(make_command(idempotency_key="once", verb="resume"))
    with pytest.raises(ConflictError):
        store.save_command(make_command(idempotency_key="once", verb="hold"))


def test_command_ends_with_its_result_and_an_entry(store: SqlStore) -> None:
    command = store.save_command(make_command())
    answer(store, take(store), Done(facts={"result": {"lifted": 1}}), step="carry_out")
    kept = store.command(command.id)
    assert kept is not None
    assert (kept.phase, kept.facts.result, kept.revision) == (Phase.SUCCEEDED, {"lifted": 1}, 1)
    (row,) = store.audit_recent(5)
    assert (row.entry.kind, row.entry.actor.login) == ("command.succeeded", "mona")
    assert row.entry.cause.request_id == command.id
    assert row.entry.subject.command_id == command.id
    assert check_audit_joins(store) == []


def test_recent_is_refused_when_the_kind_is_unknown(store: SqlStore) -> None:
    with pytest.raises(Exception, match="none of training"):
        store.recent("poll")


def test_job_waits_when_another_delivery_is_older(store: SqlStore) -> None:
    first, second = make_delivery(), make_delivery()
    store.save_delivery(first)
    store.wake("poll", "later", after=timedelta(seconds=1))
    store.save_delivery(second)
    assert [take(store).subject, take(store).subject] == [first.id, second.id]
