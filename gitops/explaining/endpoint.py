"""An endpoint explained: what serves, what failed, what Git says, what is held or waits, and what follows. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from gitops.explaining.answers import answer_to, split_reason
from gitops.explaining.explanation import Explanation, Hint, Reading, Statement, Who, choose_hints, collect_parts, quote
from gitops.explaining.following import (
    RESUME,
    STOPPED,
    doing,
    follows,
    is_stopped,
    paused,
    until_lifted,
    waits,
)
from gitops.records import Direction, Environment, Health, Hold, Promotion, Rollout, Sync, Training
from gitops.steps import Phase
from gitops.words import age, short

TAIL = 5
_BAD = frozenset({Phase.REFUSED, Phase.ERRORED, Phase.ROLLED_BACK})
# Where a comparison could not use what is written in Git.
_UNUSABLE = frozenset({"ConfigInvalid", "pin_refused", "endpoint_taken"})
_PULL_NUMBER = re.compile(r"/pull/(\d+)$")


@dataclass(frozen=True)
class Place:
    """Everything that the records hold of one environment.

    Args:
        holds: the open ones of its own, oldest first; a pause is none of them.
        rollouts: those that are not over and the last that ended, newest first.
        promotions: those that are not over and the newest one, newest first.
        training: the newest one of its model; None when the model was not trained here.
        moved_at: when the rollout that is not over moved the traffic; None where it did not, or nobody looked.
    """

    environment: Environment
    holds: tuple[Hold, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    promotions: tuple[Promotion, ...] = ()
    training: Training | None = None
    moved_at: datetime | None = None

    @property
    def name(self) -> str:
        """How verbs call it."""
        return self.environment.endpoint or self.address

    @property
    def address(self) -> str:
        """Where Git has it."""
        return f"{self.environment.repository}:{self.environment.path}"

    @property
    def moving(self) -> Rollout | None:
        """The rollout that runs, or the one that is next."""
        found = [one for one in self.rollouts if not one.phase.is_final]
        return next((one for one in found if one.phase is Phase.RUNNING), found[-1] if found else None)

    @property
    def moved(self) -> Rollout | None:
        """The rollout that is not over and has given the traffic to another version than the record names."""
        moving = self.moving
        told = moving.facts.serving if moving is not None else None
        return moving if told is not None and told != self.environment.serving else None

    @property
    def failed(self) -> Rollout | None:
        """The rollout that failed last, unless a later one came out well; one on its way back has failed already."""
        on_its_way = next((one for one in self.rollouts if not one.phase.is_final and one.facts.failure), None)
        ended = [one for one in self.rollouts if one.phase in _BAD or one.phase is Phase.SUCCEEDED]
        return on_its_way or next((one for one in ended[:1] if one.phase in _BAD), None)

    @property
    def broken_training(self) -> Training | None:
        """The model's newest training where it came to nothing."""
        return self.training if self.training is not None and self.training.phase in _BAD else None

    @property
    def open_training(self) -> Training | None:
        """The model's newest training where it is not over."""
        return self.training if self.training is not None and not self.training.phase.is_final else None

    @property
    def proposals(self) -> tuple[Promotion, ...]:
        """The promotions that are not over."""
        return tuple(one for one in self.promotions if not one.phase.is_final)

    @property
    def kept_out(self) -> Promotion | None:
        """The newest promotion, where its version's tier is too low here and nobody pinned it all the same."""
        newest = next((one for one in self.promotions[:1] if one.reason == "TierTooLow"), None)
        is_there = newest is not None and newest.version in {self.environment.pinned, self.serving}
        return None if is_there else newest

    @property
    def serving(self) -> str:
        """The version that has the traffic; the environment's record is written only when a rollout ends."""
        moving = self.moving
        told = moving.facts.serving if moving is not None else None
        return told if told is not None else self.environment.serving


def explain_endpoint(place: Place, reading: Reading) -> Explanation:
    """Explain an endpoint."""
    return Explanation(
        kind="endpoint",
        name=place.name,
        now=reading.now,
        headline=_headline(place, reading),
        parts=collect_parts(
            serving=serving_part(place, reading),
            failed=_failed_part(place),
            git=_git_part(place),
            waits=_waits_part(place, reading),
            next=_next_part(place, reading),
        ),
        hints=_hints(place, reading),
    )


def label(version: str | None) -> str:
    """Return a version as people say it."""
    return f"v{version}" if version else "nothing"


def moment(when: datetime) -> str:
    """Return a moment in full."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _headline(place: Place, reading: Reading) -> str:
    one, serving = place.environment, place.serving
    seen = "" if reading.is_up else " (as last seen: the stack is down)"
    too = "; everything is paused" if reading.pause is not None else ""
    now = f"{label(serving)} serves" if serving else "nothing serves"
    moving, failed = place.moving, place.failed
    if one.health is Health.DEGRADED:
        text = f"{place.name} is degraded: {now}"
    elif place.holds and failed is not None:
        text = f"{place.name} is held: {label(failed.version)} failed, and {now}"
    elif place.holds:
        text = f"{place.name} is held by {place.holds[0].author}, and {now}"
    elif moving is not None and not is_stopped(moving, reading):
        way = "goes back to" if moving.direction is Direction.ROLLBACK else "is rolling out"
        text = f"{place.name} {way} {label(moving.version)}: {doing(moving).now}, and {now}"
    elif one.sync is Sync.OUT_OF_SYNC:
        text = f"{place.name} is out of sync: {drift(place)}"
    elif reading.pause is not None:
        text, too = f"{place.name} is paused by {reading.pause.author}, as everything is, and {now}", ""
    elif not serving:
        text = f"{place.name} serves nothing: {'it was not started' if one.pinned else 'no version is pinned'}"
    else:
        text = f"{place.name} is fine: {now}, as Git pins"
    return f"{text}{_coming(place, reading)}{too}{seen}."


def drift(place: Place) -> str:
    """Return what Git and the endpoint disagree on."""
    one, serving = place.environment, place.serving
    now = f"{label(serving)} serves" if serving else "nothing serves"
    wants = f"Git pins {label(one.pinned)}"
    if one.sync_reason in _UNUSABLE:
        wants = f"what Git says cannot be used ({one.sync_reason})"
    elif one.pinned == serving:
        wants = one.sync_reason or wants
    return f"{wants}, and {now}"


def _coming(place: Place, reading: Reading) -> str:
    """Return what is on its way to the endpoint, or did not get there."""
    waiting = _mergeable(place, reading)
    if waiting:
        return f"; {label(waiting[0].version)} waits for a merge"
    if place.broken_training is not None:
        return f"; the newest training came to nothing ({place.broken_training.reason})"
    if place.open_training is not None:
        return "; a training is under way"
    kept_out = place.kept_out
    return f"; {label(kept_out.version)} is not proposed ({kept_out.reason})" if kept_out is not None else ""


def _mergeable(place: Place, reading: Reading) -> list[Promotion]:
    """Return the promotions that wait for nothing but a person's merge."""
    return [one for one in place.proposals if one.reason == "AwaitingMerge" and not is_stopped(one, reading)]


def serving_part(place: Place, reading: Reading) -> Iterator[Statement]:
    """Give what serves, how it does and since when."""
    one, moved = place.environment, place.moved
    health = one.health if reading.is_up else Health.UNKNOWN
    if moved is not None:
        before = f" ({label(one.serving)} before)" if one.serving else ""
        what = f"{label(moved.facts.serving)} of {moved.model} has" if moved.facts.serving else "nothing has"
        # What the record says of health is of what served before: this version is being watched, or has failed.
        state = Health.DEGRADED if moved.facts.failure else Health.PROGRESSING
        health = state if reading.is_up else Health.UNKNOWN
        text = f"{what} the traffic{before}, {health}{_since(place.moved_at, reading)}"
        yield Statement(text, since=place.moved_at)
    elif one.serving:
        when = _since(one.serving_since, reading)
        tier = f", tier {one.tier}" if one.tier else ""
        yield Statement(f"{label(one.serving)} of {one.model}{tier}, {health}{when}", since=one.serving_since)
    else:
        yield Statement(f"nothing; {health}")
    if one.message and one.health is Health.DEGRADED:
        yield Statement(one.message)
    if one.url and reading.is_up:
        yield Statement(one.url)


def _since(when: datetime | None, reading: Reading) -> str:
    return f", for {age(when, reading.now)} ({moment(when)})" if when else ""


def _failed_part(place: Place) -> Iterator[Statement]:
    if place.failed is not None:
        yield failed_rollout(place.failed)
    if place.broken_training is not None:
        yield failed_training(place.broken_training)


def failed_rollout(rollout: Rollout) -> Statement:
    """Return how a rollout failed, with its version's last lines."""
    facts = rollout.facts
    reason = facts.failure or rollout.reason
    why = ": ".join(part for part in (reason, facts.failure_message or rollout.message) if part)
    text = f"rollout {rollout.id} of {label(rollout.version)}: {why}"
    who, tail = answer_to(reason).who, facts.log_tail[-TAIL:]
    return Statement(text, rollout.id, reason, who, since=rollout.updated_at, tail=tail)


def failed_training(training: Training) -> Statement:
    """Return how a training failed, with its log's last lines."""
    why = ": ".join(part for part in (training.reason, training.facts.sentence or training.message) if part)
    text = f"training {training.id} of {training.repository} at {short(training.commit)}: {why}"
    who, tail = answer_to(training.reason).who, training.facts.log_tail[-TAIL:]
    # What a gate refused has run well: its log tells nothing of that.
    shown = tail if training.phase is Phase.ERRORED else ()
    return Statement(text, training.id, training.reason, who, since=training.updated_at, tail=shown)


def held(hold: Hold, failed: Rollout | None) -> Statement:
    """Return who holds an environment, since when and why; a failure that is told already is only named."""
    why = f": {hold.message}"
    if failed is not None and hold.rollout_id == failed.id:
        why = f" after rollout {failed.id} failed"
    return Statement(f"held by {hold.author}{why}", hold.rollout_id, hold.reason, Who.OPERATOR, since=hold.created_at)


def _git_part(place: Place) -> Iterator[Statement]:
    one, is_unusable = place.environment, place.environment.sync_reason in _UNUSABLE
    at = f" at {short(one.pin_commit)}" if one.pin_commit else ""
    # Of files that cannot be used the record keeps the commit, and the pin as it was before.
    pins = f"cannot be used; the last pin read there is {label(one.pinned)}" if is_unusable else ""
    why = ": ".join(part for part in (one.sync_reason, one.message) if part)
    if place.moving is not None and not is_unusable:
        why = "until the rollout is over"
    told = f" ({why})" if one.sync is Sync.OUT_OF_SYNC and why else ""
    says = f"{place.address}{at} {pins}" if pins else f"{place.address} pins {label(one.pinned)}{at}"
    yield Statement(f"{says}: {one.sync}{told}", reason=one.sync_reason)
    for promotion in place.promotions:
        if promotion.facts.number and not promotion.phase.is_final:
            yield Statement(f"pull request {promotion.facts.number} proposes {label(promotion.version)}", promotion.id)
            yield Statement(promotion.facts.url or "", promotion.id)
        elif promotion.reason == "PullRequestClosed":
            yield Statement(promotion.message, promotion.id, promotion.reason)
        elif promotion is place.kept_out:
            text = f"{label(promotion.version)} is not proposed: {promotion.message}"
            yield Statement(text, promotion.id, promotion.reason)
    if back := _pull_back(place):
        yield Statement(f"pull request {back} sets the pin back to what serves", reason="RollbackPending")
        yield Statement(place.rollouts[0].facts.write_back_url or "")


def _pull_back(place: Place) -> int:
    """Return the number of the pull request that sets the pin back, 0 where none is open as far as is known."""
    url = place.rollouts[0].facts.write_back_url if place.rollouts else None
    found = _PULL_NUMBER.search(url or "")
    return int(found[1]) if found and place.environment.sync_reason == "RollbackPending" else 0


def _waits_part(place: Place, reading: Reading) -> Iterator[Statement]:
    if reading.pause is not None:
        yield paused(reading.pause)
    for hold in place.holds:
        yield held(hold, place.failed)
    for rollout in reversed(place.rollouts):
        if told := waits(rollout, _rollout_title(rollout), reading):
            yield told
    for promotion in place.proposals:
        if told := waits(promotion, _promotion_title(promotion), reading):
            yield told
    if place.open_training is not None and (told := waits(place.open_training, _training_title(place), reading)):
        yield told
    if place.environment.sync_reason == "RollbackPending":
        who = f"whoever may push to {place.environment.repository}"
        yield Statement(f"Git does not name what serves yet, on {who}", reason="RollbackPending", who=Who.OWNER)


def _rollout_title(rollout: Rollout) -> str:
    way = "rollback" if rollout.direction is Direction.ROLLBACK else "rollout"
    return f"{way} {rollout.id} to {label(rollout.version)}"


def _promotion_title(promotion: Promotion) -> str:
    number = promotion.facts.number
    what = f"pull request {number}" if number else f"promotion {promotion.id}"
    return f"{what} of {label(promotion.version)}"


def _training_title(place: Place) -> str:
    return f"training {place.training.id}" if place.training is not None else ""


def _next_part(place: Place, reading: Reading) -> Iterator[Statement]:
    if not reading.is_up:
        yield Statement(STOPPED, who=Who.OPERATOR)
        return
    for rollout in reversed([one for one in place.rollouts if not one.phase.is_final]):
        yield follows(rollout, label(rollout.version), reading)
    for promotion in place.proposals:
        yield follows(promotion, _promotion_title(promotion), reading)
    if place.holds or reading.pause is not None:
        yield until_lifted(is_paused=reading.pause is not None, is_held=bool(place.holds))
    if place.moving is None:
        yield from _after_a_failure(place, reading)
    if place.open_training is not None:
        yield follows(place.open_training, _training_title(place), reading)


def _after_a_failure(place: Place, reading: Reading) -> Iterator[Statement]:
    """Give what follows where no rollout is under way."""
    if place.failed is not None and (place.holds or place.environment.sync is Sync.OUT_OF_SYNC):
        yield follows(place.failed, label(place.failed.version), reading)
    elif place.environment.sync is Sync.OUT_OF_SYNC:
        answer = answer_to(place.environment.sync_reason)
        told = answer.do or answer.then or "the comparison looks again within a minute"
        yield Statement(f"to bring it in line with Git: {told}", reason=place.environment.sync_reason, who=answer.who)
    if place.broken_training is not None and not place.proposals:
        yield follows(place.broken_training, _training_title(place), reading)


def _hints(place: Place, reading: Reading) -> tuple[Hint, ...]:
    name = quote(place.name)
    repository = quote(place.environment.repository)
    if not reading.is_up:
        return (Hint("launchpin up", "starts the stack"),)
    merge = _merge_hints(place, repository, reading)
    is_sick = place.environment.health is Health.DEGRADED and place.moving is None
    way_back = Hint(f"launchpin rollback {name}", "goes back to the last good version") if is_sick else None
    broken, look = place.broken_training, _look(place)
    return choose_hints(
        Hint(look, "why") if look else None,
        way_back if place.environment.earlier else None,
        RESUME if reading.pause is not None else None,
        Hint(f"launchpin logs {broken.id}", "the whole log") if broken is not None else None,
        *merge,
        Hint(f"launchpin resume {name}", "lifts the hold") if place.holds else None,
        Hint(f"launchpin explain {name} --incident", "for a post-mortem") if place.failed else None,
        Hint(f"launchpin history {name}", "what served before") if place.holds or is_sick else None,
    )


def _look(place: Place) -> str:
    """Return a command that shows more of what is waited for, empty where there is none."""
    waiting = [one for one in (place.moving, *place.proposals, place.open_training) if one is not None]
    reasons = [split_reason(one.reason, one.message)[0] for one in waiting]
    return next((look for reason in reasons if (look := answer_to(reason).look)), "")


def _merge_hints(place: Place, repository: str, reading: Reading) -> tuple[Hint, ...]:
    back = _pull_back(place)
    pages = {one.facts.number: one.facts.url or "" for one in _mergeable(place, reading) if one.facts.number}
    number = back or next(iter(pages), 0)
    if not number:
        return ()
    at = f"{number} --repo {repository}"
    page = (place.rollouts[0].facts.write_back_url or "") if back else pages[number]
    return (
        Hint(f"launchpin pr show {at}", "what it changes", page),
        Hint(f"launchpin pr merge {at}", "merges it" if reading.pause else "rolls it out", page),
    )
