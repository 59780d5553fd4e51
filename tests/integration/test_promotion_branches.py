"""I16: whose branch it is. A person's commits stay, ours make way, each exactly once."""

from dataclasses import replace

from gitops.errors import RetryError
from gitops.forge.github import GitHubForge
from gitops.forge.mirror import GitMirror
from gitops.ports import Ahead, CheckState
from gitops.records import Repository
from gitops.steps import Phase
from tests.integration.promotion_rig import BOT, BRANCH, InterruptedForge, World, server, world

__all__ = ["server", "world"]


def test_i16_a_persons_commits_stay_when_their_pull_request_was_closed(world: World) -> None:
    first = world.promote("1")
    number = world.now(first).facts.number or 0
    theirs = world.edit_branch()
    world.person.close_pull(world.deploy.full_name, number)
    assert world.now(first).reason == "PullRequestClosed"
    second = world.promote("2")
    assert world.now(second).reason == "BranchEdited"
    assert world.head() == theirs
    assert world.said() is CheckState.FAILURE
    # The way out that the sentence names.
    world.git("push", "-q", "origin", "--delete", BRANCH)
    assert world.now(second).reason == "AwaitingMerge"


def test_i16_a_persons_branch_of_our_name_stays_when_no_pull_request_ever_was(world: World) -> None:
    theirs = world.push({"staging/notes.md": b"mine\n"}, branch=BRANCH)
    assert world.now(world.promote()).reason == "BranchEdited"
    assert world.head() == theirs


def test_i16_a_persons_commits_stay_on_an_open_pull_request(world: World) -> None:
    number = world.now(world.promote("1")).facts.number
    theirs = world.edit_branch()
    now = world.now(world.promote("2"))
    assert (now.reason, f"pull request {number}" in now.message) == ("BranchEdited", True)
    assert world.head() == theirs


def test_i16_a_commit_that_a_person_pushes_while_our_branch_makes_way_stays(world: World) -> None:
    first = world.promote("1")
    world.person.close_pull(world.deploy.full_name, world.now(first).facts.number or 0)
    world.now(first)
    theirs = ""

    class PushedMeanwhile(InterruptedForge):
        def ahead(self, full_name: str, *, base: str, head: str) -> Ahead:
            nonlocal theirs
            found = super().ahead(full_name, base=base, head=head)
            theirs = theirs or world.edit_branch()
            return found

    forge = PushedMeanwhile(world.server.api, world.server.bot, login=BOT)
    world.loop = replace(world.loop, deps=replace(world.loop.deps, forge=forge))
    second = world.promote("2")
    assert "BranchMoved" in world.now(second).message
    assert world.head() == theirs
    assert world.now(second).reason == "BranchEdited"


def test_i16_our_older_branch_makes_way_once_when_the_reply_is_lost(world: World) -> None:
    first = world.promote("1")
    world.person.close_pull(world.deploy.full_name, world.now(first).facts.number or 0)
    world.now(first)

    class Lossy(GitMirror):
        """The mirror as a worker has it whose connection breaks once, after the branch was deleted."""

        lost = 0

        def delete_branch(self, repository: Repository, branch: str, *, at: str) -> None:
            super().delete_branch(repository, branch, at=at)
            self.lost += 1
            raise RetryError("ForgeUnavailable", "the connection broke")

    mirror = Lossy(world.clone.parent / "mirrors", forge_api=world.server.api, token=world.server.bot)
    world.loop = replace(world.loop, deps=replace(world.loop.deps, mirror=mirror))
    second = world.promote("2")
    assert "ForgeUnavailable" in world.now(second).message
    assert world.head() == ""
    assert world.now(second).reason == "AwaitingMerge"
    assert mirror.lost == 1


def test_our_own_older_branch_makes_way(world: World) -> None:
    first = world.promote("1")
    world.person.close_pull(world.deploy.full_name, world.now(first).facts.number or 0)
    world.now(first)
    now = world.now(world.promote("2"))
    assert now.reason == "AwaitingMerge"
    ahead = world.forge.ahead(world.deploy.full_name, base=now.facts.base_sha or "", head=world.head())
    assert (ahead.commits, ahead.by_us) == (1, True)


def test_a_branch_that_was_merged_makes_way_with_a_persons_commits_on_it(world: World) -> None:
    first = world.promote("1")
    number = world.now(first).facts.number or 0
    theirs = world.edit_branch()
    world.person.merge_pull(world.deploy.full_name, number, head_sha=theirs, title="Merge")
    assert world.now(first).phase is Phase.SUCCEEDED
    assert world.now(world.promote("2")).reason == "AwaitingMerge"


def test_a_version_is_proposed_again_after_its_pin_was_merged_and_set_back(world: World) -> None:
    unpinned = (world.clone / "staging/buildspec.yml").read_bytes()
    first = world.promote("1")
    pull = world.now(first).facts
    world.person.merge_pull(world.deploy.full_name, pull.number or 0, head_sha=pull.head_sha or "", title="Merge")
    world.now(first)
    world.git("pull", "-q", "origin", "main")
    world.push({"staging/buildspec.yml": unpinned})
    again = world.now(world.promote("1"))
    assert (again.reason, again.facts.number) == ("AwaitingMerge", (pull.number or 0) + 1)


def test_a_worker_adds_nothing_to_a_branch_that_moved_since_it_began(world: World) -> None:
    first = world.now(world.promote("1"))
    other = GitHubForge(world.server.api, world.server.bot, login=BOT)
    made: list[str] = []

    def commit_newer() -> None:
        newer = other.commit_file(
            world.deploy.full_name,
            parent=first.facts.head_sha or "",
            branch=BRANCH,
            path="staging/buildspec.yml",
            content=b"# what the promotion that took the place wrote\n",
            message="Newer",
            create=False,
        )
        made.append(newer.sha)

    world.forge.before_commit = commit_newer
    now = world.now(world.promote("2"))
    assert (now.reason, "BranchMoved" in now.message) == ("Retrying", True)
    assert [world.head()] == made
