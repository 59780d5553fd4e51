"""`trials`: the trials of a search, as far as whoever asks may look at it."""

from collections.abc import Sequence

from gitops.errors import UnknownNameError
from gitops.records import Training
from gitops.telling import answers
from gitops.telling.library import Library
from gitops.telling.runs import sentence_of
from gitops.telling.subjects import find_training
from gitops.trials import Trial, TrialView, objective_of, view


def find_search(library: Library, typed: str) -> Training:
    """Return the training whose search a person means: by default the newest one that searched.

    Args:
        typed: as `find_training` takes it; of a trial that was chosen by hand, it is the search that it comes from.

    Raises:
        InputError: as `find_training`.
        NotFoundError: likewise.
        UnknownNameError: likewise.
    """
    newest = () if typed else (one for one in library.trainings if one.facts.trials)
    found = next(iter(newest), None) or find_training(library, typed)
    return (library.training(found.facts.search_of) if found.facts.search_of else None) or found


def read_trials(library: Library, searched: Training, *, sort: str) -> Sequence[TrialView]:
    """Return the trials of a search that were begun, by number, or the highest first.

    Args:
        sort: a metric or parameter; empty for the order of their numbers.

    Raises:
        UnknownNameError: no trial has it.
    """
    rows = view(library.store.trials(searched.id), objective=objective_of(searched))
    known = sorted({name for row in rows for name in (*row.metrics, *row.parameters)})
    if sort and rows and sort not in known:
        raise UnknownNameError("metric or parameter", sort, known)
    return sorted(rows, key=lambda row: -_value(row, sort)) if sort else rows


def _value(row: TrialView, name: str) -> float:
    try:
        return row.metrics[name] if name in row.metrics else float(row.parameters[name])
    except (KeyError, ValueError):
        return float("-inf")


def tell_trials(searched: Training, rows: Sequence[TrialView]) -> answers.Trials:
    """Return the trials of a search as programs read them."""
    return answers.Trials(
        training=searched.id,
        phase=searched.phase.value,
        message=sentence_of(searched),
        objective=searched.facts.objective,
        total=searched.facts.trials,
        trials=tuple(tell_trial(searched, row) for row in rows),
    )


def tell_trial(searched: Training, row: TrialView) -> answers.Trial:
    """Return a trial as programs read it."""
    return answers.Trial(
        id=Trial.id_of(searched.id, row.number),
        number=row.number,
        parameters=dict(row.parameters),
        metrics=dict(row.metrics),
        state=row.state,
        reason=row.reason,
        message=row.message,
        run_id=row.run_id,
        is_best=row.is_best,
        seconds=row.seconds,
    )
