"""What the demo plays after the good push: a model that is worse, models that break when they serve, parts that die."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from gitops.cli.demo import scenes
from gitops.cli.demo.kills import SETTINGS as SHORTENED
from gitops.cli.demo.kills import play_kill
from gitops.cli.demo.stage import SceneError, Stage
from gitops.cli.demo.traffic import Traffic
from gitops.records import Rollout, Training
from gitops.steps import Phase


@dataclass(frozen=True)
class Act:
    """What may be played after the good push.

    Args:
        settings: what it shortens, by variable, where nobody set it.
    """

    name: str
    play: Callable[[Stage], None]
    settings: Mapping[str, str] = field(default_factory=dict)


_WAIT = 300.0
_GOOD = "            {served},\n            name="
_BROKEN = (
    '            break_after({served}, {answers}),\n            serialization_format="cloudpickle",\n            name='
)
# A model that trains and answers as the good one does, until it has served a few predictions in another process.
_BRITTLE = '''
def break_after(model, answers):
    """Turn a good model into one that breaks after so many answers in another process."""

    class Brittle(type(model)):
        def predict(self, X):
            if os.getpid() != self.trained_in:
                self.served = getattr(self, "served", 0) + 1
                if self.served > self.answers:
                    raise RuntimeError("this model has broken")
            return super().predict(X)

    brittle = Brittle.__new__(Brittle)
    brittle.__dict__.update(model.__dict__, trained_in=os.getpid(), answers=answers)
    return brittle


'''


def play_worse(stage: Stage) -> None:
    """Push a model that is worse: it gets no pull request, and its commit says why."""
    folder = stage.model_folder
    _edit(folder / "launchpin.yaml", *stage.example.worse)
    training = _push(stage, "Push a commit that makes the model worse", stage.example.why_worse)
    with stage.step("The gates refuse it, and no pull request is opened") as facts:
        ended = stage.wait_for("judges", lambda: _over(stage, training), timeout=_WAIT)
        if ended.phase is not Phase.REFUSED:
            raise SceneError(f"the worse model was not refused: {ended.phase}, {ended.message}")
        if scenes.find_promotion(stage, scenes.STAGING, ended.facts.version or "none"):
            raise SceneError("a refused training has a pull request")
        facts["on the commit"] = stage.wait_for("waits for the check", lambda: _check(stage, training), timeout=_WAIT)
    stage.git(folder, "revert", "--no-edit", "HEAD")


def play_broken(stage: Stage) -> None:
    """Push models that break when they serve: both are rolled back while a client sees no error."""
    url = f"{_staging_url(stage)}/invocations"
    body = scenes.example_request(stage, _staging_version(stage))
    with Traffic(url, body) as traffic:
        _break(stage, 0, "one that fails its smoke test", "SmokeFailed")
        _resume(stage)
        _break(stage, 8, "one that breaks while it bakes", "EndpointUnhealthy")
        version = _good_again(stage)
    with stage.step("A client asked all the time") as facts:
        facts["good answers"] = str(traffic.good)
        facts["errors"] = str(len(traffic.bad))
        if traffic.bad or not traffic.good:
            raise SceneError(
                f"the client saw {len(traffic.bad)} errors, the first: {[str(one) for one in traffic.bad[:1]]}"
            )
    scenes.see_pull(stage, scenes.PRODUCTION, version)


def _break(stage: Stage, answers: int, what: str, reason: str) -> None:
    folder, served = stage.model_folder, stage.example.served
    script = folder / "train.py"
    _edit(script, _GOOD.format(served=served), _BROKEN.format(served=served, answers=answers))
    _edit(script, "\ndef main() -> None:", _BRITTLE + "def main() -> None:")
    _edit(script, "import argparse\n", "import argparse\nimport os\n")
    before = _staging_version(stage)
    training = _push(stage, f"Push a model that passes its gates: {what}", f"Break it: {what}")
    version = stage.wait_for("trains", lambda: _version(stage, training), timeout=_WAIT, log="training")
    with stage.step(f"It is rolled back: version {before} serves on") as facts:
        rollout = stage.wait_for(
            "rolls out",
            lambda: _ended_rollout(stage, version),
            timeout=_WAIT,
            doing=lambda: scenes.describe_rollout(stage, scenes.STAGING),
            log="endpoints",
        )
        facts["version"] = f"{stage.example.model} {version}"
        facts["reason"] = f"{rollout.reason}: {rollout.facts.failure_message or ''}"[:160]
        if (rollout.phase, rollout.reason, rollout.facts.serving) != (Phase.ROLLED_BACK, reason, before):
            raise SceneError(f"version {version} ended {rollout.phase} ({rollout.reason}): {rollout.message}")
        facts["Git says"] = _last_pin_commit(stage)
    stage.git(folder, "revert", "--no-edit", "HEAD")


def _resume(stage: Stage) -> None:
    with stage.step("The hold is lifted by a person"):
        stage.launchpin("resume", f"{stage.example.model}-staging")


def _good_again(stage: Stage) -> str:
    """Push a good version: it waits for the hold, and goes on when a person resumes."""
    training = _push(stage, "Push a good model again", "")
    version = stage.wait_for("trains", lambda: _version(stage, training), timeout=_WAIT, log="training")
    with stage.step("It waits, because the environment is held") as facts:
        facts["waits"] = stage.wait_for("waits for the hold", lambda: _held(stage, version), timeout=_WAIT)
    _resume(stage)
    scenes.see_rollout(stage, scenes.STAGING, version)
    return version


def _push(stage: Stage, title: str, message: str) -> Training:
    folder = stage.model_folder
    if message:
        stage.git(folder, "commit", "-qam", message)
    with stage.step(title) as facts:
        stage.git(folder, "push", "-q", "launchpin", "main")
        commit = stage.git(folder, "rev-parse", "HEAD").strip()
        training = stage.wait_for("waits", lambda: scenes.find_training(stage, commit), timeout=_WAIT, log="web")
        facts |= {"commit": commit, "training": training.id}
    return training


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    if old not in text:
        raise SceneError(f"{file.name} was changed by hand: the demo does not find {old.strip()!r}")
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def _over(stage: Stage, training: Training) -> Training | None:
    now = stage.store.training(training.id)
    return now if now is not None and now.phase.is_final else None


def _version(stage: Stage, training: Training) -> str | None:
    now = _over(stage, training)
    if now is not None and now.phase is not Phase.SUCCEEDED:
        raise SceneError(f"{now.phase}: {now.message}", log=str(stage.layout.log("training")))
    return now.facts.version if now else None


def _check(stage: Stage, training: Training) -> str | None:
    """Return the sentence on the commit's failed check, as the forge shows it."""
    with stage.forge() as forge:
        answer = forge.get(f"/repos/{stage.example.repository}/commits/{training.commit}/check-runs")
    runs = answer.raise_for_status().json()["check_runs"]
    return next((run["output"]["title"] for run in runs if run["conclusion"] == "failure"), None)


def _staging_version(stage: Stage) -> str:
    return scenes.find_environment(stage, scenes.STAGING).serving


def _staging_url(stage: Stage) -> str:
    return scenes.find_environment(stage, scenes.STAGING).url


def _ended_rollout(stage: Stage, version: str) -> Rollout | None:
    rollout = scenes.newest_rollout(stage, scenes.STAGING)
    if rollout is None or rollout.version != version or not rollout.phase.is_final:
        return None
    return rollout


def _last_pin_commit(stage: Stage) -> str:
    """Return what the deploy repository's last commit says."""
    with stage.forge() as forge:
        answer = forge.get(f"/repos/{stage.example.deploy}/commits/main")
    message: str = answer.raise_for_status().json()["commit"]["message"]
    if "Launchpin-Rollback-Of:" not in message:
        raise SceneError(f"the last commit of {stage.example.deploy} does not say that it rolls back: {message}")
    return message.splitlines()[0]


def _held(stage: Stage, version: str) -> str | None:
    promotion = scenes.find_promotion(stage, scenes.STAGING, version)
    return promotion.message if promotion is not None and promotion.reason == "Held" else None


ACTS: Mapping[str, Act] = {
    act.name: act for act in (Act("worse", play_worse), Act("broken", play_broken), Act("kill", play_kill, SHORTENED))
}


def find(name: str | None, parts: Sequence[str]) -> Act | None:
    """Return an act; one that kills does so to these parts alone, if any are named."""
    if name is None:
        return None
    act = ACTS[name]
    return replace(act, play=partial(play_kill, parts=parts)) if parts else act
