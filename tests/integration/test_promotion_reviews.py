"""Who approved: a promotion reads the reviews of its pull request at the merge, and the log keeps them."""

import uuid
from datetime import timedelta

import pytest

from gitops.audit.at import approvers_of, serving_at
from gitops.audit.entry import Entry, parse
from gitops.audit.history import tenures
from gitops.errors import LaunchpinError, NotFoundError, RefusedError, RetryError, StalledError
from gitops.records import Promotion
from gitops.steps import Phase
from gitops.writes import Audit
from tests.integration.promotion_rig import BOT, World, server, world
from tests.support.store import write

__all__ = ["server", "world"]

PERSON = "you"


def review(world: World, number: int, *, token: str = "", **said: str) -> int:
    path = f"/repos/{world.deploy.full_name}/pulls/{number}/reviews"
    written = world.server.http(token or world.server.user).post(path, json={"event": "APPROVE", **said})
    written.raise_for_status()
    return int(written.json()["id"])


def merge(world: World, promotion: Promotion) -> str:
    number = promotion.facts.number or 0
    head = world.forge.pull(world.deploy.full_name, number).head_sha
    return world.person.merge_pull(world.deploy.full_name, number, head_sha=head, title="Merge")


def entries(world: World) -> list[Entry]:
    return [parse(raw) for raw in world.store.audit_entries(0, world.store.audit_size())]


def end_of(world: World, promotion: str) -> Entry:
    found = [one for one in entries(world) if one.subject.promotion_id == promotion]
    assert found[-1].kind == "promotion.succeeded"
    return found[-1]


def test_reviews_and_who_approved_the_merged_head_are_kept_beside_who_merged(world: World) -> None:
    promotion = world.promote()
    opened = world.now(promotion)
    number, head = opened.facts.number or 0, opened.facts.head_sha
    first = review(world, number)
    second = review(world, number, token=world.server.bot, event="COMMENT", body="checked")
    sha = merge(world, opened)

    now = world.now(promotion)

    assert (now.phase, now.message) == (Phase.SUCCEEDED, f"merged by {PERSON}, approved by {PERSON}")
    assert now.facts.approved_by == (PERSON,)
    assert [(one.id, one.login, one.state, one.sha) for one in now.facts.reviews or ()] == [
        (first, PERSON, "APPROVED", head),
        (second, BOT, "COMMENTED", head),
    ]
    evidence = end_of(world, promotion).evidence
    assert (evidence["merged_by"], evidence["merge_sha"], evidence["approved_by"]) == (PERSON, sha, [PERSON])
    assert evidence["reviews"] == [one.model_dump() for one in now.facts.reviews or ()]
    assert evidence["path"] == "staging"


def test_approval_of_another_head_is_kept_and_is_none_of_what_was_merged(world: World) -> None:
    promotion = world.promote()
    opened = world.now(promotion)
    review(world, opened.facts.number or 0)
    head = world.edit_branch()
    merge(world, opened)

    now = world.now(promotion)

    assert (now.phase, now.facts.approved_by) == (Phase.SUCCEEDED, ())
    (kept,) = now.facts.reviews or ()
    assert kept.sha not in {"", head}
    assert approvers_of(end_of(world, promotion)) == ()


def test_merge_that_nobody_reviewed_says_that_nobody_did(world: World) -> None:
    promotion = world.promote()
    merge(world, world.now(promotion))
    now = world.now(promotion)
    assert (now.message, now.facts.reviews, now.facts.approved_by) == (f"merged by {PERSON}", (), ())
    assert (end_of(world, promotion).evidence["reviews"], approvers_of(end_of(world, promotion))) == ([], ())


def test_of_very_many_reviews_the_newest_are_kept_and_all_are_heeded(world: World) -> None:
    promotion = world.promote()
    opened = world.now(promotion)
    review(world, opened.facts.number or 0)
    for number in range(60):
        review(world, opened.facts.number or 0, event="COMMENT", body=f"word {number}")
    merge(world, opened)
    now = world.now(promotion)
    assert now.facts.approved_by == (PERSON,)
    assert [one.state for one in now.facts.reviews or ()] == ["COMMENTED"] * 50
    assert "evidence_sha256" not in end_of(world, promotion).evidence


def refuse_reviews(world: World, trouble: LaunchpinError) -> None:
    """Give the worker a forge that answers everything but what was said of a pull request."""

    def refuse() -> None:
        raise trouble

    world.forge.before_reviews = refuse


def test_forge_that_is_away_for_the_reviews_is_asked_again_and_the_rollout_does_not_wait(world: World) -> None:
    promotion = world.promote()
    opened = world.now(promotion)
    review(world, opened.facts.number or 0)
    refuse_reviews(world, RetryError("ForgeUnavailable", "no answer", after=7))
    sha = merge(world, opened)

    waiting = world.now(promotion)

    assert (waiting.phase.is_final, waiting.reason) == (False, "ForgeUnavailable")
    assert (waiting.facts.merge_sha, waiting.facts.merged_by, waiting.facts.approved_by) == (sha, PERSON, None)
    assert "its reviews: no answer" in waiting.message
    rollout = world.store.newest_rollout(world.deploy.id, "staging")
    assert rollout is not None
    assert rollout.version == "1"
    world.forge.before_reviews = lambda: None
    world.clock.advance(timedelta(seconds=31))
    world.handle()
    now = world.store.promotion(promotion)
    assert now is not None
    assert (now.phase, now.facts.approved_by) == (Phase.SUCCEEDED, (PERSON,))


@pytest.mark.parametrize(
    "trouble",
    [
        StalledError("ForgeCredentials", "our token may not"),
        NotFoundError("not_found", "no such route"),
        RefusedError("forge_refused", "no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_forge_that_will_not_tell_reviews_leaves_them_unknown(world: World, trouble: LaunchpinError) -> None:
    promotion = world.promote()
    opened = world.now(promotion)
    refuse_reviews(world, trouble)
    merge(world, opened)
    now = world.now(promotion)
    assert (now.phase, now.facts.reviews, now.facts.approved_by) == (Phase.SUCCEEDED, None, None)
    evidence = end_of(world, promotion).evidence
    assert evidence["merged_by"] == PERSON
    assert not {"reviews", "approved_by"} & evidence.keys()


def test_history_and_the_answer_for_a_time_tell_both(world: World) -> None:
    promotion = world.promote()
    opened = world.now(promotion)
    review(world, opened.facts.number or 0)
    merge(world, opened)
    world.now(promotion)
    about: dict[str, str | int] = {
        "repo_id": world.deploy.id,
        "repo": world.deploy.full_name,
        "endpoint": "iris-staging",
        "env": "another name",
        "model": "iris",
        "version": "1",
        "rollout_id": f"r-{uuid.uuid4().hex}",
    }
    write(
        world.store,
        Audit("rollout.opened", about, {"path": "staging", "direction": "forward"}),
        Audit("rollout.applied", about, {"serving": "1"}),
    )
    (one,) = [tenure for tenure in tenures(entries(world), "iris-staging") if tenure.env == "another name"]
    assert (one.approved_by, one.merged_by, one.pull) == ((PERSON,), PERSON, opened.facts.number)
    answer = serving_at(entries(world), "iris-staging", time=world.clock.time + timedelta(days=1))
    assert f"approved by {PERSON}, merged by {PERSON}" in answer.message
