"""Signed heads on the branch of a deploy repository: appended once, and again when somebody took them away."""

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.anchors import BRANCH, HEADS
from gitops.audit.bundle import read_anchors, write_bundle
from gitops.audit.checkpoint import Checkpoint, SigningKey, sign
from gitops.audit.entry import Actor, Event, Subject
from gitops.audit.verify import Code, verify_bundle
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


def find_key(world: Deployment) -> SigningKey:
    """Return the key of the log."""
    return SigningKey(world.store.log_id, bytes(range(32)))


def sign_head(world: Deployment) -> str:
    """Sign the log as it is; returns the note."""
    size, key = world.store.audit_size(), find_key(world)
    note = sign(Checkpoint(key.name, size, world.store.audit_root(size)), key)
    world.store.save_checkpoint(size, note)
    return note


def sign_more(world: Deployment, count: int) -> None:
    """Sign heads, each of one entry more."""
    for _ in range(count):
        world.store.append_audit(Event(kind="hold.set", actor=Actor(type="bot"), subject=Subject(), evidence={}))
        sign_head(world)


def anchor(world: Deployment) -> str:
    """Anchor now; returns the heads that the branch holds."""
    world.store.wake("anchor", str(world.repository.id))
    run_all(world.deps)
    return read_anchors(fetch_anchors(world))


def fetch_anchors(world: Deployment) -> Path:
    """Fetch the branch as the how-to says; returns the folder of its files."""
    folder = world.clone.parent / "anchors"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    world.git("fetch", "-q", "origin", BRANCH)
    world.git("archive", "-o", str(folder.with_suffix(".tar")), "FETCH_HEAD", "checkpoints*.txt")
    with tarfile.open(folder.with_suffix(".tar")) as packed:
        packed.extractall(folder, filter="data")
    return folder


def set_back(world: Deployment, server: ForgeUnderTest, commit: str) -> None:
    """Move the branch by force, as a person with the right to do so."""
    path = f"/repos/{world.repository.full_name}/git/refs/heads/{BRANCH}"
    server.http(server.user).patch(path, json={"sha": commit, "force": True}).raise_for_status()


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
        set_back(world, server, before)
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


def test_heads_go_on_in_another_file_which_a_branch_set_back_gets_again(
    world: Deployment, server: ForgeUnderTest, tmp_path: Path
) -> None:
    sign_more(world, HEADS - 1)
    anchor(world)
    before = world.deps.forge.head(world.repository.full_name, BRANCH)
    for count in (1, 2, 1):
        sign_more(world, count)
        anchor(world)
    assert [file.name for file in sorted(fetch_anchors(world).iterdir())] == [
        "checkpoints-000002.txt",
        "checkpoints.txt",
    ]
    assert verified(world, tmp_path / "one") is Code.INTACT
    set_back(world, server, before)
    sign_more(world, 1)
    assert anchor(world) == "".join(f"{head.note}\n" for head in world.store.checkpoints())
    assert verified(world, tmp_path / "two") is Code.INTACT


def verified(world: Deployment, folder: Path) -> Code:
    """Return what the bundle is worth that this log gives, against the anchors of its branch."""
    key, heads = find_key(world).verifier.text, world.store.checkpoints()
    entries = world.store.audit_entries(0, heads[-1].size)
    write_bundle(folder, entries, notes=[head.note for head in heads], keys=[key])
    assert verify_bundle(folder, key=key).code is Code.INTACT
    anchors = read_anchors(fetch_anchors(world))
    assert anchors.count("\n\N{EM DASH} ") == len(heads)
    return verify_bundle(folder, key=key, anchors=anchors).code
