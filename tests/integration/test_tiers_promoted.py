"""Tiers on the way to a pull request: who gets one, who does not, and what is said of it, on a real forge and store."""

from datetime import timedelta

import pytest

from gitops.ports import CheckState
from gitops.records import Promotion, Training, TrainingFacts
from gitops.steps import Done, Phase
from gitops.telling.library import Library
from gitops.telling.planning import tell_plan
from gitops.training import hand_over
from gitops.writes import OpenPromotion, RefusePromotion, SaveEnvironment, SaveVersion
from tests.integration.promotion_rig import World, server, world
from tests.support.store import make_command, make_environment, make_promotion, write
from tests.support.tiers import make_tiered

__all__ = ["server", "world"]

PLAN = "launchpin/plan (staging)"


def record(world: World, version: str, tier: str, *, min_tier: str = "") -> None:
    """Record a version that reached a tier; its launchpin.yaml asks for one in staging."""
    asked = {f"{world.deploy.full_name}:staging": min_tier} if min_tier else {}
    made = make_tiered(tier, version=version, training_id=world.training.id, min_tiers=asked)
    write(world.store, SaveVersion(made))


def require(world: World, tier: str) -> str:
    """Have endpoint.yaml of staging ask for a tier; empty takes that out again."""
    path = "staging/endpoint.yaml"
    kept = [line for line in (world.clone / path).read_text().splitlines() if not line.startswith("require")]
    lines = [*kept, *([f"require: {{min_tier: {tier}}}"] if tier else [])]
    return world.push({path: "\n".join(lines).encode() + b"\n"})


def see(world: World, head: str) -> None:
    """Let the service see a push to the deploy repository."""
    world.tell(head)
    world.handle()


def hand(world: World, version: str) -> Done:
    """Hand a version of the world's training over, and write what comes of it."""
    training: Training = world.training.model_copy(update={"facts": TrainingFacts(version=version)})
    outcome = hand_over(world.loop.deps, training)
    assert isinstance(outcome, Done)
    write(world.store, *outcome.writes)
    world.handle()
    return outcome


def of_version(world: World, version: str) -> Promotion:
    found = world.store.promotion_of(world.deploy.id, "staging", "iris", version)
    assert found is not None
    return found


def test_a_version_is_recorded_with_its_tiers_and_so_is_its_entry(world: World) -> None:
    record(world, "1", "silver", min_tier="bronze")
    kept = world.store.version("iris", "1")
    assert kept is not None
    assert (kept.tier, [one.name for one in kept.tiers]) == ("silver", ["gold", "silver", "bronze"])
    place = f"{world.deploy.full_name}:staging"
    (entry,) = [row.entry for row in world.store.audit_recent(50) if row.entry.kind == "version.recorded"]
    assert (entry.evidence["tier"], entry.evidence["min_tiers"]) == ("silver", {place: "bronze"})
    assert isinstance(tiers := entry.evidence["tiers"], list)
    assert tiers[0] == {"name": "gold", "outcome": "fail", "message": "accuracy 0.90 is not at least 0.99", "gates": []}


def test_a_version_of_the_tier_that_is_asked_for_is_proposed_with_its_tier(world: World) -> None:
    see(world, require(world, "silver"))
    record(world, "1", "silver", min_tier="bronze")
    outcome = hand(world, "1")

    assert outcome.message == "iris 1 goes to staging"
    promotion = of_version(world, "1")
    assert (promotion.facts.tier, promotion.facts.min_tier) == ("silver", "silver")
    body = world.forge.pull(world.deploy.full_name, promotion.facts.number or 0).body
    assert "Its tier is `silver`, where `silver` or better is asked for." in body
    assert "| `gold` | ✗ not reached |" in body


@pytest.mark.parametrize(
    ("launchpin", "endpoint", "file"),
    [
        ("gold", "", "launchpin.yaml"),
        ("", "gold", "staging/endpoint.yaml"),
        ("gold", "bronze", "launchpin.yaml"),
        ("bronze", "gold", "staging/endpoint.yaml"),
    ],
)
def test_a_version_below_the_stricter_tier_gets_no_pull_request_and_what_is_open_stays(
    world: World, launchpin: str, endpoint: str, file: str
) -> None:
    record(world, "1", "gold")
    open_one = world.now(world.promote("1"))
    if endpoint:
        see(world, require(world, endpoint))
    record(world, "2", "silver", min_tier=launchpin)
    outcome = hand(world, "2")

    assert (
        f"not to staging, TierTooLow: iris 2 has the tier silver, and {file} asks for the tier gold" in outcome.message
    )
    refused = of_version(world, "2")
    assert (refused.phase, refused.reason, refused.facts.number) == (Phase.REFUSED, "TierTooLow", None)
    assert (refused.facts.tier, refused.facts.min_tier) == ("silver", "gold")
    assert outcome.facts["promotions"] == [refused.id]
    kept = of_version(world, "1")
    assert (kept.phase, kept.reason, kept.facts.number) == (open_one.phase, "AwaitingMerge", open_one.facts.number)
    assert [pull.title for pull in world.forge.open_pulls(world.deploy.full_name)] == ["Pin iris 1 in staging"]
    assert [job.subject for job in world.store.jobs() if job.kind == "promotion"] == [open_one.id]
    (entry,) = [row.entry for row in world.store.audit_recent(200) if row.entry.kind == "promotion.refused"]
    assert (entry.evidence["tier"], entry.evidence["min_tier"]) == ("silver", "gold")
    assert entry.subject.promotion_id == refused.id


def test_a_version_that_is_proposed_already_is_left_to_its_own_promotion(world: World) -> None:
    """A second promotion of it would hide the plan that its pull request announced."""
    record(world, "1", "silver", min_tier="gold")
    early = make_promotion(
        repository_id=world.deploy.id, repository=world.deploy.full_name, training_id=world.training.id
    )
    write(world.store, OpenPromotion(early))
    outcome = hand(world, "1")
    assert not [one for one in outcome.writes if isinstance(one, RefusePromotion)]
    assert of_version(world, "1").id == early.id
    assert (of_version(world, "1").phase, of_version(world, "1").reason) == (Phase.REFUSED, "TierTooLow")


def test_the_commit_is_told_neutrally_that_its_tier_is_too_low(world: World) -> None:
    record(world, "1", "silver", min_tier="gold")
    hand(world, "1")
    assert world.said() is CheckState.NEUTRAL


def test_what_is_asked_since_the_last_fetch_is_asked_all_the_same(world: World) -> None:
    """Handing over goes by what the mirror knows; the plan fetches."""
    world.loop.deps.mirror.fetch(world.deploy)
    require(world, "gold")
    record(world, "1", "silver")
    outcome = hand(world, "1")

    assert [type(one) for one in outcome.writes if isinstance(one, (OpenPromotion, RefusePromotion))] == [OpenPromotion]
    refused = of_version(world, "1")
    assert (refused.phase, refused.reason, refused.facts.number) == (Phase.REFUSED, "TierTooLow", None)
    assert not world.forge.open_pulls(world.deploy.full_name)


def test_an_open_pull_request_is_told_when_a_better_tier_is_asked_for_since(world: World) -> None:
    record(world, "1", "silver")
    promotion = world.promote("1")
    before = world.now(promotion)
    assert world.forge.checks(world.deploy.full_name, before.facts.head_sha or "")[PLAN] is CheckState.SUCCESS
    require(world, "gold")
    after = world.now(promotion)

    assert (after.phase, after.reason) == (Phase.REFUSED, "TierTooLow")
    assert world.forge.checks(world.deploy.full_name, before.facts.head_sha or "")[PLAN] is CheckState.FAILURE
    assert world.forge.pull(world.deploy.full_name, before.facts.number or 0).state == "open"


def test_a_tier_that_the_model_does_not_declare_waits_for_whoever_mends_the_file(world: World) -> None:
    require(world, "platinum")
    record(world, "1", "gold")
    promotion = world.promote("1")
    now = world.now(promotion)
    assert (now.phase.is_final, now.reason) == (False, "TierUnknown")
    assert "staging/endpoint.yaml asks for the tier platinum, and iris 1 was judged by gold, silver" in now.message
    assert world.said() is CheckState.FAILURE

    see(world, require(world, "gold"))
    after = world.now(promotion)
    assert (after.reason, after.facts.min_tier) == ("AwaitingMerge", "gold")


def test_an_open_pull_request_is_green_again_when_a_tier_that_nobody_declares_is_taken_back(world: World) -> None:
    record(world, "1", "silver")
    promotion = world.promote("1")
    before = world.now(promotion)
    require(world, "platinum")
    assert world.now(promotion).reason == "TierUnknown"
    assert world.forge.checks(world.deploy.full_name, before.facts.head_sha or "")[PLAN] is CheckState.FAILURE
    require(world, "")

    after = world.now(promotion)
    assert (after.reason, after.facts.plan_digest) == ("AwaitingMerge", before.facts.plan_digest)
    assert world.forge.checks(world.deploy.full_name, before.facts.head_sha or "")[PLAN] is CheckState.SUCCESS


def test_a_version_that_was_judged_before_there_were_tiers_waits_where_one_is_asked_for(world: World) -> None:
    require(world, "bronze")
    now = world.now(world.promote("1"))
    assert (now.phase.is_final, now.reason) == (False, "TierUnknown")
    assert "was judged by no tiers: declare them in register.tiers and train again" in now.message


@pytest.mark.parametrize(("asked", "reason"), [("gold", "TierTooLow"), ("platinum", "TierUnknown")])
def test_a_promotion_by_hand_obeys_the_tier_as_its_plan_said_and_takes_nobodys_place(
    world: World, asked: str, reason: str
) -> None:
    here = {"repository_id": world.deploy.id, "repository": world.deploy.full_name, "path": "staging"}
    write(world.store, SaveEnvironment(make_environment(**here), ()))
    record(world, "2", "gold")
    open_one = world.now(world.promote("2"))
    see(world, require(world, asked))
    record(world, "1", "silver")
    planned = tell_plan(Library(world.store), "iris-staging", "1")
    command = make_command(verb="promote", arguments={"model": "iris", "version": "1", "to": "iris-staging"})
    world.store.save_command(command)
    for _ in range(2):
        world.handle()
        world.clock.advance(timedelta(seconds=2))

    ended = world.store.command(command.id)
    assert ended is not None
    assert (ended.phase, ended.reason) == (Phase.REFUSED, reason)
    assert f"staging/endpoint.yaml asks for the tier {asked}" in ended.message
    assert planned.refusal is not None
    assert (planned.refusal.reason, planned.refusal.message) == (reason, ended.message)
    assert (planned.tier, planned.min_tier, planned.asked_by) == ("silver", asked, ("staging/endpoint.yaml",))
    assert world.store.promotion_of(world.deploy.id, "staging", "iris", "1") is None
    kept = world.store.promotion(open_one.id)
    assert kept is not None
    assert not kept.phase.is_final


def test_a_refused_promotion_is_written_once_and_needs_no_job(world: World) -> None:
    refused = RefusePromotion(make_promotion(repository_id=world.deploy.id), "TierTooLow", "it is silver")
    write(world.store, refused, refused)
    kinds = [row.entry.kind for row in world.store.audit_recent(50)]
    assert kinds.count("promotion.refused") == 1
    assert not [job for job in world.store.jobs() if job.kind == "promotion"]
