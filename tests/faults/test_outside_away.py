"""Forge, MLflow or endpoint host are away for a while: it is shown, it heals by itself, and nothing is made twice.

The stories are the real ones over real outsides. What was made is judged by what the outsides hold afterwards, and by
comparison with the same story undisturbed.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gitops.store.migrate import migrate
from tests.faults.invariants import check
from tests.faults.outside import Match, Outside
from tests.faults.outside_cases import DROPPED, Away, Kind, Since, away_cases
from tests.faults.outside_play import Worker
from tests.faults.tally import Tally, choose, is_full, turn
from tests.faults.walker_scenes import SCENES, Scene
from tests.faults.walker_stage import Stage, set_stage
from tests.support.forge import ForgeUnderTest
from tests.support.store import make_url

CAUSES = {
    "forge": re.compile(r"Forge(Unavailable|RateLimited|BadReply)|GitTimeout|RepositoryMoved"),
    "tracking": re.compile(r"RegistryUnavailable|upstream_bad_reply"),
    "host": re.compile(r"EndpointHost(Unavailable|Answer)"),
}
# Their steps read the outside before they ask for the effect: the record says something new, or the branch has moved by
# the very commit whose reply was lost. What became of it, the outsides tell.
_SEEN_OTHERWISE = {"report_check", "check_pull_request", "commit_pin", "merge_pull_request", "write_back", "anchor"}
_LONGEST = 3600.0
_ROUNDS = 3


@dataclass
class Theatre:
    """The outsides, the folders, and how each story ends undisturbed."""

    stage: Stage
    folder: Path
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    kinds: dict[str, tuple[Kind, ...]] = field(default_factory=dict)
    played: int = 0

    def begin(self, name: str) -> Scene:
        """Make a scene of its own."""
        self.played += 1
        folder = self.folder / f"{name}-{self.played}"
        folder.mkdir()
        url = make_url(folder)
        migrate(url, host="test.example")
        return _whole(SCENES[name](self.stage, folder, url))

    def end(self, name: str) -> dict[str, Any]:
        """Return how a story ends when nothing is wrong."""
        if name not in self.ends:
            scene = self.begin(name)
            with closing(Worker(scene)) as worker:
                worker.begin()
                worker.finish()
            self.ends[name] = check(scene)
            self.kinds[name] = _kinds(scene)
        return self.ends[name]

    def made(self, name: str) -> tuple[Kind, ...]:
        """Return the kinds of writes that a story makes, as the journals have them."""
        self.end(name)
        return self.kinds[name]

    def outside(self, name: str) -> Outside:
        """Return an outside."""
        found: Outside = getattr(self.stage, name)
        return found


@pytest.fixture(scope="module")
def theatre(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    folder = tmp_path_factory.mktemp("away")
    with set_stage(folder / "stage", tracking_uri) as stage:
        # People and git reach the forge by the same address as the loop: it is away for everybody.
        behind = stage.behind
        seen = ForgeUnderTest(behind.home, stage.forge.url, behind.bot, behind.user)
        yield Theatre(replace(stage, forge_process=cast("Any", SimpleNamespace(forge=seen))), folder)


def test_i11_i14_i17_an_outside_that_is_away_is_shown_healed_and_made_nothing_twice(
    theatre: Theatre, tally: Callable[[str], Tally]
) -> None:
    row = tally("I11 I14 I16 I17 forge, MLflow, host away: shown, healed, nothing made twice")
    for case in choose(away_cases()):
        with row.case(str(case)):
            _play_away(theatre, case)
    row.check()


def test_i11_i14_i17_a_lost_reply_makes_nothing_twice(theatre: Theatre, tally: Callable[[str], Tally]) -> None:
    row = tally("I11 I14 I16 I17 every writing call: its reply lost after the effect, made once")
    cases = [(scene, kind) for scene, kinds in DROPPED.items() for kind in kinds]
    for scene, kind in choose(cases):
        with row.case(f"{scene}: {' '.join(kind)}"):
            _play_dropped(theatre, scene, (kind,))
    row.check()


def test_i11_i14_i17_every_first_reply_is_lost_and_nothing_is_made_twice(
    theatre: Theatre, tally: Callable[[str], Tally]
) -> None:
    row = tally("I11 I14 I16 I17 the first reply of every kind of write is lost, in one story")
    for scene in turn(list(DROPPED)):
        with row.case(scene):
            _play_dropped(theatre, scene, theatre.made(scene))
    row.check()


def test_every_kind_of_write_in_the_stories_has_its_reply_lost_once(theatre: Theatre) -> None:
    listed = {kind for kinds in DROPPED.values() for kind in kinds}
    played = [scene for scene in DROPPED if is_full() or scene in theatre.kinds]
    for scene in played or list(DROPPED)[:1]:
        missing = [kind for kind in theatre.made(scene) if not any(_is_listed(kind, each) for each in listed)]
        assert not missing, f"{scene}: {missing}"


# ---------------------------------------------------------------- how


def _whole(scene: Scene) -> Scene:
    """Return a scene that goes all the way, and whose audit heads are anchored where there is a place for them."""
    with closing(scene.open_store()) as store:
        if scene.deploy_repository is None:
            return scene
        store.wake("anchor", str(scene.deploy_repository.id))
        return replace(scene, play=replace(scene.play, parked="", origin=store.log_id))


def _play_away(theatre: Theatre, case: Away) -> None:
    ends = theatre.end(case.scene)
    scene = theatre.begin(case.scene)
    outside = theatre.outside(case.outside)
    rule = case.fault.begin(outside.script, Since(case.trigger, case.fault.scope))
    with ExitStack() as stack:
        stack.callback(_heal, outside)
        hurried = case.outside if case.fault.name == "slow" else ""
        worker = stack.enter_context(closing(Worker(scene, hurried=hurried)))
        worker.begin()
        assert worker.settle(until=lambda: bool(worker.troubled())), "nobody noticed"
        case.fault.deepen(outside.script)
        for _ in range(_ROUNDS):
            _assert_shown(worker, case)
            if case.fault.retry_after:
                asked = rule.fired
                worker.wake_all()
                worker.run_ready()
                assert rule.fired == asked, f"asked {rule.fired - asked} times before the time that it had named"
                _assert_shown(worker, case)
            worker.clock.reach(min(job.not_before for job in worker.troubled()))
            worker.run_ready()
        _heal(outside)
        worker.finish()
    assert rule.fired, "the fault never came"
    _assert_same(check(scene, unobserved=_SEEN_OTHERWISE), ends)


def _assert_shown(worker: Worker, case: Away) -> None:
    """Whoever waits says for what, and when it is tried again; no attempt of its own is used up."""
    now = worker.clock()
    troubled = worker.troubled()
    assert troubled, "nothing is shown as waiting"
    for job in troubled:
        said = f"{job.reason}: {job.message}"
        assert CAUSES[case.outside].search(said), f"{job.kind} {job.state} for another cause: {said}"
        assert job.attempts == 0, f"{job.kind} used up an attempt: {said}"
        seconds = (job.not_before - now).total_seconds()
        assert 0 < seconds <= _LONGEST, f"{job.kind} is tried again in {seconds} s"
    if case.fault.retry_after:
        soonest = min((job.not_before - now).total_seconds() for job in troubled)
        assert soonest >= case.fault.retry_after, f"tried again in {soonest} s, {case.fault.retry_after} s were asked"


def _play_dropped(theatre: Theatre, name: str, kinds: tuple[Kind, ...]) -> None:
    ends = theatre.end(name)
    scene = theatre.begin(name)
    with ExitStack() as stack:
        rules = []
        for outside, method, path in kinds:
            script = theatre.outside(outside).script
            stack.callback(script.clear)
            rules.append(script.apply_then_drop(_first_applied((method, path))))
        worker = stack.enter_context(closing(Worker(scene)))
        worker.begin()
        worker.finish()
    for kind, rule in zip(kinds, rules, strict=True):
        assert rule.fired == 1, f"{kind}: no such request"
        lost = [each for each in scene.effects()[kind[0]] if each.applied and not each.replied]
        assert lost, f"{kind}: no reply of it was lost"
    _assert_same(check(scene, unobserved=_SEEN_OTHERWISE), ends)


def _first_applied(match: Match) -> Match:
    """Return a match of the first such request that has an effect: the first version of a model is refused once."""
    if match != ("POST", "/model-versions/create$"):
        return match
    asked = []

    def second(method: str, path: str) -> bool:
        is_meant = method == "POST" and path.endswith("/model-versions/create")
        asked.extend([path] if is_meant else [])
        return is_meant and len(asked) > 1

    return second


def _kinds(scene: Scene) -> tuple[Kind, ...]:
    found = {
        (outside, effect.method, _pattern(effect.path))
        for outside, effects in scene.effects().items()
        for effect in effects
        if effect.applied
    }
    return tuple(sorted(found))


_VARIABLE = (
    (re.compile(r"^/api/v3/repos/[^/]+/[^/]+"), ""),
    (re.compile(r"(/artifacts/)\d.*"), r"\1"),
    (re.compile(r"(/check-runs/|/pulls/)\d+"), r"\1.*"),
    (re.compile(r"(/endpoints/|/configurations/)[^/]+"), r"\1.*"),
)


def _pattern(path: str) -> str:
    for pattern, word in _VARIABLE:
        path = pattern.sub(word, path)
    return f"{path}$" if not path.endswith("/") else path


def _is_listed(kind: Kind, listed: Kind) -> bool:
    outside, method, path = kind
    return (outside, method) == listed[:2] and re.search(
        listed[2], path.removesuffix("$").replace(".*", "1")
    ) is not None


def _heal(outside: Outside) -> None:
    outside.script.clear()
    outside.script.up()


def _assert_same(end: dict[str, Any], undisturbed: dict[str, Any]) -> None:
    for part, expected in undisturbed.items():
        found, wanted = end[part], expected
        if part.startswith("git "):
            # Commits of one second come in any order where two lines meet.
            found, wanted = ([[branch[0], *sorted(branch[1:])] for branch in each] for each in (found, wanted))
        assert found == wanted, f"{part}: {found} instead of {wanted}"
