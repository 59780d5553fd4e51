"""A pull request of ours explained: what it proposes, on whom it waits, and what its merge does. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from gitops.explaining.answers import split_reason
from gitops.explaining.endpoint import Place, failed_rollout, held, label, serving_part
from gitops.explaining.explanation import Explanation, Hint, Reading, Statement, Who, choose_hints, collect_parts, quote
from gitops.explaining.following import (
    RESUME,
    STOPPED,
    UNTIL_RESUMED,
    doing,
    follows,
    is_stopped,
    paused,
    until_lifted,
    waits,
)
from gitops.explaining.training import pull_hints
from gitops.records import Promotion, Rollout
from gitops.steps import Phase
from gitops.words import age, short

_NEWS = timedelta(minutes=2)


@dataclass(frozen=True)
class Proposal:
    """A pull request that Launchpin opened, with where it goes.

    Args:
        promotion: what opened it, or updated it last.
        place: None where nothing is known of the environment yet.
        commit: what its version was trained from, empty when that is not known.
    """

    promotion: Promotion
    place: Place | None = None
    commit: str = ""

    @property
    def name(self) -> str:
        """How people call it."""
        return f"{self.promotion.repository}#{self.promotion.facts.number}"

    @property
    def rollout(self) -> Rollout | None:
        """The rollout of its version there, where it is among the newest."""
        known = self.place.rollouts if self.place is not None else ()
        return next((one for one in known if one.version == self.promotion.version and not _is_older(one, self)), None)


def _is_older(rollout: Rollout, proposal: Proposal) -> bool:
    begun, proposed = rollout.created_at, proposal.promotion.created_at
    return begun is not None and proposed is not None and begun < proposed


def explain_pull(proposal: Proposal, reading: Reading) -> Explanation:
    """Explain a pull request of ours."""
    return Explanation(
        kind="pull",
        name=proposal.name,
        now=reading.now,
        headline=_headline(proposal, reading),
        parts=collect_parts(
            serving=serving_part(proposal.place, reading) if proposal.place is not None else (),
            failed=_failed_part(proposal),
            git=_git_part(proposal, reading),
            waits=_waits_part(proposal, reading),
            next=_next_part(proposal, reading),
        ),
        hints=_hints(proposal, reading),
    )


def _headline(proposal: Proposal, reading: Reading) -> str:
    promotion = proposal.promotion
    what = f"{proposal.name} proposes {label(promotion.version)} of {promotion.model} for {promotion.environment}"
    if promotion.facts.merge_sha:
        return f"{what}: merged by {promotion.facts.merged_by or 'somebody'}{_rolled(proposal, reading)}."
    if promotion.phase.is_final:
        return f"{what}: over, {promotion.reason or promotion.phase.value}."
    if is_stopped(promotion, reading):
        return f"{what}: {UNTIL_RESUMED}."
    reason, _ = split_reason(promotion.reason, promotion.message)
    waits_for = "it waits for a merge" if reason == "AwaitingMerge" else reason
    return f"{what}: {waits_for or doing(promotion).now}."


def _rolled(proposal: Proposal, reading: Reading) -> str:
    rollout = proposal.rollout
    if rollout is None:
        return ""
    if is_stopped(rollout, reading):
        return "; it rolls out once the pause is lifted"
    ends = {Phase.SUCCEEDED: "it rolled out", Phase.PENDING: "it is to roll out", Phase.RUNNING: "it rolls out"}
    ended = f"its rollout ended: {rollout.reason or rollout.phase.value}"
    return f"; {ends.get(rollout.phase, ended)}"


def _failed_part(proposal: Proposal) -> Iterator[Statement]:
    promotion, rollout = proposal.promotion, proposal.rollout
    if promotion.phase in {Phase.REFUSED, Phase.ERRORED}:
        yield Statement(f"{promotion.reason}: {promotion.message}", promotion.id, promotion.reason)
    if rollout is not None and (rollout.facts.failure or rollout.phase in {Phase.REFUSED, Phase.ERRORED}):
        yield failed_rollout(rollout)


def _git_part(proposal: Proposal, reading: Reading) -> Iterator[Statement]:
    promotion, facts = proposal.promotion, proposal.promotion.facts
    before = label(facts.previous_version)
    yield Statement(f"{promotion.repository}:{promotion.path}: {before} -> {label(promotion.version)}")
    opened = f"proposed {age(promotion.created_at, reading.now)} ago" if promotion.created_at else "proposed"
    trained = f", trained from {short(proposal.commit)}" if proposal.commit else ""
    yield Statement(f"{opened} by training {promotion.training_id}{trained}; merge: {promotion.merge}")
    if facts.url:
        yield Statement(facts.url)
    if facts.merge_sha:
        yield Statement(f"merged by {facts.merged_by or 'somebody'} at {short(facts.merge_sha)}", promotion.id)


def _waits_part(proposal: Proposal, reading: Reading) -> Iterator[Statement]:
    promotion, place = proposal.promotion, proposal.place
    if reading.pause is not None:
        yield paused(reading.pause)
    for hold in place.holds if place is not None else ():
        yield held(hold, place.failed if place is not None else None)
    if told := waits(promotion, f"pull request {promotion.facts.number}", reading):
        yield told
    if proposal.rollout is not None and (told := waits(proposal.rollout, f"rollout {proposal.rollout.id}", reading)):
        yield told


def _next_part(proposal: Proposal, reading: Reading) -> Iterator[Statement]:
    promotion, rollout = proposal.promotion, proposal.rollout
    if not reading.is_up:
        yield Statement(STOPPED, who=Who.OPERATOR)
    elif not promotion.phase.is_final:
        yield follows(promotion, f"pull request {promotion.facts.number}", reading)
    elif rollout is not None and rollout.phase is not Phase.SUCCEEDED:
        yield follows(rollout, f"rollout {rollout.id}", reading)
    elif _is_news(proposal, reading):
        rolls = "; it rolls out once nothing holds it" if _is_held(proposal, reading) else ", and rolls it out"
        yield Statement(f"the comparison sees the merge within a minute{rolls}")
    else:
        yield follows(promotion, f"pull request {promotion.facts.number}", reading)
    if reading.is_up and reading.pause is not None:
        yield until_lifted(is_paused=True, is_held=_has_holds(proposal))


def _has_holds(proposal: Proposal) -> bool:
    return proposal.place is not None and bool(proposal.place.holds)


def _is_held(proposal: Proposal, reading: Reading) -> bool:
    return _has_holds(proposal) or reading.pause is not None


def _is_news(proposal: Proposal, reading: Reading) -> bool:
    """Return whether it was merged a moment ago and nobody has compared the pin since."""
    promotion, place = proposal.promotion, proposal.place
    if not promotion.facts.merge_sha or promotion.updated_at is None or place is None:
        return False
    return reading.now - promotion.updated_at < _NEWS and place.environment.pinned != promotion.version


def _hints(proposal: Proposal, reading: Reading) -> tuple[Hint, ...]:
    promotion, place = proposal.promotion, proposal.place
    if not reading.is_up:
        return (Hint("launchpin up", "starts the stack"),)
    name = quote(place.name) if place is not None else ""
    is_open = not promotion.phase.is_final and bool(promotion.facts.number)
    return choose_hints(
        RESUME if reading.pause is not None else None,
        Hint(f"launchpin resume {name}", "lifts the hold") if is_open and _has_holds(proposal) else None,
        *(pull_hints(promotion, is_held=_is_held(proposal, reading)) if is_open else ()),
        Hint(f"launchpin explain {name}", "the endpoint it goes to") if name and not is_open else None,
    )
