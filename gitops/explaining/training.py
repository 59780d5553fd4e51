"""A training explained: where it stands or why it failed, what came of its version, and what follows. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gitops.explaining.answers import answer_to, split_reason
from gitops.explaining.endpoint import failed_training, label
from gitops.explaining.explanation import Explanation, Hint, Reading, Statement, Who, choose_hints, collect_parts
from gitops.explaining.following import (
    DOING,
    RESUME,
    STOPPED,
    doing,
    follows,
    is_stopped,
    name_of,
    stalled_on,
    waits,
)
from gitops.records import Environment, Promotion, Training
from gitops.steps import Phase
from gitops.trials import SEARCHING, Progress
from gitops.verdicts import describe_tier
from gitops.words import age, number, short

_METRICS = 6
_GAVE_WAY = frozenset({Phase.CANCELLED, Phase.SUPERSEDED})


@dataclass(frozen=True)
class Trained:
    """A training with what came of it.

    Args:
        promotions: of its version, newest first.
        environments: those of its model.
        progress: how far its search is, where it is at it.
    """

    training: Training
    promotions: tuple[Promotion, ...] = ()
    environments: tuple[Environment, ...] = ()
    progress: Progress | None = None

    @property
    def is_broken(self) -> bool:
        """Whether it came to nothing."""
        return self.training.phase in {Phase.REFUSED, Phase.ERRORED}

    @property
    def serves_on(self) -> tuple[Environment, ...]:
        """The environments where its version serves."""
        version = self.training.facts.version
        return tuple(one for one in self.environments if version and one.serving == version)


def explain_training(trained: Trained, reading: Reading) -> Explanation:
    """Explain a training."""
    training = trained.training
    return Explanation(
        kind="training",
        name=training.id,
        now=reading.now,
        headline=_headline(trained),
        parts=collect_parts(
            serving=_serving_part(trained, reading),
            failed=(failed_training(training),) if trained.is_broken else (),
            git=_git_part(trained, reading),
            waits=_waits_part(trained, reading),
            next=_next_part(trained, reading),
        ),
        hints=_hints(trained, reading),
    )


def _headline(trained: Trained) -> str:
    training = trained.training
    what = f"training {training.id} of {training.model}"
    if not training.phase.is_final:
        reason, _ = split_reason(training.reason, training.message)
        if reason == SEARCHING and trained.progress is not None:
            return f"{what} {_searches(trained.progress)}."
        waits = reason not in {"", SEARCHING}
        return f"{what} waits: {reason}." if waits else f"{what} is under way: {doing(training).now}."
    if trained.is_broken:
        return f"{what} came to nothing: {training.reason}."
    if training.phase in _GAVE_WAY or not training.facts.version:
        return f"{what} {_ended(training)}".rstrip(".") + "."
    where = ", ".join(one.endpoint or one.path for one in trained.serves_on)
    return f"{what} is over: {label(training.facts.version)} serves {f'on {where}' if where else 'nowhere'}."


def _searches(progress: Progress) -> str:
    """Return what becomes of the trials of a search at this moment."""
    if progress.running:
        return "is under way: its trials run"
    still = progress.stalled or progress.waiting
    return f"waits: {still[0].why}" if still else "waits for a worker to take its trials"


def _ended(training: Training) -> str:
    """Return how a training ended of which no version is to be told."""
    if training.phase is Phase.CANCELLED:
        # Who calls one off is in its message, as the store writes it.
        by, found, why = training.message.partition(" called it off")
        return f"was called off by {by}{why}" if found else f"was called off: {training.message}".rstrip(": ")
    gave_way = training.phase is Phase.SUPERSEDED
    ended = "gave way to a newer one" if gave_way else f"is over ({training.phase.value})"
    return f"{ended}: {training.message}".rstrip(": ")


def _serving_part(trained: Trained, reading: Reading) -> Iterator[Statement]:
    for one in trained.environments:
        health = one.health if reading.is_up else "Unknown"
        name = one.endpoint or one.path
        whose = "" if one in trained.serves_on else ", of another training"
        since = f", for {age(one.serving_since, reading.now)}" if one.serving_since else ""
        if one.serving:
            text = f"{name}: {label(one.serving)}{whose}, {health}{since}"
            yield Statement(text, since=one.serving_since)


def _git_part(trained: Trained, reading: Reading) -> Iterator[Statement]:
    training, facts = trained.training, trained.training.facts
    by = f", by {training.cause.actor}" if training.cause.actor != "launchpin" else ""
    began = f", {age(training.created_at, reading.now)} ago" if training.created_at else ""
    yield Statement(f"{training.repository} at {short(training.commit)} on {training.branch}{by}{began}")
    if facts.verdict and not trained.is_broken:
        yield Statement(f"judged {facts.verdict}: {facts.sentence or ''}".rstrip(": "))
    if facts.tier is not None and not trained.is_broken:
        yield Statement(describe_tier(facts.tier, facts.tiers))
    if facts.metrics:
        shown = [f"{name} {number(value)}" for name, value in sorted(facts.metrics.items())[:_METRICS]]
        yield Statement(", ".join(shown))
    for promotion in trained.promotions:
        yield Statement(told_promotion(promotion), promotion.id, promotion.reason)


def told_promotion(promotion: Promotion) -> str:
    """Return what became of a promotion, in a few words."""
    facts = promotion.facts
    pull = f"pull request {facts.number} in {promotion.repository}" if facts.number else f"promotion {promotion.id}"
    where = f"{label(promotion.version)} to {promotion.environment}: {pull}"
    if facts.merge_sha:
        return f"{where}, merged by {facts.merged_by or 'somebody'} at {short(facts.merge_sha)}"
    if promotion.phase.is_final:
        ended = f"{where}, {promotion.phase.value.lower()}"
        return ": ".join(part for part in (ended, promotion.message or promotion.reason) if part)
    return f"{where}, open" if facts.number else f"{where}, not proposed yet"


def _open_promotions(trained: Trained) -> list[Promotion]:
    return [one for one in trained.promotions if not one.phase.is_final]


def _waits_part(trained: Trained, reading: Reading) -> Iterator[Statement]:
    for record, title in _moving(trained):
        if told := waits(record, title, reading):
            yield told
    yield from _stalled_trials(trained)


def _stalled_trials(trained: Trained) -> Iterator[Statement]:
    """Give the trials for which somebody must change something, by what that is."""
    stalled = trained.progress.stalled if trained.progress is not None else ()
    for why in dict.fromkeys(trial.why for trial in stalled):
        these = [trial for trial in stalled if trial.why == why]
        of, who = these[0], stalled_on(why)
        trials = f"trial {of.number} is" if len(these) == 1 else f"trial {of.number} and {len(these) - 1} more are"
        text = f"{trials} stalled: {why}: {of.message}, on {name_of(who, trained.training)}"
        yield Statement(text, of.id, why, who)


def _go_on(trained: Trained) -> Iterator[Statement]:
    """Give what has stalled trials go on."""
    for told in _stalled_trials(trained):
        yield replace(told, text=f"for its stalled trials, {answer_to(told.reason).do or 'follow the message'}")


def _moving(trained: Trained) -> Iterator[tuple[Training | Promotion, str]]:
    yield trained.training, f"training {trained.training.id}"
    for promotion in _open_promotions(trained):
        number = promotion.facts.number
        yield promotion, f"pull request {number}" if number else f"promotion {promotion.id}"


def _next_part(trained: Trained, reading: Reading) -> Iterator[Statement]:
    training = trained.training
    if not reading.is_up:
        yield Statement(STOPPED, who=Who.OPERATOR)
    elif not training.phase.is_final or trained.is_broken:
        yield from _go_on(trained)
        yield follows(training, f"training {training.id}", reading)
    elif not (still := _open_promotions(trained)):
        yield Statement(training.message or "it is over")
    else:
        for promotion in still:
            number = promotion.facts.number
            title = f"pull request {number}" if number else f"promotion {promotion.id}"
            yield follows(promotion, title, reading)


def _hints(trained: Trained, reading: Reading) -> tuple[Hint, ...]:
    training = trained.training
    if not reading.is_up:
        return (Hint("launchpin up", "starts the stack"),)
    still, is_off = _open_promotions(trained), training.phase is Phase.CANCELLED
    kept = [one for one in still if is_stopped(one, reading)]
    waiting = [one for one in still if one.facts.number and one.reason == "AwaitingMerge" and one not in kept]
    logs, look = f"launchpin logs {training.id}", _look(trained)
    return choose_hints(
        Hint(look, "why") if look else None,
        Hint(f"launchpin retry {training.id}", "trains the same commit once more") if is_off else None,
        RESUME if kept else None,
        Hint(logs, "the whole log") if training.phase is Phase.ERRORED else None,
        Hint(f"{logs} -f", "the script as it runs") if _is_training(training) else None,
        Hint(f"launchpin trials {training.id}", "each trial of its search") if training.facts.trials else None,
        *(pull_hints(waiting[0]) if waiting else ()),
    )


def _is_training(training: Training) -> bool:
    return not training.phase.is_final and doing(training) is DOING["training", "train"]


def _look(trained: Trained) -> str:
    stalled = next(_stalled_trials(trained), None)
    reason, _ = split_reason(trained.training.reason, trained.training.message)
    return answer_to(stalled.reason if stalled is not None else reason).look


def pull_hints(promotion: Promotion, *, is_held: bool = False) -> tuple[Hint, ...]:
    """Return what may be typed about a pull request that waits for a merge.

    Args:
        is_held: whether a merge alone rolls nothing out.
    """
    at, page = f"{promotion.facts.number} --repo {promotion.repository}", promotion.facts.url or ""
    return (
        Hint(f"launchpin pr show {at}", "what it changes", page),
        Hint(f"launchpin pr merge {at}", "merges it" if is_held else "rolls it out", page),
    )
