"""A training's search as its page shows it: the trials, and what came of each beyond the search. Writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from gitops.config.goals import Goal as Aim
from gitops.records import Training
from gitops.steps import Phase
from gitops.trials import Trial, TrialView, objective_of, view
from webhooks.dashboard import links
from webhooks.dashboard.actions import Action, of_trial
from webhooks.dashboard.asked import Asked
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

    trials = view(sight.store.trials(searched.id), objective=objective)
    goal = Goal(objective.metric, is_greatest=objective.goal is Aim.MAXIMIZE)
    part = show_search(trials, goal, asked=asked, run_url=run_url)
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
