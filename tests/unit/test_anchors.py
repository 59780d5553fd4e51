"""What anchoring costs, however long the log is: a forge and a log in memory count what is read and written."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from gitops.anchors import BRANCH, HEADS, anchor
from gitops.audit.bundle import name_anchors
from gitops.errors import RefusedError
from gitops.ports import READABLE, AuditNote, Commit, Deps
from gitops.ports.tallies import ANCHOR_REF, Anchored, read_anchored
from gitops.records import Repository, Role, WatchedRef
from gitops.steps import Wait
from gitops.writes import MoveRef
from tests.support.deps import make_deps

NAME = "acme/deploy"
REPOSITORY = Repository(id=1, full_name=NAME, role=Role.DEPLOY, clone_url=f"http://127.0.0.1/{NAME}.git")


def make_note(size: int) -> str:
    """Return a note of the form and the length that the relay signs."""
    return f"launchpin.example/audit/{'0' * 32}\n{size}\n{'r' * 43}=\n\n\N{EM DASH} launchpin.example {size:->92}\n"


@dataclass
class Log:
    """The signed heads of a log, and how many were read of them."""

    heads: list[AuditNote] = field(default_factory=list)
    read: int = 0

    def sign(self, count: int = 1) -> None:
        """Sign heads, each of one entry more."""
        self.heads += [
            AuditNote(size, make_note(size)) for size in range(len(self.heads) + 1, len(self.heads) + count + 1)
        ]

    def newest_checkpoint(self) -> AuditNote | None:
        self.read += 1
        return self.heads[-1] if self.heads else None

    def checkpoints(self, *, since: int = 0, limit: int | None = None) -> Sequence[AuditNote]:
        first = max(0, since - 1)
        found = self.heads[first : None if limit is None else first + limit]
        self.read += len(found)
        return found


@dataclass
class Forge:
    """A repository of whole trees, and how many bytes were asked of it and given to it."""

    trees: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"base": {}})
    branches: dict[str, str] = field(default_factory=lambda: {"main": "base"})
    read: int = 0
    written: int = 0

    def head(self, full_name: str, branch: str) -> str:
        assert full_name == NAME
        return self.branches.get(branch, "")

    def read_file(self, full_name: str, *, ref: str, path: str, most: int = READABLE) -> bytes | None:
        assert full_name == NAME
        content = self.trees[ref].get(path)
        if content is not None and len(content) > most:
            raise RefusedError("repo_too_large", "as the forge's adapter says")
        self.read += len(content or b"")
        return content

    def commit_file(
        self, full_name: str, *, parent: str, branch: str, path: str, content: bytes, message: str, create: bool
    ) -> Commit:
        assert full_name == NAME
        assert (branch not in self.branches) == create
        assert create or self.branches[branch] == parent
        self.written += len(content)
        sha = hashlib.sha256(f"{parent}{path}{message}{len(self.trees)}".encode()).hexdigest()[:40]
        self.trees[sha] = {**self.trees[parent], path: content}
        self.branches[branch] = sha
        return Commit(sha=sha)


class AtOnce:
    """Effects that are made as soon as they are asked for."""

    def renew(self, name: str, key: str, *, content: str, act: Callable[[], None], anew: bool = False) -> None:
        del name, key, content, anew
        act()


@dataclass
class World:
    """A log, a deploy repository, and what is known of its branch."""

    log: Log = field(default_factory=Log)
    forge: Forge = field(default_factory=Forge)
    held: WatchedRef | None = None

    def watched_ref(self, repository_id: int, ref: str) -> WatchedRef | None:
        assert (repository_id, ref) == (REPOSITORY.id, ANCHOR_REF)
        return self.held

    def anchor(self) -> int:
        """Let the job run once; return how many commits it made."""
        before = len(self.forge.trees)
        outcome = anchor(self._deps(), REPOSITORY)
        assert isinstance(outcome, Wait)
        for write in outcome.writes:
            assert isinstance(write, MoveRef)
            self.held = write.ref
        return len(self.forge.trees) - before

    def _deps(self) -> Deps:
        parts: dict[str, Any] = {"audit": self.log, "forge": self.forge, "effects": AtOnce()}
        return make_deps(cast("Any", self), Path("/nowhere"), **parts)

    def hold(self, size: int, *files: bytes) -> None:
        """Put files of heads on the branch, of which an earlier version of ours wrote the last and knew the size."""
        self.forge.trees["held"] = {name_anchors(number): text for number, text in enumerate(files, start=1)}
        self.forge.branches[BRANCH] = "held"
        self.held = WatchedRef(repository_id=1, ref=ANCHOR_REF, commit="held", message=f"anchored {size}")

    def files(self) -> list[str]:
        """Return the files of the branch, in order."""
        tree = self.forge.trees[self.forge.branches[BRANCH]]
        return [tree[name_anchors(number)].decode() for number in range(1, len(tree) + 1)]

    def known(self) -> Anchored:
        """Return what is known of the branch."""
        assert self.held is not None
        assert self.held.commit == self.forge.branches[BRANCH]
        return read_anchored(self.held.message)


@pytest.fixture
def world() -> World:
    return World()


def texts(*sizes: range) -> list[str]:
    """Return files of heads of these sizes."""
    return ["".join(f"{make_note(size)}\n" for size in each) for each in sizes]


def test_20_000_heads_cost_the_last_no_more_than_the_first(world: World) -> None:
    costs = []
    for _ in range(20):
        before = world.log.read + world.forge.read + world.forge.written
        for _ in range(100):
            world.log.sign(10)
            assert world.anchor() == 1
        costs.append(world.log.read + world.forge.read + world.forge.written - before)
    assert max(costs[1:]) < 1.3 * min(costs[1:])
    # A file is read and written about fifty times until it is full, and never again.
    assert world.forge.read + world.forge.written < 60 * sum(map(len, world.files()))
    assert world.log.read < 2 * 20_000
    assert "".join(world.files()) == "".join(texts(range(1, 20_001)))
    assert {text.count("launchpin.example ") for text in world.files()[:-1]} <= set(range(HEADS, HEADS + 10))


def test_a_run_without_a_new_head_reads_no_file_and_one_head(world: World) -> None:
    world.log.sign(5_000)
    world.anchor()
    world.log.read = world.forge.read = 0
    assert world.anchor() == 0
    assert (world.log.read, world.forge.read) == (1, 0)


def test_the_head_after_a_full_file_begins_another_one(world: World) -> None:
    world.log.sign(HEADS)
    world.anchor()
    assert world.known() == Anchored(HEADS, 1)
    world.log.sign()
    world.anchor()
    assert world.known() == Anchored(HEADS + 1, 2)
    assert world.files() == texts(range(1, HEADS + 1), range(HEADS + 1, HEADS + 2))


def test_heads_of_a_log_that_is_connected_late_go_in_few_commits_one_a_run(world: World) -> None:
    world.log.sign(45_000)
    assert [world.anchor() for _ in range(4)] == [1, 1, 1, 0]
    assert world.files() == texts(range(1, 20_001), range(20_001, 40_001), range(40_001, 45_001))
    assert world.known() == Anchored(45_000, 3)


def test_a_long_checkpoints_file_of_an_earlier_version_stays_as_it_is_and_another_goes_on(world: World) -> None:
    # As many as made the one file too long to be read, so that nothing was anchored any more.
    count = 1 + READABLE // len(make_note(1))
    world.log.sign(count)
    (old,) = texts(range(1, count + 1))
    assert len(old) > READABLE
    world.hold(count, old.encode())
    world.log.sign(3)
    world.anchor()
    assert world.files() == [old, *texts(range(count + 1, count + 4))]
    world.forge.read = world.forge.written = 0
    world.log.sign()
    world.anchor()
    assert world.files() == [old, *texts(range(count + 1, count + 5))]
    assert world.forge.read + world.forge.written < 10 * len(make_note(1))


@pytest.mark.parametrize("left", [0, 1, HEADS - 1, HEADS, HEADS + 1, 2 * HEADS])
def test_every_head_comes_again_in_its_order_when_the_branch_was_set_back(world: World, left: int) -> None:
    made = []
    for count in (1, HEADS - 2, 1, 1, HEADS - 1, HEADS):
        world.log.sign(count)
        world.anchor()
        made.append((len(world.log.heads), world.forge.branches[BRANCH]))
    world.log.sign(7)
    world.anchor()
    if left:
        world.forge.branches[BRANCH] = next(commit for size, commit in made if size >= left)
    else:
        del world.forge.branches[BRANCH]
    for _ in range(2):
        world.anchor()
        assert "".join(world.files()) == "".join(texts(range(1, len(world.log.heads) + 1)))
        assert world.known().size == len(world.log.heads)
        world.log.sign()


def test_what_others_wrote_between_the_heads_stays_and_hides_none(world: World) -> None:
    world.log.sign(6)
    first, second, third = texts(range(1, 3), range(3, 5), range(5, 7))
    written = f"a word\n{first}of another\n\n{second[:-2]}\n"
    world.hold(2, written.encode())
    world.anchor()
    # The fourth lacks the blank line after it.
    assert world.files() == [written + "".join(texts(range(4, 5))) + third]
    assert world.anchor() == 0


def test_a_commit_whose_answer_was_lost_is_found_also_where_it_began_a_file(world: World) -> None:
    world.log.sign(HEADS)
    world.anchor()
    before = world.held
    world.log.sign(2)
    world.anchor()
    world.held = before
    assert world.anchor() == 0
    assert world.known() == Anchored(HEADS + 2, 2)
