"""Trainings, promotions and rollouts as rows with their steps. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from gitops.ports import JobView
from gitops.records import Promotion, Rollout, Training
from gitops.steps import Phase
from webhooks.dashboard.words import label

Story = Training | Promotion | Rollout

STEPS: Mapping[str, tuple[str, ...]] = {
    "training": ("environment", "search", "train", "judge", "register", "hand_over"),
    "promotion": ("plan", "open_pull_request", "await_merge"),
    "rollout": ("admit", "verify", "prepare", "apply", "bake", "restore", "write_back", "finish"),
}
"""The stories' steps by name: this process loads no story. A test compares."""

_ONLY_AFTER_FAILURE = {"restore", "write_back"}


@dataclass(frozen=True)
class StepMark:
    """One step of a story: `done`, `now`, `next`, or `stopped` where the story ended early."""

    name: str
    state: str


@dataclass(frozen=True)
class Moving:
    """A story with its steps.

    Args:
        page: where its details are.
        link: its pull request; foreign, so it is checked before it is shown.
        job: what it waits for and when it is tried next; None while nobody is to look at it.
    """

    kind: str
    title: str
    record: Story
    steps: tuple[StepMark, ...]
    page: str
    link: str
    link_words: str
    job: JobView | None


def moving(record: Story, job: JobView | None = None) -> Moving:
    """Return a story as a row."""
    match record:
        case Training():
            return _training(record, job)
        case Promotion():
            return _promotion(record, job)
        case Rollout():
            return _rollout(record, job)


def _training(training: Training, job: JobView | None) -> Moving:
    return Moving(
        kind="training",
        title=f"Training {training.model}",
        record=training,
        steps=mark_steps("training", training.step, training.phase, is_searching=training.facts.trials is not None),
        page=f"/trainings/{training.id}",
        link="",
        link_words="",
        job=job,
    )


def _promotion(promotion: Promotion, job: JobView | None) -> Moving:
    number = promotion.facts.number
    return Moving(
        kind="promotion",
        title=f"Promoting {promotion.model} {label(promotion.version)} to {promotion.environment}",
        record=promotion,
        steps=mark_steps("promotion", promotion.step, promotion.phase),
        page=f"/promotions/{promotion.id}",
        link=promotion.facts.url or "",
        link_words=f"Pull request #{number}" if number else "Pull request",
        job=job,
    )


def _rollout(rollout: Rollout, job: JobView | None) -> Moving:
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


def mark_steps(
    kind: str, step: str, phase: Phase, *, is_failing: bool = False, is_searching: bool = False
) -> tuple[StepMark, ...]:
    """Return a story's steps with what became of each; the last step of an ended story is where it ended.

    Args:
        is_failing: whether the steps that only a failure needs are shown, too.
        is_searching: whether a training's trials run in the place of its one script.
    """
    left_out = {"train" if is_searching else "search"} if kind == "training" else set()
    left_out |= set() if is_failing else _ONLY_AFTER_FAILURE
    names = [name for name in STEPS[kind] if name not in left_out or name == step]
    at = names.index(step) if step in names else 0
    if phase is Phase.SUCCEEDED:
        at = len(names)
    here = "stopped" if phase.is_final else "now"
    states = ["done" if place < at else here if place == at else "next" for place in range(len(names))]
    return tuple(StepMark(name.replace("_", " "), state) for name, state in zip(names, states, strict=True))
