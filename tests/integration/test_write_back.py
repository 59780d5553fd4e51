"""Git is written after traffic went back: an answer that is lost, a branch that says no, a person who comes between."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gitops.errors import UnknownOutcomeError
from gitops.forge.github import GitHubForge
from gitops.ports import Commit
from gitops.records import Rollout
from tests.integration.test_rollout_story import deployment, forge, protect
from tests.support.reconcile import arm
from tests.support.rollouts import Deployment
from tests.unit.test_effects import open_intents

__all__ = ["arm", "deployment", "forge"]


@dataclass
class BrokenForge:
    """A real forge the answer of whose first commit to `main` is lost.

    Args:
        is_applied: whether the commit is made all the same.
        is_told: whether the answer comes after all.
        meanwhile: what happens before it.
    """

    real: GitHubForge
    is_applied: bool = True
    is_told: bool = False
    meanwhile: Callable[[], object] = lambda: None
    asked: list[str] = field(default_factory=list)

    def commit_file(self, full_name: str, *, parent: str, branch: str, **told: object) -> Commit:
        """Commit, or not, and lose the first answer."""
        self.asked.append(branch)
        is_lost = self.asked == ["main"]
        if not is_lost or self.is_applied:
            made = self.real.commit_file(full_name, parent=parent, branch=branch, **told)  # type: ignore[arg-type]
        if is_lost:
            self.meanwhile()
        if is_lost and not self.is_told:
            raise UnknownOutcomeError("ForgeUnavailable", "the connection broke")
        return made

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def lose_the_answer(
    deployment: Deployment, *, is_applied: bool, meanwhile: Callable[[], object], is_told: bool = False
) -> BrokenForge:
    real = deployment.deps.forge
    assert isinstance(real, GitHubForge)
    broken = BrokenForge(real, is_applied, is_told, meanwhile)
    deployment.with_parts(forge=broken)
    return broken


def fail(deployment: Deployment) -> Rollout:
    """Let version 2 fail where version 1 serves, with time to try again; returns how that rollout ended."""
    deployment.serve("1")
    deployment.target.answers["2"] = 500
    deployment.pin("2")
    deployment.later(4)
    ended = next(each for each in deployment.rollouts() if each.version == "2")
    assert (ended.phase, ended.reason) == ("RolledBack", "SmokeFailed")
    return ended


def commits(deployment: Deployment) -> int:
    """Return how many commits on main are a rollback's."""
    deployment.git("fetch", "-q", "origin")
    return deployment.git("log", "--format=%B", "origin/main").count("Launchpin-Rollback-Of:")


def test_a_commit_whose_answer_was_lost_is_found_and_not_made_again(deployment: Deployment, database_url: str) -> None:
    broken = lose_the_answer(deployment, is_applied=True, meanwhile=lambda: None)
    ended = fail(deployment)
    assert (broken.asked, commits(deployment), deployment.pinned()) == (["main"], 1, "1")
    assert ended.facts.write_back_sha == deployment.git("rev-parse", "origin/main").strip()
    assert [hold.reason for hold in deployment.holds()] == ["SmokeFailed"]
    assert open_intents(database_url) == []


def test_a_commit_that_was_lost_on_its_way_is_made_once_more(deployment: Deployment, database_url: str) -> None:
    broken = lose_the_answer(deployment, is_applied=False, meanwhile=lambda: None)
    ended = fail(deployment)
    assert (broken.asked, commits(deployment), deployment.pinned()) == (["main", "main"], 1, "1")
    assert ended.facts.write_back_sha == deployment.git("rev-parse", "origin/main").strip()
    assert open_intents(database_url) == []


def test_a_commit_is_made_anew_when_a_person_took_the_lost_one_away(deployment: Deployment, database_url: str) -> None:
    def take_away() -> None:
        deployment.git("push", "-q", "--force", "origin", "HEAD:refs/heads/main")

    broken = lose_the_answer(deployment, is_applied=True, meanwhile=take_away)
    fail(deployment)
    assert (broken.asked, commits(deployment), deployment.pinned()) == (["main", "main"], 1, "1")
    assert open_intents(database_url) == []


def test_a_commit_that_was_recorded_is_made_anew_when_it_was_taken_away_before_its_worker_ended(
    deployment: Deployment, database_url: str, arm: Callable[[str], None]
) -> None:
    def take_away_and_die() -> None:
        deployment.git("push", "-q", "--force", "origin", "HEAD:refs/heads/main")
        arm("finish.before=raise@1")

    broken = lose_the_answer(deployment, is_applied=True, is_told=True, meanwhile=take_away_and_die)
    fail(deployment)
    assert (broken.asked, commits(deployment), deployment.pinned()) == (["main", "main"], 1, "1")
    assert open_intents(database_url) == []


def test_a_persons_newer_pin_stays_when_the_answer_was_lost(deployment: Deployment, database_url: str) -> None:
    lose_the_answer(deployment, is_applied=False, meanwhile=lambda: deployment.pin("3", compare=False))
    ended = fail(deployment)
    assert (commits(deployment), deployment.pinned()) == (0, "3")
    assert ended.facts.write_back_sha is None
    assert open_intents(database_url) == []


def test_a_branch_that_takes_no_commit_leaves_no_intent_open(deployment: Deployment, database_url: str) -> None:
    protect(deployment)
    fail(deployment)
    assert len(deployment.pulls()) == 1
    assert open_intents(database_url) == []
