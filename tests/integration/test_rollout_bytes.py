"""Which bytes get traffic: those that were judged, whether they are kept here already or come from the registry."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gitops.errors import RetryError
from gitops.manifest import Manifest
from gitops.models import fetch_version, model_folder
from gitops.ports import STOPPED, Configuration, ConfigurationState, Readiness
from tests.integration.test_rollout_story import deployment, forge
from tests.support.rollouts import Deployment, MemoryRegistry
from tests.support.target import MemoryTarget

__all__ = ["deployment", "forge"]

FAR_TOO_MUCH = 2**62  # bytes: more than any disk has


@dataclass
class Watched:
    """A registry that tells when a version's files are asked for."""

    real: MemoryRegistry
    told: Callable[[], object]

    def fetch(self, model: str, version: str, into: Path) -> Manifest:
        self.told()
        return self.real.fetch(model, version, into)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


@dataclass
class Slow:
    """A target whose configurations are starting until somebody says that they are there.

    Args:
        stopped: whether what was prepared got no traffic for so long that it was stopped; until it is prepared again.
    """

    real: MemoryTarget
    prepared: int = 0
    is_there: bool = False
    stopped: bool = False

    def prepare(self, configuration: Configuration) -> ConfigurationState:
        self.prepared += 1
        self.stopped = False
        return self._hidden(self.real.prepare(configuration))

    def configuration(self, name: str) -> ConfigurationState | None:
        state = self.real.configuration(name)
        return self._hidden(state) if state else None

    def _hidden(self, state: ConfigurationState) -> ConfigurationState:
        if self.stopped:
            return ConfigurationState(state.name, Readiness.READY, STOPPED)
        return state if self.is_there else ConfigurationState(state.name, Readiness.STARTING)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def keep(deployment: Deployment, version: str) -> Path:
    """Have a version's files here, as whoever hashed them for its verdict left them."""
    return model_folder(deployment.deps, fetch_version(deployment.deps, "iris", version).digest)


def change(deployment: Deployment, version: str) -> None:
    (deployment.registry.folder / "iris" / version / "model.txt").write_text("other")


def test_attack_58_a_version_that_is_kept_here_gets_no_traffic_when_the_registrys_bytes_were_changed(
    deployment: Deployment,
) -> None:
    deployment.serve("1")
    keep(deployment, "2")
    change(deployment, "2")
    deployment.pin("2")
    deployment.later()
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("Refused", "digest_mismatch")
    assert "model.txt" in ended.message
    assert (deployment.live(), deployment.environment().serving) == ("1", "1")
    assert "2" not in deployment.target.asked


def test_a_version_that_is_kept_here_starts_before_the_registrys_bytes_are_compared(deployment: Deployment) -> None:
    deployment.serve("1")
    keep(deployment, "2")
    slow, when = Slow(deployment.target), list[int]()
    deployment.with_parts(
        targets={"local": slow}, registry=Watched(deployment.registry, lambda: when.append(slow.prepared))
    )
    deployment.pin("2")
    deployment.later(3, seconds=2)
    waiting = deployment.rollouts()[-1]
    assert (waiting.step, waiting.reason, waiting.facts.compared) == ("prepare", "Starting", True)
    slow.is_there = True
    deployment.later(1, seconds=2)
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.environment().serving == "2"
    assert (when, slow.prepared) == ([1], 1)


def test_a_version_that_is_kept_here_is_asked_nothing_while_the_registrys_bytes_cannot_be_compared(
    deployment: Deployment,
) -> None:
    deployment.serve("1")
    keep(deployment, "2")

    def lose() -> None:
        raise RetryError("RegistryUnavailable", "nobody listens")

    deployment.with_parts(registry=Watched(deployment.registry, lose))
    deployment.pin("2")
    deployment.later(1, seconds=6)
    waiting = deployment.rollouts()[-1]
    assert (waiting.step, waiting.message) == ("prepare", "RegistryUnavailable: nobody listens")
    assert "2" not in deployment.target.asked
    deployment.with_parts(registry=deployment.registry)
    deployment.later(1, seconds=60)
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.environment().serving == "2"


def test_a_version_that_was_stopped_while_the_registry_was_away_is_started_again(deployment: Deployment) -> None:
    deployment.serve("1")
    keep(deployment, "2")
    asked, slow = list[int](), Slow(deployment.target, is_there=True)

    def lose() -> None:
        asked.append(slow.prepared)
        if len(asked) == 1:
            raise RetryError("RegistryUnavailable", "nobody listens")

    deployment.with_parts(targets={"local": slow}, registry=Watched(deployment.registry, lose))
    deployment.pin("2")
    deployment.later(1, seconds=2)
    slow.stopped = True
    deployment.later(1, seconds=3700)
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.environment().serving == "2"
    assert asked == [1, 2]


def test_a_kept_file_that_was_damaged_is_fetched_again(deployment: Deployment) -> None:
    deployment.serve("1")
    kept = keep(deployment, "2")
    (kept / "model.txt").write_text("half")
    deployment.serve("2")
    assert (kept / "model.txt").read_text() == "iris 2"
    assert deployment.rollouts()[-1].facts.compared is True


def test_a_rollout_fetches_nothing_while_the_disk_is_low(deployment: Deployment) -> None:
    deployment.serve("1")
    asked = list[str]()
    watched = Watched(deployment.registry, lambda: asked.append("fetch"))
    roomy, narrow = deployment.deps.service, replace(deployment.deps.service, least_free=FAR_TOO_MUCH)
    deployment.with_parts(registry=watched, service=narrow)
    deployment.pin("2")
    deployment.later(1, seconds=6)
    waiting = deployment.rollouts()[-1]
    assert (waiting.step, waiting.reason, asked) == ("verify", "DiskLow", [])
    assert "2" not in deployment.target.asked
    deployment.with_parts(service=roomy)
    deployment.later(1, seconds=3600)
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.environment().serving == "2"


def test_a_version_that_is_kept_here_is_not_compared_while_the_disk_is_low(deployment: Deployment) -> None:
    deployment.serve("1")
    keep(deployment, "2")
    asked = list[str]()

    def lose() -> None:
        asked.append("fetch")
        raise RetryError("RegistryUnavailable", "nobody listens")

    roomy, narrow = deployment.deps.service, replace(deployment.deps.service, least_free=FAR_TOO_MUCH)
    deployment.with_parts(registry=Watched(deployment.registry, lose))
    deployment.pin("2")
    deployment.later(1, seconds=6)
    before = len(asked)
    deployment.with_parts(service=narrow)
    deployment.later(1, seconds=60)
    waiting = deployment.rollouts()[-1]
    assert (waiting.step, waiting.reason, len(asked)) == ("prepare", "DiskLow", before)
    assert "2" not in deployment.target.asked
    deployment.with_parts(service=roomy, registry=deployment.registry)
    deployment.later(1, seconds=3600)
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.environment().serving == "2"
