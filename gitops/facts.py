"""What running a script taught, be it a training's own or that of one trial of its search. Values only."""

from pydantic import BaseModel, Field


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
