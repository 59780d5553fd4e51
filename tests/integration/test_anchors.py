"""Signed heads on the branch of a deploy repository: appended once, and again when somebody took them away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.anchors import BRANCH, FILE
from gitops.audit.checkpoint import Checkpoint, SigningKey, sign
from gitops.failpoints import arm
from gitops.store import SqlStore
from tests.support.deps import run_all
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.rollouts import Deployment, make_deployment
from tests.support.store import Clock


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def world(server: ForgeUnderTest, store: SqlStore, clock: Clock, tmp_path: Path) -> Iterator[Deployment]:
    deployment = make_deployment(server, store, clock, tmp_path)
    deployment.compare()
    yield deployment
    arm("")


def sign_head(world: Deployment) -> str:
    """Sign the log as it is; returns the note."""
    size, origin = world.store.audit_size(), world.store.log_id
    note = sign(Checkpoint(origin, size, world.store.audit_root(size)), SigningKey(origin, bytes(range(32))))
    world.store.save_checkpoint(size, note)
    return note


def anchor(world: Deployment) -> str:
    """Anchor now; returns what the branch holds."""
    world.store.wake("anchor", str(world.repository.id))
    run_all(world.deps)
    written = world.deps.forge.read_file(world.repository.full_name, ref=BRANCH, path=FILE)
    return (written or b"").decode()


def test_a_head_is_appended_once(world: Deployment) -> None:
    note = sign_head(world)
    assert anchor(world) == f"{note}\n"
    head = world.deps.forge.head(world.repository.full_name, BRANCH)
    assert anchor(world) == f"{note}\n"
    assert world.deps.forge.head(world.repository.full_name, BRANCH) == head


def test_heads_are_written_again_when_somebody_set_the_branch_back(world: Deployment, server: ForgeUnderTest) -> None:
    first = sign_head(world)
    anchor(world)
    before = world.deps.forge.head(world.repository.full_name, BRANCH)
    world.pin("", compare=True)
    world.add_version("1")
    second = sign_head(world)
    both = f"{first}\n{second}\n"
    assert first != second
    assert anchor(world) == both
    for _ in range(2):
        path = f"/repos/{world.repository.full_name}/git/refs/heads/{BRANCH}"
        server.http(server.user).patch(path, json={"sha": before, "force": True}).raise_for_status()
        assert anchor(world) == both


def test_an_anchor_whose_answer_was_lost_is_followed_up(world: Deployment) -> None:
    note = sign_head(world)
    arm("anchor.after=raise@1")
    anchor(world)
    arm("")
    world.later(1)
    assert anchor(world) == f"{note}\n"
    # The next one is appended to it.
    world.add_version("1")
    assert anchor(world) == f"{note}\n"
    newer = sign_head(world)
    assert anchor(world) == f"{note}\n{newer}\n"
