"""The space of a search: kept as it was accepted, when its first trials are begun, and drawn on its training's page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.spaces import Space, SpaceAxis
from gitops.steps import Phase
from gitops.store import SqlStore
from gitops.writes import KeepSpace
from tests.integration.search_rig import World, searching
from tests.support.dashboard import running_dashboard
from tests.support.searches import SEARCHED, fill_with_search
from tests.support.store import Clock, write

SEARCH = """\
search:
  strategy: random
  objective: {metric: accuracy}
  max_trials: 3
  max_parallel: 1
  space:
    leaves: {min: 2, max: 64, log: true}
    depth: {min: 1, max: 9}
    seed: {values: [mae, "${model}/${branch}", absolute, iris/main]}
"""
ACCEPTED = Space(
    axes=(
        SpaceAxis(name="leaves", low="2", high="64", log=True),
        SpaceAxis(name="depth", low="1", high="9"),
        SpaceAxis(name="seed", values=("mae", "iris/main", "absolute")),
    )
)


@pytest.fixture
def world(store: SqlStore, clock: Clock, tmp_path: Path) -> Iterator[World]:
    with searching(store, clock, tmp_path) as world:
        yield world


def test_space_is_kept_when_the_first_trials_are_begun_with_its_variables_filled_in(world: World) -> None:
    world.begin(SEARCH, parameters="")
    world.work(lambda: bool(world.trials))
    assert (len(world.trials), world.trial(1).phase) == (1, Phase.PENDING)
    assert world.store.space_of("t-1") == ACCEPTED
    world.scripts.play = lambda _: 0.9
    assert world.finish().phase is Phase.SUCCEEDED
    assert world.store.space_of("t-1") == ACCEPTED
    for trial in world.trials:
        assert list(trial.parameters) == [axis.name for axis in ACCEPTED.axes]
        assert trial.parameters["seed"] in ACCEPTED.axes[-1].values


def test_training_without_a_search_keeps_no_space(world: World) -> None:
    world.begin("")
    world.control()
    assert world.store.space_of("t-1") is None


def test_page_of_a_training_draws_the_space_that_was_kept_and_else_what_its_trials_have(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as fleet, fleet.client() as client:
        fill_with_search(fleet.home, 3, parameters=1)
        before = client.get(f"/trainings/{SEARCHED}").text
        assert "3 trials over 1 parameter," in before
        assert ">512</text>" not in before
        words = SpaceAxis(name="criterion", values=("zeta", "alpha"))
        space = Space(axes=(words, SpaceAxis(name="parameter_0", low="0", high="512")))
        write(fleet.store, KeepSpace(SEARCHED, space))
        page = client.get(f"/trainings/{SEARCHED}").text
        assert "3 trials over 2 parameters," in page
        assert ">512</text>" in page
        assert page.index(">zeta</text>") < page.index(">alpha</text>")
        assert "3 trials over 2 parameters," in client.get("/trainings/t-chosen").text
