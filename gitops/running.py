"""Runs a commit's code to its end, in a run made for the attempt: a training's own script, or that of one trial.

Only the runner touches repository code; what its end comes to is an outcome of the step that asked for it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from gitops.attempts import ATTEMPTS, Attempt, Tried, end_later, end_lost_runs, end_run, given_up, lost_attempt
from gitops.checkouts import Project, checked_out, read_launchpin
from gitops.config.goals import Goal
from gitops.config.launchpin import LONGEST_TIMEOUT, LaunchpinFile
from gitops.config.mlproject import compute_command
from gitops.config.parameters import fill
from gitops.disk.space import DISK_LOW, disk_low, is_disk_full, require_room, speaks_of_full_disk
from gitops.errors import InputError, LaunchpinError, RefusedError, StalledError
from gitops.ports import Deps, End, Run, RunEnd, RunRef, TrainingEnd, TrainingSpec
from gitops.printed import read_numbers, read_printed
from gitops.rebuilding import bring_environment
from gitops.records import Training
from gitops.selection import Candidate, Objective, choose_candidate
from gitops.steps import Done, Ended, Facts, Outcome, Phase, Refused, Stalled
from gitops.trials import Trial
from gitops.writes import Wake

# What a step does before and after the script: checking out, and storing its log.
_AROUND = timedelta(hours=1)
DEADLINE = LONGEST_TIMEOUT + _AROUND
"""How long a step may take that runs a script."""

# What MLflow says when a script names another experiment than the run's that it was started in.
_OTHER_EXPERIMENT = "does not match environment run ID"
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit): ")
_LONGEST_NAME = 250  # of a run, as MLflow keeps it
_FAILURES = {
    End.TIMED_OUT: ("TrainingTimedOut", "it ran longer than train.timeout allows"),
    End.OUT_OF_MEMORY: ("OutOfMemory", "its processes used more memory than this service allows"),
    End.TOO_MANY_TASKS: ("TooManyProcesses", "it started more processes and threads than this service allows"),
    End.CANCELLED: ("Cancelled", "it was cancelled"),
}


@dataclass(frozen=True)
class Script:
    """What is run.

    Args:
        training: says which commit, and by which launchpin.yaml.
        trial: of its search; None for a training that has none.
    """

    training: Training
    trial: Trial | None = None

    @property
    def tried(self) -> Tried:
        """The record whose attempts these are."""
        return self.trial or self.training

    def parameters(self, deps: Deps, file: LaunchpinFile) -> dict[str, str]:
        """Return what is passed to the entry point, variables filled in."""
        fixed = fill_in(deps, self.training, file, file.train.parameters)
        return {**fixed, **self.trial.parameters} if self.trial else fixed


def fill_in(deps: Deps, training: Training, file: LaunchpinFile, values: Mapping[str, str]) -> dict[str, str]:
    """Return parameters as launchpin.yaml writes them, variables filled in."""
    known = {
        "commit": training.commit,
        "branch": training.branch,
        "trigger": training.cause.kind,
        "tracking_uri": deps.service.tracking_uri,
        "experiment": file.experiment,
        "model": file.model,
    }
    return fill(values, known)


def run_script(deps: Deps, script: Script) -> Outcome:
    """Run the code to its end, in a run that was made for this attempt."""
    attempt = Attempt.of(deps, script.tried)
    deps.trainer.reap(script.tried.id)
    try:
        require_room(deps.service.workspace, deps.service.least_free)
        return _run(deps, script, attempt)
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


def _run(deps: Deps, script: Script, attempt: Attempt) -> Outcome:
    training, tried = script.training, script.tried
    file = read_launchpin(deps, training)
    unended = end_lost_runs(deps, tried, attempt, experiment=file.experiment)
    if attempt.losses >= ATTEMPTS:
        return given_up(tried, attempt, unended)
    secrets = granted_secrets(deps, training, file)
    environment = bring_environment(deps, training.facts.environment_key or "")
    key = tried.run_key(attempt.number)
    run = start_run(deps, script, file, key=key)
    try:
        with checked_out(deps, training, owner=tried.id) as project:
            spec = _spec(
                deps,
                script,
                file,
                project=project,
                python=environment.python,
                run=run,
                attempt=attempt.number,
                secrets=secrets,
            )
            end = deps.trainer.run(spec, lease=deps.lease)
    except (RefusedError, InputError) as error:
        unended += end_run(deps, run, key)
        return Refused(error.reason, f"{error}{unended}", writes=end_later(tried, unended))
    if end.end is End.LOST:
        return lost_attempt(deps, tried, run, attempt)
    note = _keep_log(deps, run, end)
    if end.end is not End.EXITED or end.exit_code != 0:
        unended += end_run(deps, run, key)
    over = _over(tried, attempt, end, run, file, note=note + unended)
    return replace(over, writes=(*over.writes, *end_later(tried, unended)))


def _over(tried: Tried, attempt: Attempt, end: TrainingEnd, run: RunRef, file: LaunchpinFile, *, note: str) -> Outcome:
    """Return what the end of a script comes to."""
    if _met_full_disk(end):
        return _out_of_room(tried, attempt, end, note=note)
    return _ran(end, run, file, attempt=attempt.number, note=note)


def _met_full_disk(end: TrainingEnd) -> bool:
    return end.end is End.EXITED and end.exit_code != 0 and any(speaks_of_full_disk(line) for line in end.tail)


def _out_of_room(tried: Tried, attempt: Attempt, end: TrainingEnd, *, note: str) -> Outcome:
    """Wait for room and train once more; what fills every disk that it gets ends."""
    times, last = 1 + (tried.facts.disk_full or 0), _last_words(end.tail)[:300]
    facts: Facts = {**attempt.facts(over=attempt.number), "disk_full": times, "log_tail": list(end.tail)}
    if times >= ATTEMPTS:
        return Ended(Phase.ERRORED, DISK_LOW, f"it met a full disk {times} times: {last}{note}", facts=facts)
    message = f"{disk_low(last).message}{note}"
    return Stalled(DISK_LOW, message, facts=facts, writes=_ask_for_room(DISK_LOW))


def granted_secrets(deps: Deps, training: Training, file: LaunchpinFile) -> dict[str, str]:
    """Return the secrets a training asks for, all of which its repository must have been granted.

    Raises:
        RefusedError: `SecretNotGranted`.
        StalledError: `SecretMissing`.
    """
    repository = deps.store.repository(training.repository_id)
    granted = repository.secrets if repository else ()
    for name in file.train.secrets:
        if name not in granted:
            raise RefusedError("SecretNotGranted", f"train.secrets: {name} is not granted to {training.repository}")
        if name not in deps.service.secrets:
            raise StalledError("SecretMissing", f"train.secrets: {name} is granted, but this service does not have it")
    return {name: deps.service.secrets[name] for name in file.train.secrets}


def start_run(deps: Deps, script: Script, file: LaunchpinFile, *, key: str) -> RunRef:
    """Make the run of an attempt, or find it made."""
    training = script.training
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
    name = f"{training.commit[:8]} {training.id}"
    if script.trial:
        tags |= {"launchpin.trial": str(script.trial.number), "mlflow.parentRunId": script.trial.parent_run_id}
        point = ", ".join(f"{name} {value}" for name, value in script.trial.parameters.items())
        name = f"{training.commit[:8]} {script.trial.id}: {point}"[:_LONGEST_NAME]
    return deps.effects.once(
        "start_run",
        f"run:{key}",
        look=lambda: deps.registry.find_run(experiment=file.experiment, run_key=key),
        act=lambda: deps.registry.start_run(
            experiment=file.experiment,
            run_key=key,
            name=name,
            tags=tags,
            parameters=script.parameters(deps, file),
        ),
        result=RunRef,
    )


def _spec(
    deps: Deps,
    script: Script,
    file: LaunchpinFile,
    *,
    project: Project,
    python: Path,
    run: RunRef,
    attempt: int,
    secrets: dict[str, str],
) -> TrainingSpec:
    variables = deps.registry.child_variables(run, within=script.tried.run_key(attempt))
    return TrainingSpec(
        training_id=script.tried.id,
        attempt=attempt,
        checkout=project.folder,
        command=compute_command(project.mlproject, file.train.entry_point, parameters=script.parameters(deps, file)),
        python=python,
        variables=variables,
        secrets=secrets,
        timeout=file.train.timeout,
        memory=deps.service.memory,
        tasks=deps.service.tasks,
    )


def _keep_log(deps: Deps, run: RunRef, end: TrainingEnd) -> str:
    """Store the log with the run; a registry that is away costs the copy, not the training."""
    try:
        deps.registry.log_file(run.run_id, end.log, folder="launchpin")
    except (LaunchpinError, OSError) as error:
        return f" (its log was not stored with the run: {error})"
    return ""


def _ran(end: TrainingEnd, run: RunRef, file: LaunchpinFile, *, attempt: int, note: str) -> Outcome:
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


def end_well(deps: Deps, tried: Tried) -> Sequence[Run]:
    """End the run of a script that ended well, and return it with those that the script began besides.

    Raises:
        RefusedError: `MetricNotANumber`, or as `Registry.runs_of`.
    """
    facts = tried.facts
    run = RunRef(run_id=facts.run_id or "", experiment_id=facts.experiment_id or "")
    if facts.printed:
        deps.registry.log_metrics(run.run_id, read_numbers(facts.printed))
    deps.registry.end_run(run.run_id, RunEnd.FINISHED)
    return deps.registry.runs_of(run, within=tried.run_key(facts.attempt or 0))


def choose(runs: Sequence[Run], file: LaunchpinFile) -> Candidate:
    """Return the run of a script that counts, and its model.

    Raises:
        RefusedError: as `choose_candidate`.
    """
    wanted = file.objective
    objective = Objective(wanted.metric, wanted.goal is Goal.MAXIMIZE) if wanted else None
    return choose_candidate(runs, objective=objective, model=file.register.model)
