"""Every failpoint of the loop, every commit, and every lost reply: the same end as without. Training and promotion.

What must hold is in `invariants`; here it is walked, and the walker itself is shown to see what goes wrong.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from gitops.failpoints import FailpointError, arm
from tests.faults.tally import turn
from tests.faults.test_walker_rollouts import CRASHES
from tests.faults.test_walker_rollouts import SCENES as OTHERS
from tests.faults.walker import ROOT, Walker, differing
from tests.faults.walker_cuts import EFFECTS, Cut, Score
from tests.faults.walker_lane import DATABASES, Listen, Open, walk_all, walk_scene
from tests.faults.walker_stage import Crash, Stage
from tests.support.endpoint_host import wait_until

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


# What these have beside the scene before them lies between the questions to the database.
_ASKING_NOTHING = {"build", "again"}
_WALKED = [(scene, name) for scene in SCENES for name in DATABASES if name == "sqlite" or scene not in _ASKING_NOTHING]


@pytest.mark.parametrize(("scene", "database"), _WALKED)
def test_i4_to_i25_hold_wherever_training_and_promotion_are_cut(
    walker: Walker, listen: Listen, tally: Open, scene: str, database: str
) -> None:
    walk_scene(walker, tally(f"I4-I25 walked: {scene}, {database}"), listen, scene=scene, database=database)


@pytest.mark.parametrize("scene", ["train", "promote", "anchor"])
def test_i27_who_stops_inside_a_commit_on_postgresql_loses_it_and_holds_nobody_up(
    walker: Walker, listen: Listen, tally: Open, scene: str
) -> None:
    """The server ends the transaction of whoever stands still in it."""
    score = listen(scene, "postgres")
    first = {hit.at: hit for hit in reversed(score.hits) if hit.name == "commit.before"}
    cuts = [Cut(scene, "stop", hit.name, hit.place, hit.at, is_stored=True) for hit in first.values()]
    row = tally(f"I27 stopped inside a commit, which the server ends: {scene}, postgres")
    walk_all(walker, row, turn(cuts), score)
    row.check()


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

# The endpoint host dies as it saves the first configuration of a case.
_SAVED = Cut("roll", "crash", "endpoint_host.save.before", 2)


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


def test_a_breach_shows_the_places_that_differ_and_not_the_rest() -> None:
    same = "what is the same " * 100
    found, expected = [[1, f"{same}one", "open"], ["a"]], [[1, f"{same}two", "open"], ["a"]]
    told = differing(found, expected)
    assert told == "[0][1] me what is the same one' instead of me what is the same two'"
    assert differing([["a"], ["b"]], [["a"]]) == "[['b']] instead of []"
    assert differing([["b"], ["a"]], [["a"], ["b"]]) == "[0][0] 'b' instead of 'a'; [1][0] 'a' instead of 'b'"


def test_a_host_that_dies_before_anybody_asks_it_is_waited_for(
    walker: Walker, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison finds nobody there, and no rollout is begun until it looks again."""
    crash = Stage.crash

    def die_at_once(stage: Stage, part: str, armed: str) -> Crash:
        made = crash(stage, part, armed)
        again, began = made.again, stage.host.journal.reads

        def come_back() -> None:
            wait_until(lambda: stage.host.journal.reads > began, "somebody asks the host in vain")
            again()

        made.again = come_back
        assert stage.host_process.process
        stage.host_process.process.kill()
        return made

    monkeypatch.setattr(Stage, "crash", die_at_once)
    walker.walk(_SAVED, listen("roll", "sqlite"))


def test_what_an_earlier_case_left_on_the_host_does_not_count(walker: Walker, listen: Listen) -> None:
    """A host that is started with a scorer left saves what becomes of it, before anybody asks for anything."""
    score = listen("roll", "sqlite")
    left = walker.stage.host_process.ready("left-1", "e-left")
    walker.walk(_SAVED, score)
    assert walker.stage.host_process.target.configuration(left) is None


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
