"""How an endpoint stands, and what is asked for only while it stands so."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gitops.errors import ConflictError
from gitops.ports import Claim
from gitops.records import Command, Direction, Environment, Health
from gitops.standing import Expected, Standing
from gitops.steps import Done, Ended, Phase, Queue
from gitops.store import SqlStore
from gitops.writes import LiftHold, OpenPromotion, OpenRollout, SaveEnvironment, SaveVersion, SetHold
from tests.support.store import (
    Clock,
    answer,
    clock,
    make_command,
    make_environment,
    make_hold,
    make_promotion,
    make_rollout,
    make_version,
    serve_once,
    store,
    take,
    write,
)

__all__ = ["clock", "store"]

PLACE = make_environment(
    repository="acme/iris-deploy", target="local", host="here", serving="3", pinned="3", earlier=("2", "1")
)
STAGING = (PLACE.repository_id, PLACE.path)


@pytest.fixture(autouse=True)
def staging(store: SqlStore) -> None:
    write(store, SaveEnvironment(PLACE, tuple(Environment.model_fields)))


def stand(store: SqlStore) -> Standing:
    found = store.standing(*STAGING)
    assert found is not None
    return found


def digests(standing: Standing) -> tuple[str, str]:
    """Return what decisions of either kind rest on."""
    return standing.digest_for("rollback"), standing.digest_for("promote")


def ask(store: SqlStore, *tags: str, endpoint: str = "iris-staging", verb: str = "rollback", key: str = "") -> Command:
    more = {"idempotency_key": key} if key else {}
    given = {"model": "iris", "version": "4", "to": endpoint} if verb == "promote" else {"endpoint": endpoint}
    asked = make_command(verb=verb, arguments=given, **more)
    return store.save_command(asked, expected=Expected(*STAGING, frozenset(tags)) if tags else None)


def test_an_endpoint_that_nobody_knows_stands_nowhere(store: SqlStore) -> None:
    assert store.standing(2, "production") is None
    with pytest.raises(ConflictError, match="production is not there any more"):
        store.save_command(make_command(), expected=Expected(2, "production", frozenset({"x"})))


def test_an_endpoint_stands_the_same_until_something_about_it_changes(store: SqlStore) -> None:
    before = stand(store)
    ask(store, endpoint="iris-production")
    write(store, SetHold(make_hold(path="production")))
    write(store, OpenPromotion(make_promotion(environment="production", path="production")))
    assert (stand(store).tag, digests(stand(store))) == (before.tag, digests(before))


@pytest.mark.parametrize(
    "change",
    [
        SetHold(make_hold()),
        SetHold(make_hold(repository_id=0, path="", environment="", model="")),
        OpenRollout(make_rollout(direction=Direction.ROLLBACK)),
        SaveEnvironment(PLACE.model_copy(update={"serving": "2"}), ("serving",)),
        SaveEnvironment(PLACE.model_copy(update={"pinned": "4"}), ("pinned",)),
    ],
    ids=["hold", "pause", "rollout", "serving", "pin"],
)
def test_what_decides_about_an_endpoint_changes_its_tag_and_its_digest(store: SqlStore, change: object) -> None:
    before = stand(store)
    write(store, change)
    assert stand(store).tag != before.tag
    assert not set(digests(stand(store))) & set(digests(before))


def test_health_changes_what_is_shown_and_not_what_decides(store: SqlStore) -> None:
    before = stand(store)
    write(store, SaveEnvironment(PLACE.model_copy(update={"health": Health.DEGRADED}), ("health",)))
    assert stand(store).tag != before.tag
    assert digests(stand(store)) == digests(before)


def test_what_is_proposed_there_decides_for_whoever_proposes_another_version_and_for_nobody_else(
    store: SqlStore,
) -> None:
    before = stand(store)
    write(store, OpenPromotion(make_promotion(version="4")))
    now = stand(store)
    assert now.tag != before.tag
    assert now.digest_for("promote") != before.digest_for("promote")
    assert now.digest_for("rollback") == before.digest_for("rollback")
    assert "version 4 is proposed" in now.sentence


@pytest.mark.parametrize("name", ["iris-staging", "acme/iris-deploy:staging"])
def test_what_nobody_has_carried_out_changes_the_tag_until_it_is(store: SqlStore, name: str) -> None:
    before = stand(store)
    command = ask(store, endpoint=name)
    assert [one.id for one in stand(store).commands] == [command.id]
    assert stand(store).tag != before.tag
    assert digests(stand(store)) == digests(before)
    answer(store, take(store), Done(), step="carry_out", next_step="await_end", queue=Queue.CONTROL)
    assert stand(store).tag == before.tag


def test_a_command_keeps_how_its_endpoint_stood_when_it_was_asked_for(store: SqlStore) -> None:
    seen = stand(store)
    kept = ask(store, '"another"', seen.tag)
    assert kept.facts.seen == seen.digest_for("rollback")
    assert ask(store).facts.seen == ""


def test_what_was_decided_on_an_endpoint_as_it_was_is_not_kept(store: SqlStore) -> None:
    seen = stand(store)
    ask(store)
    with pytest.raises(ConflictError, match=r"version 3 serves.*rollback was asked for by mona") as caught:
        ask(store, seen.tag)
    assert caught.value.reason == "NotAsSeen"
    assert len(store.recent("command")) == 1


def test_the_same_key_gives_the_command_though_the_endpoint_has_changed(store: SqlStore) -> None:
    seen = stand(store)
    first = ask(store, seen.tag, key="once")
    write(store, SetHold(make_hold()))
    assert ask(store, seen.tag, key="once").id == first.id


def test_of_a_crowd_that_saw_the_same_one_is_kept(store: SqlStore) -> None:
    seen, refused = stand(store), []

    def try_to_ask(number: int) -> None:
        try:
            ask(store, seen.tag, key=f"key-{number}")
        except ConflictError as error:
            refused.append(error.reason)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(try_to_ask, range(16)))
    assert refused == ["NotAsSeen"] * 15
    assert len(store.recent("command")) == 1


# ---------------------------------------------------------------- two that are carried out at once


def carry_out(store: SqlStore, claim: Claim, *writes: object) -> Command:
    """End the first step of a command that a worker has claimed; returns what it is then."""
    answer(store, claim, Done(writes=writes), step="carry_out", next_step="await_end", queue=Queue.CONTROL)
    found = store.command(claim.subject)
    assert found is not None
    return found


def go_back(version: str) -> OpenRollout:
    return OpenRollout(make_rollout(direction=Direction.ROLLBACK, version=version))


def propose(version: str) -> OpenPromotion:
    return OpenPromotion(make_promotion(version=version))


@pytest.mark.parametrize(
    ("verb", "one", "other", "words"),
    [
        ("rollback", go_back("2"), go_back("1"), "of version 2 is under way"),
        ("promote", propose("5"), propose("4"), "version 5 is proposed"),
        ("resume", SetHold(make_hold()), LiftHold(2, "staging", by="ada"), "it is held"),
        ("hold", go_back("2"), SetHold(make_hold()), "of version 2 is under way"),
    ],
    ids=["rollback", "promote", "resume", "hold"],
)
def test_what_another_worker_did_since_the_step_looked_is_not_undone_unseen(
    store: SqlStore, verb: str, one: object, other: object, words: str
) -> None:
    late = ask(store, stand(store).tag, verb=verb)
    early = ask(store, verb=verb)
    claims = {claim.subject: claim for claim in (take(store), take(store))}

    assert carry_out(store, claims[early.id], one).phase is Phase.RUNNING
    before = stand(store)
    ended = carry_out(store, claims[late.id], other)

    assert (ended.phase, ended.reason) == (Phase.REFUSED, "NotAsSeen")
    assert words in ended.message
    assert "asked for by" not in ended.message
    now = stand(store)
    assert (now.holds, now.rollouts, now.promotions) == (before.holds, before.rollouts, before.promotions)


def test_what_a_command_itself_changed_is_nothing_that_it_should_have_seen(store: SqlStore) -> None:
    command = ask(store, stand(store).tag)
    assert carry_out(store, take(store), go_back("2")).phase is Phase.RUNNING
    claim = take(store)
    while claim.subject != command.id:
        claim = take(store)
    answer(store, claim, Done(message="it went back"), step="await_end")
    ended = store.command(command.id)
    assert ended is not None
    assert ended.phase is Phase.SUCCEEDED


def test_of_a_crowd_that_saw_the_same_and_is_carried_out_at_once_one_has_its_way(store: SqlStore) -> None:
    """All of them were let in before anybody looked: each saw what was asked for so far."""
    asked = [ask(store, stand(store).tag, key=f"key-{number}") for number in range(8)]
    claims = [take(store) for _ in asked]
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda each: carry_out(store, each[1], go_back(str(each[0] + 1))), enumerate(claims)))
    assert sorted(one.phase for one in ended) == [Phase.REFUSED] * 7 + [Phase.RUNNING]
    assert {one.reason for one in ended} == {"", "NotAsSeen"}
    (rollout,) = stand(store).rollouts
    assert [one.phase for one in store.recent("rollout")] == [rollout.phase] == [Phase.PENDING]


# ---------------------------------------------------------------- what may be gone back to


def back(store: SqlStore, *, path: str = "staging", model: str = "iris") -> list[str]:
    return list(store.ways_back(PLACE.repository_id, path, model=model))


def test_every_version_that_served_may_be_gone_back_to_the_last_one_first(store: SqlStore, clock: Clock) -> None:
    """Also those that an environment's own record, which holds ten, has forgotten."""
    numbers = [str(number) for number in range(1, 14)]
    for number in (*numbers, "2"):
        write(store, SaveVersion(make_version(version=number)))
        serve_once(store, number)
        clock.advance(timedelta(minutes=1))
    assert back(store) == ["2", *(number for number in reversed(numbers) if number != "2")]


def test_what_failed_goes_on_served_elsewhere_or_may_not_be_used_is_no_way_back(store: SqlStore) -> None:
    bad: dict[str, dict[str, object]] = {"2": {"quarantined": True}, "3": {"verdict": "fail"}}
    for number in "123456":
        write(store, SaveVersion(make_version(version=number, **bad.get(number, {}))))
    write(store, SaveVersion(make_version(model="wine", version="6")))
    for number in "1234":
        serve_once(store, number)
    serve_once(store, "5", path="production", endpoint="iris-production")
    serve_once(store, "6", model="wine")
    serve_once(store, "7")  # nobody judged it
    failed = make_rollout(version="5")
    write(store, OpenRollout(failed))
    claim = take(store)
    while claim.subject != failed.id:
        claim = take(store)
    answer(store, claim, Ended(Phase.ROLLED_BACK, "SmokeFailed", "it answered 500"), step="finish")
    write(store, OpenRollout(make_rollout(version="6")))
    assert set(back(store)) == {"1", "4"}
    assert (back(store, path="production"), back(store, model="wine")) == (["5"], ["6"])
