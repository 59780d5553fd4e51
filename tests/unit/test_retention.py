"""What may go: over random worlds nothing that is needed, in use or fresh is ever chosen."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.retention import (
    FRESH,
    LEFT_BEHIND,
    Choice,
    KeptConfiguration,
    Kind,
    Needed,
    Retention,
    Thing,
    World,
    choose,
    old_configurations,
    say,
)

DAY = timedelta(days=1)
MANY = settings(max_examples=300, deadline=None)
FILES = (Kind.LOGS, Kind.WORKSPACES, Kind.ENVIRONMENTS, Kind.MODELS, Kind.MIRRORS, Kind.LEFTOVERS, Kind.TRASH)
NAMES = st.sampled_from("abcdefgh")
AGES = st.timedeltas(min_value=timedelta(0), max_value=400 * DAY)


def things() -> st.SearchStrategy[list[Thing]]:
    sizes = st.integers(min_value=0, max_value=1000)
    return st.lists(st.builds(Thing, kind=st.sampled_from(FILES), name=NAMES, size=sizes, idle=AGES), max_size=30)


def configurations() -> st.SearchStrategy[list[KeptConfiguration]]:
    rows = st.builds(
        KeptConfiguration,
        name=st.text("abcdef0123456789", min_size=8, max_size=8),
        endpoint=st.sampled_from(["x", "y"]),
        model=NAMES,
        environment=NAMES,
        is_in_use=st.booleans(),
        prepared=AGES,
        served=st.none() | AGES,
    )
    return st.lists(rows, max_size=20, unique_by=lambda row: row.name)


def needs() -> st.SearchStrategy[Needed]:
    names = st.frozensets(NAMES)
    return st.builds(Needed, environments=names, models=names, mirrors=names, trainings=names)


def retentions() -> st.SearchStrategy[Retention]:
    ages = st.timedeltas(min_value=timedelta(0), max_value=100 * DAY)
    return st.builds(
        Retention,
        logs=ages,
        environments=ages,
        environments_size=st.integers(min_value=0, max_value=2000),
        models=ages,
        mirrors=ages,
        configurations=st.integers(min_value=3, max_value=6),
        configurations_age=st.timedeltas(min_value=7 * DAY, max_value=30 * DAY),
    )


def worlds() -> st.SearchStrategy[World]:
    return st.builds(World, things=things(), configurations=configurations(), needed=needs())


def is_needed(choice: Choice, world: World) -> bool:
    """Decide by the names alone, in other words than the rule's own."""
    by_kind = {
        Kind.ENVIRONMENTS: world.needed.environments,
        Kind.MODELS: world.needed.models,
        Kind.MIRRORS: world.needed.mirrors,
        Kind.LOGS: world.needed.trainings,
        Kind.WORKSPACES: world.needed.trainings,
    }
    return choice.thing.name in by_kind.get(choice.thing.kind, frozenset())


@MANY
@given(worlds(), retentions())
def test_nothing_that_is_needed_or_was_used_within_the_hour_is_chosen(world: World, retention: Retention) -> None:
    chosen = choose(world, retention)
    assert [choice for choice in chosen if is_needed(choice, world)] == []
    used = [choice.thing for choice in chosen if choice.thing.kind is not Kind.TRASH]
    assert [thing for thing in used if thing.idle < FRESH] == []


@MANY
@given(worlds(), retentions())
def test_nothing_is_chosen_twice_and_nothing_that_is_not_there(world: World, retention: Retention) -> None:
    files = [choice.thing for choice in choose(world, retention) if choice.thing.kind is not Kind.CONFIGURATIONS]
    left = list(world.things)
    for thing in files:
        left.remove(thing)


@MANY
@given(worlds(), retentions())
def test_what_is_not_chosen_is_needed_or_young_or_fits_in(world: World, retention: Retention) -> None:
    chosen = [choice.thing for choice in choose(world, retention)]
    ages = {Kind.LOGS: retention.logs, Kind.MODELS: retention.models, Kind.MIRRORS: retention.mirrors}
    ages |= {Kind.ENVIRONMENTS: retention.environments, Kind.LEFTOVERS: LEFT_BEHIND, Kind.WORKSPACES: LEFT_BEHIND}
    for thing in world.things:
        if thing not in chosen:
            age = max(ages.get(thing.kind, timedelta(0)), FRESH)
            assert thing.idle < age or is_needed(Choice(thing, ""), world)


@MANY
@given(worlds(), retentions())
def test_environments_fit_into_their_size_as_far_as_nobody_needs_them(world: World, retention: Retention) -> None:
    chosen = [choice.thing for choice in choose(world, retention)]
    kept = [thing for thing in world.things if thing.kind is Kind.ENVIRONMENTS and thing not in chosen]
    may_go = [thing for thing in kept if thing.idle >= FRESH and thing.size and not is_needed(Choice(thing, ""), world)]
    if retention.environments_size and may_go:
        assert sum(thing.size for thing in kept) <= retention.environments_size


@MANY
@given(configurations(), retentions())
def test_i21_no_configuration_in_use_goes_and_the_last_three_that_served_stay(
    rows: list[KeptConfiguration], retention: Retention
) -> None:
    gone = {choice.thing.name for choice in choose(World(configurations=rows), retention)}
    by_name = {row.name: row for row in rows}
    for name in gone:
        row = by_name[name]
        assert not row.is_in_use
        assert row.prepared >= LEFT_BEHIND
        assert row.served is None or row.served >= 7 * DAY
    for endpoint in ("x", "y"):
        served = [row for row in rows if row.endpoint == endpoint and row.served is not None]
        last = sorted(served, key=lambda row: row.served or timedelta())[:3]
        assert gone & {row.name for row in last} == set()


def test_i21_orphans_go_after_a_day_and_push_nothing_out() -> None:
    def row(name: str, *, served: float | None, prepared: float = 40) -> KeptConfiguration:
        ago = None if served is None else served * DAY
        return KeptConfiguration(name, "x", "m", "e", is_in_use=False, prepared=prepared * DAY, served=ago)

    rows = [row(f"orphan-{n}", served=None, prepared=n) for n in (0.5, 2, 3, 4)]
    rows += [row(f"served-{n}", served=n) for n in (1, 6, 8, 9, 10)]
    gone = [one.name for one in old_configurations(rows, keep=3, age=7 * DAY)]
    assert gone == ["served-9", "served-10", "orphan-2", "orphan-3", "orphan-4"]


def test_the_environments_unused_longest_go_first_when_there_are_too_many() -> None:
    idle = {"old": 5 * DAY, "older": 9 * DAY, "new": timedelta(minutes=5), "used": 20 * DAY}
    found = [Thing(Kind.ENVIRONMENTS, name, 100, age) for name, age in idle.items()]
    world = World(found, needed=Needed(environments=frozenset({"used"})))
    assert [choice.thing.name for choice in choose(world, Retention(environments_size=300))] == ["older"]
    assert [choice.thing.name for choice in choose(world, Retention(environments_size=1))] == ["older", "old"]
    assert choose(world, Retention(environments_size=0)) == ()


@pytest.mark.parametrize(
    ("time", "words"),
    [(30 * DAY, "30 days"), (DAY, "24 hours"), (timedelta(hours=1), "1 hour"), (2.5 * DAY, "2.5 days")],
)
def test_a_time_is_said_in_words(time: timedelta, words: str) -> None:
    assert say(time) == words
