"""Tells the forge how trainings and rollouts stand, as checks on their commits.

These are jobs of their own: a forge that is away holds nothing else up, and what is told is always the newest state.
"""

import hashlib
from dataclasses import dataclass

from gitops.ports import Check, CheckState, Commit, Deps
from gitops.records import Record, Rollout, Training
from gitops.steps import Done, Outcome, Phase, Step, Story
from gitops.texts import code, fenced, short, training_summary

_STATES = {
    Phase.SUCCEEDED: CheckState.SUCCESS,
    Phase.REFUSED: CheckState.FAILURE,
    Phase.ERRORED: CheckState.FAILURE,
    Phase.ROLLED_BACK: CheckState.FAILURE,
    Phase.SUPERSEDED: CheckState.NEUTRAL,
    Phase.CANCELLED: CheckState.NEUTRAL,
}


@dataclass(frozen=True)
class News:
    """A record whose state is to be told."""

    record: Training | Rollout


def tell(deps: Deps, news: News) -> Outcome:
    """Put the record's state on its commit, once for each state."""
    check = (
        _training_check(deps, news.record) if isinstance(news.record, Training) else _rollout_check(deps, news.record)
    )
    content = f"{news.record.revision}\n{check.state}\n{check.title}\n{check.summary}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]

    def report() -> Commit:
        deps.forge.report_check(news.record.repository, news.record.commit, check)
        return Commit(sha=news.record.commit)

    deps.effects.once("report_check", f"report:{news.record.id}:{digest}", look=lambda: None, act=report, result=Commit)
    return Done()


def _title(record: Record) -> str:
    return short(record.message or record.reason or record.step.replace("_", " ") or "queued")


def _training_check(deps: Deps, training: Training) -> Check:
    return Check(
        f"launchpin/train ({training.model})",
        _STATES.get(training.phase, CheckState.PENDING),
        _title(training),
        training_summary(training),
        url=f"{deps.service.base_url}/trainings/{training.id}",
    )


def _rollout_check(deps: Deps, rollout: Rollout) -> Check:
    facts = rollout.facts
    parts = []
    if facts.failure:
        parts.append(f"**{facts.failure}**: {code(facts.failure_message or '', limit=1000)}")
    if facts.log_tail:
        parts.append("Last lines of its log:\n\n" + fenced(facts.log_tail))
    if facts.serving is not None:
        parts.append(f"Serving now: version {code(facts.serving or 'none')} of {code(rollout.model)}.")
    return Check(
        f"launchpin/rollout ({rollout.environment})",
        _STATES.get(rollout.phase, CheckState.PENDING),
        _title(rollout),
        "\n\n".join(parts),
        url=f"{deps.service.base_url}/rollouts/{rollout.id}",
    )


def _load(deps: Deps, subject: str) -> News | None:
    kind, _, record_id = subject.partition(":")
    record = deps.store.training(record_id) if kind == "training" else deps.store.rollout(record_id)
    return News(record) if record is not None else None


REPORT = Story("report", (Step("tell", tell),), _load)
