"""A comparison leaves environments at rest alone, reads no file for them, and sees at once when one moves."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gitops.compare import compare_pins
from gitops.forge.mirror import GitMirror
from gitops.ports import EndpointStatus
from gitops.records import Health, Repository
from gitops.store import SqlStore
from gitops.writes import OpenRollout, SaveEnvironment
from tests.integration.rollout_rig import forge
from tests.support.forge import ForgeUnderTest
from tests.support.rollouts import Deployment, make_deployment
from tests.support.store import Clock, make_rollout, write

__all__ = ["forge"]


@pytest.fixture
def deployment(forge: ForgeUnderTest, store: SqlStore, clock: Clock, tmp_path: Path) -> Deployment:
    made = make_deployment(forge, store, clock, tmp_path)
    made.add_version("1")
    made.add_version("2")
    return made


@dataclass
class CountingMirror:
    """A real mirror that counts the files read from it."""

    real: GitMirror
    reads: int = 0

    def read(self, repository: Repository, commit: str, path: str) -> bytes | None:
        self.reads += 1
        return self.real.read(repository, commit, path)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def count_reads(deployment: Deployment) -> CountingMirror:
    mirror = deployment.deps.mirror
    assert isinstance(mirror, GitMirror)
    counting = CountingMirror(mirror)
    deployment.with_parts(mirror=counting)
    return counting


def compared(deployment: Deployment) -> list[object]:
    head = deployment.deps.mirror.heads(deployment.repository)["refs/heads/main"]
    return list(compare_pins(deployment.deps, deployment.repository, head=head))


def rest(deployment: Deployment) -> CountingMirror:
    """Serve version 1, and compare until nothing is left to write."""
    deployment.serve("1")
    deployment.compare()
    return count_reads(deployment)


def test_nothing_is_read_or_written_for_an_environment_at_rest(deployment: Deployment) -> None:
    mirror = rest(deployment)

    assert (compared(deployment), mirror.reads) == ([], 0)


def test_an_environment_that_was_compared_before_its_files_path_was_recorded_is_read_once_more(
    deployment: Deployment,
) -> None:
    rest(deployment)
    known = deployment.environment()
    write(deployment.store, SaveEnvironment(known.model_copy(update={"endpoint_file": ""}), ("endpoint_file",)))
    deployment.compare()

    assert deployment.environment().endpoint_file == "staging/endpoint.yaml"
    assert compared(deployment) == []


def test_an_environment_without_a_pin_is_at_rest_too(deployment: Deployment) -> None:
    deployment.compare()
    mirror = count_reads(deployment)

    assert (compared(deployment), mirror.reads) == ([], 0)


def test_only_the_environment_that_moved_is_read_when_there_are_many(deployment: Deployment) -> None:
    for number in range(12):
        deployment.configure(f"env{number}", endpoint=f"e-{number}")
        deployment.pin("", path=f"env{number}", compare=False)
    deployment.serve("1")
    deployment.compare()
    mirror = count_reads(deployment)
    assert (compared(deployment), mirror.reads) == ([], 0)

    known = deployment.environment("env3")
    write(deployment.store, SaveEnvironment(known.model_copy(update={"health": Health.DEGRADED}), ("health",)))
    found = compared(deployment)

    assert [one.environment.path for one in found if isinstance(one, SaveEnvironment)] == ["env3"]


def test_a_new_commit_is_read_when_the_pin_did_not_change(deployment: Deployment) -> None:
    rest(deployment)
    deployment.write("README.md", "Nothing about pins.")
    deployment.deps.mirror.fetch(deployment.repository)

    found = compared(deployment)

    assert [one.environment.pinned for one in found if isinstance(one, SaveEnvironment)] == ["1"]


def test_an_endpoint_that_serves_something_else_is_seen(deployment: Deployment) -> None:
    rest(deployment)
    made = deployment.target.made("iris-staging")
    deployment.target.serve("iris-staging", replace(made, name="by-hand", version="2"))

    assert [type(one) for one in compared(deployment)] == [SaveEnvironment, OpenRollout]


def test_an_endpoint_that_is_gone_is_seen(deployment: Deployment) -> None:
    rest(deployment)
    deployment.target.forget("iris-staging")

    assert [type(one) for one in compared(deployment)] == [SaveEnvironment, OpenRollout]


def test_an_endpoint_that_broke_is_seen(deployment: Deployment) -> None:
    rest(deployment)
    live = deployment.target.describe("iris-staging")
    assert live is not None
    deployment.target.put(replace(live, status=EndpointStatus.FAILED))

    deployment.compare()

    assert deployment.environment().health == "Degraded"


def test_an_environment_with_a_rollout_under_way_is_not_at_rest(deployment: Deployment) -> None:
    mirror = rest(deployment)
    here = deployment.environment()
    rollout = make_rollout(
        repository_id=here.repository_id, path=here.path, endpoint=here.endpoint, host=here.host, commit=here.pin_commit
    )
    write(deployment.store, OpenRollout(rollout))

    compared(deployment)

    assert mirror.reads > 0
