"""What the pages of one training, one promotion, one rollout and one command show. Writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gitops.access import may_see_command
from gitops.explaining import Explanation
from gitops.records import Command, Environment, Promotion, Rollout, Training, Version
from gitops.telling.answers import Plan
from gitops.telling.subjects import read_proposal, read_trained
from webhooks.dashboard import links
from webhooks.dashboard.asked import EVERYTHING, Asked
from webhooks.dashboard.logs import Log, read_log
from webhooks.dashboard.planned import foresee
from webhooks.dashboard.searched import Searched, read_search
from webhooks.dashboard.sight import Sight
from webhooks.dashboard.stories import Moving, moving
from webhooks.dashboard.trail import Remembered, Trail

_SHOWN_ELSEWHERE = {
    *("log_tail", "metrics", "parameters", "gates", "champion_metrics", "promotions", "sentence"),
    *("tiers", "min_tiers", "objective"),
    *("failure", "failure_message", "url", "number", "plan_digest"),
}
_NOTHING: tuple[object, ...] = (None, {}, (), [])


@dataclass(frozen=True)
class Metric:
    """One metric beside the champion's; decimal strings, empty when not known."""

    name: str
    value: str
    champion: str


@dataclass(frozen=True)
class TrainingPage:
    """One training with what came of it.

    Args:
        log: the end of its log, None where there is none.
        run_url: where MLflow shows its run, empty while there is none.
        search: its trials, None where it is no search, or has none yet.
    """

    now: datetime
    story: Moving
    explanation: Explanation
    training: Training
    metrics: tuple[Metric, ...]
    facts: Mapping[str, str]
    promotions: tuple[Promotion, ...]
    log: Log | None
    entries: Remembered
    repository_url: str
    run_url: str
    version_url: str
    search: Searched | None = None


@dataclass(frozen=True)
class PromotionPage:
    """One promotion: what its merge would do, and what it waits for.

    Args:
        version: the verdict on what it proposes, None where it is not known, or not theirs to see.
        training: what it came from, None likewise.
        environment: where it goes; None where nothing is known of it yet.
        plan: what its merge would do, as the API tells it; None once it is over, or while its place is not known.
        rollout: what its merge led to, None while there is nothing.
        reason: what the person said who asked for it by hand.
    """

    now: datetime
    story: Moving
    explanation: Explanation
    promotion: Promotion
    version: Version | None
    training: Training | None
    environment: Environment | None
    plan: Plan | None
    metrics: tuple[Metric, ...]
    rollout: Rollout | None
    reason: str
    entries: Remembered
    repository_url: str
    version_url: str


@dataclass(frozen=True)
class Share:
    """A version's share of an endpoint's traffic, in percent."""

    version: str
    percent: int
    words: str


@dataclass(frozen=True)
class RolloutPage:
    """One rollout with what was recorded of it.

    Args:
        explanation: of its endpoint; None for an environment that is not known any more.
        traffic: who has the traffic, and who is beside it.
    """

    now: datetime
    story: Moving
    explanation: Explanation | None
    rollout: Rollout
    environment: Environment | None
    traffic: tuple[Share, ...]
    facts: Mapping[str, str]
    entries: Remembered
    repository_url: str


@dataclass(frozen=True)
class CommandPage:
    """Something that was asked for, and where its result has a page."""

    now: datetime
    command: Command
    results: tuple[tuple[str, str, str], ...]


def read_training_page(
    sight: Sight, trail: Trail, training_id: str, *, home: Path, tracking: str, asked: Asked = EVERYTHING
) -> TrainingPage | None:
    """Read the page of a training; None when there is none of that id that they may see.

    Args:
        home: the folder of state, where logs are.
        tracking: the address of the MLflow server.
        asked: which part of the table of its search's trials.
    """
    training = sight.store.training(training_id)
    if training is None or not sight.record(training):
        return None
    facts = training.facts
    found = (sight.store.promotion(promotion_id) for promotion_id in facts.promotions)
    promotions = tuple(one for one in found if one is not None and sight.record(one))
    return TrainingPage(
        now=sight.reading.now,
        story=moving(training, sight.reading.job("training", training.id)),
        explanation=sight.explain(read_trained(sight.library, training)),
        training=training,
        metrics=_metrics(facts.metrics, facts.champion_metrics),
        facts=_plain_facts(facts.model_dump()),
        promotions=promotions,
        log=read_log(training, home),
        entries=trail.about(sight, training.created_at, training_id=training.id),
        repository_url=_html_url(sight, training.repository_id),
        run_url=links.run_url(training, tracking),
        version_url=links.version_url(training.model, facts.version, tracking) if facts.version else "",
        search=read_search(sight, training, tracking=tracking, asked=asked),
    )


def read_promotion_page(sight: Sight, trail: Trail, promotion_id: str, *, tracking: str) -> PromotionPage | None:
    """Read the page of a promotion; None when there is none of that id that they may see."""
    promotion = sight.store.promotion(promotion_id)
    if promotion is None or not sight.record(promotion):
        return None
    training = sight.store.training(promotion.training_id)
    # What a pull request in the deploy repository says is known to whoever may look at that.
    version = sight.store.version(promotion.model, promotion.version)
    same = {"repository": promotion.repository, "path": promotion.path, "version": promotion.version}
    rolled = sight.page(Rollout, 1, **same) if promotion.facts.merge_sha else []
    asked = sight.store.command(promotion.cause.id) if promotion.cause.kind == "command" else None
    known = training if sight.record(training) else None
    proposal = read_proposal(sight.library, promotion)
    against = known.facts.champion_metrics if known else {}
    return PromotionPage(
        now=sight.reading.now,
        story=moving(promotion, sight.reading.job("promotion", promotion.id)),
        explanation=sight.explain(proposal),
        promotion=promotion,
        version=version,
        training=known,
        environment=proposal.place.environment if proposal.place else None,
        plan=foresee(sight, proposal.place, promotion),
        metrics=_metrics(version.metrics if version else {}, against),
        rollout=rolled[0] if rolled else None,
        reason=asked.arguments.get("reason", "") if asked else "",
        entries=trail.about(sight, promotion.created_at, promotion_id=promotion.id),
        repository_url=_html_url(sight, promotion.repository_id),
        version_url=links.version_url(promotion.model, promotion.version, tracking),
    )


def read_rollout_page(sight: Sight, trail: Trail, rollout_id: str) -> RolloutPage | None:
    """Read the page of a rollout; None when there is none of that id that they may see."""
    rollout = sight.store.rollout(rollout_id)
    if rollout is None or not sight.record(rollout):
        return None
    environment = sight.store.environment(rollout.repository_id, rollout.path)
    return RolloutPage(
        now=sight.reading.now,
        story=moving(rollout, sight.reading.job("rollout", rollout.id)),
        explanation=sight.explain(sight.library.place(environment)) if environment is not None else None,
        rollout=rollout,
        environment=environment,
        traffic=share_traffic(rollout),
        facts=_plain_facts(rollout.facts.model_dump()),
        entries=trail.about(sight, rollout.created_at, rollout_id=rollout.id),
        repository_url=_html_url(sight, rollout.repository_id),
    )


def share_traffic(rollout: Rollout) -> tuple[Share, ...]:
    """Return who has the endpoint's traffic while a rollout stands where it does: all of it goes to one version.

    The record says what serves as soon as the target said so; before that the version before has it.
    """
    facts, before = rollout.facts, rollout.from_version or rollout.facts.previous_version or ""
    serving = facts.serving
    if serving is None:
        has_it = bool(facts.applied) and not facts.failure
        serving = rollout.version if has_it else before
    known = [one for one in dict.fromkeys((before, rollout.version)) if one]
    others = [one for one in known if one != serving]
    shown = [Share(serving, 100, "has all of the traffic")] if serving else []
    return (*shown, *(Share(one, 0, "has none of it") for one in others))


def read_command_page(sight: Sight, command_id: str) -> CommandPage | None:
    """Read the page of a command; None when there is none of that id that they may see."""
    command = sight.store.command(command_id)
    if command is None or not may_see_command(sight.access, command):
        return None
    results = []
    for name, value in sorted(command.facts.result.items()):
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        results.append((name.replace("_", " "), text, links.record_page(text)))
    return CommandPage(sight.reading.now, command, tuple(results))


def _metrics(own: Mapping[str, str], champion: Mapping[str, str]) -> tuple[Metric, ...]:
    return tuple(
        Metric(name, own.get(name, ""), champion.get(name, "")) for name in sorted(own.keys() | champion.keys())
    )


def _html_url(sight: Sight, repository_id: int) -> str:
    repository = sight.store.repository(repository_id)
    return repository.html_url if repository else ""


def _plain_facts(facts: Mapping[str, object]) -> dict[str, str]:
    """Return the facts that are one value each and have no place of their own on the page."""
    known = {name: value for name, value in facts.items() if value not in _NOTHING and name not in _SHOWN_ELSEWHERE}
    return {name.replace("_", " "): _plain(value) for name, value in known.items()}


def _plain(value: object) -> str:
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case "":
            return "none"
        case Mapping():
            return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
        case list() | tuple():
            return ", ".join(map(_plain, value))
        case _:
            return str(value)
