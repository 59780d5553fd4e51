"""`runs`: trainings, newest first or the best by a metric first, and why each is where it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gitops.errors import InputError, UnknownNameError
from gitops.records import Training
from gitops.telling import answers, showing
from gitops.telling.library import FAR, Library

_PUSHES = 50

Find = Callable[[Sequence[Training], str], Mapping[str, Mapping[str, str]]]
"""Asks the tracking server: the metrics of each training's run that matches a filter, by the run's id."""


@dataclass(frozen=True)
class Asked:
    """Which trainings, and in which order.

    Args:
        model: only of this model; empty for all.
        best: sort by this metric; empty for the newest first.
        is_lowest: the lowest of it first.
        where: a filter in MLflow's language.
        limit: at most so many.
    """

    model: str = ""
    best: str = ""
    is_lowest: bool = False
    where: str = ""
    limit: int = 10


@dataclass(frozen=True)
class Row:
    """A training that is listed.

    Args:
        value: its run's number for the metric that was asked for, as it was logged; empty when none was.
    """

    training: Training
    value: str = ""


@dataclass(frozen=True)
class Found:
    """What was listed.

    Args:
        looked_at: how many of the newest trainings were looked at.
        is_whole: whether these are all that there are.
        wrong_pushes: what is wrong with the files of pushes that came after the newest training.
    """

    rows: Sequence[Row]
    looked_at: int
    is_whole: bool
    wrong_pushes: Sequence[str]


def read_runs(library: Library, asked: Asked, find: Find) -> Found:
    """Return the trainings that are asked for.

    Raises:
        InputError: `lowest_alone`; or as `find` does of the filter.
        RetryError: as `find` does.
        UnknownNameError: nobody knows the model.
    """
    if asked.is_lowest and not asked.best:
        message = "--lowest says which end of a metric is the best one: name it with --best METRIC"
        raise InputError("lowest_alone", message, field="lowest")
    # One more than is looked at says whether there are more.
    found = library.page(Training, FAR + 1, **({"model": asked.model} if asked.model else {}))
    trainings = found[:FAR]
    if asked.model and not trainings:
        raise UnknownNameError("model", asked.model, sorted({one.model for one in library.trainings}))
    rows = [Row(one) for one in trainings]
    if asked.best or asked.where:
        known = [one for one in trainings if run_of(one)]
        rows = choose(trainings, find(known, asked.where), best=asked.best, is_lowest=asked.is_lowest)
    is_whole = len(found) == len(trainings)
    return Found(rows[: asked.limit], len(trainings), is_whole, _wrong_pushes(library, trainings))


def choose(
    trainings: Sequence[Training], runs: Mapping[str, Mapping[str, str]], *, best: str, is_lowest: bool
) -> list[Row]:
    """Return the trainings whose run was found, in their order, or the best by a metric first.

    Args:
        runs: the metrics of each run that was found.
        best: the metric; what has no finite number for it is left out. Empty to keep the order.
    """
    found = [(one, runs[run_of(one)]) for one in trainings if run_of(one) in runs]
    if not best:
        return [Row(one) for one, _ in found]
    values = [(one, metrics.get(best, ""), _finite(metrics.get(best))) for one, metrics in found]
    ranked = [(value, Row(one, text)) for one, text, value in values if value is not None]
    # Of two that are as good the newer one stays first.
    ranked.sort(key=lambda pair: pair[0], reverse=not is_lowest)
    return [row for _, row in ranked]


def run_of(training: Training) -> str:
    """Return the id of a training's run: its candidate's, else its own; empty while there is none."""
    return training.facts.candidate_run_id or training.facts.run_id or ""


def _finite(text: str | None) -> Decimal | None:
    value = Decimal(text) if text is not None else Decimal("NaN")
    return value if value.is_finite() else None


def ask_mlflow(tracking_uri: str) -> Find:
    """Return what asks one tracking server."""

    def find(trainings: Sequence[Training], where: str) -> Mapping[str, Mapping[str, str]]:
        from gitops.registry.questions import RunQuestions  # noqa: PLC0415 - an HTTP client, for a question alone

        experiments = sorted({one.facts.experiment_id for one in trainings if one.facts.experiment_id})
        ids = [run_of(one) for one in trainings]
        return {
            run_id: run.metrics
            for run_id, run in RunQuestions(tracking_uri).find(ids, experiments=experiments, where=where).items()
        }

    return find


def _wrong_pushes(library: Library, found: Sequence[Training]) -> list[str]:
    """Return what is wrong with the files of pushes that came after the newest training."""
    since = found[0].created_at if found else None
    return [
        one.facts.detail
        for one in library.deliveries(_PUSHES)
        if one.facts.reason == "config" and one.facts.detail
        if since is None or (one.created_at is not None and one.created_at > since)
    ]


def sentence_of(training: Training) -> str:
    """Return the one sentence that says why a training is where it is."""
    waits = training.message or training.reason
    return waits if not training.phase.is_final else training.facts.sentence or waits


def took(training: Training) -> float | None:
    """Return how many seconds a training that is over took; None while it goes on."""
    if not training.phase.is_final or training.created_at is None or training.updated_at is None:
        return None
    return (training.updated_at - training.created_at).total_seconds()


def tell_runs(found: Found, asked: Asked) -> answers.Runs:
    """Return the trainings as programs read them."""
    goal = ("minimize" if asked.is_lowest else "maximize") if asked.best else ""
    return answers.Runs(
        best=asked.best,
        goal=goal,
        looked_at=found.looked_at,
        is_whole=found.is_whole,
        trainings=tuple(map(_run, found.rows)),
        wrong_pushes=tuple(found.wrong_pushes),
    )


def _run(row: Row) -> answers.Run:
    training = row.training
    more = {"sentence": sentence_of(training), "took": took(training), "value": row.value}
    return answers.Run.model_validate({**showing.training(training).model_dump(), **more})
