"""A target that cannot be asked: what Git pins meanwhile is carried out when it is back, and nobody is told a guess."""

from dataclasses import dataclass

from gitops.errors import RetryError
from gitops.ports import Endpoint
from tests.integration.test_rollout_story import deployment, forge
from tests.support.rollouts import Deployment
from tests.support.target import MemoryTarget

__all__ = ["deployment", "forge"]


@dataclass
class Away:
    """A target whose endpoints nobody can ask about."""

    real: MemoryTarget
    is_away: bool = True

    def describe(self, endpoint: str) -> Endpoint | None:
        if self.is_away:
            raise RetryError("EndpointHostUnavailable", "nobody answers")
        return self.real.describe(endpoint)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def lose_target(deployment: Deployment) -> Away:
    away = Away(deployment.target)
    deployment.with_parts(targets={"local": away})
    return away


def test_a_version_pinned_again_while_the_target_is_away_rolls_out_when_it_is_back(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.serve("2")
    assert deployment.ended(deployment.ask("rollback", reason="wrong labels")).phase == "Succeeded"
    assert deployment.ended(deployment.ask("resume")).phase == "Succeeded"
    assert (deployment.live(), deployment.pinned()) == ("1", "1")

    away = lose_target(deployment)
    deployment.pin("2")
    known = deployment.environment()
    assert (known.health, known.message) == ("Unknown", "nobody answers")
    assert (known.sync, known.sync_reason) == ("OutOfSync", "EndpointHostUnavailable")
    away.is_away = False
    deployment.later(1, seconds=61)
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert (deployment.live(), deployment.environment().sync) == ("2", "Synced")


def test_an_environment_first_seen_while_its_target_is_away_is_not_called_in_sync(deployment: Deployment) -> None:
    away = lose_target(deployment)
    deployment.configure("production", endpoint="iris-production")
    deployment.pin("1", path="production")
    known = deployment.environment("production")
    assert (known.sync, known.sync_reason) == ("OutOfSync", "EndpointHostUnavailable")
    assert (known.health, known.message) == ("Unknown", "nobody answers")

    away.is_away = False
    deployment.later(1, seconds=61)
    deployment.target.end_bake("iris-production")
    deployment.later(1, seconds=6)
    assert deployment.live("iris-production") == "1"
