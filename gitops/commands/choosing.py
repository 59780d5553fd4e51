"""`register`: a trial of a search is registered by hand, though another one was the best: a simpler model, say.

A training of its own begins where the trial is judged, so that the gates, the registry, the pull requests and the audit
log treat it as any other; nothing is trained again.
"""

from gitops.commands.naming import cause_of, find_training
from gitops.commands.trainings import AGAIN, SAME, begin, facts_of, newest_try
from gitops.errors import RefusedError
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Command, Training
from gitops.steps import Done, Outcome, Phase, Refused
from gitops.trials import Trial, chosen_facts, search_of

_MOST = 1000  # versions that are looked through


def register(deps: Deps, command: Command) -> Outcome:
    """Judge a trial that somebody chose, register its model and propose it; once for each trial."""
    searched = find_training(deps, search_of(find_training(deps, command.arguments["training"])))
    trial = _find_trial(deps, searched, int(command.arguments["trial"]))
    _check_unregistered(deps, trial)
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


def _find_trial(deps: Deps, searched: Training, number: int) -> Trial:
    """Return a trial that came to a model, of a search that is over.

    Raises:
        RefusedError: `NoSearch`, `SearchUnderWay`, `UnknownTrial` or `TrialUnusable`.
    """
    total = searched.facts.trials
    if not total:
        raise RefusedError("NoSearch", f"training {searched.id} made no search: its launchpin.yaml has none")
    if not searched.phase.is_final:
        message = f"training {searched.id} is under way: wait for its end, or call it off with launchpin cancel"
        raise RefusedError("SearchUnderWay", message)
    trial = deps.store.trial(Trial.id_of(searched.id, number))
    if trial is None:
        message = f"training {searched.id} has no trial {number} of its {total}: launchpin trials {searched.id}"
        raise RefusedError("UnknownTrial", message)
    if trial.phase is not Phase.SUCCEEDED:
        why = ": ".join(part for part in (trial.reason, trial.message) if part)
        raise RefusedError("TrialUnusable", f"trial {number} of {searched.id} came to no model: {why}")
    return trial


def _check_unregistered(deps: Deps, trial: Trial) -> None:
    """Refuse a trial whose model is a version already.

    Raises:
        RefusedError: `AlreadyRegistered`.
    """
    versions = deps.store.versions(trial.model, limit=_MOST)
    known = next((one for one in versions if one.run_id == trial.facts.candidate_run_id), None)
    if known is not None:
        message = f"trial {trial.number} of {trial.training_id} is {known.model} {known.version} already: "
        way_out = f"launchpin promote {known.model} {known.version} --to ENDPOINT proposes it"
        raise RefusedError("AlreadyRegistered", message + way_out)
