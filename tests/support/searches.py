"""A search that is over, of however many trials, written past the store: what pages show of it is the same."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert

from gitops.facts import ScriptFacts
from gitops.records import Training, TrainingFacts
from gitops.steps import Phase
from gitops.store import tables
from gitops.store.rows import to_row
from gitops.trials import Trial
from tests.support.store import make_training, make_trial, make_url, make_version

SEARCHED = "t-searched"
BEST, REGISTERED, JUDGED, FAILED = 40, 3, 5, 17
"""Trials of it: the one that the search judged; one that is a version; one that a person chose; one that failed."""

VERSION, CHOSEN = "7", "t-chosen"


def fill_with_search(home: Path, trials: int = 54, *, parameters: int = 3, **changes: Any) -> None:  # noqa: ANN401
    """Write a training with so many trials, each with so many parameters; each 17th has failed.

    The best has its log here, in two attempts, and of those that failed the record has the last lines.

    Args:
        changes: fields of the training.
    """
    now = datetime.now(UTC) - timedelta(hours=1)
    facts = TrainingFacts(
        trials=trials,
        objective={"metric": "accuracy", "goal": "maximize"},
        trial=BEST,
        experiment_id="3",
        run_id="parent",
        verdict="fail",
        sentence="accuracy 0.97 is not above 0.98",
    )
    of = {"repository_id": 5, "repository": "acme/fraud", "model": "fraud"}
    ended = {"phase": Phase.REFUSED, "step": "judge", "reason": "GateRefused", "message": facts.sentence}
    searched = make_training(id=SEARCHED, **{**of, **ended, "facts": facts, **changes})
    chosen = searched.model_copy(
        update={
            "id": CHOSEN,
            "nonce": Trial.id_of(SEARCHED, JUDGED),
            "facts": facts.model_copy(update={"trial": JUDGED, "search_of": SEARCHED, "chosen": "half as deep"}),
        }
    )
    version = make_version(model="fraud", version=VERSION, run_id=f"run-{REGISTERED}", training_id=SEARCHED)
    engine = create_engine(make_url(home))
    with engine.begin() as connection:
        for one in (searched, chosen):
            connection.execute(insert(tables.trainings), [_row(one, now)])
        rows = [_row(_trial(searched, number, parameters), now) for number in range(1, trials + 1)]
        connection.execute(insert(tables.trials), rows)
        connection.execute(insert(tables.versions), [to_row(version, created_at=now)])
    engine.dispose()
    logs = home / "trainings" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / f"{Trial.id_of(SEARCHED, BEST)}-1.log").write_text("an older attempt\n")
    (logs / f"{Trial.id_of(SEARCHED, BEST)}-2.log").write_text("fitting 48211 rows\n\x1b[31m<b>accuracy 0.97\n")


def _row(record: Training | Trial, now: datetime) -> dict[str, object]:
    return to_row(record, created_at=now, updated_at=now)


def _trial(searched: Training, number: int, parameters: int) -> Trial:
    """Return a trial whose values tell it from the others, and are as long as those of a random search."""
    has_failed = number % FAILED == 0
    accuracy = 0.97 if number == BEST else 0.7 + (number * 37 % 1009) / 4_000
    ended = {"phase": Phase.ERRORED, "reason": "TrainingFailed"} if has_failed else {"phase": Phase.SUCCEEDED}
    run = f"run-{number}"
    return make_trial(
        number,
        training_id=searched.id,
        **searched.model_dump(include={"repository_id", "repository", "commit", "model"}),
        parameters={f"parameter_{at}": repr((number * (at + 7) % 997) / 1_000_003) for at in range(parameters)},
        facts=ScriptFacts(run_id=run, log_tail=("fitting 48211 rows", "ValueError: <too> deep"))
        if has_failed
        else ScriptFacts(run_id=run, candidate_run_id=run, metrics={"accuracy": repr(accuracy)}),
        **ended,
    )
