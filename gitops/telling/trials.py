"""`trials`: the trials of a search, as far as whoever asks may look at it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gitops.config.goals import Goal, Objective
from gitops.errors import InputError, UnknownNameError
from gitops.records import Training
from gitops.telling import answers
from gitops.telling.library import Library
from gitops.telling.runs import sentence_of
from gitops.telling.subjects import find_training
from gitops.trials import Trial, TrialView, count_for, in_order, objective_of, progress_of, read_value, search_of, view

LOWEST_ALONE = "--lowest says which end of a metric or parameter comes first: name it with --sort NAME"


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
    return library.training(search_of(found)) or found


@dataclass(frozen=True)
class Found:
    """The trials of a search that were begun.

    Args:
        message: how far the search is at this moment, or why it ended.
    """

    rows: Sequence[TrialView]
    message: str


def read_trials(library: Library, searched: Training, *, sort: str, is_lowest: bool = False) -> Found:
    """Return the trials of a search that were begun, by number, or the best or highest first.

    Args:
        sort: a metric or parameter; empty for the order of their numbers. By the objective the best is first.
        is_lowest: the lowest is first, whatever the objective.

    Raises:
        InputError: `lowest_alone`.
        UnknownNameError: no trial has it.
    """
    if is_lowest and not sort:
        raise InputError("lowest_alone", LOWEST_ALONE, field="lowest")
    begun = library.store.trials(searched.id)
    rows, now = view(begun, objective=objective_of(searched)), progress_of(searched, begun)
    known = sorted({name for row in rows for name in (*row.metrics, *row.parameters)})
    if sort and rows and sort not in known:
        raise UnknownNameError("metric or parameter", sort, known)
    if sort:
        objective = objective_of(searched)
        is_least_best = objective is not None and (objective.metric, objective.goal) == (sort, Goal.MINIMIZE)
        rows = tuple(_sort(rows, sort, objective, is_lowest=is_lowest or is_least_best))
    return Found(rows, now.sentence if now is not None else sentence_of(searched))


def _sort(rows: Sequence[TrialView], name: str, objective: Objective | None, *, is_lowest: bool) -> Sequence[TrialView]:
    """Return trials by a metric or parameter; what has none comes last, by the objective what does not count, too."""

    def value(row: TrialView) -> str | float | None:
        if objective is not None and objective.metric == name:
            return count_for(row.state, row.metrics, name)
        return row.metrics[name] if name in row.metrics else read_value(row.parameters.get(name))

    return in_order(rows, value, is_down=not is_lowest)


def tell_trials(searched: Training, found: Found) -> answers.Trials:
    """Return the trials of a search as programs read them."""
    return answers.Trials(
        training=searched.id,
        phase=searched.phase.value,
        message=found.message,
        objective=searched.facts.objective,
        total=searched.facts.trials,
        trials=tuple(tell_trial(searched, row) for row in found.rows),
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
