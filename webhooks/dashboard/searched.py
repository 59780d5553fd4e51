"""A search as pages show it: its trials on its training's page, and each with its log on its own. Writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gitops.config.goals import Goal as Aim
from gitops.records import Training
from gitops.steps import Phase
from gitops.trials import Trial, TrialView, objective_of, view
from webhooks.dashboard import links
from webhooks.dashboard.actions import Action, of_trial
from webhooks.dashboard.asked import Asked
from webhooks.dashboard.logs import Log, read_log, say_none
from webhooks.dashboard.picture import Goal
from webhooks.dashboard.sight import Sight
from webhooks.dashboard.trials import SearchPart, show_search


@dataclass(frozen=True)
class Became:
    """What a trial became.

    Args:
        version: the one that its model is, empty for none.
        url: where MLflow shows that version.
        training: the path of the page of the training that judged it, since a person chose it; empty for none.
        action: what somebody may have done about it, None for nothing.
    """

    version: str = ""
    url: str = ""
    training: str = ""
    action: Action | None = None


@dataclass(frozen=True)
class Searched:
    """A search, and what each of the trials in the shown part of its table became."""

    part: SearchPart[TrialView]
    became: Mapping[int, Became]


def read_search(sight: Sight, training: Training, *, tracking: str, asked: Asked) -> Searched | None:
    """Read the search of a training, or the one that its trial is of, where a person chose that; None for none.

    Args:
        tracking: the address of the MLflow server.
        asked: which part of the table.
    """
    objective = objective_of(training)
    searched = sight.store.training(training.facts.search_of) if training.facts.search_of else training
    if objective is None or searched is None:
        return None
    experiment = training.facts.experiment_id or ""

    def run_url(trial: TrialView) -> str:
        return links.address_run(experiment, trial.run_id, tracking)

    def log_url(trial: TrialView) -> str:
        return links.trial_log(searched.id, trial.number)

    trials = view(sight.store.trials(searched.id), objective=objective)
    goal = Goal(objective.metric, is_greatest=objective.goal is Aim.MAXIMIZE)
    space = sight.store.space_of(searched.id)
    part = show_search(trials, goal, space=space, asked=asked, run_url=run_url, log_url=log_url)
    return Searched(part, _became(sight, searched, part, tracking)) if part else None


def _became(sight: Sight, searched: Training, part: SearchPart[TrialView], tracking: str) -> Mapping[int, Became]:
    """Return what the shown trials became; nothing while the search goes on."""
    if not searched.phase.is_final:
        return {}
    models = {line.trial.number: line.trial.run_id for line in part.lines if line.trial.state == Phase.SUCCEEDED.value}
    versions = sight.store.versions_of_runs(searched.model, tuple(models.values()))
    chosen = sight.store.begun_from([Trial.id_of(searched.id, number) for number in models])
    found = {}
    for number, run in models.items():
        version, judged = versions.get(run, ""), chosen.get(Trial.id_of(searched.id, number), "")
        # A search that succeeded judged its best one itself; one that broke off may not have.
        is_judged = number == searched.facts.trial and searched.phase is Phase.SUCCEEDED
        is_over = version or judged or is_judged
        found[number] = Became(
            version=version,
            url=links.version_url(searched.model, version, tracking) if version else "",
            training=links.story_page("training", judged) if judged else "",
            action=None if is_over else of_trial(sight.access, searched, number),
        )
    return found


@dataclass(frozen=True)
class TrialPage:
    """One trial of a search with its log.

    Args:
        id: by which `launchpin logs` knows it.
        total: how many trials the search has.
        log: the end of its log, None where there is none.
        missing: why there is none.
        run_url: where MLflow shows its run, empty while there is none.
    """

    now: datetime
    searched: Training
    trial: TrialView
    id: str
    total: int
    log: Log | None
    missing: str
    run_url: str


def read_trial_page(sight: Sight, training_id: str, number: int, *, home: Path, tracking: str) -> TrialPage | None:
    """Read the page of a trial's log; None when there is no such trial that they may see.

    Args:
        home: the folder of state, where logs are.
        tracking: the address of the MLflow server.
    """
    searched = sight.store.training(training_id)
    kept = sight.store.trial(Trial.id_of(training_id, number))
    if searched is None or kept is None or not sight.record(searched):
        return None
    # Which is the best, and whether a worker has it, the others and its job tell.
    trials = view(sight.store.trials(searched.id), objective=objective_of(searched))
    shown = next(one for one in trials if one.number == number)
    log = read_log(kept, home)
    said = say_none(kept, home)
    return TrialPage(
        now=sight.reading.now,
        searched=searched,
        trial=shown,
        id=kept.id,
        total=searched.facts.trials or len(trials),
        log=log,
        missing="" if log else f"{said[:1].upper()}{said[1:]}.",
        run_url=links.address_run(searched.facts.experiment_id or "", shown.run_id, tracking),
    )
