"""The demo's main scenes: from a push to a prediction from production, and the proof of it."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from gitops.audit.verify import Code, verify_bundle
from gitops.cli.demo.stage import SceneError, Stage
from gitops.cli.demo.terminal import enter_pressed
from gitops.embedded.stack.logins import mint_forge_link
from gitops.records import Environment, Promotion, Rollout, Training
from gitops.steps import Phase
from gitops.words import cut

STAGING, PRODUCTION = "staging", "production"
_DOING = {"": "waits for a worker", "environment": "resolves and installs", "train": "runs train.py"}
_TRAINING_TIME = 300.0
_WAIT = 120.0
_MERGES_ITSELF = 60.0


def connect(stage: Stage) -> None:
    """Write the two repositories and put them under Launchpin's care, as the tutorial does."""
    stage.home.mkdir(parents=True, exist_ok=True)
    example = stage.example
    folder, deploy_folder = example.model, f"{example.model}-deploy"
    with stage.step("Write and connect a model and a deploy repository") as facts:
        if not (stage.home / deploy_folder).exists():
            stage.launchpin("init", "deploy", deploy_folder, "--model", example.model)
            stage.launchpin("init", "model", folder, "--template", example.template, "--deploy", example.deploy)
        stage.launchpin("add", deploy_folder, "--as", example.deploy)
        stage.launchpin("add", folder, "--as", example.repository)
        facts |= {"model": example.repository, "deploy": example.deploy}
        stage.git(stage.home / deploy_folder, "fetch", "-q", "launchpin")
        push_new(stage, stage.home / deploy_folder)


def push_new(stage: Stage, folder: Path) -> None:
    """Push a clone's main branch, on top of what Launchpin wrote there meanwhile."""
    known = stage.git(folder, "branch", "--remotes", "--list", "launchpin/main").strip()
    if known:
        stage.git(folder, "rebase", "-q", "launchpin/main")
    stage.git(folder, "push", "-q", "launchpin", "main")


def change_something(stage: Stage) -> None:
    """Make a second demo in the same folder a new commit: the same model, trained again."""
    folder = stage.model_folder
    if stage.git(folder, "branch", "--remotes", "--list", "launchpin/main").strip():
        with (folder / "train.py").open("a", encoding="utf-8") as script:
            script.write(f"# Trained again at {time.strftime('%Y-%m-%d %H:%M:%S')}.\n")
        stage.git(folder, "commit", "-qam", "Train again")


def push_model(stage: Stage) -> str:
    """Push the model repository, and return the commit."""
    folder = stage.model_folder
    with stage.step("Push a commit to the model repository") as facts:
        stage.git(folder, "push", "-q", "launchpin", "main")
        commit = stage.git(folder, "rev-parse", "HEAD").strip()
        facts["commit"] = commit
    return commit


def see_delivery(stage: Stage, commit: str) -> Training:
    """Watch the signed webhook arrive and become a training."""
    with stage.step("Its signed webhook arrives") as facts:
        training = stage.wait_for(
            "waits for the delivery", lambda: find_training(stage, commit), timeout=_WAIT, log="web"
        )
        facts["delivery"] = training.cause.id or training.cause.kind
        facts["training"] = training.id
    return training


def find_training(stage: Stage, commit: str) -> Training | None:
    """Return the training of a commit."""
    for record in stage.store.recent("training"):
        if isinstance(record, Training) and record.commit == commit:
            return record
    return None


def watch_training(stage: Stage, training: Training) -> Training:
    """Watch a Celery worker train, and MLflow hold the run."""

    def look() -> Training | None:
        return stage.store.training(training.id)

    def done(*steps: str) -> Training | None:
        now = look()
        return now if now is not None and (now.phase.is_final or now.step in steps) else None

    def doing() -> str:
        now = look()
        return now.reason or _DOING.get(now.step, "") if now else ""

    later = ("train", "judge", "register", "hand_over")
    with stage.step("A worker builds the commit's environment") as facts:
        now = stage.wait_for("environment", lambda: done(*later), timeout=_TRAINING_TIME, doing=doing, log="training")
        facts["environment"] = (now.facts.environment_key or now.message)[:24]
    _expect(stage, now)
    with stage.step("It trains, and MLflow holds the run") as facts:
        now = stage.wait_for("trains", lambda: done(*later[1:]), timeout=_TRAINING_TIME, doing=doing, log="training")
        facts["run"] = f"{stage.layout.url('mlflow')}/#/experiments/{now.facts.experiment_id}/runs/{now.facts.run_id}"
    _expect(stage, now)
    return now


def _expect(stage: Stage, training: Training) -> None:
    if training.phase in {Phase.ERRORED, Phase.REFUSED}:
        tail = "\n".join(training.facts.log_tail[-10:])
        raise SceneError(f"{training.message}\n{tail}".strip(), log=str(stage.layout.log("training")))


def see_verdict(stage: Stage, training: Training) -> Training:
    """Watch the gates judge, and a version be registered."""
    with stage.step("The gates judge") as facts:
        judged = stage.wait_for("judges", lambda: _judged(stage, training), timeout=_WAIT)
        facts |= {metric: value for metric, value in judged.facts.metrics.items() if len(metric) <= 16}  # noqa: PLR2004
        facts["verdict"] = f"{judged.facts.verdict}: {judged.facts.sentence}"
    _expect(stage, judged)
    with stage.step("A version is registered") as facts:
        ended = stage.wait_for("registers", lambda: _over(stage, training), timeout=_WAIT)
        facts["version"] = f"{stage.example.model} {ended.facts.version}"
        facts["files"] = f"SHA-256 {ended.facts.manifest_sha256}"
    _expect(stage, ended)
    return ended


def _judged(stage: Stage, training: Training) -> Training | None:
    now = stage.store.training(training.id)
    return now if now is not None and (now.facts.verdict or now.phase.is_final) else None


def _over(stage: Stage, training: Training) -> Training | None:
    now = stage.store.training(training.id)
    return now if now is not None and now.phase.is_final else None


def find_promotion(stage: Stage, environment: str, version: str) -> Promotion | None:
    """Return the promotion of a version once its pull request is open, or it is over."""
    for record in stage.store.recent("promotion"):
        if not isinstance(record, Promotion) or record.repository != stage.example.deploy:
            continue
        if (record.environment, record.version) == (environment, version):
            return record if record.facts.number is not None or record.phase.is_final else None
    return None


def see_pull(stage: Stage, environment: str, version: str) -> Promotion:
    """Watch a pull request pin the version."""
    with stage.step(f"A pull request pins it in {environment}") as facts:
        promotion = stage.wait_for(
            "waits for the pull request", lambda: find_promotion(stage, environment, version), timeout=_WAIT
        )
        if promotion.facts.number is None:
            raise SceneError(promotion.message, log=str(stage.layout.log("control")))
        facts["pull request"] = promotion.facts.url or ""
        facts["plan"] = promotion.facts.plan_digest or ""
    return promotion


def await_merge(stage: Stage, promotion: Promotion) -> Promotion:
    """Let Launchpin merge, or the person: by the page, by Enter, or by time."""
    who = "Launchpin merges it: its checks are green" if promotion.merge == "auto" else "You merge it"
    with stage.step(who) as facts:
        if promotion.merge == "auto":
            merged = stage.wait_for("merges", lambda: _merged(stage, promotion), timeout=_WAIT)
        else:
            merged, how = _merge_as_person(stage, promotion)
            facts["how"] = how
        facts["merged"] = f"{merged.facts.merge_sha} by {merged.facts.merged_by}"
    return merged


def _merged(stage: Stage, promotion: Promotion) -> Promotion | None:
    now = stage.store.promotion(promotion.id)
    if now is not None and now.phase.is_final and not now.facts.merge_sha:
        raise SceneError(now.message, log=str(stage.layout.log("control")))
    return now if now is not None and now.facts.merge_sha else None


def _merge_as_person(stage: Stage, promotion: Promotion) -> tuple[Promotion, str]:
    how = "for you, since nobody is asked here"
    if stage.waits:
        how = f"for you, after {_MERGES_ITSELF:.0f} s"
        page = httpx.URL(promotion.facts.url or "").path
        stage.console.rest()
        stage.console.say(f"{'':16}Review and merge it: {mint_forge_link(stage.layout, page)}")
        stage.console.say(f"{'':16}Enter merges it here; after {_MERGES_ITSELF:.0f} s it is merged for you.")
        deadline = time.monotonic() + _MERGES_ITSELF
        while not (found := _merged(stage, promotion)) and time.monotonic() < deadline:
            stage.console.move(f"waits for your merge, {deadline - time.monotonic():.0f} s left")
            if stage.stop.wait(0.1):
                raise KeyboardInterrupt
            if enter_pressed(sys.stdin):
                how = "by you, with Enter"
                break
        stage.console.rest()
        if found:
            return found, "by you, on its page"
    stage.launchpin("pr", "merge", str(promotion.facts.number), "--repo", promotion.repository)
    return stage.wait_for("merges", lambda: _merged(stage, promotion), timeout=_WAIT), how


@dataclass(frozen=True)
class Serving:
    """An environment in service."""

    environment: Environment
    rollout: Rollout


def see_rollout(stage: Stage, environment: str, version: str) -> Serving:
    """Watch the merge roll the endpoint out."""
    with stage.step(f"The merge rolls {environment} out") as facts:
        serving = stage.wait_for(
            "rolls out",
            lambda: _serving(stage, environment, version),
            timeout=_TRAINING_TIME,
            doing=lambda: describe_rollout(stage, environment),
            log="endpoints",
        )
        facts["endpoint"] = f"{serving.environment.url}/invocations"
        facts["serving"] = f"{stage.example.model} {serving.environment.serving}"
    return serving


def find_environment(stage: Stage, environment: str) -> Environment:
    """Return an environment of the demo's deploy repository.

    Raises:
        SceneError: when there is none yet.
    """
    for known in stage.store.environments():
        if known.name == environment and known.repository == stage.example.deploy:
            return known
    raise SceneError(f"there is no {environment} yet", log=stage.log("control"))


def newest_rollout(stage: Stage, environment: str) -> Rollout | None:
    """Return an environment's last rollout."""
    for known in stage.store.environments():
        if known.name == environment and known.repository == stage.example.deploy:
            return stage.store.newest_rollout(known.repository_id, known.path)
    return None


def describe_rollout(stage: Stage, environment: str) -> str:
    """Return where an environment's rollout stands, in a few words."""
    rollout = newest_rollout(stage, environment)
    return f"{rollout.step.replace('_', ' ')} {rollout.message}" if rollout else ""


def _serving(stage: Stage, environment: str, version: str) -> Serving | None:
    rollout = newest_rollout(stage, environment)
    if rollout is None or rollout.version != version or not rollout.phase.is_final:
        return None
    if rollout.phase is not Phase.SUCCEEDED:
        raise SceneError(f"{rollout.phase}: {rollout.message}", log=str(stage.layout.log("endpoints")))
    known = stage.store.environment(rollout.repository_id, rollout.path)
    return Serving(known, rollout) if known is not None and known.serving == version and known.url else None


def example_request(stage: Stage, version: str) -> bytes:
    """Return the request that the model's author stored beside the model."""
    found = stage.store.version(stage.example.model, version)
    folder = stage.layout.dir / "models" / (found.manifest_sha256 if found else "")
    return (folder / "serving_input_example.json").read_bytes()


def predict(stage: Stage, serving: Serving) -> str:
    """Ask production for a prediction."""
    with stage.step("The endpoint answers a prediction") as facts:
        body = example_request(stage, serving.environment.serving)
        answer = httpx.post(
            f"{serving.environment.url}/invocations",
            content=body,
            headers={"content-type": "application/json"},
            trust_env=False,
            timeout=30,
        )
        if answer.status_code != httpx.codes.OK:
            raise SceneError(f"the endpoint answered {answer.status_code}", log=str(stage.layout.log("endpoints")))
        facts["asked"] = cut(json.dumps(json.loads(body)), 160)
        facts["answered"] = cut(answer.text.strip(), 160)
    return answer.text.strip()


def prove(stage: Stage) -> None:
    """Export the audit trail and verify it, as an auditor would without this machine."""
    with stage.step("The audit trail proves it") as facts:
        bundle = stage.home / f"audit-{time.strftime('%Y%m%d-%H%M%S')}"
        stage.launchpin("audit", "export", str(bundle))
        key = (stage.layout.secrets / "audit.pub").read_text(encoding="utf-8").strip()
        found = verify_bundle(bundle, key=key)
        stage.report.audit = {"bundle": str(bundle), "code": int(found.code), "size": found.size, "key": key}
        facts["bundle"] = str(bundle)
        facts["verified"] = found.message
        if found.code is not Code.INTACT:
            raise SceneError(f"the exported bundle does not verify: {found.message}")
