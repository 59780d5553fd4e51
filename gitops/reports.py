"""Tells the forge how trainings, promotions and rollouts stand, as checks on their commits.

These are jobs of their own: a forge that is away holds nothing else up, and what is told is always the newest state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from gitops.ports import Check, CheckState, Deps
from gitops.records import Promotion, Record, Rollout, Training
from gitops.steps import Done, Outcome, Phase, Step, Story
from gitops.texts import code, fenced, short, training_summary
from gitops.tiers import TIER_TOO_LOW
from gitops.trials import TrialView, objective_of, view

_STATES = {
    Phase.SUCCEEDED: CheckState.SUCCESS,
    Phase.REFUSED: CheckState.FAILURE,
    Phase.ERRORED: CheckState.FAILURE,
    Phase.ROLLED_BACK: CheckState.FAILURE,
    Phase.SUPERSEDED: CheckState.NEUTRAL,
    Phase.CANCELLED: CheckState.NEUTRAL,
}
# Where a promotion under way needs nobody, or only the merge that everybody knows of.
_GOES_ON = frozenset({"", "AwaitingMerge", "ChecksPending", "Held", "Merged", "Retrying"})


@dataclass(frozen=True)
class News:
    """A record whose state is to be told, and the commit to tell it on."""

    record: Training | Promotion | Rollout
    repository: str
    commit: str


def tell(deps: Deps, news: News) -> Outcome:
    """Put the record's state on its commit, unless that is what was told last."""
    check = _check(deps, news.record)
    content = f"{news.record.revision}\n{check.state}\n{check.title}\n{check.summary}"

    def report() -> None:
        deps.forge.report_check(news.repository, news.commit, check)

    deps.effects.renew("report_check", f"report:{news.record.id}", content=content, act=report)
    return Done()


def _check(deps: Deps, record: Training | Promotion | Rollout) -> Check:
    match record:
        case Training():
            return _training_check(deps, record)
        case Promotion():
            return _promotion_check(deps, record)
        case Rollout():
            return _rollout_check(deps, record)
        case _:
            assert_never(record)


def _title(record: Record) -> str:
    return short(record.message or record.reason or record.step.replace("_", " ") or "queued")


def _training_check(deps: Deps, training: Training) -> Check:
    return Check(
        f"launchpin/train ({training.model})",
        _STATES.get(training.phase, CheckState.PENDING),
        _title(training),
        training_summary(training, _trials(deps, training)),
        url=f"{deps.service.base_url}/trainings/{training.id}",
    )


def _trials(deps: Deps, training: Training) -> Sequence[TrialView]:
    if not training.facts.trials or training.facts.search_of:
        return ()
    return view(deps.store.trials(training.id), objective=objective_of(training))


def _promotion_check(deps: Deps, promotion: Promotion) -> Check:
    return Check(
        f"launchpin/promote ({promotion.environment})",
        _promotion_state(promotion),
        _title(promotion),
        f"Version {code(promotion.version)} of {code(promotion.model)}: {code(promotion.message, limit=1000)}",
        url=promotion.facts.url or f"{deps.service.base_url}/trainings/{promotion.training_id}",
    )


def _promotion_state(promotion: Promotion) -> CheckState:
    """Fail where a person must mend something; what a person or a tier keeps out is no failure."""
    if promotion.reason in {"PullRequestClosed", TIER_TOO_LOW}:
        return CheckState.NEUTRAL
    if not promotion.phase.is_final and promotion.reason not in _GOES_ON:
        return CheckState.FAILURE
    return _STATES.get(promotion.phase, CheckState.PENDING)


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
    if kind == "promotion":
        promotion = deps.store.promotion(record_id)
        training = deps.store.training(promotion.training_id) if promotion else None
        return News(promotion, training.repository, training.commit) if promotion and training else None
    record = deps.store.training(record_id) if kind == "training" else deps.store.rollout(record_id)
    return News(record, record.repository, record.commit) if record is not None else None


REPORT = Story("report", (Step("tell", tell),), _load)
