"""A training that was lost with its worker, or took long, must not put an older push in front of a newer one."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops.forge.mirror import GitMirror
from gitops.ports import Deps, Exit
from gitops.records import Repository, Role, Training, TrainingFacts
from gitops.steps import Done
from gitops.store import SqlStore
from gitops.training import TRAINING, hand_over
from gitops.writes import SaveRepository, StartTraining
from tests.support.deps import make_deps
from tests.support.githttp import Origin, serve_git
from tests.support.store import LEASE, Clock, make_training, take, write

LAUNCHPIN = b"""version: 1
model: iris
on:
  push: {branches: [main, other], paths: ["**"]}
train:
  project: .
register:
  gates: []
deploy:
  repository: acme/iris-deploy
  environments:
    staging: {path: staging, merge: auto}
"""


@pytest.fixture
def deps(store: SqlStore, tmp_path: Path) -> Iterator[Deps]:
    with serve_git(tmp_path / "origins") as server:
        origin = Origin.make(server.root / "acme" / "iris.git")
        model = Repository(id=1, full_name="acme/iris", role=Role.MODEL, clone_url=server.url("acme/iris"))
        deploy = Repository(id=2, full_name="acme/iris-deploy", role=Role.DEPLOY, clone_url=server.url("acme/deploy"))
        write(store, SaveRepository(model), SaveRepository(deploy))
        mirror = GitMirror(tmp_path / "mirrors", forge_api=server.api, token="t")
        made = make_deps(store, tmp_path, mirror=mirror)
        commit = origin.commit({"launchpin.yaml": LAUNCHPIN})
        mirror.fetch(model)
        yield replace(made, service=replace(made.service, bot=commit))


def begin(deps: Deps, **changes: Any) -> Training:  # noqa: ANN401 - any field of the record
    """Start a training of the commit; every one of them has a configuration of its own, so that none is another's."""
    training = make_training(commit=deps.service.bot, **changes)
    training = training.model_copy(update={"config_sha256": training.id.rjust(64, "0")})
    write(deps.store, StartTraining(training))  # type: ignore[arg-type]  # a store of ours
    return training


def register(store: SqlStore, clock: Clock, training: Training, version: str) -> Training:
    """Let a training be as far as its version, whoever held its job before."""
    clock.advance(2 * LEASE)
    claim = take(store)
    while claim.subject != training.id:
        claim = take(store)
    facts = {"version": version}
    store.finish(claim, Exit(store.training(training.id), Done(facts=facts), step="register", next_step="hand_over"))
    found = store.training(training.id)
    assert found is not None
    return found


def proposed(outcome: object) -> int:
    assert isinstance(outcome, Done)
    promotions = outcome.facts["promotions"]
    assert isinstance(promotions, list)
    return len(promotions)


def test_an_older_push_that_ends_later_is_registered_and_not_proposed(
    deps: Deps, store: SqlStore, clock: Clock
) -> None:
    older = begin(deps)
    clock.advance(timedelta(seconds=5))
    newer = begin(deps)
    ahead = register(store, clock, newer, "1")
    assert proposed(hand_over(deps, ahead)) == 1

    late = register(store, clock, older, "2")
    outcome = hand_over(deps, late)

    assert proposed(outcome) == 0
    assert isinstance(outcome, Done)
    assert outcome.message.startswith("iris 2 is registered and goes nowhere: 1 of the newer commit")


def test_pushes_that_end_in_their_order_are_all_proposed(deps: Deps, store: SqlStore, clock: Clock) -> None:
    first = begin(deps)
    clock.advance(timedelta(seconds=5))
    second = begin(deps)
    assert proposed(hand_over(deps, register(store, clock, first, "1"))) == 1
    assert proposed(hand_over(deps, register(store, clock, second, "2"))) == 1


@pytest.mark.parametrize("changes", [{"ref": "refs/heads/other"}, {"config_path": "other/launchpin.yaml"}])
def test_a_push_to_another_branch_or_of_another_model_overtakes_nobody(
    deps: Deps, store: SqlStore, clock: Clock, changes: dict[str, str]
) -> None:
    older = begin(deps)
    clock.advance(timedelta(seconds=5))
    other = begin(deps, **changes)
    register(store, clock, other, "1")
    assert proposed(hand_over(deps, register(store, clock, older, "2"))) == 1


def test_a_newer_push_without_a_version_overtakes_nobody(deps: Deps, store: SqlStore, clock: Clock) -> None:
    older = begin(deps)
    clock.advance(timedelta(seconds=5))
    begin(deps)
    assert proposed(hand_over(deps, register(store, clock, older, "1"))) == 1
    # The step that the question names is the story's own.
    assert TRAINING.after("register") is TRAINING.step("hand_over")


def test_another_try_of_an_older_push_goes_behind_a_newer_one(deps: Deps, store: SqlStore, clock: Clock) -> None:
    older = begin(deps)
    clock.advance(timedelta(seconds=5))
    newer = begin(deps)
    clock.advance(timedelta(seconds=5))
    again = begin(deps, nonce=older.id)
    once_more = begin(deps, nonce=again.id)
    ahead = register(store, clock, newer, "1")
    assert proposed(hand_over(deps, register(store, clock, once_more, "2"))) == 0
    # And the newer one, should it be looked at again, does not give way to that.
    assert proposed(hand_over(deps, ahead)) == 1


def test_another_try_of_the_newest_push_is_proposed(deps: Deps, store: SqlStore, clock: Clock) -> None:
    older, newer = begin(deps), begin(deps)
    clock.advance(timedelta(seconds=5))
    register(store, clock, older, "1")
    again = begin(deps, nonce=newer.id)
    assert proposed(hand_over(deps, register(store, clock, again, "2"))) == 1


def test_a_trial_that_a_person_chose_is_proposed_whatever_was_pushed_since(
    deps: Deps, store: SqlStore, clock: Clock
) -> None:
    searched = begin(deps)
    clock.advance(timedelta(seconds=5))
    newer = begin(deps)
    register(store, clock, newer, "1")
    chosen = begin(deps, nonce=f"{searched.id}.2", facts=TrainingFacts(trial=2, search_of=searched.id))
    assert proposed(hand_over(deps, register(store, clock, chosen, "2"))) == 1


def test_a_newer_push_does_not_give_way_to_a_trial_of_an_older_search(
    deps: Deps, store: SqlStore, clock: Clock
) -> None:
    searched = begin(deps)
    clock.advance(timedelta(seconds=5))
    newer = begin(deps)
    clock.advance(timedelta(seconds=5))
    chosen = begin(deps, nonce=f"{searched.id}.2", facts=TrainingFacts(trial=2, search_of=searched.id))
    register(store, clock, chosen, "1")
    assert proposed(hand_over(deps, register(store, clock, newer, "2"))) == 1
