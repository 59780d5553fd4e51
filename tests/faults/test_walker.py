"""Every failpoint of the loop, every commit, and every lost reply: the same end as without. Training and promotion.

What must hold is in `invariants`; here it is walked, and the walker itself is shown to see what goes wrong.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from gitops.failpoints import FailpointError, arm
from tests.faults.test_walker_rollouts import CRASHES
from tests.faults.test_walker_rollouts import SCENES as OTHERS
from tests.faults.walker import ROOT, Walker
from tests.faults.walker_cuts import EFFECTS, Cut, Score
from tests.faults.walker_lane import DATABASES, Listen, Open, databases, listen, walk_scene, walker

__all__ = ["databases", "listen", "walker"]

SCENES = ("train", "build", "promote", "again", "anchor")
# Failpoints that no worker of the loop comes by, and who cuts them.
_ELSEWHERE = {
    "receive": "faults/test_receiving.py",
    "discard": "integration/test_gc.py",
    "discard_mark": "integration/test_gc.py",
    "local_target.discard": "faults/test_walker.py",
    "sign_head": "integration/test_relay.py",
    "wake": "faults/test_broker.py",
}


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("scene", SCENES)
def test_i4_to_i25_hold_wherever_training_and_promotion_are_cut(
    walker: Walker, listen: Listen, tally: Open, scene: str, database: str
) -> None:
    walk_scene(walker, tally(f"I4-I25 walked: {scene}, {database}"), listen, scene=scene, database=database)


@pytest.mark.parametrize("place", ["local_target.discard.before", "local_target.discard.after"])
def test_a_configuration_whose_removal_is_cut_is_gone_the_next_time(walker: Walker, place: str) -> None:
    host = walker.stage.host_process
    name = host.ready(f"spent-{place.rpartition('.')[2]}", "e-spent")
    arm(f"{place}=raise@1")
    try:
        with pytest.raises(FailpointError):
            host.target.discard(name, idle=timedelta(0))
        assert host.target.discard(name, idle=timedelta(0)) is place.endswith("before")
    finally:
        arm("")
    assert host.target.configuration(name) is None


# ---------------------------------------------------------------- the walker itself


def _first(score: Score, scene: str, action: str, name: str) -> Cut:
    hit = next(hit for hit in score.hits if hit.name == name)
    return Cut(scene, action, name, hit.place, hit.at)


def test_a_version_that_is_made_twice_is_a_breach(walker: Walker, listen: Listen) -> None:
    score = listen("train", "sqlite")
    cut = _first(score, "train", "kill", "create_version.after")
    with pytest.raises(AssertionError, match="I14: versions of"):
        walker.walk(cut, score, is_blind=True)


def test_a_run_that_is_forgotten_is_a_breach(walker: Walker, listen: Listen) -> None:
    score = listen("train", "sqlite")
    cut = _first(score, "train", "kill", "start_run.after")
    with pytest.raises(AssertionError, match=r"I11: run .* is RUNNING"):
        walker.walk(cut, score, is_blind=True)


def test_another_end_than_undisturbed_is_a_breach(walker: Walker, listen: Listen) -> None:
    score = listen("anchor", "sqlite")
    other = replace(score, state={**score.state, "pulls": [["another"]]})
    with pytest.raises(AssertionError, match="pulls ended as"):
        walker.walk(_first(score, "anchor", "kill", "anchor.before"), other)


def test_a_cut_that_does_not_happen_is_a_breach(walker: Walker, listen: Listen) -> None:
    score = listen("anchor", "sqlite")
    for action in ("kill", "stop", "raise"):
        with pytest.raises(AssertionError, match=r"the worker ended as done|was passed \d+ times only"):
            walker.walk(Cut("anchor", action, "claim.after", 999), score)
    with pytest.raises(AssertionError, match="no reply was lost"):
        walker.walk(Cut("anchor", "lose", "forge", 999), score)


def _sources() -> Iterator[str]:
    for folder in ("gitops", "workers", "webhooks"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file.read_text(encoding="utf-8")


def _effects() -> set[str]:
    made = re.compile(r"effects\.(?:once|renew|recover)\(\s*\"([a-z_]+)\"")
    return {name for text in _sources() for name in made.findall(text)}


def _failpoints() -> set[str]:
    named = re.compile(r"failpoint\(\"([a-z_.]+)\"\)")
    found = {name for text in _sources() for name in named.findall(text)}
    return found | {f"{name}.{when}" for name in _effects() for when in ("before", "after")}


def test_every_effect_of_the_source_is_known_to_the_walker() -> None:
    assert _effects() == EFFECTS


def test_every_failpoint_of_the_source_is_walked_or_cut_by_a_named_test(listen: Listen) -> None:
    walked = {hit.name for scene in (*SCENES, *OTHERS) for hit in listen(scene, "sqlite").hits}
    walked |= {f"{name}.{when}" for names in CRASHES.values() for name in names for when in ("before", "after")}
    left = {name for name in _failpoints() - walked if not _is_cut_elsewhere(name)}
    assert not left, f"no scene comes by {sorted(left)}"


def _is_cut_elsewhere(name: str) -> bool:
    """Return whether the test that is named for a failpoint speaks of it."""
    for known, place in _ELSEWHERE.items():
        if name.rpartition(".")[0] == known:
            return name in (ROOT / "tests" / place).read_text(encoding="utf-8")
    return False
