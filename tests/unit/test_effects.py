"""Effects that take each other's place, and effects of attempts that were lost; those made once are with the loop."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from gitops.errors import RefusedError
from gitops.ports import Deps
from gitops.reconcile import run_until_idle
from gitops.records import Training
from gitops.steps import Done, Outcome, Queue, Wait
from tests.support.reconcile import Made, World, arm, world
from tests.support.store import LEASE

__all__ = ["arm", "world"]


def tell(world: World, *contents: str) -> Callable[[Deps, Training], Outcome]:
    """Return a step that says one thing at each look, again and again the last."""
    left = list(contents)

    def run(deps: Deps, _: Training) -> Outcome:
        content = left[0]
        deps.effects.renew("say", "say:1", content=content, act=lambda: world.outside.append(content))
        if len(left) > 1:
            left.pop(0)
            return Wait(timedelta(0), "Later")
        return Done()

    return run


def open_intents(url: str) -> list[str]:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return list(connection.execute(text("SELECT key FROM effects WHERE observed_at IS NULL")).scalars())


# ------------------------------------------------------------ what takes each other's place


def test_what_was_told_last_is_not_told_again(world: World) -> None:
    run_until_idle(world.loop(tell(world, "a", "a", "b", "b")), Queue.CONTROL)
    assert world.outside == ["a", "b"]


def test_what_was_told_before_is_told_again_when_something_else_was_told_meanwhile(world: World) -> None:
    run_until_idle(world.loop(tell(world, "held", "waits", "held")), Queue.CONTROL)
    assert world.outside == ["held", "waits", "held"]


def test_what_was_told_last_is_told_again_when_the_outside_is_seen_not_to_say_so(
    world: World, database_url: str
) -> None:
    def insist(deps: Deps, _: Training) -> Outcome:
        said = len(world.outside)
        deps.effects.renew("say", "say:1", content="a", act=lambda: world.outside.append("a"), anew=True)
        return Done() if said else Wait(timedelta(0), "Later")

    run_until_idle(world.loop(insist), Queue.CONTROL)
    assert world.outside == ["a", "a"]
    assert open_intents(database_url) == []


def test_the_intent_of_what_the_outside_refused_stays_open_until_something_is_told_in_its_place(
    world: World, database_url: str
) -> None:
    def refuse() -> None:
        raise RefusedError("branch_protected", "not from you")

    def give_way(deps: Deps, _: Training) -> Outcome:
        with pytest.raises(RefusedError):
            deps.effects.renew("say", "say:1", content="a", act=refuse)
        assert open_intents(database_url) == ["say:1"]
        deps.effects.renew("say", "say:1", content="", act=lambda: None)
        return Done()

    run_until_idle(world.loop(give_way), Queue.CONTROL)
    assert world.now.phase == "Succeeded"
    assert open_intents(database_url) == []


@pytest.mark.parametrize("place", ["say.before", "say.after"])
def test_no_intent_stays_open_when_there_is_something_else_to_tell_after_a_failure(
    world: World, arm: Callable[[str], None], database_url: str, place: str
) -> None:
    arm(f"{place}=raise@1")
    run_until_idle(world.loop(tell(world, "old")), Queue.CONTROL)
    assert open_intents(database_url) == ["say:1"]

    world.wait_out()
    run_until_idle(world.loop(tell(world, "new")), Queue.CONTROL)

    assert world.outside[-1] == "new"
    assert open_intents(database_url) == []


def test_nothing_is_told_by_a_worker_whose_lease_ran_out_meanwhile(world: World) -> None:
    loop = world.loop(tell(world, "late"))

    def overtaken(deps: Deps, record: Training) -> Outcome:
        world.clock.advance(LEASE * 2)
        run_until_idle(world.loop(tell(world, "new")), Queue.CONTROL)
        deps.effects.renew("say", "say:1", content="late", act=lambda: world.outside.append("late"))
        return tell(world, "late")(deps, record)

    run_until_idle(world.loop(overtaken), Queue.CONTROL)
    run_until_idle(loop, Queue.CONTROL)
    assert world.outside == ["new"]


# ------------------------------------------------------------ what lost attempts left


def recover(world: World, found: list[Made | None]) -> Callable[[Deps, Training], Outcome]:
    def run(deps: Deps, _: Training) -> Outcome:
        made = Made(name=world.outside[0]) if world.outside else None
        found.append(deps.effects.recover("make", "make:1", look=lambda: made, result=Made))
        return Done()

    return run


@pytest.mark.parametrize(("place", "made"), [("make.before", None), ("make.after", Made(name="thing 1"))])
def test_what_a_lost_attempt_left_is_found_and_its_intent_followed_up(
    world: World, arm: Callable[[str], None], database_url: str, place: str, made: Made | None
) -> None:
    arm(f"{place}=raise@1")
    run_until_idle(world.loop(world.make), Queue.CONTROL)
    world.wait_out()

    found: list[Made | None] = []
    run_until_idle(world.loop(recover(world, found)), Queue.CONTROL)

    assert found == [made]
    assert open_intents(database_url) == []


def test_what_was_observed_is_recovered_without_looking(world: World) -> None:
    def make_then_recover(deps: Deps, record: Training) -> Outcome:
        done = world.make(deps, record)
        world.outside.clear()
        found: list[Made | None] = []
        recover(world, found)(deps, record)
        assert found == [Made(name="thing 1")]
        return done

    run_until_idle(world.loop(make_then_recover), Queue.CONTROL)
    assert world.now.facts.run_id == "thing 1"


def test_what_was_never_made_is_looked_for_and_made_when_it_is_wanted_after_all(world: World) -> None:
    def recover_then_make(deps: Deps, record: Training) -> Outcome:
        assert deps.effects.recover("make", "make:1", look=lambda: None, result=Made) is None
        return world.make(deps, record)

    run_until_idle(world.loop(recover_then_make), Queue.CONTROL)
    assert (world.outside, world.looks) == (["thing 1"], 1)
