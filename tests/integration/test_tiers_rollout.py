"""Tiers at the merge: a pin by hand is held to them before traffic moves, and no way back is. Real forge and store."""

from pathlib import Path

import pytest

from gitops.ports import CheckState
from gitops.records import Rollout, Sync
from gitops.steps import Phase
from gitops.store import SqlStore
from gitops.telling.library import Library
from gitops.telling.planning import tell_plan
from gitops.writes import SaveVersion
from tests.integration.rollout_rig import forge
from tests.support.forge import ForgeUnderTest
from tests.support.rollouts import Deployment, make_deployment
from tests.support.store import Clock, write
from tests.support.tiers import make_tiered

__all__ = ["forge"]

TIERS = {"1": "silver", "2": "gold", "3": "bronze"}
UNJUDGED = "9"


@pytest.fixture
def deployment(forge: ForgeUnderTest, store: SqlStore, clock: Clock, tmp_path: Path) -> Deployment:
    made = make_deployment(forge, store, clock, tmp_path)
    for version, tier in TIERS.items():
        made.add_version(version, judged=make_tiered(tier, version=version))
    made.registry.add("iris", UNJUDGED)
    return made


def require(deployment: Deployment, tier: str, *, unjudged: str = "refuse") -> None:
    """Have endpoint.yaml ask for a tier; empty asks for none."""
    text = "version: 1\nendpoint: iris-staging\nstrategy: {type: all_at_once, bake: 1m}\n"
    asked = f"require: {{min_tier: {tier}}}\n" if tier else ""
    deployment.write("staging/endpoint.yaml", f"{text}unjudged: {unjudged}\n{asked}")


def last(deployment: Deployment) -> Rollout:
    return deployment.rollouts()[-1]


def told(deployment: Deployment, rollout: Rollout) -> CheckState | None:
    """Return how a rollout stands on its commit, once the forge was told."""
    deployment.later(1, seconds=2)
    return deployment.deps.forge.checks(rollout.repository, rollout.commit).get("launchpin/rollout (staging)")


def test_a_pin_by_hand_below_the_tier_is_refused_before_traffic_moves(deployment: Deployment) -> None:
    require(deployment, "silver")
    deployment.serve("2")
    deployment.pin("3")

    refused = last(deployment)
    assert (refused.version, refused.phase, refused.reason) == ("3", Phase.REFUSED, "TierTooLow")
    assert "iris 3 has the tier bronze, and staging/endpoint.yaml asks for the tier silver" in refused.message
    assert (deployment.live(), "3" in deployment.target.asked) == ("2", False)
    deployment.compare()
    known = deployment.environment()
    assert (known.serving, known.tier, known.pinned) == ("2", "gold", "3")
    assert (known.sync, known.sync_reason) == (Sync.OUT_OF_SYNC, "TierTooLow")
    assert told(deployment, refused) is CheckState.FAILURE


def test_a_plan_foresees_what_the_rollout_of_a_pin_by_hand_is_refused_for(deployment: Deployment) -> None:
    require(deployment, "silver")
    deployment.serve("2")
    deployment.pin("3")
    planned = tell_plan(Library(deployment.store), "iris-staging", "3")

    assert planned.refusal is not None
    assert (planned.refusal.reason, planned.changes) == ("TierTooLow", False)
    assert planned.refusal.message in last(deployment).message
    back = tell_plan(Library(deployment.store), "iris-staging", "2")
    assert (back.refusal, back.tier, back.min_tier) == (None, "gold", "silver")


def test_a_plan_refuses_no_pin_that_goes_back_to_what_served_there(deployment: Deployment) -> None:
    deployment.serve("3")
    deployment.serve("2")
    require(deployment, "gold")
    deployment.pin("3")
    assert tell_plan(Library(deployment.store), "iris-staging", "3").refusal is None
    assert tell_plan(Library(deployment.store), "iris-staging", "1").refusal is not None


def test_a_pin_that_was_refused_rolls_out_by_itself_once_less_is_asked_for(deployment: Deployment) -> None:
    require(deployment, "silver")
    deployment.serve("2")
    deployment.pin("3")
    require(deployment, "bronze")
    deployment.compare()
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)

    assert deployment.live() == "3"
    assert (deployment.environment().tier, last(deployment).facts.tier) == ("bronze", "bronze")
    assert last(deployment).facts.min_tier == "bronze"


def test_a_tier_that_the_model_does_not_declare_is_refused_at_the_merge_and_can_be_mended(
    deployment: Deployment,
) -> None:
    deployment.serve("2")
    require(deployment, "platinum")
    deployment.pin("1")
    assert (last(deployment).phase, last(deployment).reason) == (Phase.REFUSED, "TierUnknown")
    assert deployment.live() == "2"
    require(deployment, "silver")
    deployment.compare()
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.live() == "1"


def test_a_version_without_a_verdict_is_refused_where_a_tier_is_asked_for(deployment: Deployment) -> None:
    require(deployment, "bronze", unjudged="warn")
    deployment.pin(UNJUDGED)
    refused = last(deployment)
    assert (refused.phase, refused.reason) == (Phase.REFUSED, "TierTooLow")
    assert "has no verdict of Launchpin's and so no tier" in refused.message
    assert "train it with Launchpin, or take require out of staging/endpoint.yaml" in refused.message


def test_a_pull_request_by_hand_below_the_tier_is_told_so_before_its_merge(deployment: Deployment) -> None:
    require(deployment, "silver")
    deployment.serve("2")
    assert propose(deployment, "3") is CheckState.FAILURE
    assert propose(deployment, "1") is CheckState.SUCCESS


def propose(deployment: Deployment, version: str) -> CheckState | None:
    """Have a person propose a pin; returns what is said of it."""
    deployment.git("fetch", "-q", "origin")
    deployment.git("checkout", "-q", "-B", f"mine-{version}", "origin/main")
    file = deployment.clone / "staging" / "buildspec.yml"
    lines = file.read_text().splitlines()
    file.write_text(
        "\n".join(f'      - MODEL_VERSION="{version}"' if "VERSION=" in one else one for one in lines) + "\n"
    )
    deployment.git("commit", "-q", "-a", "-m", f"Pin {version}")
    deployment.git("push", "-q", "-f", "origin", f"HEAD:refs/heads/mine-{version}")
    head = deployment.git("rev-parse", "HEAD").strip()
    deployment.git("checkout", "-q", "-B", "main", "origin/main")
    name = deployment.repository.full_name
    body = {"title": f"Pin {version}", "head": f"mine-{version}", "base": "main"}
    assert deployment.forge.http().post(f"/repos/{name}/pulls", json=body).status_code == 201
    deployment.compare()
    deployment.later(1, seconds=2)
    return deployment.deps.forge.checks(name, head).get("launchpin/plan (staging)")


# ---------------------------------------------------------------- no way back is hindered


def served_in_turn(deployment: Deployment) -> None:
    """Let silver and then gold serve, and ask for gold from then on."""
    deployment.serve("1")
    deployment.serve("2")
    require(deployment, "gold")
    deployment.compare()


def test_a_rollback_by_hand_goes_to_a_version_below_the_tier(deployment: Deployment) -> None:
    served_in_turn(deployment)
    ended = deployment.ended(deployment.ask("rollback"))
    assert ended.phase is Phase.SUCCEEDED, ended.message
    assert (deployment.live(), deployment.pinned()) == ("1", "1")
    known = deployment.environment()
    assert (known.serving, known.tier, known.sync) == ("1", "silver", Sync.SYNCED)


def test_a_failure_goes_back_to_a_version_below_the_tier(deployment: Deployment) -> None:
    deployment.serve("1")
    require(deployment, "gold")
    deployment.pin("2")
    deployment.target.fail("iris-staging", "31 of 900 requests were answered with 500")
    deployment.later(3, seconds=6)
    assert (deployment.live(), deployment.pinned()) == ("1", "1")
    assert last(deployment).phase is Phase.ROLLED_BACK
    assert deployment.environment().tier == "silver"


def test_a_revert_by_hand_goes_to_a_version_below_the_tier_that_served_there(deployment: Deployment) -> None:
    served_in_turn(deployment)
    deployment.pin("1")
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.live() == "1"
    assert (last(deployment).facts.tier, last(deployment).facts.min_tier) == ("silver", "gold")


def test_a_pull_request_that_goes_back_is_green(deployment: Deployment) -> None:
    served_in_turn(deployment)
    assert propose(deployment, "1") is CheckState.SUCCESS
    assert propose(deployment, "3") is CheckState.FAILURE


# ---------------------------------------------------------------- attacks


def test_an_endpoint_yaml_laxer_than_launchpin_yaml_lets_nothing_in(deployment: Deployment) -> None:
    """Whoever may push to the deploy repository cannot take back what the model's own file asks."""
    place = f"{deployment.repository.full_name}:staging"
    deployment.add_version("4", judged=make_tiered("bronze", version="4", min_tiers={place: "silver"}))
    deployment.serve("2")
    for asked in ("bronze", ""):
        require(deployment, asked)
        deployment.pin("4")
        refused = last(deployment)
        assert (refused.version, refused.phase, refused.reason) == ("4", Phase.REFUSED, "TierTooLow")
        assert "launchpin.yaml asks for the tier silver" in refused.message
        assert deployment.live() == "2"
        deployment.pin("2")


def test_a_tier_in_the_registrys_tags_is_believed_by_nobody(deployment: Deployment, store: SqlStore) -> None:
    """The judged code can write tags and register versions again; our own record is written once."""
    require(deployment, "gold")
    deployment.serve("2")
    write(store, SaveVersion(make_tiered("gold", version="3")))
    deployment.pin("3")
    assert (last(deployment).phase, last(deployment).reason) == (Phase.REFUSED, "TierTooLow")


def test_a_merge_that_lowers_the_tier_with_its_pin_is_held_to_the_models_own_file(deployment: Deployment) -> None:
    place = f"{deployment.repository.full_name}:staging"
    deployment.add_version("4", judged=make_tiered("silver", version="4", min_tiers={place: "gold"}))
    require(deployment, "gold")
    deployment.serve("2")
    deployment.pin("4", compare=False)
    require(deployment, "bronze")
    deployment.compare()
    assert (last(deployment).phase, last(deployment).reason) == (Phase.REFUSED, "TierTooLow")
    assert deployment.live() == "2"
