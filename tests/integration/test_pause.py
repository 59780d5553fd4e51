"""A pause: proposals go on, nothing is merged or rolled out anywhere, and a person can still go back."""

from datetime import timedelta

import pytest

from gitops.bootstrap import stories
from gitops.holding import EVERYWHERE
from gitops.reconcile import Loop, run_next
from gitops.records import Command, MergeMode
from gitops.steps import Phase, Queue
from gitops.writes import SetHold
from tests.integration.promotion_rig import World, server, world
from tests.integration.rollout_rig import deployment, forge
from tests.support.rollouts import Deployment
from tests.support.store import make_command, make_hold, write

__all__ = ["deployment", "forge", "server", "world"]


def pause(deployment: Deployment) -> Command:
    return deployment.ask("pause", endpoint="", reason="an audit")


def test_nothing_rolls_out_while_everything_is_paused_and_goes_on_afterwards(deployment: Deployment) -> None:
    deployment.serve("1")
    assert pause(deployment).message == "everything is paused: an audit"
    deployment.pin("2")
    deployment.later()
    waiting = deployment.rollouts()[-1]
    assert (deployment.live(), waiting.reason) == ("1", "Held")
    assert waiting.message == "everything is paused by mona, an audit: launchpin resume --all"

    resumed = deployment.ask("resume", endpoint="", all="yes", reason="it is over")

    assert (resumed.message, resumed.facts.result["lifted"]) == ("everything goes on", 1)
    assert deployment.live() == "2"


def test_an_environment_that_is_new_is_paused_too(deployment: Deployment) -> None:
    pause(deployment)
    deployment.configure("new", endpoint="iris-new")
    deployment.pin("1", path="new")
    deployment.later()
    assert deployment.live("iris-new") == ""
    assert deployment.rollouts("new")[0].reason == "Held"


def test_what_served_comes_back_by_itself_while_everything_is_paused(deployment: Deployment) -> None:
    """An order that was on its way when its worker was overtaken moves traffic: to take that back is no new rollout."""
    deployment.serve("1")
    before = deployment.environment().configuration
    deployment.serve("2")
    pause(deployment)
    deployment.deps.targets["local"].apply("iris-staging", before, bake=timedelta(0))
    assert deployment.live() == "1"

    deployment.later(seconds=61)

    assert (deployment.live(), deployment.rollouts()[-1].reason) == ("2", "Baking")


def test_a_person_goes_back_while_everything_is_paused(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.serve("2")
    pause(deployment)
    command = deployment.ended(deployment.ask("rollback", reason="wrong labels"))
    assert command.phase is Phase.SUCCEEDED, command.message
    assert (deployment.live(), deployment.pinned()) == ("1", "1")


def test_a_rollout_that_was_admitted_before_the_pause_gets_no_traffic_and_makes_way(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.serve("2")
    deployment.pin("3", compare=False)
    deployment.store.wake("compare", str(deployment.repository.id))
    loop = Loop(deps=deployment.deps, stories=stories(), owner="test")
    while deployment.rollouts()[-1].step != "prepare":
        assert run_next(loop, Queue.CONTROL)
    everything = {"repository_id": EVERYWHERE, "path": "", "environment": "", "model": ""}
    write(deployment.store, SetHold(make_hold(**everything, author="mona", message="an audit")))

    # What the test itself took from the queue comes up again when its lease is over.
    deployment.later(seconds=61)
    held = deployment.rollouts()[-1]
    assert (deployment.live(), held.phase, held.step, held.reason) == ("2", Phase.RUNNING, "prepare", "Held")

    command = deployment.ended(deployment.ask("rollback", reason="wrong labels"))

    assert command.phase is Phase.SUCCEEDED, command.message
    after = next(one for one in deployment.rollouts() if one.id == held.id)
    assert (deployment.live(), after.phase, after.reason) == ("1", Phase.SUPERSEDED, "NewerRollout")


def test_a_rollout_that_the_pause_met_on_its_way_goes_on_afterwards(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.pin("2", compare=False)
    deployment.store.wake("compare", str(deployment.repository.id))
    loop = Loop(deps=deployment.deps, stories=stories(), owner="test")
    while deployment.rollouts()[-1].step != "prepare":
        assert run_next(loop, Queue.CONTROL)
    pause(deployment)
    resumed = deployment.ask("resume", endpoint="", all="yes")
    assert resumed.phase is Phase.SUCCEEDED
    deployment.later()
    assert deployment.live() == "2"


def test_a_proposal_is_made_and_not_merged_while_everything_is_paused(world: World) -> None:
    world.store.save_command(make_command(verb="pause", arguments={}))
    world.handle()
    promotion = world.promote("1", merge=MergeMode.AUTO)
    now = world.now(promotion)
    assert (now.facts.number, now.reason) == (1, "Held")
    assert now.message == ("held, everything is paused by mona, no reason was given: launchpin resume --all")
    world.store.save_command(make_command(verb="resume", arguments={"all": "yes"}))
    for _ in range(3):
        world.handle()
        world.clock.advance(timedelta(seconds=31))
    assert world.now(promotion).phase is Phase.SUCCEEDED


def test_one_pause_is_enough(deployment: Deployment) -> None:
    first, second = pause(deployment), deployment.ask("pause", endpoint="", reason="other words")
    assert first.facts.result == second.facts.result
    assert second.message == "everything is paused already, by mona: an audit"
    assert len(deployment.store.holds()) == 1


def test_a_pause_and_a_hold_are_lifted_each_by_its_own(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.ask("hold", reason="a quiet week")
    pause(deployment)

    assert deployment.ask("resume").message.startswith("iris-staging is held no more; everything is paused by mona")
    assert deployment.ask("resume").message.startswith("iris-staging was not held; everything is paused by mona")
    deployment.ask("hold", reason="a quiet week")
    ended = deployment.ask("resume", endpoint="", all="yes")
    assert (ended.message, ended.facts.result["held"]) == (
        "everything goes on; held still: iris-staging",
        ["iris-staging"],
    )
    again = deployment.ask("resume", endpoint="", all="yes")
    assert again.message == "nothing was paused; held still: iris-staging"


@pytest.mark.parametrize("arguments", [{"endpoint": ""}, {"all": "yes"}])
def test_resume_is_told_what_is_meant(deployment: Deployment, arguments: dict[str, str]) -> None:
    command = deployment.ask("resume", **arguments)
    assert (command.phase, command.reason) == (Phase.REFUSED, "ArgumentsUnclear")
