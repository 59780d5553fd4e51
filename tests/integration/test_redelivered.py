"""`redeliver`: a stored delivery is handled once more, by the real forge, mirror and store; I5 holds all the same."""

import uuid
from datetime import timedelta

import pytest

from gitops.audit.entry import parse
from gitops.ports.tallies import HOOK_REF
from gitops.records import Command, Delivery, Role
from gitops.retention import Kind
from gitops.steps import Phase
from gitops.store import check_audit_joins
from gitops.writes import SaveRepository
from tests.integration.intake_rig import Model, forge, model
from tests.support.payloads import push
from tests.support.payloads import repository as described
from tests.support.store import Clock, make_command, make_delivery, make_repository, write

__all__ = ["forge", "model"]

UNKNOWN = "0b5ad3b1-55f2-4b5e-9d0c-2a4c1f4e8a11"


def redeliver(model: Model, guid: str) -> Command:
    """Have a person ask for it, and do what is ready then."""
    asked = make_command(verb="redeliver", arguments={"delivery": guid})
    model.store.save_command(asked)
    model.handle()
    found = model.store.command(asked.id)
    assert found is not None
    return found


def arrive(model: Model, body: bytes) -> Delivery:
    """Have a delivery come and be handled."""
    delivery = make_delivery(body, event="push", id=str(uuid.uuid4()))
    model.store.save_delivery(delivery)
    model.handle()
    return delivery


def told(delivery: Delivery | None) -> tuple[str, str]:
    assert delivery is not None
    return delivery.facts.outcome, delivery.facts.reason


def test_a_push_that_came_before_its_repository_was_connected_is_trained_when_it_is_handled_again(
    model: Model,
) -> None:
    head = model.commit("train.py", "# one\n")
    body = push(after=head, repository=described(99, model.repository.full_name))
    delivery = arrive(model, body)
    assert told(model.store.delivery(delivery.id)) == ("rejected", "repo_not_allowed")
    write(model.store, SaveRepository(model.repository.model_copy(update={"id": 99})))

    asked = redeliver(model, delivery.id)

    (training,) = model.trainings()
    assert (training.commit, training.cause.kind, training.cause.id) == (head, "command", asked.id)
    assert (asked.phase, asked.facts.result["woke"]) == (Phase.SUCCEEDED, [f"training:{training.id}"])
    assert training.id in asked.message
    # What came of it the first time stays on record.
    assert told(model.store.delivery(delivery.id)) == ("rejected", "repo_not_allowed")
    assert check_audit_joins(model.store) == []


def test_i05_a_commit_that_was_trained_is_not_trained_again_however_often_its_delivery_is(model: Model) -> None:
    delivery = model.deliver(model.commit("train.py", "# one\n"))
    assert model.outcome(delivery) == "woke"

    asked = [redeliver(model, delivery.id) for _ in range(3)]

    assert len(model.trainings()) == 1
    assert {one.phase for one in asked} == {Phase.SUCCEEDED}
    assert {one.message for one in asked} == {f"delivery {delivery.id} was handled again: nothing is to be done: known"}


def test_i05_an_old_delivery_that_is_handled_again_looks_at_the_head_and_at_nothing_else(model: Model) -> None:
    old = model.deliver(model.commit("train.py", "# one\n"))
    model.outcome(old)
    head = model.commit("train.py", "# two, its delivery is lost\n")

    redeliver(model, old.id)

    assert [training.commit for training in model.trainings()][:1] == [head]
    assert len(model.trainings()) == 2


def test_who_asked_is_in_the_audit_log(model: Model) -> None:
    delivery = model.deliver(model.commit("train.py", "# one\n"))
    model.outcome(delivery)
    asked = redeliver(model, delivery.id)
    (entry,) = [one for one in map(parse, model.store.audit_entries(0, 500)) if one.kind == "command.carried_out"]
    assert (entry.actor.login, entry.subject.command_id) == ("mona", asked.id)


def test_it_says_nothing_of_the_webhook(model: Model) -> None:
    delivery = model.deliver(model.commit("train.py", "# one\n"))
    model.outcome(delivery)
    before = model.store.watched_ref(model.repository.id, HOOK_REF)
    redeliver(model, delivery.id)
    assert before is not None
    assert model.store.watched_ref(model.repository.id, HOOK_REF) == before


def test_a_delivery_whose_body_was_removed_is_refused_with_the_way_out(model: Model, clock: Clock) -> None:
    delivery = model.deliver(model.commit("train.py", "# one\n"))
    model.outcome(delivery)
    clock.advance(timedelta(days=31))
    model.store.drop_spent(Kind.BODIES, age=timedelta(days=30), limit=10)

    asked = redeliver(model, delivery.id)

    assert (asked.phase, asked.reason) == (Phase.REFUSED, "BodyRemoved")
    assert "launchpin train" in asked.message


def test_a_delivery_that_nobody_has_handled_is_handled_once(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    body = push(ref="refs/heads/main", after=head, repository=described(model.repository.id, "acme/x"))
    delivery = make_delivery(body, event="push", id=UNKNOWN)
    asked = make_command(verb="redeliver", arguments={"delivery": UNKNOWN})
    model.store.save_command(asked)
    model.store.save_delivery(delivery)
    model.handle()
    found = model.store.command(asked.id)
    assert found is not None
    assert found.phase is Phase.SUCCEEDED
    assert len(model.trainings()) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"not json", "is rejected again: "), (push(repository=described(99, "acme/other")), "repo_not_allowed")],
    ids=["no-json", "not-connected"],
)
def test_what_is_rejected_again_is_refused_with_why(model: Model, body: bytes, words: str) -> None:
    delivery = arrive(model, body)

    asked = redeliver(model, delivery.id)

    assert (asked.phase, asked.reason) == (Phase.REFUSED, "DeliveryRejected")
    assert words in asked.message
    assert asked.facts.result["outcome"] == "rejected"


def test_a_push_to_a_deploy_repository_is_compared_again(model: Model) -> None:
    deploy = make_repository(id=500, full_name="acme/deploy", role=Role.DEPLOY)
    write(model.store, SaveRepository(deploy))
    delivery = arrive(model, push(repository=described(500, "acme/deploy")))
    assert redeliver(model, delivery.id).facts.result["woke"] == ["compare:500"]


def test_a_delivery_that_never_came_is_refused(model: Model) -> None:
    asked = redeliver(model, UNKNOWN)
    assert (asked.phase, asked.reason) == (Phase.REFUSED, "UnknownDelivery")
