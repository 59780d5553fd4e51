"""The story of a training: from a commit to a judged, registered version, handed over to promotion.

Only the runner touches repository code; everything here reads records, asks ports and answers with outcomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from gitops.attempts import ENDING
from gitops.checkouts import checked_out, read_launchpin
from gitops.config.launchpin import LaunchpinFile
from gitops.config.names import NO_TIER
from gitops.disk.space import require_room
from gitops.judging import NO_VERDICT, describe_verdict, judge_candidate
from gitops.manifest import Manifest
from gitops.models import fetch_version, manifest_text
from gitops.ports import Deps, LoggedModel, RegisteredVersion
from gitops.records import Training, Version
from gitops.running import DEADLINE, Script, choose, end_well, run_script
from gitops.searching import check_search, end_best, search
from gitops.steps import Done, Outcome, Queue, Refused, Step, Story
from gitops.succession import known_environments, name_places, next_promotions
from gitops.writes import KeepLock, SaveEnvironment, SaveVersion


def prepare_environment(deps: Deps, training: Training) -> Outcome:
    """Resolve what the commit asks for and build its environment, or find it built."""
    require_room(deps.service.workspace, deps.service.least_free)
    file = read_launchpin(deps, training)
    with checked_out(deps, training) as project:
        check_search(deps, training, file, project)
        lock = deps.environments.lock(project.folder, declared=project.environment_file)
    deps.environments.build(lock)
    return Done(
        facts={
            "project": project.path,
            "environment_key": lock.key,
            "lock_sha256": lock.digest,
            "python_version": lock.python,
        },
        writes=(KeepLock(lock),),
        message=f"environment {lock.key[:12]} is ready",
        then="" if file.search else "train",
    )


def train(deps: Deps, training: Training) -> Outcome:
    """Run the commit's code to its end, in a run that was made for this attempt."""
    return run_script(deps, Script(training))


@dataclass(frozen=True)
class _Found:
    """What is judged: the run that counts, its model, and what both were made with."""

    run_id: str
    model: str
    metrics: Mapping[str, str]
    parameters: Mapping[str, str]


def judge(deps: Deps, training: Training) -> Outcome:
    """Choose the candidate among the runs and hold it against the gates."""
    file = read_launchpin(deps, training)
    found = _find_best_trial(deps, training, file) if training.facts.trial else _find_run(deps, training, file)
    verdict = judge_candidate(file, found.metrics, deps.store.champion(file.model))
    facts = {
        "candidate_run_id": found.run_id,
        "candidate_model": found.model,
        "metrics": dict(found.metrics),
        "parameters": dict(found.parameters),
        **verdict.facts(),
    }
    if verdict.is_pass:
        return Done(facts=facts, message=verdict.words)
    reason = "GateRefused" if verdict.outcome == "fail" else "Inconclusive"
    return Refused(reason, verdict.sentence, facts=facts)


def _find_run(deps: Deps, training: Training, file: LaunchpinFile) -> _Found:
    candidate = choose(end_well(deps, training), file)
    parameters = {**Script(training).parameters(deps, file), **candidate.run.parameters}
    return _Found(candidate.run.run_id, candidate.model.uri, candidate.run.metrics, parameters)


def _find_best_trial(deps: Deps, training: Training, file: LaunchpinFile) -> _Found:
    """Return what was recorded of the best trial; what its run says by now could be somebody else's word."""
    trial = end_best(deps, training)
    facts = trial.facts
    parameters = Script(training, trial).parameters(deps, file)
    return _Found(facts.candidate_run_id or "", facts.candidate_model or "", facts.metrics, parameters)


def register(deps: Deps, training: Training) -> Outcome:
    """Register the candidate once, re-hash every byte of it, and record it with its verdict."""
    require_room(deps.service.models, deps.service.least_free)
    facts = training.facts
    candidate_run = facts.candidate_run_id or ""
    model = LoggedModel(name="", uri=facts.candidate_model or "")
    registered = deps.effects.once(
        "create_version",
        f"version:{training.id}",
        look=lambda: _find_version(deps, training),
        act=lambda: (
            _find_version(deps, training)
            or deps.registry.create_version(
                training.model,
                source=model,
                run_id=candidate_run,
                training_id=training.id,
                description=_words(training),
            )
        ),
        result=RegisteredVersion,
    )
    manifest = fetch_version(deps, training.model, registered.version)
    deps.registry.describe_version(
        training.model, registered.version, description=_words(training), tags=_tags(training, manifest)
    )
    deps.registry.set_alias(training.model, "challenger", registered.version)
    return Done(
        facts={"version": registered.version, "manifest_sha256": manifest.digest},
        writes=(SaveVersion(_version(training, registered, manifest)),),
        message=f"registered {training.model} {registered.version}",
    )


def _find_version(deps: Deps, training: Training) -> RegisteredVersion | None:
    run_ids = (training.facts.candidate_run_id or "",)
    return deps.registry.find_version(training.model, training_id=training.id, run_ids=run_ids)


def _words(training: Training) -> str:
    return (
        f"Trained by Launchpin from {training.repository} at {training.commit} ({training.branch}), "
        f"training {training.id}{_trial_words(training)}. {describe_verdict(training.facts)}"
    )


def _trial_words(training: Training) -> str:
    facts = training.facts
    if not facts.trial:
        return ""
    if not facts.search_of:
        return f", the best of {facts.trials} trials: number {facts.trial}"
    return f", trial {facts.trial} of {facts.search_of}, chosen by {training.cause.actor}: {facts.chosen}"


def _tags(training: Training, manifest: Manifest) -> dict[str, str]:
    return {
        "launchpin.training": training.id,
        "launchpin.commit": training.commit,
        "launchpin.verdict": training.facts.verdict or NO_VERDICT,
        "launchpin.tier": training.facts.tier or NO_TIER,
        "launchpin.manifest_sha256": manifest.digest,
    }


def _version(training: Training, registered: RegisteredVersion, manifest: Manifest) -> Version:
    facts = training.facts
    return Version(
        model=training.model,
        version=registered.version,
        manifest_sha256=manifest.digest,
        manifest=manifest_text(manifest),
        run_id=facts.candidate_run_id or "",
        training_id=training.id,
        repository=training.repository,
        commit=training.commit,
        verdict=facts.verdict or NO_VERDICT,
        metrics=facts.metrics,
        gates=facts.gates,
        tier=facts.tier or "",
        tiers=facts.tiers,
        min_tiers=facts.min_tiers,
        environment_key=facts.environment_key or "",
        lock_sha256=facts.lock_sha256 or "",
    )


def hand_over(deps: Deps, training: Training) -> Outcome:
    """Open a promotion for every environment that waits for no other one."""
    file = read_launchpin(deps, training)
    version = training.facts.version or ""
    if file.deploy is None:
        return Done(message=f"{training.model} {version} is registered; launchpin.yaml names no deploy repository")
    # What a person chose goes where they want it, whatever was pushed since.
    if not training.facts.search_of and (newer := deps.store.overtaking(training)):
        # It was lost with its worker, or took longer: what was pushed after it must not give way to it.
        went = f"{newer.facts.version} of the newer commit {newer.commit[:12]} went ahead"
        return Done(
            facts={"promotions": []}, message=f"{training.model} {version} is registered and goes nowhere: {went}"
        )
    promotions = next_promotions(deps, training, file, after="")
    named = tuple(
        SaveEnvironment(environment, ("name", "is_champion", "model")) for environment in known_environments(deps, file)
    )
    return Done(
        facts={"promotions": [one.promotion.id for one in promotions]},
        writes=(*named, *promotions),
        message=f"{training.model} {version} goes to {name_places(promotions)}",
    )


TRAINING = Story(
    "training",
    (
        Step("environment", prepare_environment, deadline=timedelta(minutes=20), queue=Queue.TRAINING),
        Step("search", search, event="searched", deadline=timedelta(minutes=5)),
        Step("train", train, event="trained", deadline=DEADLINE, queue=Queue.TRAINING),
        Step("judge", judge, event="judged", deadline=timedelta(minutes=5)),
        Step("register", register, event="registered", deadline=timedelta(minutes=70)),
        Step("hand_over", hand_over, event="handed_over"),
    ),
    lambda deps, subject: deps.store.training(subject),
    is_reported=True,
    cleared_by=ENDING,
)
