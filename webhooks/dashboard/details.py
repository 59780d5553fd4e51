"""What the pages of one training and one rollout show. Writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gitops.ports import AuditRow
from gitops.records import Promotion, Rollout, Training
from webhooks.dashboard.overview import Moving, Reader, moving_rollout, moving_training

AUDIT_DEPTH = 2_000
"""How many of the last entries are searched for those of one record; the rest is the command line's."""

_SHOWN_ELSEWHERE = {
    *("log_tail", "metrics", "parameters", "gates", "champion_metrics", "promotions", "sentence"),
    *("failure", "failure_message"),
}


@dataclass(frozen=True)
class Metric:
    """One metric beside the champion's; decimal strings, empty when not known."""

    name: str
    value: str
    champion: str


@dataclass(frozen=True)
class TrainingPage:
    """One training with what came of it."""

    now: datetime
    story: Moving
    training: Training
    metrics: tuple[Metric, ...]
    facts: Mapping[str, str]
    promotions: tuple[Promotion, ...]
    entries: tuple[AuditRow, ...]
    repository_url: str


@dataclass(frozen=True)
class RolloutPage:
    """One rollout with what was recorded of it."""

    now: datetime
    story: Moving
    rollout: Rollout
    facts: Mapping[str, str]
    entries: tuple[AuditRow, ...]
    repository_url: str


def read_training_page(store: Reader, training_id: str) -> TrainingPage | None:
    """Read the page of a training; None when there is none of that id."""
    training = store.training(training_id)
    if training is None:
        return None
    facts = training.facts
    promotions = (store.promotion(promotion_id) for promotion_id in facts.promotions)
    return TrainingPage(
        now=store.now(),
        story=moving_training(training),
        training=training,
        metrics=tuple(
            Metric(name, facts.metrics.get(name, ""), facts.champion_metrics.get(name, ""))
            for name in sorted(facts.metrics.keys() | facts.champion_metrics.keys())
        ),
        facts=_plain_facts(facts.model_dump()),
        promotions=tuple(promotion for promotion in promotions if promotion is not None),
        entries=tuple(row for row in store.audit_recent(AUDIT_DEPTH) if row.entry.subject.training_id == training.id),
        repository_url=_html_url(store, training.repository_id),
    )


def read_rollout_page(store: Reader, rollout_id: str) -> RolloutPage | None:
    """Read the page of a rollout; None when there is none of that id."""
    rollout = store.rollout(rollout_id)
    if rollout is None:
        return None
    return RolloutPage(
        now=store.now(),
        story=moving_rollout(rollout),
        rollout=rollout,
        facts=_plain_facts(rollout.facts.model_dump()),
        entries=tuple(row for row in store.audit_recent(AUDIT_DEPTH) if row.entry.subject.rollout_id == rollout.id),
        repository_url=_html_url(store, rollout.repository_id),
    )


def _html_url(store: Reader, repository_id: int) -> str:
    repository = store.repository(repository_id)
    return repository.html_url if repository else ""


def _plain_facts(facts: Mapping[str, object]) -> dict[str, str]:
    """Return the facts that are one value each and have no place of their own on the page."""
    known = {name: value for name, value in facts.items() if value is not None and name not in _SHOWN_ELSEWHERE}
    return {name.replace("_", " "): _plain(value) for name, value in known.items()}


def _plain(value: object) -> str:
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case "":
            return "none"
        case _:
            return str(value)
