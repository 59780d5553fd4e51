"""A search: its trials are begun as there is room for them, each a story of its own, and the best of them is found.

The training waits meanwhile, in nobody's way: the end of each trial wakes it, in the transaction that ends the trial.
A lost worker costs the trial that it ran, which is tried again within the limits of any training.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from gitops.attempts import ENDING, end_later, end_run
from gitops.checkouts import Project, read_launchpin
from gitops.config.launchpin import LaunchpinFile
from gitops.config.mlproject import compute_command
from gitops.config.search import Search, check_declared
from gitops.errors import NotFoundError, RefusedError
from gitops.layout import lay_out
from gitops.ports import Deps, RunEnd, RunRef
from gitops.records import Cause, Training
from gitops.running import DEADLINE, Script, choose, end_well, fill_in, granted_secrets, run_script, start_run
from gitops.spaces import Space
from gitops.steps import Done, Ended, Facts, Outcome, Phase, Queue, Refused, Step, Story, Wait
from gitops.trials import SEARCHING, Progress, SeenTrial, Trial, progress, search_of
from gitops.writes import KeepSpace, StartTrial

# Each trial's end wakes the search, and each one that must wait; this is for whatever nobody thought of.
_LOOK = timedelta(minutes=10)
# No trial that a worker takes wakes it: while one has none, the sentence that tells of it is soon written anew.
_SOON = timedelta(seconds=30)
_ATTEMPT = 1  # of a training that searches: its own run is made once
_SHOWN = 300


def check_search(deps: Deps, training: Training, file: LaunchpinFile, project: Project) -> None:
    """Make sure that a trial's command can be made, before any is begun.

    Raises:
        InputError: `parameter_unknown`, or as `compute_command`.
    """
    if file.search is None:
        return
    check_declared(file.search, project.mlproject, file.train.entry_point)
    given = fill_in(deps, training, file, {**file.train.parameters, **lay_out(file.search)[0]})
    compute_command(project.mlproject, file.train.entry_point, parameters=given)


def search(deps: Deps, training: Training) -> Outcome:
    """Begin as many trials as may run at one time; when all are over, name the best."""
    file = read_launchpin(deps, training)
    if file.search is None:
        raise RefusedError("ConfigMissing", f"{training.config_path} has no search at {training.commit}")
    granted_secrets(deps, training, file)  # refused or waited for once, and not by each trial
    run, objective = _parent_run(deps, training, file), file.search.objective
    points = lay_out(file.search)
    trials = deps.store.trials(training.id)
    known = progress(trials, total=len(points), objective=objective)
    facts: Facts = {
        "run_id": run.run_id,
        "experiment_id": run.experiment_id,
        "attempt": _ATTEMPT,
        "trials": known.total,
        "objective": {"metric": objective.metric, "goal": objective.goal.value},
    }
    if known.over == known.total:
        return _over(deps, training, run, trials, known, facts)
    begun = tuple(_next_trials(deps, training, file, file.search, run, points, trials))
    queued = (SeenTrial.of(trial, job="ready") for trial in begun)
    after = progress([*trials, *queued], total=len(points), objective=objective)
    look = _LOOK if after.is_all_running else _SOON
    kept = () if trials else (KeepSpace(training.id, _space(deps, training, file, file.search)),)
    return Wait(look, SEARCHING, after.sentence, writes=(*kept, *map(StartTrial, begun)), facts=facts)


def _space(deps: Deps, training: Training, file: LaunchpinFile, search: Search) -> Space:
    """Return the search's space as its trials get it."""
    return Space.of(search.space, lambda name, value: fill_in(deps, training, file, {name: value})[name])


def _parent_run(deps: Deps, training: Training, file: LaunchpinFile) -> RunRef:
    """Return the run under which those of the trials are shown."""
    if training.facts.run_id:
        return RunRef(run_id=training.facts.run_id, experiment_id=training.facts.experiment_id or "")
    return start_run(deps, Script(training), file, key=training.run_key(_ATTEMPT))


def _next_trials(
    deps: Deps,
    training: Training,
    file: LaunchpinFile,
    search: Search,
    run: RunRef,
    points: Sequence[Mapping[str, str]],
    trials: Sequence[Trial],
) -> Iterator[Trial]:
    """Give the trials that may begin now, in their order."""
    room = search.max_parallel - sum(not trial.phase.is_final for trial in trials)
    begun = {trial.number for trial in trials}
    waiting = [number for number in range(1, len(points) + 1) if number not in begun]
    for number in waiting[: max(0, room)]:
        yield Trial(
            id=Trial.id_of(training.id, number),
            cause=Cause(
                kind="training",
                id=training.id,
                actor=training.cause.actor,
                body_sha256=training.cause.body_sha256,
            ),
            training_id=training.id,
            number=number,
            repository_id=training.repository_id,
            repository=training.repository,
            commit=training.commit,
            model=training.model,
            parameters=fill_in(deps, training, file, points[number - 1]),
            parent_run_id=run.run_id,
        )


def _over(
    deps: Deps, training: Training, run: RunRef, trials: Sequence[Trial], known: Progress, facts: Facts
) -> Outcome:
    """Return what a search comes to: its best trial is judged, whatever became of the others."""
    if known.best is not None:
        return Done(facts={**facts, "trial": known.best.number}, message=known.sentence, then="judge")
    unended = end_run(deps, run, training.run_key(_ATTEMPT))
    first = trials[0]
    why = f"trial {first.number} ended as {first.reason or first.phase}: {first.message[:_SHOWN]}"
    message = f"none of {known.total} trials came to a model with {known.objective.metric}; {why}{unended}"
    return Ended(Phase.ERRORED, "NoTrialSucceeded", message, facts=facts, writes=end_later(training, unended))


def end_best(deps: Deps, training: Training) -> Trial:
    """End a search's own run, and return the trial that was chosen.

    Raises:
        NotFoundError: `NoTrial`.
    """
    searched = search_of(training)
    trial = deps.store.trial(Trial.id_of(searched, training.facts.trial or 0))
    if trial is None:
        raise NotFoundError("NoTrial", f"trial {training.facts.trial} of training {searched} is not there")
    deps.registry.end_run(training.facts.run_id or "", RunEnd.FINISHED)
    return trial


# ---------------------------------------------------------------- one trial


def train_trial(deps: Deps, trial: Trial) -> Outcome:
    """Run the commit's code with the trial's parameters."""
    return run_script(deps, Script(_training_of(deps, trial), trial))


def measure_trial(deps: Deps, trial: Trial) -> Outcome:
    """Find the trial's model, and record what it counts with."""
    file = read_launchpin(deps, _training_of(deps, trial))
    runs = end_well(deps, trial)
    try:
        candidate = choose(runs, file)
    except RefusedError as error:
        return Refused(error.reason, error.message, facts={"metrics": dict(runs[0].metrics)})
    metrics = dict(candidate.run.metrics)
    facts: Facts = {
        "candidate_run_id": candidate.run.run_id,
        "candidate_model": candidate.model.uri,
        "metrics": metrics,
    }
    metric = file.objective.metric if file.objective else ""
    return Done(facts=facts, message=f"{metric} {metrics.get(metric, '')}")


def _training_of(deps: Deps, trial: Trial) -> Training:
    training = deps.store.training(trial.training_id)
    if training is None:
        raise RefusedError("TrainingMissing", f"training {trial.training_id} is not there any more")
    return training


TRIAL = Story(
    "trial",
    (
        Step("train", train_trial, event="trained", deadline=DEADLINE, queue=Queue.TRAINING),
        Step("measure", measure_trial, event="measured", deadline=timedelta(minutes=5)),
    ),
    lambda deps, subject: deps.store.trial(subject),
    cleared_by=ENDING,
)
