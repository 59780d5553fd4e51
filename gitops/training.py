"""The story of a training: from a commit to a judged, registered version, handed over to promotion.

Only the runner touches repository code; everything here reads records, asks ports and answers with outcomes.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from gitops.attempts import ATTEMPTS, ENDING, Attempt, end_later, end_lost_runs, end_run, given_up, lost_attempt
from gitops.checkouts import Project, checked_out, read_launchpin
from gitops.config.launchpin import LONGEST_TIMEOUT, Goal, LaunchpinFile
from gitops.config.mlproject import compute_command
from gitops.config.names import NO_TIER
from gitops.config.parameters import fill
from gitops.disk.space import DISK_LOW, disk_low, is_disk_full, require_room, speaks_of_full_disk
from gitops.errors import InputError, LaunchpinError, RefusedError, StalledError
from gitops.judging import NO_VERDICT, describe_verdict, judge_candidate
from gitops.manifest import Manifest
from gitops.models import fetch_version, manifest_text
from gitops.ports import Deps, End, LoggedModel, RegisteredVersion, RunEnd, RunRef, TrainingEnd, TrainingSpec
from gitops.printed import read_numbers, read_printed
from gitops.records import Training, Version
from gitops.selection import Objective, choose_candidate
from gitops.steps import Done, Ended, Facts, Outcome, Phase, Queue, Refused, Stalled, Step, Story
from gitops.succession import known_environments, name_places, next_promotions
from gitops.writes import SaveEnvironment, SaveVersion, Wake

# For what the train step does before and after the script: checking out, and storing its log.
_AROUND = timedelta(hours=1)
# What MLflow says when a script names another experiment than the run's that it was started in.
_OTHER_EXPERIMENT = "does not match environment run ID"
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit): ")
_FAILURES = {
    End.TIMED_OUT: ("TrainingTimedOut", "it ran longer than train.timeout allows"),
    End.OUT_OF_MEMORY: ("OutOfMemory", "its processes used more memory than this service allows"),
    End.TOO_MANY_TASKS: ("TooManyProcesses", "it started more processes and threads than this service allows"),
    End.CANCELLED: ("Cancelled", "it was cancelled"),
}


def prepare_environment(deps: Deps, training: Training) -> Outcome:
    """Resolve what the commit asks for and build its environment, or find it built."""
    require_room(deps.service.workspace, deps.service.least_free)
    with checked_out(deps, training) as project:
        lock = deps.environments.lock(project.folder, declared=project.environment_file)
    deps.environments.build(lock)
    return Done(
        facts={
            "project": project.path,
            "environment_key": lock.key,
            "lock_sha256": lock.digest,
            "python_version": lock.python,
        },
        message=f"environment {lock.key[:12]} is ready",
    )


def train(deps: Deps, training: Training) -> Outcome:
    """Run the commit's code to its end, in a run that was made for this attempt."""
    attempt = Attempt.of(deps, training)
    deps.trainer.reap(training.id)
    try:
        require_room(deps.service.workspace, deps.service.least_free)
        return _train(deps, training, attempt)
    except StalledError as error:
        return _stalled(error, attempt)
    except OSError as error:
        if not is_disk_full(error):
            raise
        return _stalled(disk_low(str(error)), attempt)


def _stalled(error: StalledError, attempt: Attempt) -> Stalled:
    """Wait for a person, or for room; the record keeps the count of lost workers, since this answer ends the job's."""
    facts = attempt.facts(over=attempt.number - 1)
    return Stalled(error.reason, error.message, facts=facts, writes=_ask_for_room(error.reason))


def _ask_for_room(reason: str) -> tuple[Wake, ...]:
    return (Wake("gc", "home"),) if reason == DISK_LOW else ()


def _train(deps: Deps, training: Training, attempt: Attempt) -> Outcome:
    file = read_launchpin(deps, training)
    unended = end_lost_runs(deps, training, attempt, experiment=file.experiment)
    if attempt.losses >= ATTEMPTS:
        return given_up(training, attempt, unended)
    secrets = _granted(deps, training, file)
    key = training.run_key(attempt.number)
    run = _start_run(deps, training, file, key=key)
    try:
        with checked_out(deps, training) as project:
            spec = _spec(deps, training, file, project=project, run=run, attempt=attempt.number, secrets=secrets)
            end = deps.trainer.run(spec, lease=deps.lease)
    except (RefusedError, InputError) as error:
        unended += end_run(deps, run, key)
        return Refused(error.reason, f"{error}{unended}", writes=end_later(training, unended))
    if end.end is End.LOST:
        return lost_attempt(deps, training, run, attempt)
    note = _keep_log(deps, run, end)
    if end.end is not End.EXITED or end.exit_code != 0:
        unended += end_run(deps, run, key)
    over = _over(training, attempt, end, run, file, note=note + unended)
    return replace(over, writes=(*over.writes, *end_later(training, unended)))


def _over(
    training: Training, attempt: Attempt, end: TrainingEnd, run: RunRef, file: LaunchpinFile, *, note: str
) -> Outcome:
    """Return what the end of a script comes to."""
    if _met_full_disk(end):
        return _out_of_room(training, attempt, end, note=note)
    return _trained(end, run, file, attempt=attempt.number, note=note)


def _met_full_disk(end: TrainingEnd) -> bool:
    return end.end is End.EXITED and end.exit_code != 0 and any(speaks_of_full_disk(line) for line in end.tail)


def _out_of_room(training: Training, attempt: Attempt, end: TrainingEnd, *, note: str) -> Outcome:
    """Wait for room and train once more; what fills every disk that it gets ends."""
    times, last = 1 + (training.facts.disk_full or 0), _last_words(end.tail)[:300]
    facts: Facts = {**attempt.facts(over=attempt.number), "disk_full": times, "log_tail": list(end.tail)}
    if times >= ATTEMPTS:
        return Ended(Phase.ERRORED, DISK_LOW, f"it met a full disk {times} times: {last}{note}", facts=facts)
    message = f"{disk_low(last).message}{note}"
    return Stalled(DISK_LOW, message, facts=facts, writes=_ask_for_room(DISK_LOW))


def _granted(deps: Deps, training: Training, file: LaunchpinFile) -> dict[str, str]:
    """Return the secrets a training asks for, all of which its repository must have been granted."""
    repository = deps.store.repository(training.repository_id)
    granted = repository.secrets if repository else ()
    for name in file.train.secrets:
        if name not in granted:
            raise RefusedError("SecretNotGranted", f"train.secrets: {name} is not granted to {training.repository}")
        if name not in deps.service.secrets:
            raise StalledError("SecretMissing", f"train.secrets: {name} is granted, but this service does not have it")
    return {name: deps.service.secrets[name] for name in file.train.secrets}


def _start_run(deps: Deps, training: Training, file: LaunchpinFile, *, key: str) -> RunRef:
    tags = {
        "launchpin.training": training.id,
        "launchpin.trigger": training.cause.kind,
        "commit": training.commit,
        "trigger": training.cause.kind,
        "mlflow.source.name": training.repository,
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": training.commit,
        "mlflow.source.git.branch": training.branch,
        "mlflow.source.git.repoURL": training.repository,
        "mlflow.project.entryPoint": file.train.entry_point,
        "mlflow.user": training.cause.actor,
    }
    return deps.effects.once(
        "start_run",
        f"run:{key}",
        look=lambda: deps.registry.find_run(experiment=file.experiment, run_key=key),
        act=lambda: deps.registry.start_run(
            experiment=file.experiment,
            run_key=key,
            name=f"{training.commit[:8]} {training.id}",
            tags=tags,
            parameters=_parameters(deps, training, file),
        ),
        result=RunRef,
    )


def _spec(
    deps: Deps,
    training: Training,
    file: LaunchpinFile,
    *,
    project: Project,
    run: RunRef,
    attempt: int,
    secrets: dict[str, str],
) -> TrainingSpec:
    environment = deps.environments.find(training.facts.environment_key or "")
    if environment is None:
        lock = deps.environments.lock(project.folder, declared=project.environment_file)
        environment = deps.environments.build(lock)
    variables = deps.registry.child_variables(run, within=training.run_key(attempt))
    return TrainingSpec(
        training_id=training.id,
        attempt=attempt,
        checkout=project.folder,
        command=compute_command(
            project.mlproject, file.train.entry_point, parameters=_parameters(deps, training, file)
        ),
        python=environment.python,
        variables=variables,
        secrets=secrets,
        timeout=file.train.timeout,
        memory=deps.service.memory,
        tasks=deps.service.tasks,
    )


def _parameters(deps: Deps, training: Training, file: LaunchpinFile) -> dict[str, str]:
    """Return what launchpin.yaml passes to the entry point, variables filled in."""
    values = {
        "commit": training.commit,
        "branch": training.branch,
        "trigger": training.cause.kind,
        "tracking_uri": deps.service.tracking_uri,
        "experiment": file.experiment,
        "model": file.model,
    }
    return dict(fill(file.train.parameters, values))


def _keep_log(deps: Deps, run: RunRef, end: TrainingEnd) -> str:
    """Store the log with the run; a registry that is away costs the copy, not the training."""
    try:
        deps.registry.log_file(run.run_id, end.log, folder="launchpin")
    except (LaunchpinError, OSError) as error:
        return f" (its log was not stored with the run: {error})"
    return ""


def _trained(end: TrainingEnd, run: RunRef, file: LaunchpinFile, *, attempt: int, note: str) -> Outcome:
    facts: Facts = {
        "attempt": attempt,
        "run_id": run.run_id,
        "experiment_id": run.experiment_id,
        "exit_code": end.exit_code,
        "end": end.end.value,
        "seconds": round(end.seconds, 3),
        "log_sha256": end.log_sha256,
        "log_tail": list(end.tail),
    }
    if end.end is End.EXITED and end.exit_code == 0:
        facts = {**facts, "printed": read_printed(end.log, file.train.metric_definitions)}
        return Done(facts=facts, message=f"trained in {end.seconds:.0f} s{note}")
    last = _last_words(end.tail)
    reason, why = _FAILURES.get(end.end, _explain(end, file))
    return Ended(Phase.ERRORED, reason, f"{why}: {last[:300]}{note}", facts=facts)


def _last_words(tail: Sequence[str]) -> str:
    """Return the log's last exception, whose text may go on for lines; else its last line."""
    said = [line.strip() for line in reversed(tail) if line.strip()]
    return next((line for line in said if _EXCEPTION.match(line)), said[0] if said else "it printed nothing")


def _explain(end: TrainingEnd, file: LaunchpinFile) -> tuple[str, str]:
    if any(_OTHER_EXPERIMENT in line for line in end.tail):
        why = "the script sets another experiment than the one it was started for: leave set_experiment out"
        return "ExperimentMismatch", why
    return "TrainingFailed", f"{file.train.entry_point} ended with exit code {end.exit_code}"


def judge(deps: Deps, training: Training) -> Outcome:
    """Choose the candidate among the runs and hold it against the gates."""
    file = read_launchpin(deps, training)
    run = _run(training)
    if training.facts.printed:
        deps.registry.log_metrics(run.run_id, read_numbers(training.facts.printed))
    deps.registry.end_run(run.run_id, RunEnd.FINISHED)
    runs = deps.registry.runs_of(run, within=training.run_key(training.facts.attempt or 0))
    wanted = file.register.objective
    objective = Objective(wanted.metric, wanted.goal is Goal.MAXIMIZE) if wanted else None
    candidate = choose_candidate(runs, objective=objective, model=file.register.model)
    verdict = judge_candidate(file, candidate.run.metrics, deps.store.champion(file.model))
    facts = {
        "candidate_run_id": candidate.run.run_id,
        "candidate_model": candidate.model.uri,
        "metrics": dict(candidate.run.metrics),
        "parameters": {**_parameters(deps, training, file), **candidate.run.parameters},
        **verdict.facts(),
    }
    if verdict.is_pass:
        return Done(facts=facts, message=verdict.words)
    reason = "GateRefused" if verdict.outcome == "fail" else "Inconclusive"
    return Refused(reason, verdict.sentence, facts=facts)


def _run(training: Training) -> RunRef:
    return RunRef(run_id=training.facts.run_id or "", experiment_id=training.facts.experiment_id or "")


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
        f"training {training.id}. {describe_verdict(training.facts)}"
    )


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
    if newer := deps.store.overtaking(training):
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
        Step("train", train, event="trained", deadline=LONGEST_TIMEOUT + _AROUND, queue=Queue.TRAINING),
        Step("judge", judge, event="judged", deadline=timedelta(minutes=5)),
        Step("register", register, event="registered", deadline=timedelta(minutes=70)),
        Step("hand_over", hand_over, event="handed_over"),
    ),
    lambda deps, subject: deps.store.training(subject),
    is_reported=True,
    cleared_by=ENDING,
)
