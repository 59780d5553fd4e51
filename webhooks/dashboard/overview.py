"""What the front page shows, read from the store and brought into order. Writes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Protocol, cast

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
    """One step of a story: `done`, `now` or `next`."""

    name: str
    state: str


@dataclass(frozen=True)
class Place:
    """One environment.

    Args:
        holds: the open ones; the oldest first.
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
    """Everything on the front page."""

    now: datetime
    headline: str
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
    headline, tone = _headline(places, moving)
    known = {(item.kind, item.record.id) for item in moving}
    return Overview(
        now=store.now(),
        headline=headline,
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
        holds=tuple(store.holds(repository_id=found.repository_id, path=found.path)),
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
        steps=mark_steps("rollout", rollout.step, rollout.phase),
        page=f"/rollouts/{rollout.id}",
        link=rollout.facts.write_back_url or "",
        link_words="Rollback's pull request",
        job=job,
    )


def mark_steps(kind: str, step: str, phase: Phase) -> tuple[StepMark, ...]:
    """Return a story's steps with what became of each; the last step of an ended story is where it ended."""
    names = STEPS[kind]
    at = names.index(step) if step in names else 0
    if phase is Phase.SUCCEEDED:
        at = len(names)
    here = "end" if phase.is_final else "now"
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
    total = f"{len(places)} endpoint{'s' if len(places) != 1 else ''}"
    if sick:
        return f"{len(sick)} of {total} {_be(sick)} degraded.", "bad"
    if held:
        return f"{len(held)} of {total} {_be(held)} held until somebody resumes.", "warn"
    if drifting:
        return f"{len(drifting)} of {total} {_be(drifting)} not what Git pins.", "warn"
    if moving:
        return f"{len(moving)} {'change is' if len(moving) == 1 else 'changes are'} on the way.", "busy"
    if not any(p.environment.serving for p in places):
        return "Nothing serves yet.", "calm"
    return f"What Git pins is what runs, on {total}." if len(places) != 1 else "What Git pins is what runs.", "good"


def _be(places: Sequence[Place]) -> str:
    return "is" if len(places) == 1 else "are"
