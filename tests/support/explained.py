"""Records as `gitops.explaining` gets them, at noon, and what it says of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gitops.explaining import Explanation, Part, Reading
from gitops.holding import EVERYWHERE
from gitops.ports import JobView
from gitops.records import Environment, Health, Hold, MergeMode, Record, RolloutFacts, Sync
from gitops.steps import Phase
from tests.support.store import make_environment, make_hold, make_promotion, make_rollout

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=12)


def serving(**changes: Any) -> Environment:  # noqa: ANN401 - any field of the record
    """Return an endpoint on which version 7 serves as pinned."""
    fields = {
        "repository": "acme/iris-deploy",
        "pinned": "7",
        "pin_commit": "d" * 40,
        "serving": "7",
        "serving_since": NOW - timedelta(hours=3),
        "sync": Sync.SYNCED,
        "health": Health.HEALTHY,
    }
    return make_environment(**{**fields, **changes})


def job(record: Record, state: str = "waiting", **changes: Any) -> JobView:  # noqa: ANN401 - any field of the view
    """Return the job about a record, due in 20 s."""
    fields = {
        "job": 1,
        "kind": type(record).__name__.lower(),
        "subject": record.id,
        "queue": "control",
        "state": state,
        "not_before": NOW + timedelta(seconds=20),
        "attempts": 0,
        "reason": record.reason,
        "message": record.message,
    }
    return JobView(**{**fields, **changes})


def reading(*jobs: JobView, is_up: bool = True, pause: Hold | None = None) -> Reading:
    """Return a reading at noon."""
    return Reading(NOW, is_up=is_up, jobs={(one.kind, one.subject): one for one in jobs}, pause=pause)


def paused(**changes: Any) -> Hold:  # noqa: ANN401 - any field of the hold
    """Return the hold on everything that ada set 12 minutes ago."""
    everywhere = {"repository_id": EVERYWHERE, "path": "", "environment": "", "model": "", "reason": "Paused"}
    return make_hold(**{**everywhere, "author": "ada", "message": "a fair", "created_at": EARLIER, **changes})


def texts(explanation: Explanation, part: Part) -> str:
    """Return what a part says, a statement a line."""
    return "\n".join(one.text for one in explanation.parts.get(part, ()))


def open_pull(**changes: Any) -> Any:  # noqa: ANN401 - a promotion
    """Return a promotion whose pull request 12 waits for a merge."""
    facts = {"number": 12, "url": "http://127.0.0.1:1/acme/iris-deploy/pull/12"}
    fields = {
        "phase": Phase.RUNNING,
        "step": "await_merge",
        "reason": "AwaitingMerge",
        "message": "pull request 12 waits for a person's merge",
        "version": "8",
        "merge": MergeMode.REVIEW,
        "facts": facts,
    }
    return make_promotion(**{**fields, **changes})


def failed_rollout(**changes: Any) -> Any:  # noqa: ANN401 - a rollout
    """Return the rollout of version 8 that failed 12 minutes ago."""
    facts = RolloutFacts(
        failure="SmokeFailed", failure_message="500 for example 1", log_tail=("a", "KeyError: 'x'"), serving="7"
    )
    fields = {
        "id": "r-8",
        "version": "8",
        "phase": Phase.ROLLED_BACK,
        "step": "finish",
        "reason": "SmokeFailed",
        "message": "SmokeFailed: 500 for example 1 - version 7 serves",
        "facts": facts,
        "updated_at": EARLIER,
    }
    return make_rollout(**{**fields, **changes})
