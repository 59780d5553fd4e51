"""`register`: a trial of a search is registered by hand, though another one was the best: a simpler model, say.

A training of its own begins where the trial is judged, so that the gates, the registry, the pull requests and the audit
log treat it as any other; nothing is trained again.
"""

from gitops.commands.naming import cause_of, find_training
from gitops.commands.trainings import SAME, begin, facts_of, newest_try
from gitops.eligibility import AGAIN, check_search, check_trial, check_unregistered
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Command, Training
from gitops.steps import Done, Outcome, Refused
from gitops.trials import Trial, chosen_facts, search_of


def register(deps: Deps, command: Command) -> Outcome:
    """Judge a trial that somebody chose, register its model and propose it; once for each trial."""
    searched = find_training(deps, search_of(find_training(deps, command.arguments["training"])))
    check_search(searched)
    number = int(command.arguments["trial"])
    trial = check_trial(searched, deps.store.trial(Trial.id_of(searched.id, number)), number)
    run = trial.facts.candidate_run_id or ""
    check_unregistered(trial, deps.store.versions_of_runs(trial.model, [run]).get(run, ""))
    told = {"trial": trial.number, "search_of": searched.id, "chosen": command.arguments["reason"]}
    chosen = Training(
        id=new_id("t"),
        cause=cause_of(command),
        nonce=trial.id,
        facts=chosen_facts(searched.facts.model_copy(update=told)),
        **searched.model_dump(include=set(SAME)),
    )
    known = deps.store.training_of(chosen)
    if known is not None:
        return _chosen_before(trial, newest_try(deps, known))
    return begin(chosen, f"training {chosen.id} judges trial {trial.number} of {searched.id}")


def _chosen_before(trial: Trial, known: Training) -> Outcome:
    """Return what asking for a trial comes to that was chosen before: the same, and how it is judged once more."""
    message = f"trial {trial.number} of {trial.training_id} was chosen before, as {known.id} ({known.phase})"
    if known.phase not in AGAIN:
        return Done(facts=facts_of(known), message=message)
    way_out = f"launchpin retry {known.id} judges it once more"
    message = f"{message}: {known.message or known.reason}; {way_out}"
    return Refused(known.reason or known.phase.value, message, facts=facts_of(known))
