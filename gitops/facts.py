"""What stories have learned so far: of running a script, be it a training's or a trial's, and of a promotion.

Values only.
"""

from pydantic import BaseModel, Field

from gitops.reviews import Review


class ScriptFacts(BaseModel, frozen=True, extra="forbid"):
    """What is known of a script's run; every field is optional because it may not have run yet.

    Args:
        attempt: which try on the infrastructure was the last that is over, from 1.
        losses: how many of them were lost with their worker.
        disk_full: how often it met a full disk.
        seconds: how long the script's own process ran.
        printed: metrics that were found in its log, as they stand there.
        candidate_run_id: the run that counts, of those that the script made.
        metrics: of that run, as decimal strings.
    """

    experiment_id: str | None = None
    run_id: str | None = None
    attempt: int | None = None
    losses: int | None = None
    disk_full: int | None = None
    exit_code: int | None = None
    end: str | None = None
    seconds: float | None = None
    log_sha256: str | None = None
    log_tail: tuple[str, ...] = ()
    printed: dict[str, str] = Field(default_factory=dict)
    candidate_run_id: str | None = None
    candidate_model: str | None = None
    metrics: dict[str, str] = Field(default_factory=dict)


class PromotionFacts(BaseModel, frozen=True, extra="forbid"):
    """What a promotion has learned so far.

    Args:
        reviews: of the pull request when it was merged, the newest 50; None where they could not be read.
        approved_by: whose approval held at the head that was merged; None likewise.
        checks: how each check on its head stood when it was last looked at, by name; None before that.
    """

    branch: str | None = None
    base_sha: str | None = None
    head_sha: str | None = None
    plan_digest: str | None = None
    previous_version: str | None = None
    tier: str | None = None
    min_tier: str | None = None
    number: int | None = None
    url: str | None = None
    merge_sha: str | None = None
    merged_by: str | None = None
    reviews: tuple[Review, ...] | None = None
    approved_by: tuple[str, ...] | None = None
    checks: dict[str, str] | None = None
