"""Attack 73, tried: an admin of everything here registers a version, proposes it, and wants it to serve by themselves.

What decides is the merge, at the forge; the roles here reach no further than the pull request.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.errors import ConflictError
from gitops.records import Command, MergeMode, Promotion
from gitops.roles import AccessRole
from gitops.steps import Phase
from gitops.store import SqlStore
from gitops.writes import SaveEnvironment, SaveVersion
from tests.integration.promotion_rig import InterruptedForge, World, server, world
from tests.support.api import give_token, program
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.deps import run_all
from tests.support.forge import ForgeUnderTest
from tests.support.rollouts import Deployment, make_deployment
from tests.support.store import Clock, make_environment, make_version, write

__all__ = ["server", "world"]

NO = "At least 1 approving review is required by reviewers with write access."


class ReviewedForge(InterruptedForge):
    """A forge whose base branch is protected: nobody merges what somebody else has not approved."""

    def merge_pull(self, full_name: str, number: int, *, head_sha: str, title: str) -> str:
        del full_name, number, head_sha, title
        raise ConflictError("NotMergeable", NO)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Dashboard, Clock]]:
    """Give the API over the store that the worlds of these tests stand in, and that store's clock."""
    clocks: list[Clock] = []
    with running_dashboard(tmp_path / "home", lambda _, clock: clocks.append(clock)) as dashboard:
        # What the web process asks for, by the real time, is due at once for workers by this clock, which is ahead.
        clocks[0].advance(timedelta(hours=8))
        yield dashboard, clocks[0]


@pytest.fixture
def store(served: tuple[Dashboard, Clock]) -> SqlStore:
    return served[0].store


@pytest.fixture
def clock(served: tuple[Dashboard, Clock]) -> Clock:
    return served[1]


@pytest.fixture
def ada(served: tuple[Dashboard, Clock]) -> Iterator[httpx.Client]:
    """Give somebody who may do here whatever there is a role for."""
    dashboard, _ = served
    with program(dashboard, give_token(dashboard.store, "ada", {EVERYWHERE: AccessRole.ADMIN})) as client:
        yield client


def ask(client: httpx.Client, verb: str, arguments: dict[str, Any]) -> str:
    """Ask for something by the API; returns the command's id."""
    answer = client.post(f"/api/v1/{verb}", json=arguments)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(store: SqlStore, command_id: str) -> Command:
    found = store.command(command_id)
    assert found is not None
    assert found.phase.is_final, found.message
    return found


# ---------------------------------------------------------------- a way back is one


@pytest.fixture
def deployment(server: ForgeUnderTest, store: SqlStore, clock: Clock, tmp_path: Path) -> Deployment:
    """Give staging, where version 2 serves after version 1, and version 9, which passed its gates a minute ago."""
    made = make_deployment(server, store, clock, tmp_path)
    for version in ("1", "2"):
        made.add_version(version)
        made.serve(version)
    made.add_version("9")
    return made


def roll_back(client: httpx.Client, deployment: Deployment, version: str) -> Command:
    """Ask for a way back to a version, and let a worker do whatever comes of it."""
    asked = ask(client, "rollback", {"endpoint": "iris-staging", "to": version, "reason": "quick"})
    run_all(deployment.deps)
    deployment.later()
    return ended(deployment.store, asked)


def test_attack_73_a_rollback_reaches_no_version_that_never_served_there(
    deployment: Deployment, ada: httpx.Client
) -> None:
    before = len(deployment.rollouts())
    command = roll_back(ada, deployment, "9")
    assert (command.phase, command.reason) == ("Refused", "NeverServed")
    assert command.message == (
        "iris 9 never served on iris-staging: launchpin promote 'iris' 9 --to iris-staging proposes it"
    )
    assert (deployment.live(), deployment.pinned(), len(deployment.rollouts())) == ("2", "2", before)
    assert roll_back(ada, deployment, "1").phase == "Succeeded"
    assert (deployment.live(), deployment.pinned()) == ("1", "1")


def test_attack_73_a_version_that_served_elsewhere_is_no_way_back_here(
    deployment: Deployment, ada: httpx.Client
) -> None:
    deployment.configure("try", endpoint="iris-try")
    deployment.pin("9", path="try")
    deployment.target.end_bake("iris-try")
    deployment.later(1, seconds=6)
    assert deployment.environment("try").serving == "9"
    assert roll_back(ada, deployment, "9").reason == "NeverServed"
    assert deployment.live() == "2"


def test_attack_73_a_version_that_failed_its_bake_there_is_no_way_back(
    deployment: Deployment, ada: httpx.Client
) -> None:
    deployment.pin("9")
    assert deployment.live() == "9"
    ask(ada, "rollback", {"endpoint": "iris-staging", "reason": "odd answers"})
    run_all(deployment.deps)
    deployment.later()
    assert (deployment.live(), deployment.pinned()) == ("2", "2")
    assert roll_back(ada, deployment, "9").reason == "NeverServed"
    assert deployment.live() == "2"


def test_attack_73_the_number_of_another_models_version_is_no_way_back(
    deployment: Deployment, ada: httpx.Client
) -> None:
    """Where the pin was emptied and another model came, what served before is none of it."""
    known = deployment.environment()
    other = known.model_copy(update={"model": "wine", "serving": "", "configuration": "", "pinned": ""})
    deployment.add_version("1", model="wine")
    write(deployment.store, SaveEnvironment(other, ("model", "serving", "configuration", "pinned")))
    assert known.earlier == ("1",)
    for arguments, reason in (({"to": "1"}, "NeverServed"), ({}, "NoPrevious")):
        asked = ask(ada, "rollback", {"endpoint": "iris-staging", "reason": "quick", **arguments})
        run_all(deployment.deps)
        assert ended(deployment.store, asked).reason == reason


# ---------------------------------------------------------------- a proposal is one, whatever lets it go on


@pytest.fixture
def place(world: World) -> World:
    """Give a world whose production nothing serves in, and a version that passed."""
    here = {"repository_id": world.deploy.id, "repository": world.deploy.full_name}
    place = make_environment(**here, path="production", name="production", endpoint="iris-production")
    judged = make_version(version="2", training_id=world.training.id)
    write(world.store, SaveEnvironment(place, ()), SaveVersion(judged))
    return world


def work(world: World) -> None:
    """Let workers do whatever there is to do, for a while."""
    for _ in range(8):
        world.handle()
        world.clock.advance(timedelta(seconds=2))
    world.handle()


def promotion_of(world: World) -> Promotion:
    (found,) = (one for one in world.store.recent("promotion") if isinstance(one, Promotion))
    return found


def pinned(world: World) -> str:
    """Return the line of production's pin on the base branch."""
    world.git("fetch", "-q", "origin")
    text = world.git("show", "origin/main:production/buildspec.yml")
    return next(line.split('"')[1] for line in text.splitlines() if "MODEL_VERSION" in line)


def try_everything(world: World, client: httpx.Client, version: str) -> list[str]:
    """Ask for everything that goes on with something, or back to it; returns how each ended."""
    world.tell(world.git("rev-parse", "HEAD"))
    work(world)
    guid = world.store.recent("delivery", limit=1)[0].id
    tries: tuple[tuple[str, dict[str, Any]], ...] = (
        ("retry", {"name": "iris-production"}),
        ("resume", {"endpoint": "iris-production"}),
        ("redeliver", {"delivery": guid}),
        ("promote", {"model": "iris", "version": version, "to": "iris-production", "reason": "again"}),
        ("rollback", {"endpoint": "iris-production", "to": version, "reason": "quick"}),
        ("hold", {"endpoint": "iris-production", "reason": "for a moment"}),
        ("resume", {"endpoint": "iris-production"}),
    )
    found = []
    for verb, arguments in tries:
        asked = ask(client, verb, arguments)
        work(world)
        found.append(ended(world.store, asked).reason)
    return found


TRIED = ["", "", "", "", "NeverServed", "", ""]
"""How each of them ends: all are done but the rollback."""


def test_attack_73_whoever_proposes_a_version_gets_no_further_than_its_pull_request(
    place: World, ada: httpx.Client
) -> None:
    asked = ask(ada, "promote", {"model": "iris", "version": "2", "to": "iris-production", "reason": "mine"})
    work(place)
    assert ended(place.store, asked).phase is Phase.SUCCEEDED
    assert try_everything(place, ada, "2") == TRIED
    promotion = promotion_of(place)
    number, head = promotion.facts.number or 0, promotion.facts.head_sha or ""
    assert (promotion.phase.is_final, promotion.reason) == (False, "AwaitingMerge")
    assert (place.forge.pull(place.deploy.full_name, number).state, pinned(place)) == ("open", "")
    # At the forge it is decided, and nowhere else.
    place.person.merge_pull(place.deploy.full_name, number, head_sha=head, title="Merge")
    assert place.now(promotion.id).phase is Phase.SUCCEEDED
    assert pinned(place) == "2"


def test_attack_73_nothing_that_goes_on_merges_what_the_forge_wants_reviewed(place: World, ada: httpx.Client) -> None:
    """Where launchpin.yaml lets Launchpin merge, a protected branch has the last word, whoever asks how often."""
    parts = place.loop.deps
    reviewed = ReviewedForge(place.server.api, place.server.bot, login="launchpin[bot]")
    place.loop = replace(place.loop, deps=replace(parts, forge=reviewed))
    file = place.model_clone / "launchpin.yaml"
    file.write_text(file.read_text().replace("needs: staging, merge: review", "merge: auto"))
    place.server.git("commit", "-q", "-a", "-m", "Merge to production by itself", cwd=place.model_clone)
    place.server.git("push", "-q", "origin", "HEAD:main", cwd=place.model_clone)
    place.store.wake("poll", str(place.model.id))
    work(place)
    training = place.store.recent("training", limit=1)[0]
    write(place.store, SaveVersion(make_version(version="3", training_id=training.id)))
    ask(ada, "promote", {"model": "iris", "version": "3", "to": "iris-production", "reason": "mine"})
    work(place)
    assert promotion_of(place).merge is MergeMode.AUTO
    assert try_everything(place, ada, "3") == TRIED
    promotion = promotion_of(place)
    assert (promotion.phase.is_final, promotion.reason) == (False, "NotMergeable")
    assert NO in promotion.message
    assert pinned(place) == ""
