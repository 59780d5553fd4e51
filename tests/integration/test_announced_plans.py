"""A rollout asks for what its pull request announced, also when nobody has seen yet that it was merged."""

from dataclasses import dataclass

import pytest

from gitops.buildspec import set_pin
from gitops.facts import PromotionFacts
from gitops.records import Promotion
from gitops.steps import Phase
from gitops.store import SqlStore
from tests.integration.test_rollout_story import deployment, forge
from tests.support.rollouts import Deployment
from tests.support.store import make_promotion

__all__ = ["deployment", "forge"]


@dataclass
class Announcing:
    """A store that knows of a promotion whose pull request announced some plan."""

    real: SqlStore
    promotion: Promotion

    def promotion_of(self, repository_id: int, environment: str, model: str, version: str) -> Promotion | None:
        known = self.promotion
        asked = (repository_id, environment, model, version)
        return known if asked == (known.repository_id, known.environment, known.model, known.version) else None

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def propose(deployment: Deployment, version: str) -> Promotion:
    """Open a pull request that pins a version, and have it said that it announced another plan."""
    name, adapter = deployment.repository.full_name, deployment.deps.forge
    head = adapter.head(name, "main")
    path = "staging/buildspec.yml"
    text = adapter.read_file(name, ref=head, path=path)
    assert text is not None
    content = set_pin(text, version=version).data
    adapter.commit_file(
        name, parent=head, branch="proposal", path=path, content=content, message=f"Pin {version}", create=True
    )
    pull = adapter.open_pull(name, head="proposal", base="main", title=f"Pin {version}", body="")
    facts = PromotionFacts(number=pull.number, plan_digest="0" * 64, head_sha=pull.head_sha)
    place = {"repository_id": deployment.repository.id, "repository": name, "version": version}
    return make_promotion(phase=Phase.RUNNING, facts=facts, **place)


def merge(deployment: Deployment, promotion: Promotion) -> str:
    facts = promotion.facts
    return deployment.deps.forge.merge_pull(
        deployment.repository.full_name, facts.number or 0, head_sha=facts.head_sha or "", title="Merge"
    )


@pytest.mark.parametrize(
    ("phase", "is_seen"), [(Phase.RUNNING, False), (Phase.SUCCEEDED, True), (Phase.SUPERSEDED, False)]
)
def test_another_plan_than_was_announced_stalls_whether_the_promotion_saw_the_merge_or_never_will(
    deployment: Deployment, phase: Phase, is_seen: bool
) -> None:
    deployment.serve("1")
    promotion = propose(deployment, "2")
    sha = merge(deployment, promotion)
    facts = promotion.facts.model_copy(update={"merge_sha": sha if is_seen else None})
    promotion = promotion.model_copy(update={"phase": phase, "facts": facts})
    deployment.with_parts(store=Announcing(deployment.store, promotion))
    deployment.compare()
    stalled = deployment.rollouts()[-1]
    assert (stalled.version, stalled.step, stalled.reason) == ("2", "verify", "PlanChanged")
    assert deployment.live() == "1"


def test_plan_that_was_announced_for_another_folder_of_the_same_name_is_none_of_this_one(
    deployment: Deployment,
) -> None:
    deployment.serve("1")
    promotion = propose(deployment, "2")
    facts = promotion.facts.model_copy(update={"merge_sha": merge(deployment, promotion)})
    elsewhere = promotion.model_copy(update={"path": "us/staging", "facts": facts})
    deployment.with_parts(store=Announcing(deployment.store, elsewhere))
    deployment.compare()
    assert deployment.rollouts()[-1].reason != "PlanChanged"
    assert deployment.live() == "2"


def test_version_that_a_person_pins_by_hand_beside_its_pull_request_is_rolled_out(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.with_parts(store=Announcing(deployment.store, propose(deployment, "2")))
    deployment.serve("2")
    assert deployment.live() == "2"
