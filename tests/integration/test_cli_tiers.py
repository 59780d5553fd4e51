"""What the command line tells of tiers: of versions, of what serves, and of what was kept out, from a real database."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.facts import PromotionFacts
from gitops.records import Health, Role, Sync
from gitops.writes import Audit, RefusePromotion, SaveEnvironment, SaveRepository, SaveVersion
from tests.support.cli import Output, Stack, make_stack
from tests.support.store import make_environment, make_promotion, make_repository, make_version, write
from tests.support.tiers import make_tiered

TOLD = "iris 3 has the tier bronze, and production/endpoint.yaml asks for the tier gold: it is not good enough"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack whose production serves gold, and whose newest version is kept out of it."""
    with make_stack(tmp_path) as stack:
        here = {"repository_id": 2, "repository": "acme/iris-deploy", "path": "production", "name": "production"}
        production = make_environment(
            **here,
            endpoint="iris-production",
            is_champion=True,
            pinned="2",
            serving="2",
            tier="gold",
            serving_since=stack.store.now() - timedelta(hours=3),
            sync=Sync.SYNCED,
            health=Health.HEALTHY,
            endpoint_file="production/endpoint.yaml",
            min_tier="gold",
        )
        deploy = make_repository(id=2, full_name="acme/iris-deploy", role=Role.DEPLOY)
        write(stack.store, SaveRepository(make_repository()), SaveRepository(deploy), SaveEnvironment(production, ()))
        for one in (make_version(), make_tiered("gold", version="2"), make_tiered("bronze", version="3")):
            write(stack.store, SaveVersion(one))
        refused = make_promotion(
            environment="production",
            path="production",
            version="3",
            facts=PromotionFacts(tier="bronze", min_tier="gold"),
        )
        write(stack.store, RefusePromotion(refused, "TierTooLow", TOLD))
        yield stack


def widest(output: Output) -> int:
    return max(len(line) for line in output.out.splitlines() if "http://" not in line)


def test_versions_are_listed_with_their_tiers(stack: Stack) -> None:
    result = stack.launchpin("versions", "iris")
    head, *rows = [line for line in result.out.splitlines() if not line.startswith(" ")]
    assert head.split()[:3] == ["VERSION", "VERDICT", "TIER"]
    assert [row.split()[:3] for row in rows] == [["3", "pass", "bronze"], ["2", "pass", "gold"], ["1", "pass", "-"]]
    assert widest(result) <= 80
    third, _, first = stack.launchpin("versions", "iris", "--json").json["versions"]
    assert (third["tier"], [one["outcome"] for one in third["tiers"]]) == ("bronze", ["fail", "fail", "pass"])
    assert (first["tier"], first["tiers"]) == ("", [])


def test_endpoints_are_listed_with_the_tier_of_what_serves(stack: Stack) -> None:
    result = stack.launchpin("endpoints")
    assert result.out.splitlines()[1].split()[:5] == ["iris-production", "production", "2", "gold", "2"]
    assert widest(result) <= 80
    assert stack.launchpin("endpoints", "--json").json["endpoints"][0]["tier"] == "gold"


def test_status_tells_what_its_tier_keeps_out(stack: Stack) -> None:
    result = stack.launchpin("status")
    assert "iris-production: 3 is kept out: bronze, and gold is asked for" in result.out
    assert "    TierTooLow: iris 3 has the tier bronze, and production/endpoint.yaml" in result.out
    assert ["iris", "3", "bronze", "2", "gold"] in [line.split() for line in result.out.splitlines()]
    assert widest(result) <= 80
    document = stack.launchpin("status", "--json").json
    assert [(one["version"], one["reason"]) for one in document["kept_out"]] == [("3", "TierTooLow")]
    assert document["models"][0]["champion_tier"] == "gold"


def test_endpoint_is_explained_with_its_tier_and_with_what_is_kept_out(stack: Stack) -> None:
    document = stack.launchpin("explain", "iris-production", "--json").json
    assert document["headline"].startswith(
        "iris-production is fine: v2 serves, as Git pins; v3 is not proposed (TierToo"
    )
    assert "v2 of iris, tier gold" in document["serving"][0]["text"]
    assert ("TierTooLow", f"v3 is not proposed: {TOLD}") in [
        (one.get("reason"), one["text"]) for one in document["git"]
    ]


def test_what_a_person_pinned_all_the_same_is_not_told_as_kept_out(stack: Stack) -> None:
    known = stack.store.environment(2, "production")
    assert known is not None
    write(stack.store, SaveEnvironment(known.model_copy(update={"pinned": "3", "serving": "3"}), ("pinned", "serving")))
    assert not stack.launchpin("status", "--json").json["kept_out"]
    assert "not proposed" not in stack.launchpin("explain", "iris-production").out


def test_a_plan_foresees_a_tier_that_is_too_low_and_says_who_asks_for_which(stack: Stack) -> None:
    shown = stack.launchpin("plan", "iris-production", "--version", "3")
    assert shown.code == 1
    assert shown.out.splitlines()[1] == (
        "  1. nothing: iris 3 has the tier bronze, and production/endpoint.yaml asks for the tier gold: accuracy 0.90 "
        "is not at least 0.99; train a better model, or lower min_tier"
    )
    document = stack.launchpin("plan", "iris-production", "--version", "3", "--json").json
    assert (document["ok"], document["changes"], document["refusal"]["reason"]) == (False, False, "TierTooLow")
    asked = (document["tier"], document["min_tier"], document["asked_by"])
    assert asked == ("bronze", "gold", ["production/endpoint.yaml"])


@pytest.mark.parametrize(
    ("launchpin", "endpoint", "said"),
    [
        ("silver", "bronze", "launchpin.yaml asks for the tier silver"),
        ("silver", "silver", "launchpin.yaml and production/endpoint.yaml ask for the tier silver"),
    ],
)
def test_a_plan_says_which_tier_is_asked_for_where_the_version_has_it(
    stack: Stack, launchpin: str, endpoint: str, said: str
) -> None:
    known = stack.store.environment(2, "production")
    assert known is not None
    write(stack.store, SaveEnvironment(known.model_copy(update={"min_tier": endpoint}), ("min_tier",)))
    asked = {"acme/iris-deploy:production": launchpin}
    write(stack.store, SaveVersion(make_tiered("silver", version="4", min_tiers=asked)))
    shown = stack.launchpin("plan", "iris-production", "--version", "4")
    assert (shown.code, shown.out.splitlines()[1]) == (0, f"  tier silver, and {said}")


def test_a_plan_says_nothing_of_tiers_where_none_is_asked_for(stack: Stack) -> None:
    known = stack.store.environment(2, "production")
    assert known is not None
    write(stack.store, SaveEnvironment(known.model_copy(update={"min_tier": ""}), ("min_tier",)))
    document = stack.launchpin("plan", "iris-production", "--version", "3", "--json").json
    assert (document["ok"], document["tier"], document["min_tier"], document["asked_by"]) == (True, "bronze", None, [])
    assert "asks for" not in stack.launchpin("plan", "iris-production", "--version", "3").out


def test_nothing_needs_anybody_where_a_tier_keeps_something_out(stack: Stack) -> None:
    assert not stack.launchpin("explain", "--json").json["attention"]


@pytest.mark.parametrize("name", ["iris", "iris-production"])
def test_history_tells_what_was_not_let_in_and_when(stack: Stack, name: str) -> None:
    served = {"repo": "acme/iris-deploy", "model": "iris", "env": "production", "endpoint": "iris-production"}
    write(stack.store, Audit("rollout.applied", {**served, "version": "2", "rollout_id": "r2"}, {"serving": "2"}))
    result = stack.launchpin("history", name)
    assert result.code == 0, result.both
    assert "Not let in for their tier:" in result.out
    assert "v3 in production: TierTooLow" in result.out
    document = stack.launchpin("history", name, "--json").json
    assert [one["version"] for one in document["history"]] == ["2"]
    (one,) = document["kept_out"]
    assert (one["version"], one["environment"], one["message"]) == ("3", "production", TOLD)


def test_history_of_what_never_served_tells_what_was_not_let_in(stack: Stack) -> None:
    result = stack.launchpin("history", "iris")
    assert result.out.startswith("Not let in for their tier:")
