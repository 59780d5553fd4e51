"""Which of a training's runs is the candidate. Pure: runs in, one run and its model out."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from gitops.errors import RefusedError
from gitops.ports import LoggedModel, Run

_DEFAULT_NAME = "model"


@dataclass(frozen=True)
class Objective:
    """What makes one run better than another."""

    metric: str
    is_maximized: bool


@dataclass(frozen=True)
class Candidate:
    """The run that is judged, and the model that would be registered."""

    run: Run
    model: LoggedModel


def choose_candidate(runs: Sequence[Run], *, objective: Objective | None, model: str = "") -> Candidate:
    """Return the best run by the objective; without one, the only run that holds a model.

    Args:
        runs: the training's own run and those its script started.
        model: the name that `register.model` gives, empty when it gives none.

    Raises:
        RefusedError: `NoModel`, `ObjectiveMissing` or `AmbiguousModel`, naming what was found.
    """
    holding = [run for run in runs if _models(run, model)]
    if not holding:
        named = f" named {model!r}" if model else ""
        raise RefusedError("NoModel", f"no run of this training logged a model{named}: log one with log_model(...)")
    run = _best(holding, objective) if objective else _only(holding)
    models = _models(run, model)
    if len(models) > 1:
        # Autologging a search logs the best model twice, once under MLflow's own default name.
        models = tuple(found for found in models if found.name == _DEFAULT_NAME) or models
    if len(models) > 1:
        names = ", ".join(sorted(found.name for found in models))
        raise RefusedError("AmbiguousModel", f"the run holds {names}: name one in register.model")
    return Candidate(run, models[0])


def _models(run: Run, name: str) -> tuple[LoggedModel, ...]:
    return tuple(found for found in run.models if not name or found.name == name)


def _only(runs: Sequence[Run]) -> Run:
    if len(runs) > 1:
        raise RefusedError(
            "AmbiguousModel", f"{len(runs)} runs hold a model: set register.objective, so that the best can be chosen"
        )
    return runs[0]


def _best(runs: Sequence[Run], objective: Objective) -> Run:
    ranked = [(value, run) for run in runs if (value := _number(run, objective.metric)) is not None]
    if not ranked:
        raise RefusedError("ObjectiveMissing", f"no run that holds a model logged {objective.metric!r} as a number")
    choose = max if objective.is_maximized else min
    return choose(ranked, key=lambda pair: pair[0])[1]


def _number(run: Run, metric: str) -> Decimal | None:
    try:
        value = Decimal(run.metrics[metric])
    except (KeyError, InvalidOperation):
        return None
    return value if value.is_finite() else None
