"""`promote`: a version is proposed by hand, by the real forge, mirror and store; what may not be is refused."""

from datetime import timedelta

import pytest

from gitops.records import Command, MergeMode, Promotion
from gitops.steps import Phase
from gitops.writes import SaveEnvironment, SaveVersion, SetHold
from tests.integration.promotion_rig import World, server, world
from tests.support.store import make_command, make_environment, make_hold, make_version, write

__all__ = ["server", "world"]


@pytest.fixture
def place(world: World) -> World:
    """Give a world whose staging is known, with a version of the training that passed."""
    here = {"repository_id": world.deploy.id, "repository": world.deploy.full_name, "path": "staging"}
    write(
        world.store,
        SaveEnvironment(make_environment(**here), ()),
        SaveVersion(make_version(training_id=world.training.id)),
        SaveVersion(make_version(version="2", training_id=world.training.id)),
    )
    return world


def ask(world: World, **changes: str) -> Command:
    """Have a person ask for version 1 in staging; returns how it stands after a while."""
    arguments = {"model": "iris", "version": "1", "to": "iris-staging", **changes}
    asked = make_command(verb="promote", arguments=arguments)
    world.store.save_command(asked)
    for _ in range(2):
        world.handle()
        world.clock.advance(timedelta(seconds=2))
    world.handle()
    found = world.store.command(asked.id)
    assert found is not None
    return found


def promotions(world: World) -> list[Promotion]:
    """Return every promotion, the newest first."""
    return [one for one in world.store.recent("promotion") if isinstance(one, Promotion)]


def test_a_version_is_proposed_as_launchpin_yaml_says_with_who_asked_and_why(place: World) -> None:
    command = ask(place, reason="the board *wants* it")

    assert command.phase is Phase.SUCCEEDED, command.message
    (promotion,) = promotions(place)
    assert command.facts.result["pull_request"] == promotion.facts.number == 1
    assert (promotion.merge, promotion.cause.actor, promotion.version) == (MergeMode.AUTO, "mona", "1")
    body = place.forge.pull(place.deploy.full_name, 1).body
    assert "Asked for by hand, by mona: the board \\*wants\\* it" in body


def test_a_version_is_left_to_a_persons_merge_where_launchpin_yaml_does_not_name_the_place(place: World) -> None:
    other = make_environment(
        repository_id=place.deploy.id, repository=place.deploy.full_name, path="staging", name="elsewhere"
    )
    write(place.store, SaveEnvironment(other, ("name",)))
    assert ask(place, to=f"{place.deploy.full_name}:staging").phase is Phase.SUCCEEDED
    assert promotions(place)[0].merge is MergeMode.REVIEW


@pytest.mark.parametrize(
    ("serving", "merge", "words"),
    [("", MergeMode.REVIEW, "staging, which it needs, does not serve"), ("3", MergeMode.AUTO, "merged by launchpin")],
    ids=["not there yet", "there"],
)
def test_a_version_that_skips_an_environment_is_left_to_a_persons_merge(
    place: World, serving: str, merge: MergeMode, words: str
) -> None:
    """What launchpin.yaml merges by itself after staging is not merged by itself without staging."""
    file = place.model_clone / "launchpin.yaml"
    file.write_text(file.read_text().replace("needs: staging, merge: review", "needs: staging, merge: auto"))
    place.server.git("commit", "-q", "-a", "-m", "Merge to production by itself", cwd=place.model_clone)
    place.server.git("push", "-q", "origin", "HEAD:main", cwd=place.model_clone)
    place.store.wake("poll", str(place.model.id))
    place.handle()
    (training,) = (one for one in place.store.recent("training") if one.id != place.training.id)
    here = {"repository_id": place.deploy.id, "repository": place.deploy.full_name}
    known = place.store.environment(place.deploy.id, "staging")
    assert known is not None
    write(
        place.store,
        SaveVersion(make_version(version="3", training_id=training.id)),
        SaveEnvironment(known.model_copy(update={"serving": serving}), ("serving",)),
        SaveEnvironment(make_environment(**here, path="production", name="production", endpoint="iris-production"), ()),
    )

    command = ask(place, version="3", to="iris-production")

    assert command.phase is Phase.SUCCEEDED, command.message
    assert words in command.message
    assert promotions(place)[0].merge is merge


def test_asking_twice_opens_one_promotion_and_names_it_twice(place: World) -> None:
    write(place.store, SetHold(make_hold(repository_id=place.deploy.id)))
    first, second = ask(place), ask(place)
    assert first.facts.result == second.facts.result
    assert len(promotions(place)) == 1


def test_another_version_takes_the_place_of_the_open_one(place: World) -> None:
    write(place.store, SetHold(make_hold(repository_id=place.deploy.id)))
    ask(place, version="2")
    ask(place, version="1")
    newer, older = promotions(place)
    assert (newer.version, older.phase, older.version) == ("1", Phase.SUPERSEDED, "2")
    assert newer.facts.number == older.facts.number


def test_a_proposal_does_not_make_way_for_one_of_another_folder_of_the_same_name(place: World) -> None:
    write(place.store, SetHold(make_hold(repository_id=place.deploy.id)))
    other = make_environment(
        repository_id=place.deploy.id, repository=place.deploy.full_name, path="us/staging", endpoint="iris-us"
    )
    write(place.store, SaveEnvironment(other, ()))
    ask(place, version="2")

    command = ask(place, version="1", to="iris-us")

    assert (command.phase, command.reason) == (Phase.REFUSED, "NameTaken")
    assert "staging of " in command.message
    assert "iris 2 is proposed there" in command.message
    (open_one,) = promotions(place)
    assert (open_one.version, open_one.path, open_one.phase.is_final) == ("2", "staging", False)


def test_a_version_that_a_person_declined_is_proposed_again(place: World) -> None:
    promotion = place.promote("1")
    place.person.close_pull(place.deploy.full_name, place.now(promotion).facts.number or 0)
    assert place.now(promotion).reason == "PullRequestClosed"
    assert place.store.is_declined(place.deploy.id, "staging", "iris", "1")

    command = ask(place)

    assert command.phase is Phase.SUCCEEDED, command.message
    assert not place.store.is_declined(place.deploy.id, "staging", "iris", "1")
    assert command.facts.result["pull_request"] == 2


def test_a_hold_lets_the_proposal_through_and_is_told(place: World) -> None:
    write(place.store, SetHold(make_hold(repository_id=place.deploy.id, message="a quiet week")))
    command = ask(place)
    assert command.phase is Phase.SUCCEEDED
    assert "it rolls out once nothing holds it: a quiet week: launchpin resume iris-staging" in command.message
    assert promotions(place)[0].reason == "Held"


def test_nothing_is_proposed_that_is_pinned_already(place: World) -> None:
    known = place.store.environment(place.deploy.id, "staging")
    assert known is not None
    write(place.store, SaveEnvironment(known.model_copy(update={"pinned": "1"}), ("pinned",)))
    command = ask(place)
    assert (command.phase, command.reason) == (Phase.REFUSED, "AlreadyPinned")
    assert "iris-staging pins iris 1 already" in command.message


def test_a_pin_that_was_pushed_a_moment_ago_is_seen_by_the_story(place: World) -> None:
    text = (place.clone / "staging/buildspec.yml").read_text().replace('MODEL_VERSION=""', 'MODEL_VERSION="1"')
    place.push({"staging/buildspec.yml": text.encode()})
    command = ask(place)
    assert (command.phase, command.reason) == (Phase.REFUSED, "AlreadyPinned")


@pytest.mark.parametrize(
    ("recorded", "asked", "reason", "words"),
    [
        ({}, {"version": "9"}, "VersionUnknown", "iris 9 has no verdict of Launchpin's: launchpin versions 'iris'"),
        ({}, {"model": "wine"}, "VersionUnknown", "launchpin versions 'wine' lists those that have"),
        ({"version": "3", "verdict": "fail"}, {"version": "3"}, "VersionUnusable", "did not pass its gates"),
        ({"version": "3", "quarantined": True}, {"version": "3"}, "VersionUnusable", "quarantined"),
        ({"model": "wine", "version": "3"}, {"model": "wine", "version": "3"}, "OtherModel", "the place of the model"),
        ({}, {"to": "nowhere"}, "UnknownEndpoint", "launchpin endpoints lists them"),
    ],
)
def test_what_may_not_be_proposed_is_refused_with_why(
    place: World, recorded: dict[str, object], asked: dict[str, str], reason: str, words: str
) -> None:
    if recorded:
        write(place.store, SaveVersion(make_version(**recorded)))
    command = ask(place, **asked)
    assert (command.phase, command.reason) == (Phase.REFUSED, reason)
    assert words in command.message
    assert promotions(place) == []
