"""What the front page shows, read from the store and brought into order. Writes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Protocol, cast

from gitops.holding import is_pause
from gitops.ports import AuditLog, AuditNote, AuditRow, JobView, Store
from gitops.records import Delivery, Environment, Health, Hold, Promotion, Rollout, Sync, Training
from gitops.steps import Phase
from webhooks.dashboard.words import curl_line, label, read_example

STEPS: Mapping[str, tuple[str, ...]] = {
    "training": ("environment", "train", "judge", "register", "hand_over"),
    "promotion": ("plan", "open_pull_request", "await_merge"),
    "rollout": ("admit", "verify", "prepare", "apply", "bake", "restore", "write_back", "finish"),
}
"""The stories' steps by name: this process loads no story. A test compares."""

_ONLY_AFTER_FAILURE = {"restore", "write_back"}
_MOST_MOVING = 20
_MOST_JOBS = 20
_MOST_TRAININGS = 8
_MOST_ENTRIES = 14
_MOST_DELIVERIES = 8
_TROUBLED = {"retrying", "stalled"}


class Reader(Store, AuditLog, Protocol):
    """What the pages read from; they call nothing that writes."""


@dataclass(frozen=True)
class StepMark:
    """One step of a story: `done`, `now`, `next`, or `stopped` where the story ended early."""

    name: str
    state: str


@dataclass(frozen=True)
class Place:
    """One environment.

    Args:
        holds: the open ones of its own; the oldest first.
        arriving: the version that Git pins and that does not serve yet, empty when there is none.
        curl: a command line that asks the endpoint; empty when nothing answers there.
        has_example: whether that line holds the model's own input example.
    """

    environment: Environment
    holds: tuple[Hold, ...]
    arriving: str
    curl: str
    has_example: bool


@dataclass(frozen=True)
class Model:
    """A model with its environments, the champion's last; `champion` is the version that serves there."""

    name: str
    champion: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Moving:
    """A story that is not over.

    Args:
        page: where its details are; empty when it has none of its own.
        link: its pull request; foreign, so it is checked before it is shown.
        job: what it waits for and when it is tried next; None while nobody is to look at it.
    """

    kind: str
    title: str
    record: Training | Promotion | Rollout
    steps: tuple[StepMark, ...]
    page: str
    link: str
    link_words: str
    job: JobView | None


@dataclass(frozen=True)
class Overview:
    """Everything on the front page.

    Args:
        pause: the hold on everything, None when there is none.
    """

    now: datetime
    pause: Hold | None
    headline: str
    summary: str
    tone: str
    models: tuple[Model, ...]
    moving: tuple[Moving, ...]
    jobs: tuple[JobView, ...]
    trainings: tuple[Training, ...]
    commits: Mapping[int, str]
    entries: tuple[AuditRow, ...]
    size: int
    head: AuditNote | None
    log_id: str
    deliveries: tuple[Delivery, ...]
    is_connected: bool


def read_overview(store: Reader, models: Path) -> Overview:
    """Read the front page.

    Args:
        models: where files of versions are kept on this machine, for the examples in command lines.
    """
    repositories = store.repositories()
    jobs = store.jobs()
    moving = _read_moving(store, jobs)
    places = [_place(store, found, models) for found in store.environments()]
    pause = next(filter(is_pause, store.holds()), None)
    headline, tone = ("Everything is paused.", "warn") if pause else _headline(places, moving)
    known = {(item.kind, item.record.id) for item in moving}
    return Overview(
        now=store.now(),
        pause=pause,
        headline=headline,
        summary=_summary(places, moving),
        tone=tone,
        models=_by_model(places),
        moving=moving,
        jobs=tuple(job for job in jobs if job.state in _TROUBLED and (job.kind, job.subject) not in known)[:_MOST_JOBS],
        trainings=cast("tuple[Training, ...]", tuple(store.recent("training", limit=_MOST_TRAININGS))),
        commits={repository.id: repository.html_url for repository in repositories},
        entries=tuple(store.audit_recent(_MOST_ENTRIES)),
        size=store.audit_size(),
        head=store.newest_checkpoint(),
        log_id=store.log_id,
        deliveries=cast("tuple[Delivery, ...]", tuple(store.recent("delivery", limit=_MOST_DELIVERIES))),
        is_connected=bool(repositories),
    )


def _place(store: Reader, found: Environment, models: Path) -> Place:
    version = store.version(found.model, found.serving) if found.serving else None
    example = read_example(models, version.manifest_sha256) if version else ""
    return Place(
        environment=found,
        holds=tuple(
            one for one in store.holds(repository_id=found.repository_id, path=found.path) if not is_pause(one)
        ),
        arriving=found.pinned if found.pinned != found.serving else "",
        curl=curl_line(found.url, example=example) if found.serving else "",
        has_example=bool(example),
    )


def _by_model(places: Iterable[Place]) -> tuple[Model, ...]:
    """Group environments by model in the order that a version passes them: the champion's last."""
    ordered = sorted(
        places, key=lambda p: (p.environment.model, p.environment.is_champion, p.environment.name == "production")
    )
    return tuple(
        Model(name, _champion(group := tuple(found)), group)
        for name, found in groupby(ordered, key=lambda place: place.environment.model)
    )


def _champion(places: Sequence[Place]) -> str:
    serving = [place.environment.serving for place in places if place.environment.is_champion]
    return next((version for version in serving if version), "")


def _read_moving(store: Reader, jobs: Sequence[JobView]) -> tuple[Moving, ...]:
    """Return the stories that are not over, the newest first."""
    found = [moving for job in jobs if (moving := _moving(store, job)) is not None]
    found.sort(key=lambda moving: moving.record.id.partition("-")[2], reverse=True)
    return tuple(found[:_MOST_MOVING])


def _moving(store: Reader, job: JobView) -> Moving | None:
    match job.kind:
        case "training":
            training = store.training(job.subject)
            return moving_training(training, job) if training else None
        case "promotion":
            promotion = store.promotion(job.subject)
            return _moving_promotion(promotion, job) if promotion else None
        case "rollout":
            rollout = store.rollout(job.subject)
            return moving_rollout(rollout, job) if rollout else None
        case _:
            return None


def moving_training(training: Training, job: JobView | None = None) -> Moving:
    """Return a training as a row with its steps."""
    return Moving(
        kind="training",
        title=f"Training {training.model}",
        record=training,
        steps=mark_steps("training", training.step, training.phase),
        page=f"/trainings/{training.id}",
        link="",
        link_words="",
        job=job,
    )


def _moving_promotion(promotion: Promotion, job: JobView) -> Moving:
    number = promotion.facts.number
    return Moving(
        kind="promotion",
        title=f"Promoting {promotion.model} {label(promotion.version)} to {promotion.environment}",
        record=promotion,
        steps=mark_steps("promotion", promotion.step, promotion.phase),
        page="",
        link=promotion.facts.url or "",
        link_words=f"Pull request #{number}" if number else "Pull request",
        job=job,
    )


def moving_rollout(rollout: Rollout, job: JobView | None = None) -> Moving:
    """Return a rollout as a row with its steps."""
    before = label(rollout.from_version or rollout.facts.previous_version)
    return Moving(
        kind="rollout",
        title=f"{rollout.endpoint} {before} \N{RIGHTWARDS ARROW} {label(rollout.version)}",
        record=rollout,
        steps=mark_steps("rollout", rollout.step, rollout.phase, is_failing=bool(rollout.facts.failure)),
        page=f"/rollouts/{rollout.id}",
        link=rollout.facts.write_back_url or "",
        link_words="Rollback's pull request",
        job=job,
    )


def mark_steps(kind: str, step: str, phase: Phase, *, is_failing: bool = False) -> tuple[StepMark, ...]:
    """Return a story's steps with what became of each; the last step of an ended story is where it ended.

    Args:
        is_failing: whether the steps that only a failure needs are shown, too.
    """
    names = [name for name in STEPS[kind] if is_failing or name not in _ONLY_AFTER_FAILURE or name == step]
    at = names.index(step) if step in names else 0
    if phase is Phase.SUCCEEDED:
        at = len(names)
    here = "stopped" if phase.is_final else "now"
    states = ["done" if place < at else here if place == at else "next" for place in range(len(names))]
    return tuple(StepMark(name.replace("_", " "), state) for name, state in zip(names, states, strict=True))


def _headline(places: Sequence[Place], moving: Sequence[Moving]) -> tuple[str, str]:
    """Return the page in one sentence, and its tone."""
    busy = {(m.record.repository_id, m.record.path) for m in moving if isinstance(m.record, Rollout)}
    held = [p for p in places if p.holds]
    sick = [p for p in places if p.environment.health is Health.DEGRADED]
    drifting = [
        p
        for p in places
        if p.environment.sync is Sync.OUT_OF_SYNC and (p.environment.repository_id, p.environment.path) not in busy
    ]
    if sick:
        return f"{_some(sick, places)} degraded.", "bad"
    if held:
        return f"{_some(held, places)} held until somebody resumes.", "warn"
    if drifting:
        return f"{_some(drifting, places)} out of sync with Git.", "warn"
    if moving:
        return f"{len(moving)} {'change is' if len(moving) == 1 else 'changes are'} on the way.", "busy"
    if not any(p.environment.serving for p in places):
        return "Nothing serves yet.", "calm"
    return "What Git pins is what runs.", "good"


def _summary(places: Sequence[Place], moving: Sequence[Moving]) -> str:
    """Return the page in numbers; empty when there is nothing to count."""
    models = len({place.environment.model for place in places})
    counts = (
        (models, "model", "models"),
        (len(places), "endpoint", "endpoints"),
        (sum(bool(place.holds) for place in places), "held", "held"),
        (len(moving), "change on the way", "changes on the way"),
    )
    return " \N{MIDDLE DOT} ".join(f"{count} {one if count == 1 else more}" for count, one, more in counts if count)


def _some(these: Sequence[Place], places: Sequence[Place]) -> str:
    if len(places) == 1:
        return "The endpoint is"
    return f"{len(these)} of {len(places)} endpoints {'is' if len(these) == 1 else 'are'}"
