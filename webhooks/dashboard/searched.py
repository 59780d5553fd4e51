"""A training's search as its page shows it. Writes nothing."""

from gitops.config.goals import Goal as Aim
from gitops.records import Training
from gitops.trials import TrialView, objective_of, view
from webhooks.dashboard import links
from webhooks.dashboard.asked import Asked
from webhooks.dashboard.picture import Goal
from webhooks.dashboard.sight import Sight
from webhooks.dashboard.trials import SearchPart, show_search


def read_search(sight: Sight, training: Training, *, tracking: str, asked: Asked) -> SearchPart[TrialView] | None:
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
    return show_search(trials, goal, asked=asked, run_url=run_url)
