"""The act of the kills: every part is killed once while pushes go on, and a client counts its predictions.

Nothing may be lost by it: the last push is trained, judged, proposed, merged and served, and a prediction fails at most
while the endpoint host itself comes back.
"""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gitops.cli.demo import ends, scenes
from gitops.cli.demo.stage import SceneError, Stage
from gitops.cli.demo.traffic import Failure, Traffic
from gitops.embedded.stack.record import Identity, PartState, State
from gitops.embedded.stack.supervisor import part_states
from gitops.records import Training
from gitops.steps import Phase

PARTS = ("valkey", "relay", "control", "training", "web", "forge", "mlflow", "endpoints")
"""Every part of the stack that stays, in the order of their deaths."""

SETTINGS = {"LAUNCHPIN_POLL": "10s", "LAUNCHPIN_LEASE": "15s"}
"""What is shortened for the act, where nobody set it: how soon a lost webhook and a lost worker are seen."""

PATIENCE = 15.0
"""Seconds after the endpoint host's own death in which a prediction may fail."""

_HOST = "endpoints"
_BACK = 120.0
_WAIT = 300.0
_PUSHES = 60.0
_PACE = 0.2


@dataclass
class Death:
    """How a part died and came back.

    Args:
        killed: by the monotonic clock.
        asked: predictions until then; after the act those since then, until the next death.
    """

    part: str
    killed: float
    back: float
    asked: int
    failed: tuple[Failure, ...] = ()

    @property
    def breaches(self) -> tuple[Failure, ...]:
        """The failures that may not be."""
        if self.part != _HOST:
            return self.failed
        return tuple(failure for failure in self.failed if failure.at > self.killed + PATIENCE)


def play_kill(stage: Stage, *, parts: Sequence[str] = PARTS) -> None:
    """Kill every part in turn while pushes go on, and see the same end as without.

    Args:
        parts: of `PARTS`, those to kill.
    """
    known = scenes.find_environment(stage, scenes.STAGING)
    body = scenes.example_request(stage, known.serving)
    pushed: list[str] = []
    with Traffic(f"{known.url}/invocations", body) as traffic:
        deaths = [_kill(stage, part, pushed, traffic) for part in PARTS if part in parts]
        _see_end(stage, pushed)
        _count(deaths, traffic)
    with stage.step("A client asked all the time") as facts:
        facts |= {death.part: _words(death, began=stage.began) for death in deaths}
    _show(stage, deaths)
    _insist(deaths, traffic)


def _kill(stage: Stage, part: str, pushed: list[str], traffic: Traffic) -> Death:
    """Kill a part, push while it is dead, and wait until it is back."""
    with stage.step(f"Kill {part}, push, and see it come back") as facts:
        if part == "training":
            if not pushed:
                pushed.append(_push(stage, "everything is well")[0])
            facts["in the middle of"] = stage.wait_for("waits for a training", lambda: _running(stage), timeout=_WAIT)
        process = _ready(stage, part)
        asked, killed = traffic.asked, time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        commit, tries = _push(stage, f"{part} is dead")
        pushed.append(commit)
        stage.wait_for(f"waits for {part}", lambda: _is_back(stage, part, process), timeout=_BACK, log=part)
        back = time.monotonic() - killed
        facts |= {"back after": f"{back:.1f} s", "pushed": commit}
        if tries > 1:
            facts["pushed again"] = f"{tries} times: the forge was not there"
    return Death(part, killed, back, asked)


def _ready(stage: Stage, part: str) -> Identity:
    """Wait until a part is ready, and return its process."""

    def look() -> Identity | None:
        state = _state(stage, part)
        return state.process if state.state is State.READY else None

    return stage.wait_for(f"waits for {part}", look, timeout=_BACK, log=part)


def _state(stage: Stage, part: str) -> PartState:
    return next(state for state in part_states(stage.layout) if state.name == part)


def _is_back(stage: Stage, part: str, before: Identity) -> bool | None:
    now = _state(stage, part)
    return True if now.state is State.READY and now.process != before else None


def _running(stage: Stage) -> str | None:
    """Return the training whose process runs now."""
    for record in stage.store.recent("training"):
        if not isinstance(record, Training) or record.repository != stage.example.repository:
            continue
        if record.step != "train" or record.phase.is_final:
            continue
        if (stage.layout.dir / "trainings" / "trainings" / f"{record.id}.json").exists():
            return record.id
    return None


def _push(stage: Stage, why: str) -> tuple[str, int]:
    """Commit something that trains anew and push it, again and again as a person would; return commit and tries."""
    folder = stage.model_folder
    with (folder / "train.py").open("a", encoding="utf-8") as script:
        script.write(f"# Pushed while {why}, {time.strftime('%H:%M:%S')}.\n")
    stage.git(folder, "commit", "-qam", f"Train again while {why}")
    deadline, tries = time.monotonic() + _PUSHES, 0
    while True:
        tries += 1
        try:
            stage.git(folder, "push", "-q", "launchpin", "main")
        except SceneError:
            if time.monotonic() > deadline:
                raise
            if stage.stop.wait(_PACE):
                raise KeyboardInterrupt from None
        else:
            return stage.git(folder, "rev-parse", "HEAD").strip(), tries


def _see_end(stage: Stage, pushed: Sequence[str]) -> None:
    """See the last push served, and every other one at an end that it has where nothing dies."""
    with stage.step("The last push is trained and judged") as facts:
        last = pushed[-1]
        training = stage.wait_for("trains", lambda: _over(stage, last), timeout=_WAIT, log="training")
        if training.phase is not Phase.SUCCEEDED:
            raise SceneError(f"the last push ended {training.phase}: {training.message}", log=stage.log("training"))
        version = training.facts.version or ""
        facts |= {
            "commit": last,
            "version": f"{stage.example.model} {version}",
            "attempts": str(training.facts.attempt or 1),
        }
    scenes.see_pull(stage, scenes.STAGING, version)
    scenes.see_rollout(stage, scenes.STAGING, version)
    with stage.step("Nothing was lost on the way") as facts:
        trainings = stage.wait_for("waits for the others", lambda: _ended(stage, pushed), timeout=_WAIT, log="training")
        facts["trainings"] = _list_ends(stage, pushed, trainings)
        facts["holds"] = str(len(stage.store.holds()))
        if stage.store.holds():
            raise SceneError(f"a hold was set: {stage.store.holds()[0].message}", log=stage.log("control"))
        ends.see_pinned(stage, version)
        facts["pinned and serving"] = f"{stage.example.model} {version}"
    scenes.see_pull(stage, scenes.PRODUCTION, version)
    with stage.step("No other pull request for production is open") as facts:
        facts["pull request"] = ends.see_one_proposal(stage)


def _over(stage: Stage, commit: str) -> Training | None:
    training = scenes.find_training(stage, commit)
    return training if training is not None and training.phase.is_final else None


def _ended(stage: Stage, pushed: Sequence[str]) -> list[Training] | None:
    """Return the pushes' trainings once none of them is under way."""
    found = ends.pushed_trainings(stage, pushed)
    return found if all(training.phase.is_final for training in found) else None


def _list_ends(stage: Stage, pushed: Sequence[str], trainings: Sequence[Training]) -> str:
    """Return each push with its end, which must be one that it has where nothing dies."""
    judged = ends.judge_pushes(pushed, trainings, is_ancestor=lambda old, new: ends.is_ancestor(stage, old, new))
    return ", ".join(f"{commit[:12]} {end}" for commit, end in zip(pushed, judged, strict=True))


def _count(deaths: Sequence[Death], traffic: Traffic) -> None:
    """Give each death the predictions between it and the next one."""
    spans = [(death.killed, death.asked) for death in deaths[1:]] + [(time.monotonic(), traffic.asked)]
    for death, (until, asked) in zip(deaths, spans, strict=True):
        death.asked = asked - death.asked
        death.failed = tuple(failure for failure in tuple(traffic.bad) if death.killed <= failure.at < until)


def _words(death: Death, *, began: float) -> str:
    at = death.killed - began
    return f"killed at {at:.1f} s, back after {death.back:.1f} s, {death.asked} predictions, {len(death.failed)} failed"


def _show(stage: Stage, deaths: Sequence[Death]) -> None:
    """Draw the table; a bar is as long as the part was away."""
    stage.console.say(f"{'':14}{'part':<11}{'killed at':>10}{'back after':>12}{'predictions':>13}{'failed':>8}")
    for death in deaths:
        at, back = f"{death.killed - stage.began:.1f} s", f"{death.back:.1f} s"
        numbers = f"{at:>10}{back:>12}{death.asked:>13}{len(death.failed):>8}"
        bar = "▇" * max(1, round(death.back))
        stage.console.say(f"{'':14}{death.part:<11}{numbers}  {stage.console.paint(bar, 'bright_black')}")


def _insist(deaths: Sequence[Death], traffic: Traffic) -> None:
    """Raise where a prediction failed that may not."""
    early = [failure for failure in traffic.bad if failure.at < deaths[0].killed]
    breaches = [f"{death.part}: {failure}" for death in deaths for failure in death.breaches] + [
        str(one) for one in early
    ]
    if breaches or not traffic.good:
        raise SceneError(f"{len(breaches)} predictions failed that must not, the first: {breaches[:1]}")
