"""Two people see the same version go wrong: the second one's rollback goes no further back than the first one's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops.bootstrap import stories
from gitops.commands.rollbacks import rollback
from gitops.errors import RetryError
from gitops.forge.github import GitHubForge
from gitops.ports import Commit
from gitops.reconcile import Loop, run_next
from gitops.records import Cause, Command, CommandFacts, Health, Version
from gitops.steps import Done, Phase, Queue
from gitops.store import SqlStore
from gitops.writes import SaveEnvironment, SetHold
from tests.integration.rollout_rig import forge
from tests.support.deps import run_all
from tests.support.forge import ForgeUnderTest
from tests.support.rollouts import Deployment, make_deployment
from tests.support.store import Clock, make_command, make_hold, write

__all__ = ["forge"]

STAGING = {"endpoint": "iris-staging"}


@pytest.fixture
def deployment(forge: ForgeUnderTest, store: SqlStore, clock: Clock, tmp_path: Path) -> Deployment:
    """Give staging, where version 3 serves after 2 and 1."""
    made = make_deployment(forge, store, clock, tmp_path)
    for version in ("1", "2", "3"):
        made.add_version(version)
        made.serve(version)
    return made


@dataclass(frozen=True)
class DeafForge:
    """A real forge that takes no commit now."""

    real: GitHubForge

    def commit_file(self, *_: object, **__: object) -> Commit:
        raise RetryError("ForgeUnavailable", "nobody listens")

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def deafen(deployment: Deployment) -> GitHubForge:
    """Let the forge take no commit until its real one is put back."""
    real = deployment.deps.forge
    assert isinstance(real, GitHubForge)
    deployment.with_parts(forge=DeafForge(real))
    return real


def test_a_second_rollback_waits_for_the_first_while_git_cannot_be_written(deployment: Deployment) -> None:
    real = deafen(deployment)
    first = deployment.ask("rollback", reason="wrong labels")
    assert (deployment.live(), deployment.pinned()) == ("2", "3")
    second = deployment.ask("rollback", reason="odd answers")
    assert deployment.live() == "2"
    assert not second.phase.is_final
    assert second.facts.result == first.facts.result

    deployment.with_parts(forge=real)
    for command in (first, second):
        ended = deployment.ended(command)
        assert (ended.phase, ended.facts.result["version"]) == ("Succeeded", "2")
    assert (deployment.live(), deployment.pinned(), len(deployment.holds())) == ("2", "2", 1)
    assert len(deployment.rollouts()) == 4


def test_a_second_rollback_says_whose_the_first_is_and_how_to_go_further_back(deployment: Deployment) -> None:
    deafen(deployment)
    deployment.ask("rollback")
    asked = make_command(verb="rollback", arguments=STAGING, cause=Cause(kind="command", id="c-bob", actor="bob"))
    outcome = rollback(deployment.deps, asked)
    assert isinstance(outcome, Done)
    back = deployment.rollouts()[-1]
    assert outcome.message.startswith(
        f"iris-staging goes back to version 2 already, by rollout {back.id}, which mona asked for: Retrying: "
    )
    assert outcome.message.endswith("; --to names another version")


def test_a_second_rollback_goes_further_back_when_it_names_the_version(deployment: Deployment) -> None:
    real = deafen(deployment)
    deployment.ask("rollback")
    further = deployment.ask("rollback", to="1", reason="2 is wrong, too")
    deployment.with_parts(forge=real)
    ended = deployment.ended(further)
    assert ended.phase == "Succeeded", ended.message
    assert (deployment.live(), deployment.pinned()) == ("1", "1")


@pytest.mark.parametrize(("when", "version"), [("before", "2"), ("after", "1")])
def test_a_rollback_that_was_asked_for_before_the_first_was_over_goes_no_further(
    deployment: Deployment, when: str, version: str
) -> None:
    early = deployment.clock()
    deployment.clock.advance(timedelta(seconds=1))
    first = deployment.ended(deployment.ask("rollback"))
    assert (first.phase, deployment.environment().serving) == ("Succeeded", "2")
    asked = early if when == "before" else deployment.clock()
    outcome = rollback(deployment.deps, make_command(verb="rollback", arguments=STAGING, created_at=asked))
    assert isinstance(outcome, Done)
    result = outcome.facts["result"]
    assert isinstance(result, dict)
    assert result["version"] == version


def test_a_version_that_was_left_may_be_named_again(deployment: Deployment) -> None:
    """What serves is no earlier version, and what was rolled back is none to go back to unasked; a person may."""
    deployment.ended(deployment.ask("rollback", to="1"))
    assert deployment.environment().earlier == ("2",)
    again = deployment.ended(deployment.ask("rollback", to="3", reason="it was right"))
    assert (again.phase, deployment.live(), deployment.pinned()) == ("Succeeded", "3", "3")


def test_a_way_back_that_failed_is_not_the_one_that_is_waited_for(deployment: Deployment) -> None:
    deployment.target.unstartable.add("2")
    first = deployment.ended(deployment.ask("rollback"))
    assert (first.phase, deployment.live()) == ("Refused", "3")
    deployment.target.unstartable.clear()
    again = deployment.ended(deployment.ask("rollback"))
    assert again.facts.result["rollout"] != first.facts.result["rollout"]
    assert (again.phase, deployment.live()) == ("Succeeded", "2")


# ---------------------------------------------------------------- what was seen must be so when it is carried out


def carry_out(deployment: Deployment, seen: str, change: object) -> Command:
    """Have a rollback carried out that was asked for when staging stood so, after a change."""
    write(deployment.store, change)
    asked = make_command(verb="rollback", arguments=STAGING, facts=CommandFacts(seen=seen))
    deployment.store.save_command(asked)
    run_all(deployment.deps)
    return deployment.ended(asked)


def see(deployment: Deployment) -> str:
    """Return how staging stands now."""
    place = deployment.environment()
    standing = deployment.store.standing(place.repository_id, place.path)
    assert standing is not None
    return standing.digest_for("rollback")


def test_what_was_decided_on_an_endpoint_that_changed_before_a_worker_came_is_refused(deployment: Deployment) -> None:
    place = deployment.environment()
    hold = make_hold(repository_id=place.repository_id, path=place.path)
    ended = carry_out(deployment, see(deployment), SetHold(hold))
    assert (ended.phase, ended.reason) == ("Refused", "NotAsSeen")
    assert "iris-staging is not as it was when this was asked: version 3 serves" in ended.message
    assert "it is held" in ended.message
    assert (deployment.live(), len(deployment.rollouts())) == ("3", 3)


def test_health_that_changed_before_a_worker_came_keeps_no_rollback_back(deployment: Deployment) -> None:
    place = deployment.environment()
    worse = place.model_copy(update={"health": Health.DEGRADED, "message": "5 of 9 were 500"})
    ended = carry_out(deployment, see(deployment), SaveEnvironment(worse, ("health", "message")))
    assert (ended.phase, deployment.live()) == ("Succeeded", "2")


@dataclass
class Overtaken:
    """A store whose reader is overtaken by somebody else, in the middle of a step that has looked already."""

    real: SqlStore
    meanwhile: Callable[[], object]

    def version(self, model: str, version: str) -> Version | None:
        """Let the other one have its way first."""
        happen, self.meanwhile = self.meanwhile, lambda: None
        happen()
        return self.real.version(model, version)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def overtake(deployment: Deployment, late: Command, first: Command) -> Command:
    """Have two workers carry out two commands at once: both look before either writes; returns how the first asked is.

    Args:
        late: the one that is claimed first, and written last.
    """
    for command in (late, first):
        deployment.store.save_command(command)
    one = Loop(deps=deployment.deps, stories=stories(), owner="one")
    overtaken: Any = Overtaken(deployment.store, lambda: carry_on(one, first))
    return carry_on(replace(one, deps=replace(deployment.deps, store=overtaken), owner="two"), late)


def carry_on(loop: Loop, command: Command) -> Command:
    """Let a worker go on until it has carried a command out; returns how that is."""
    while (found := loop.deps.store.command(command.id)) is not None and found.phase is Phase.PENDING:
        assert run_next(loop, Queue.CONTROL)
    assert found is not None
    return found


def test_a_rollback_that_was_overtaken_while_it_was_carried_out_goes_nowhere(deployment: Deployment) -> None:
    """Both workers looked while nothing was on its way; the second to write would end what the first began."""
    seen = CommandFacts(seen=see(deployment))
    first = make_command(verb="rollback", arguments={**STAGING, "to": "2"})
    refused = overtake(deployment, make_command(verb="rollback", arguments={**STAGING, "to": "1"}, facts=seen), first)
    assert (refused.phase, refused.reason) == ("Refused", "NotAsSeen")
    assert "of version 2 is under way" in refused.message
    run_all(deployment.deps)
    assert deployment.ended(first).phase == "Succeeded"
    assert (deployment.live(), deployment.pinned(), len(deployment.rollouts())) == ("2", "2", 4)


def test_a_rollback_that_was_overtaken_by_the_same_one_waits_for_its_end(deployment: Deployment) -> None:
    real = deafen(deployment)
    first = make_command(verb="rollback", arguments=STAGING)
    late = overtake(deployment, make_command(verb="rollback", arguments=STAGING), first)
    run_all(deployment.deps)
    waiting = deployment.store.command(late.id)
    assert waiting is not None
    assert (deployment.live(), waiting.phase) == ("2", "Running")

    deployment.with_parts(forge=real)
    assert {deployment.ended(one).phase for one in (late, first)} == {"Succeeded"}
    assert (deployment.live(), deployment.pinned(), len(deployment.rollouts())) == ("2", "2", 4)
